import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.data import DataError, Mix


def batch(size=6, classes=6):
    """Picture n has the value n everywhere and the class n."""
    numbers = np.arange(size, dtype="float32")
    pictures = np.broadcast_to(numbers[:, None, None, None], (size, 16, 20, 3))
    return tf.constant(pictures), tf.one_hot(np.arange(size) % classes, classes)


def mixed(mix, seed=0):
    pictures, labels = mix.apply(*batch(), tf.constant([seed, 1], tf.int64))
    return pictures.numpy(), labels.numpy()


def test_mixup_adds_pictures_and_labels_in_one_share():
    shares = []
    for seed in range(50):
        pictures, labels = mixed(Mix(mixup=0.4), seed)
        share = labels[0, 0]
        shares.append(share)
        np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
        expected = share * np.arange(6) + (1 - share) * np.roll(np.arange(6), -1)
        np.testing.assert_allclose(pictures, np.broadcast_to(expected[:, None, None, None], pictures.shape), atol=1e-5)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.15)
    assert np.std(shares) == pytest.approx(np.sqrt(1 / (4 * (2 * 0.4 + 1))), abs=0.08)  # of Beta(0.4, 0.4)


def test_cutmix_labels_are_the_area():
    areas = []
    for seed in range(50):
        pictures, labels = mixed(Mix(cutmix=1.0), seed)
        for number in range(6):
            other = (number + 1) % 6
            assert set(np.unique(pictures[number])) <= {number, other}
            area = (pictures[number, ..., 0] == other).mean()
            assert labels[number, other] == pytest.approx(area, abs=1e-6)
            assert labels[number].sum() == pytest.approx(1)
        rows, columns = np.nonzero(pictures[0, ..., 0] == 1)
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        areas.append(area)
    assert min(areas) < 0.1
    assert max(areas) > 0.6


def test_probability_and_switch():
    plain = sum(np.array_equal(mixed(Mix(mixup=1.0, probability=0.3), seed)[0], batch()[0]) for seed in range(200))
    assert 110 < plain < 170
    cut = sum(len(np.unique(mixed(Mix(mixup=1.0, cutmix=1.0, switch=0.8), seed)[0][:1])) == 2 for seed in range(100))
    assert 60 < cut < 95
    np.testing.assert_array_equal(mixed(Mix())[0], batch()[0])


def test_tiny_alphas_stay_finite():
    for seed in range(30):
        pictures, labels = mixed(Mix(mixup=1e-4), seed)
        assert np.isfinite(pictures).all()
        assert np.isfinite(labels).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixup": -1}, "mix: mixup must be at least 0. Received: mixup=-1"),
        ({"cutmix": float("nan")}, "mix: cutmix must be at least 0. Received: cutmix=nan"),
        ({"probability": 2}, "mix: probability must be from 0 to 1. Received: probability=2"),
        ({"switch": "x"}, "mix: switch must be from 0 to 1. Received: switch='x'"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        Mix(**arguments)


def test_a_mixed_epoch_can_start_anywhere_and_differs_from_the_next():
    options = {"batch_size": 200, "training": True, "seed": 4, "mix": Mix(mixup=0.2, cutmix=1.0)}
    pipeline = zoo.data.load("digits").pipeline("train", **options)
    epochs = [[(x.numpy(), y.numpy()) for x, y in pipeline.epoch(epoch)] for epoch in (0, 1)]
    assert epochs[0][0][1].shape == (200, 10)
    for (x, y), (again_x, again_y) in zip(epochs[0][3:], pipeline.epoch(0, start=3), strict=True):
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)
    shares = [{float(labels.max(1).mean()) for _, labels in epoch} for epoch in epochs]
    assert shares[0] != shares[1]
    assert pipeline.epoch().element_spec == pipeline.element_spec
