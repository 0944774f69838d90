import dataclasses

import numpy as np
import pytest

import zoo
from zoo.data import DataError


def test_statistics_are_of_the_training_split_alone():
    digits = zoo.data.load("digits")
    statistics = zoo.data.channel_statistics(digits)
    train = np.concatenate([x.numpy() for x, _ in digits.pipeline("train", batch_size=2000).epoch()])
    assert statistics.num_examples == len(train) == 1169
    np.testing.assert_allclose(statistics.mean, train.mean((0, 1, 2), np.float64), rtol=1e-6)
    np.testing.assert_allclose(statistics.std, train.std((0, 1, 2), np.float64), rtol=1e-6)


def test_pictures_of_many_sizes_need_one():
    digits = dataclasses.replace(zoo.data.load("digits"), image_shape=(None, None, 1))
    with pytest.raises(DataError, match="The pictures of digits differ in size; give image_size"):
        zoo.data.channel_statistics(digits)
    assert zoo.data.channel_statistics(digits, image_size=(4, 4)).num_examples == 1169
