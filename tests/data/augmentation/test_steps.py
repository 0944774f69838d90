import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_image

from zoo.data import ColorJitter, Cutout, Flip, Lighting, RandomErasing, RandomResizedCrop, Shift
from zoo.data.augmentation.steps import crop_draws

PICTURE = load_sample_image("china.jpg")[60:120, 200:280]
GREY = PICTURE[..., :1]
STEPS = {
    "flip": Flip(),
    "shift": Shift(4),
    "erase": RandomErasing(0.7),
    "noise": RandomErasing(1.0, fill="noise"),
    "cutout": Cutout(20),
    "jitter": ColorJitter(0.4, 0.4, 0.4, 0.1),
    "lighting": Lighting(),
}


def in_map(step, count, picture=PICTURE, start=0):
    dataset = tf.data.Dataset.range(start, count).map(
        lambda index: step.apply(tf.constant(picture), tf.stack([tf.constant(7, tf.int64), index]))
    )
    return np.stack([out.numpy() for out in dataset])


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_eager_is_map_and_depends_on_the_seed_alone(step):
    out = in_map(step, 20)
    np.testing.assert_array_equal(out[15:], in_map(step, 20, start=15))
    np.testing.assert_array_equal(step.apply(tf.constant(PICTURE), tf.constant([7, 3], tf.int64)), out[3])
    assert len({one.tobytes() for one in out}) > 1
    grey = in_map(step, 2, GREY)
    assert grey.shape == (2, *GREY.shape)
    assert grey.dtype == np.uint8


def test_flip_happens_as_often_as_asked():
    for p in (0.0, 0.3, 1.0):
        flipped = np.array([np.array_equal(out, PICTURE[:, ::-1]) for out in in_map(Flip(p), 300)])
        assert flipped.mean() == pytest.approx(p, abs=0.09)


def test_shift_gives_windows_of_the_padded_picture():
    padded = np.pad(GREY, [(2, 2), (2, 2), (0, 0)])
    windows = {padded[i : i + 60, j : j + 80].tobytes() for i in range(5) for j in range(5)}
    assert {out.tobytes() for out in in_map(Shift(2), 300, GREY)} == windows


def test_erased_boxes_have_the_areas_and_forms_asked_for():
    covered = []
    for out in in_map(RandomErasing(1.0, scale=(0.1, 0.2), ratio=(0.5, 2.0), fill="black"), 200, np.full_like(GREY, 9)):
        rows, columns = np.flatnonzero((out == 0).any((1, 2))), np.flatnonzero((out == 0).any((0, 2)))
        height, width = len(rows), len(columns)
        assert (out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 0).all()
        assert (out == 0).sum() == height * width
        assert 0.45 < height / width < 2.2
        covered.append(height * width / out.size)
    assert 0.09 < min(covered) < 0.12
    assert 0.18 < max(covered) < 0.21


def test_fillings():
    white = np.full_like(PICTURE, 255)
    mean = in_map(RandomErasing(1.0), 1, white)[0]
    assert {tuple(pixel) for pixel in mean.reshape(-1, 3)} == {(255, 255, 255), (124, 116, 104)}
    noise = in_map(RandomErasing(1.0, scale=(0.3, 0.3), fill="noise"), 20, white)
    inside = noise[(noise != 255).any(-1)]
    np.testing.assert_allclose(inside.mean(0), (124, 116, 104), atol=6)


def test_cutout_is_a_square_within_the_border():
    sizes = [(out != 255).any(-1).sum() for out in in_map(Cutout(20), 100, np.full_like(PICTURE, 255))]
    assert max(sizes) == 400
    assert 100 <= min(sizes) < 400


def test_jitter_of_one_kind_is_that_operation():
    factors = [out.astype(float).sum() / PICTURE.sum() for out in in_map(ColorJitter(brightness=0.3), 100)]
    assert 0.68 < min(factors) < 0.8
    assert 1.1 < max(factors) < 1.31


def test_lighting_adds_one_colour():
    changes = in_map(Lighting(), 50, np.full_like(PICTURE, 128)).astype(int) - 128
    assert (changes == changes[:, :1, :1]).all()
    assert 2 < changes[:, 0, 0].std(0).mean() < 6  # 255 * 0.1 * 0.2175 * 0.577 = 3.2


def test_crops_follow_torchvisions_rule():
    crop = RandomResizedCrop()
    areas, forms = [], []
    for visit in range(3000):
        left, top, right, bottom = crop.box(crop_draws(3, visit), 300, 400)
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 300
        areas.append((right - left) * (bottom - top) / 120_000)
        forms.append((right - left) / (bottom - top))
    assert 0.079 < min(areas) < 0.1
    assert max(areas) > 0.9
    assert 0.74 < min(forms) < 0.76
    assert 1.32 < max(forms) < 1.35
    # Between so much of the picture that every form fits, all areas are alike.
    small = np.array(areas)[np.array(areas) < 0.5]
    np.testing.assert_allclose(np.histogram(small, 4, (0.08, 0.5))[0] / len(small), 0.25, atol=0.04)


@pytest.mark.parametrize(
    ("size", "box"), [((10, 100), (43, 0, 56, 10)), ((100, 10), (0, 43, 10, 56)), ((50, 50), (0, 0, 50, 50))]
)
def test_where_no_box_fits_the_middle_is_taken(size, box):
    assert RandomResizedCrop(scale=(1.0, 1.0)).box(np.full(22, 0.999), *size) == box
