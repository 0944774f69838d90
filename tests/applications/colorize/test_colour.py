"""Lab and the 313 colours: against scikit-image, against the published list, and by hand."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from applications.colorize import gamut
from applications.colorize.lab import lab_to_rgb, rgb_to_lab


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_lab_is_that_of_scikit_image(dtype, tolerance):
    color = pytest.importorskip("skimage.color", reason="it comes with the extra `vision`")
    rng = np.random.default_rng(0)
    rgb = np.concatenate([rng.random((20_000, 3)), rng.integers(0, 256, (20_000, 3)) / 255, np.eye(3)])
    lab = color.rgb2lab(rgb)
    np.testing.assert_allclose(rgb_to_lab(rgb.astype(dtype)), lab, atol=tolerance, rtol=0)
    np.testing.assert_allclose(lab_to_rgb(lab.astype(dtype)), rgb, atol=tolerance, rtol=0)
    beyond = rng.uniform((0, -110, -110), (100, 110, 110), (20_000, 3))
    np.testing.assert_allclose(lab_to_rgb(beyond.astype(dtype)), color.lab2rgb(beyond), atol=tolerance, rtol=0)


def test_lab_takes_fractions_alone():
    with pytest.raises(ValueError, match=r"Colours are floating-point .* divide pixels of 8 bits by 255. Received: u"):
        rgb_to_lab(np.zeros((4, 3), np.uint8))


def test_bins_are_the_published_ones():
    assert len(gamut.corners()) == 309
    assert gamut.bins().shape == (gamut.NUM_BINS, 2)
    # Of the authors' pts_in_hull.npy, whose numbers OpenCV's sample dnn/colorization.cpp holds: as int8, in its order.
    digest = hashlib.sha256(gamut.bins().astype(np.int8).tobytes()).hexdigest()
    assert digest == "e998ac8ef501e2599f898d384433aa276ba4ef172c264d05f6541707baf69842"


def test_every_colour_of_a_screen_lies_between_four_bins():
    rng = np.random.default_rng(0)
    ab = rgb_to_lab(rng.random((5_000, 3))).numpy()[:, 1:]
    known = {tuple(point) for point in gamut.bins().astype(int).tolist()}
    low = (np.floor(ab / 10) * 10).astype(int)
    assert all((a + i, b + j) in known for a, b in low.tolist() for i in (0, 10) for j in (0, 10))


def test_soft_encoding_by_hand():
    ab = np.array([[3.0, -41.0], [-90.0, 50.0], [90.0, 60.0]], np.float32)
    shares = gamut.encode(ab).numpy()
    for pixel, found in zip(ab, shares, strict=True):
        distance = np.linalg.norm(gamut.bins() - pixel, axis=1)
        nearest = np.argsort(distance, kind="stable")[:5]
        expected = np.zeros(gamut.NUM_BINS)
        expected[nearest] = np.exp(-(distance[nearest] ** 2) / 50)
        np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-5)
        assert found.argmax() == distance.argmin()


def test_annealing_goes_from_the_mean_to_the_mode():
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(0, 3, (4, gamut.NUM_BINS)), tf.float32)
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(gamut.annealed_mean(logits, 1.0), chance @ gamut.bins(), atol=1e-3)
    mode = gamut.bins()[chance.argmax(1)]
    np.testing.assert_allclose(gamut.annealed_mean(logits, 0), mode)
    np.testing.assert_allclose(gamut.annealed_mean(logits, 1e-3), mode, atol=1e-3)
    power = chance ** (1 / 0.38)
    np.testing.assert_allclose(
        gamut.annealed_mean(logits, 0.38), (power / power.sum(1, keepdims=True)) @ gamut.bins(), atol=1e-3
    )
    with pytest.raises(ValueError, match="temperature must be 0 or more. Received: temperature=-1"):
        gamut.annealed_mean(logits, -1)


def test_the_prior_is_blurred_without_loss():
    counts = np.zeros(gamut.NUM_BINS)
    counts[40] = 3
    found = gamut.smoothed(counts)
    assert found.sum() == pytest.approx(1)
    assert found.argmax() == 40
    one, other = (np.argsort(np.linalg.norm(gamut.bins() - gamut.bins()[40], axis=1))[place] for place in (1, 30))
    assert found[40] > found[one] > found[other] > 0


def test_rare_colours_weigh_more_and_the_mean_weight_is_one():
    prior = gamut.smoothed(np.random.default_rng(0).random(gamut.NUM_BINS) ** 8)
    weights = gamut.rebalancing(prior, 0.5)
    assert np.sum(prior * weights) == pytest.approx(1)
    assert (np.argsort(weights) == np.argsort(-prior)).all()
    ratio = weights[0] / weights[1]
    assert ratio == pytest.approx((prior[1] / 2 + 0.5 / 313) / (prior[0] / 2 + 0.5 / 313))
    np.testing.assert_allclose(gamut.rebalancing(prior, 1.0), 1)
    with pytest.raises(ValueError, match="mixing must be above 0 and at most 1. Received: mixing=0"):
        gamut.rebalancing(prior, 0)
