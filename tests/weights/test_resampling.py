import numpy as np
import PIL
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from zoo.weights.resampling import resize_window

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
COLUMNS_FIRST_SINCE = 13


@pytest.fixture(scope="module")
def photographs():
    return load_sample_images().images


def resize(pictures, size, interpolation="bilinear", antialias=True, start=(0, 0), count=None):
    scalars = [tuple(tf.constant(item) for item in pair) for pair in (size, start, count or size)]
    return resize_window(
        tf.constant(pictures), *scalars, interpolation=interpolation, antialias=antialias
    ).numpy()  # fmt: skip


def pillow(picture, size, interpolation):
    return np.asarray(Image.fromarray(picture).resize(size[::-1], FILTERS[interpolation]))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(256, 383), (100, 640), (427, 90), (500, 749), (37, 53), (1, 1)])
def test_photographs_are_as_pillow_resizes_them_to_the_bit(photographs, size, interpolation):
    actual = resize(np.stack(photographs), size, interpolation)
    for picture, resized in zip(photographs, actual, strict=True):
        np.testing.assert_array_equal(resized, pillow(picture, size, interpolation))


def test_any_sizes_are_as_pillow_resizes_them_to_the_bit():
    rng = np.random.default_rng(0)
    for _ in range(40):
        height, width, *size = rng.integers(1, 60, 4).tolist()
        if int(PIL.__version__.split(".")[0]) < COLUMNS_FIRST_SINCE and size[0] < height:
            size[1] = min(size[1], width - (height - size[0] + 1) // 2)
            if size[1] < 1:
                continue
        picture = rng.integers(0, 256, (height, width, 3), dtype="uint8")
        for interpolation in FILTERS:
            actual = resize(picture[np.newaxis], size, interpolation)[0]
            np.testing.assert_array_equal(actual, pillow(picture, size, interpolation), str((picture.shape, size)))


def test_a_height_that_loses_much_more_is_resized_first(photographs):
    """The order of Pillow 13, each pass done alone by whatever Pillow is installed."""
    picture = np.ascontiguousarray(photographs[0][:, :100])
    actual = resize(picture[np.newaxis], (200, 80))[0]
    np.testing.assert_array_equal(actual, pillow(pillow(picture, (200, 100), "bilinear"), (200, 80), "bilinear"))
    rows_first = pillow(pillow(picture, (427, 80), "bilinear"), (200, 80), "bilinear")
    difference = np.abs(actual.astype(int) - rows_first)
    assert 0 < difference.max() <= 2


def test_a_window_is_the_part_of_the_whole(photographs):
    picture = photographs[1][np.newaxis]
    for interpolation in FILTERS:
        whole = resize(picture, (256, 383), interpolation)
        part = resize(picture, (256, 383), interpolation, start=(16, 80), count=(224, 200))
        np.testing.assert_array_equal(part, whole[:, 16:240, 80:280])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_floating_point_is_not_rounded(photographs, interpolation):
    picture = photographs[0][..., 1].astype("float32") / 3
    actual = resize(picture[np.newaxis, ..., np.newaxis], (100, 700), interpolation)[0, ..., 0]
    expected = np.asarray(Image.fromarray(picture).resize((700, 100), FILTERS[interpolation]))
    np.testing.assert_allclose(actual, expected, atol=1e-3)
    assert np.abs(actual - np.round(actual)).max() > 0.4


@pytest.mark.parametrize("size", [(200, 300), (500, 750)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_without_antialiasing_it_is_what_tensorflow_does(photographs, interpolation, size):
    picture = photographs[0][np.newaxis].astype("float32")
    actual = resize(picture, size, interpolation, antialias=False)
    expected = tf.image.resize(picture, size, method=interpolation).numpy()
    # TensorFlow has positions in float32, and takes the cubic's weights from a table of 1024 steps.
    np.testing.assert_allclose(actual, expected, atol=0.02 if interpolation == "bilinear" else 0.5)
    if size[0] < picture.shape[1]:
        assert np.abs(actual - resize(picture, size, interpolation)).max() > 20


def test_huge_reductions_and_thin_pictures_stay_in_range():
    for shape, size in [((1, 3000, 1, 3), (2, 2)), ((1, 1, 3000, 3), (2, 2)), ((1, 1, 1, 3), (50, 50))]:
        for interpolation in FILTERS:
            assert (resize(np.full(shape, 200, "uint8"), size, interpolation) == 200).all()
