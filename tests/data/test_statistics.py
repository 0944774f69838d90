import dataclasses

import numpy as np
import pytest
from PIL import Image

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


@pytest.mark.parametrize("kind", ["folder", "shards", "tfds"])
def test_the_other_splits_are_never_read(tmp_path, kind):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for index in range(20):
            pixels = rng.integers(0, 256, (6, 5, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{index}.png")
    data = zoo.data.load(f"folder:{tmp_path / 'pictures'}")
    if kind == "shards":
        zoo.data.write_shards(data, tmp_path / "shards")
        data = zoo.data.load(f"shards:{tmp_path / 'shards'}")
    elif kind == "tfds":
        tfds = pytest.importorskip("tensorflow_datasets", reason="the extra 'data' is not installed")
        with tfds.testing.mock_data(num_examples=120):
            data = zoo.data.load("tfds:mnist", data_dir=tmp_path, download=True)
    train = np.concatenate([x.numpy() for x, _ in data.pipeline("train", batch_size=64).epoch()])
    read = []

    def watched(split):
        source = data.splits[split]
        return dataclasses.replace(source, content=lambda index: read.append(split) or source.content(index))

    watched_data = dataclasses.replace(data, splits={split: watched(split) for split in data.splits})
    statistics = zoo.data.channel_statistics(watched_data)
    assert set(read) == {"train"}
    assert statistics.num_examples == len(read) == data.num_examples["train"]
    np.testing.assert_allclose(statistics.mean, train.mean((0, 1, 2), np.float64), rtol=1e-6)
    np.testing.assert_allclose(statistics.std, train.std((0, 1, 2), np.float64), rtol=1e-6)
