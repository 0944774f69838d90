"""Policies: the papers' tables, one operation at a time, chance that is a function of the seed."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_image

from zoo.data import AutoAugment, RandAugment, TrivialAugment
from zoo.data.augmentation import ops, pillow_ops, policies
from zoo.data.augmentation.policies import AUTOAUGMENT_POLICIES, AUTOAUGMENT_ROWS, RANDAUGMENT_ROWS, TRIVIALAUGMENT_ROWS

PICTURE = load_sample_image("flower.jpg")[100:164, 200:280]
POLICIES = {
    "randaugment": RandAugment(),
    "one by timm": RandAugment(n=1, m=7, mstd=0.5, p=0.5, space="timm"),
    "trivialaugment": TrivialAugment(),
    "bilinear": TrivialAugment("bilinear"),
    "autoaugment": AutoAugment("svhn"),
}


def seeds(count, start=0):
    return tf.constant([[5, start + index] for index in range(count)], tf.int64)


def in_map(policy, seeds, picture=PICTURE):
    """Changed pictures, out of tf.data."""
    dataset = tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: policy.apply(tf.constant(picture), seed))
    return np.stack([out.numpy() for out in dataset])


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_eager_is_map_and_depends_on_the_seed_alone(policy):
    out = in_map(policy, seeds(12))
    np.testing.assert_array_equal(out[4:], in_map(policy, seeds(8, start=4)))
    for index in (0, 5):
        np.testing.assert_array_equal(policy.apply(tf.constant(PICTURE), seeds(12)[index]), out[index])
    assert len({one.tobytes() for one in out}) > 3


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("grey", [False, True])
def test_what_pillow_does_is_what_the_graph_does(policy, grey):
    picture = PICTURE[..., :1] if grey else PICTURE
    image = Image.fromarray(picture[..., 0] if grey else picture)
    many = seeds(20)
    for out, seed in zip(in_map(policy, many, picture), many, strict=True):
        plan = policy.plan(seed, *picture.shape[:2]).numpy()
        assert plan.shape == (policy.plan_size,)
        changed = np.asarray(policy.change(image, plan)).reshape(picture.shape)
        levels = 1 if getattr(policy, "interpolation", "") == "bilinear" else 0
        assert np.abs(changed.astype(int) - out).max() <= levels


@pytest.mark.parametrize("rows", [*RANDAUGMENT_ROWS.values(), TRIVIALAUGMENT_ROWS, AUTOAUGMENT_ROWS])
def test_each_operation_of_pillow_is_that_of_the_graph(rows):
    numbers = policies.table(rows, np.linspace(0, 1, 7), *PICTURE.shape[:2])
    for row, by_level in zip(rows, numbers, strict=True):
        kind = "affine" if row.op in ops.GEOMETRIC else row.op
        for number in np.unique(by_level.reshape(-1, 6), axis=0):
            changed = pillow_ops.change(kind, Image.fromarray(PICTURE), number, "nearest")
            op = {"affine": ops.affine, "identity": lambda picture, _: picture}.get(kind) or getattr(ops, kind)
            expected = op(tf.constant(PICTURE), tf.constant(number if kind == "affine" else number[0], tf.float64))
            np.testing.assert_array_equal(np.asarray(changed), expected, f"{row.op} {number}")


def by_pillow(picture, name, number):
    """One operation with one number."""
    enhancers = {"brightness": ImageEnhance.Brightness, "color": ImageEnhance.Color,
                 "contrast": ImageEnhance.Contrast, "sharpness": ImageEnhance.Sharpness}  # fmt: skip
    if name in enhancers:
        return enhancers[name](picture).enhance(number)
    if name == "rotate":
        return picture.rotate(number)
    if name in ops.GEOMETRIC:
        data = ops.coefficients(name, number, picture.height, picture.width)
        return picture.transform(picture.size, Image.Transform.AFFINE, data)
    plain = {"identity": lambda p: p, "invert": ImageOps.invert, "auto_contrast": ImageOps.autocontrast,
             "equalize": ImageOps.equalize}  # fmt: skip
    if name in plain:
        return plain[name](picture)
    return {"posterize": ImageOps.posterize, "solarize": ImageOps.solarize}[name](
        picture, int(number) if name == "posterize" else number
    )


def test_trivialaugment_reaches_each_of_its_changes_and_no_other():
    picture = Image.fromarray(PICTURE)
    possible = {}
    for row in TRIVIALAUGMENT_ROWS:
        for level in range(31):
            for sign in (1, -1) if row.signed else (1,):
                gained = row.gain * level / 30
                number = row.base + sign * (np.rint(gained) if row.whole else gained)
                possible.setdefault(np.asarray(by_pillow(picture, row.op, number)).tobytes(), set()).add(row.op)
    seen = [possible.get(out.tobytes()) for out in in_map(TrivialAugment(), seeds(700))]
    assert None not in seen
    assert set().union(*seen) == {row.op for row in TRIVIALAUGMENT_ROWS}
    clear = [next(iter(names)) for names in seen if len(names) == 1]
    for name in ("rotate", "equalize", "sharpness"):  # each a fourteenth
        assert 25 < clear.count(name) < 80


def test_randaugment_of_probability_zero_does_nothing():
    for out in in_map(RandAugment(n=3, p=0.0), seeds(5)):
        np.testing.assert_array_equal(out, PICTURE)


def test_strength_varies_with_its_deviation():
    def outcomes(policy):
        return len({out.tobytes() for out in in_map(policy, seeds(150))})

    assert outcomes(RandAugment(n=1, m=5, mstd=1.0, space="timm")) > 2 * outcomes(RandAugment(n=1, m=5, space="timm"))


@pytest.mark.parametrize("policy", AUTOAUGMENT_POLICIES)
def test_policies_of_autoaugment_are_25_pairs(policy):
    pairs = AUTOAUGMENT_POLICIES[policy]
    assert len(pairs) == 25
    for pair in pairs:
        for name, probability, level in pair:
            assert name in {row.op for row in AUTOAUGMENT_ROWS}
            assert 0 <= probability <= 1
            assert level in range(10)
    in_map(AutoAugment(policy), seeds(2))


def test_numbers_by_hand():
    def number(rows, name, level, sign=0, index=0):
        row = [row.op for row in rows].index(name)
        return policies.table(rows, np.array([level]), 100, 200)[row, 0, sign, index]

    assert number(RANDAUGMENT_ROWS["torchvision"], "translate_x", 1.0, index=2) == pytest.approx(200 * 150 / 331)
    assert number(RANDAUGMENT_ROWS["torchvision"], "translate_y", 1.0, 1, index=5) == pytest.approx(-100 * 150 / 331)
    assert number(RANDAUGMENT_ROWS["torchvision"], "brightness", 0.3, 1) == pytest.approx(0.73)
    assert number(RANDAUGMENT_ROWS["torchvision"], "posterize", 0.3) == 7
    assert number(TRIVIALAUGMENT_ROWS, "posterize", 1.0) == 2
    assert number(TRIVIALAUGMENT_ROWS, "solarize", 1.0) == 0
    assert number(RANDAUGMENT_ROWS["timm"], "posterize", 0.9) == 1
    assert number(RANDAUGMENT_ROWS["timm"], "solarize", 0.9) == 26
    assert number(RANDAUGMENT_ROWS["timm"], "solarize_add", 0.9) == 99
