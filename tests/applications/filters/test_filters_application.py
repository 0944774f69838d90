"""Layers with set weights equal SciPy, and give the numbers of the course; the page shows all of it."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.signal
from keras import layers
from PIL import Image
from sklearn.datasets import load_sample_image

from applications.filters import kernels, pictures, worked
from applications.filters.commands import DEFAULT_PICTURES, add
from applications.filters.convolution import convolution, filtered, output_size
from zoo.cli import main

ROOT = Path(__file__).parents[3]

EXAMPLES = {example.key: example for example in worked.EXAMPLES}


def rows(text):
    return np.array([[float(number) for number in row.split()] for row in text.split("/")])


@pytest.fixture(scope="module")
def photograph():
    return load_sample_image("china.jpg")[100:147, 200:261].astype("float32")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same", "full"])
@pytest.mark.parametrize("strides", [1, 3])
def test_every_filter_equals_scipy_in_colour(photograph, reverse, padding, strides):
    theirs = scipy.signal.convolve2d if reverse else scipy.signal.correlate2d
    even = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    for kernel in (kernels.gaussian(), kernels.EDGE_ENHANCE, kernels.SOBEL_X, even):
        ours = filtered(photograph, kernel, reverse=reverse, padding=padding, strides=strides)
        for channel in range(3):
            expected = theirs(photograph[..., channel], kernel, padding)[::strides, ::strides]
            np.testing.assert_allclose(ours[..., channel], expected, rtol=1e-4, atol=2e-3)


def test_filters_on_the_cameraman_equal_scipy():
    skimage_data = pytest.importorskip("skimage.data", reason="the picture comes with the extra `vision`")
    camera = skimage_data.camera().astype("float32")
    assert camera.shape == (512, 512)
    for kernel in kernels.NAMED.values():
        ours = filtered(camera, kernel)
        np.testing.assert_allclose(ours, scipy.signal.correlate2d(camera, kernel, "same"), rtol=1e-4, atol=2e-2)
    edges = convolution(np.stack([kernels.SOBEL_X, kernels.SOBEL_Y], -1)[:, :, None], biases=[0, 0])
    assert edges(camera[None, ..., None]).shape == (1, 510, 510, 2)
    assert edges.count_params() == 20


def test_what_kernels_are_for():
    flat, ramp = np.full((30, 30), 7.0), np.tile(np.arange(30.0), (30, 1))
    inner = (slice(10, 20), slice(10, 20))
    for name, answer in {"average 9 × 9": 7, "Gaussian 9 × 9, sigma 3": 7, "sharpen": 7, "edge enhance": 0,
                         "edge detect": 0, "Sobel x": 0, "Sobel y": 0}.items():  # fmt: skip
        np.testing.assert_allclose(filtered(flat, kernels.NAMED[name])[inner], answer, atol=1e-4)
    np.testing.assert_allclose(filtered(ramp, kernels.SOBEL_X)[inner], 8)
    np.testing.assert_allclose(filtered(ramp, kernels.SOBEL_Y)[inner], 0)
    np.testing.assert_allclose(filtered(ramp, kernels.SOBEL_X, reverse=True)[inner], -8)
    bell = kernels.gaussian(9, 3.0)
    assert bell.sum() == pytest.approx(1)
    assert bell[4, 4] / bell[4, 7] == pytest.approx(np.exp(0.5), rel=1e-5)  # three pixels away: one sigma


def test_an_x_under_three_filters():
    cross = EXAMPLES["cross"]
    found = cross.output
    assert found.shape == (7, 7, 3)
    # The slides cut 7/9 to 0.77.
    first = rows(
        ".78 -.11 .11 .33 .56 -.11 .33 / -.11 1 -.11 .33 -.11 .11 -.11 / .11 -.11 1 -.33 .11 -.11 .56 / "
        ".33 .33 -.33 .56 -.33 .33 .33 / .56 -.11 .11 -.33 1 -.11 .11 / -.11 .11 -.11 .33 -.11 1 -.11 / "
        ".33 -.11 .56 .33 .11 -.11 .78"
    )
    np.testing.assert_allclose(found[..., 0], first, atol=0.0051)
    np.testing.assert_allclose(found[..., 0] * 9, np.rint(found[..., 0] * 9), atol=1e-5)
    pooled = (
        "1 .33 .56 .33 / .33 1 .33 .56 / .56 .33 1 .11 / .33 .56 .11 .78",
        ".56 .33 .56 .33 / .33 1 .56 .11 / .56 .56 .56 .11 / .33 .11 .11 .33",
        ".33 .56 1 .78 / .56 .56 1 .33 / 1 1 .11 .56 / .78 .33 .56 .33",
    )
    for number, expected in enumerate(pooled):
        np.testing.assert_allclose(cross.maxima[..., number], rows(expected), atol=0.0051)


def test_a_window_slides():
    np.testing.assert_allclose(EXAMPLES["slide"].output[..., 0], rows("12 12 17 / 10 17 19 / 9 6 14"))


def test_a_detector_with_pooling_and_flattening():
    detector = EXAMPLES["detector"]
    # The slide prints 1 in the middle; the arithmetic gives 0.
    expected = rows("0 1 0 0 0 / 0 1 1 1 0 / 1 0 0 2 1 / 1 4 2 1 0 / 0 0 1 2 1")
    np.testing.assert_allclose(detector.output[..., 0], expected)
    np.testing.assert_allclose(detector.maxima[..., 0], rows("1 1 0 / 4 2 1 / 0 2 1"))
    assert detector.row.tolist() == [1, 1, 0, 4, 2, 1, 0, 2, 1]


def test_a_volume_and_two_filters():
    found = EXAMPLES["volume"].output
    assert EXAMPLES["volume"].volume.shape == (7, 7, 3)
    np.testing.assert_allclose(found[..., 0], rows("2 3 3 / 3 7 3 / 8 10 -3"), atol=1e-5)
    np.testing.assert_allclose(found[..., 1], rows("-8 -8 -3 / -3 1 0 / -3 -8 -5"), atol=1e-5)


@pytest.mark.parametrize("example", worked.EXAMPLES, ids=lambda example: example.key)
def test_steps_done_by_hand_come_to_what_the_layer_gives(example):
    found = np.full_like(example.output, np.nan)
    for step in example.steps():
        found[step.row, step.column, step.filter] = step.result
        assert step.sums.sum() == pytest.approx(step.products.sum())
    np.testing.assert_allclose(found, example.output, atol=1e-5)


def test_sizes():
    assert [output_size(512, 9, padding) for padding in (8, 4, 0)] == [520, 512, 504]
    assert output_size(224, 11, 2, strides=4) == 55  # AlexNet's first layer
    for padding, side in (("full", 520), ("same", 512), ("valid", 504)):
        model = convolution(np.ones((9, 9, 1, 1)), padding=padding)
        assert model.compute_output_shape((1, 512, 512, 1)) == (1, side, side, 1)
    four = convolution(np.ones((9, 9, 3, 4)), biases=[0] * 4)
    assert four.compute_output_shape((1, 368, 487, 3)) == (1, 360, 479, 4)
    small = keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Conv2D(25, 3), layers.MaxPooling2D(), layers.Conv2D(50, 3),
         layers.MaxPooling2D(), layers.Flatten()]
    )  # fmt: skip
    assert small.output_shape == (None, 1250)


def test_why_convolution():
    assert worked.dense_weights((256, 256, 3), (1000,)) == 196_608_000
    assert worked.convolution_weights(5, 96, 256) == pytest.approx(6.1e5, rel=0.01)
    assert worked.dense_weights((55, 55, 96), (55, 55, 256)) == pytest.approx(2.2e11, rel=0.03)


def test_cross_entropy_and_complexity():
    assert [round(worked.cross_entropy(one), 3) for one in worked.CLASSIFIERS] == [0.376, 1.057]
    assert [round(worked.error(one), 2) for one in worked.CLASSIFIERS] == [0.33, 0.33]
    assert worked.complexity((1.3, -1.2)) == pytest.approx((2, 2.5, 3.13))
    assert worked.complexity((2.2,)) == pytest.approx((1, 2.2, 4.84))


def test_the_page_has_every_step(tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(load_sample_image("flower.jpg")).save(photo)
    page = tmp_path / "page.html"
    arguments = ["filters", str(photo), "--kernel", "0 1; -1 0", "--smoke", "--out", str(page)]
    assert main(arguments, add=[add]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    text = page.read_text()
    num_steps = sum(example.output.size for example in worked.EXAMPLES)
    assert len(re.findall(r'<li class="card"><div class="verdict">', text)) == num_steps == 3 * 49 + 9 + 25 + 18
    for number in ("0.376", "1.057", "196 608 000", "2.2e+11", "504 × 504", "520 × 520", "own: 0 1; -1 0"):
        assert number in text.replace("\N{NARROW NO-BREAK SPACE}", " "), number
    assert "1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 = 9" in text
    assert "0 + 0 + 0 + 0 − 2 + 1 + 0 + 2 + 0 = 1" in text
    assert "−1 + 1 + 1 + 1 = 2" in text
    assert "−0 " not in text
    assert "−0<" not in text
    assert all(source.startswith(("data:", "#")) for source in re.findall(r'(?:src|href)="([^"]*)"', text))


def test_pictures_of_the_course_or_of_the_user(tmp_path):
    grey = tmp_path / "grey.png"
    Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (50, 1))).save(grey)
    loaded = pictures.load(str(grey), 100)
    assert (loaded.name, loaded.values.shape) == ("grey.png", (25, 100, 1))
    assert set(DEFAULT_PICTURES) <= set(pictures.BUNDLED)
    with pytest.raises(ValueError, match="There is no picture 'house'. Expected: a picture file, or one of astronaut,"):
        pictures.load("house", 100)


def test_each_bundled_picture_is_there_without_a_network():
    pytest.importorskip("skimage.data", reason="the pictures come with the extra `vision`")
    for name in pictures.BUNDLED:
        loaded = pictures.load(name, 64)
        assert max(loaded.values.shape[:2]) == 64
        assert loaded.values.max() > 100


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage.data", None)
    with pytest.raises(
        ValueError, match=r'not installed. Run: pip install "cnn-zoo\[vision\]", or give a picture file'
    ):
        pictures.load("camera", 100)


def test_bad_input_is_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"kernels must be .* Received: shape \(3, 3\)"):
        convolution(kernels.SHARPEN)
    with pytest.raises(ValueError, match="strides must be at least 1. Received: strides=0"):
        filtered(np.ones((5, 5)), kernels.SHARPEN, strides=0)
    with pytest.raises(ValueError, match="padding must be .* Received: padding='none'"):
        filtered(np.ones((5, 5)), kernels.SHARPEN, padding="none")
    with pytest.raises(ValueError, match=r"Received: shapes \(5,\) and \(3, 3\)"):
        filtered(np.ones(5), kernels.SHARPEN)
    with pytest.raises(
        ValueError, match=r"must be as large as the kernel. Received: picture \(2, 5\), kernel \(3, 3\)"
    ):
        filtered(np.ones((2, 5)), kernels.SHARPEN, padding="valid")
    for text in ("1 2; 3", "a", "", "1 inf"):
        with pytest.raises(ValueError, match="A kernel must be rows of equally many finite numbers"):
            kernels.parse(text)
    assert main(["filters", "house"], add=[add]) == 2
    assert main(["filters", "--out", str(tmp_path / "no" / "page.html")], add=[add]) == 2
    assert "--out must lie in a folder that is there" in capsys.readouterr().err


def test_the_example_of_the_docs_runs(capsys):
    text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "docs/filters.md", "exec"), {})
    assert capsys.readouterr().out.strip() == "(427, 640, 3) (214, 320, 3) (1, 425, 638, 2) 20"
    assert f"each of {sum(example.output.size for example in worked.EXAMPLES)} windows" in text
    assert all(name in text for name in pictures.BUNDLED)
