"""Every operation beside Pillow's, on photographs, eager and in `map`."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from sklearn.datasets import load_sample_images

from zoo.data.augmentation import ops

PHOTOGRAPHS = [Image.fromarray(image).crop((100, 50, 324, 230)) for image in load_sample_images().images]
# Few levels, one level, and a channel that is constant: what divides by a spread that is zero.
ODD = [
    PHOTOGRAPHS[0].point(lambda value: 40 + value // 16),
    Image.new("RGB", (9, 5), (7, 7, 7)),
    Image.merge("RGB", [*PHOTOGRAPHS[1].split()[:2], Image.new("L", PHOTOGRAPHS[1].size, 3)]),
    PHOTOGRAPHS[0].crop((0, 0, 2, 30)),
]
PICTURES = [*PHOTOGRAPHS, *(picture.convert("L") for picture in PHOTOGRAPHS), *ODD]


def solarize_add(picture, addition):
    table = [min(255, value + addition) if value < 128 else value for value in range(256)]
    return picture.point(table * len(picture.getbands()))


def hue(picture, turn):
    """As torchvision turns it: Pillow's HSV, in which the hue has 8 bits."""
    channels = picture.convert("HSV").split()
    turned = (np.asarray(channels[0]).astype(int) + int(turn * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype("uint8")), *channels[1:])).convert("RGB")


CASES = {
    "invert": [(0, lambda p, _: ImageOps.invert(p))],
    "posterize": [(bits, ImageOps.posterize) for bits in (1, 4, 8)],
    "solarize": [(threshold, ImageOps.solarize) for threshold in (0, 1, 110.5, 255, 256)],
    "solarize_add": [(number, solarize_add) for number in (0, 34, 110, 128)],
    "auto_contrast": [(0, lambda p, _: ImageOps.autocontrast(p))],
    "equalize": [(0, lambda p, _: ImageOps.equalize(p))],
    **{
        name: [(factor, lambda p, f, e=enhancer: e(p).enhance(f)) for factor in (0, 0.1, 0.37, 1, 1.3, 1.99)]
        for name, enhancer in (("brightness", ImageEnhance.Brightness), ("color", ImageEnhance.Color),
                               ("contrast", ImageEnhance.Contrast), ("sharpness", ImageEnhance.Sharpness))
    },
}  # fmt: skip


def array(picture):
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def in_map(op, picture, *arguments):
    """What `op` gives in a graph of tf.data, where the picture is a tensor of which only the shape is known."""
    dataset = tf.data.Dataset.from_tensors((array(picture), *arguments)).map(op)
    return next(iter(dataset)).numpy()


@pytest.mark.parametrize("name", CASES)
def test_operations_are_pillows(name):
    op = getattr(ops, name)
    for picture in PICTURES:
        for number, pillow in CASES[name]:
            number64 = tf.constant(number, tf.float64)
            expected = array(pillow(picture, number))
            np.testing.assert_array_equal(op(tf.constant(array(picture)), number64), expected, f"{name} {number}")
        np.testing.assert_array_equal(in_map(op, picture, number64), expected)


MAPS = [
    *(("shear_x", factor) for factor in (-0.3, 0, 0.09, 0.99)),
    *(("shear_y", factor) for factor in (-0.3, 0.09, 0.99)),
    *(("translate_x", pixels) for pixels in (-31.7, 10.5, 20)),
    *(("translate_y", pixels) for pixels in (-31.7, 10.3, 500)),
    *(("rotate", degrees) for degrees in (-30, 0, 4.5, 90, 135, 180)),
]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(("name", "number"), MAPS)
def test_geometric_operations_are_pillows(name, number, interpolation):
    filter_ = Image.Resampling[interpolation.upper()]
    for picture in (PHOTOGRAPHS[0], PHOTOGRAPHS[1].convert("L")):
        if name == "rotate":
            expected = picture.rotate(number, filter_)
        else:
            data = {"shear_x": (1, number, 0, 0, 1, 0), "shear_y": (1, 0, 0, number, 1, 0),
                    "translate_x": (1, 0, number, 0, 1, 0), "translate_y": (1, 0, 0, 0, 1, number)}[name]  # fmt: skip
            expected = picture.transform(picture.size, Image.Transform.AFFINE, data, filter_)
        numbers = tf.constant(ops.coefficients(name, number, picture.height, picture.width), tf.float64)
        eager = ops.affine(tf.constant(array(picture)), numbers, interpolation).numpy()
        levels = 0 if interpolation == "nearest" else 1
        assert np.abs(eager.astype(int) - array(expected)).max() <= levels
        assert (eager != array(expected)).mean() < 0.04
        np.testing.assert_array_equal(in_map(lambda p, n: ops.affine(p, n, interpolation), picture, numbers), eager)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.3])
def test_hue_is_pillows(turn):
    for picture in (*PHOTOGRAPHS, *ODD):
        out = ops.hue(tf.constant(array(picture)), tf.constant(turn, tf.float64)).numpy()
        np.testing.assert_array_equal(out, array(hue(picture, turn)))
    grey = tf.constant(array(PHOTOGRAPHS[0].convert("L")))
    assert ops.hue(grey, tf.constant(turn, tf.float64)) is grey


def test_hue_turns_round_the_circle():
    red = tf.constant([[[200, 0, 0]]], tf.uint8)
    turned = ops.hue(red, tf.constant(1 / 3, tf.float64)).numpy()[0, 0] / 255
    assert colorsys.rgb_to_hsv(*turned)[0] == pytest.approx(1 / 3, abs=1 / 255)


def test_sharpness_by_hand():
    picture = np.zeros((3, 3, 1), "uint8")
    picture[1, 1] = 130
    smooth = ops.sharpness(tf.constant(picture), tf.constant(0, tf.float64)).numpy()
    assert smooth[1, 1, 0] == 50  # 130 * 5 / 13
    expected = Image.fromarray(picture[..., 0]).filter(ImageFilter.SMOOTH)
    np.testing.assert_array_equal(smooth[..., 0], np.asarray(expected))
