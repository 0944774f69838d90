"""Crops of pictures of any size, in an order that can be repeated."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.data import DataError
from zoo.data.crops import Crops, crop, gallery, reduced


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    (path / "below").mkdir()
    for number in range(6):
        values = np.random.default_rng(number).integers(0, 256, (20, 30 + number, 3), "uint8")
        Image.fromarray(values).save(path / ("below" if number % 2 else "") / f"{number}.png")
    (path / "notes.txt").write_text("no picture")
    return path


def test_a_gallery_is_all_pictures_below_a_folder(folder):
    found = gallery(folder)
    assert found.names == ("0.png", "2.png", "4.png", "below/1.png", "below/3.png", "below/5.png")
    expected = np.random.default_rng(1).integers(0, 256, (20, 31, 3), "uint8")
    np.testing.assert_array_equal(found.read(3), expected)
    assert len(gallery(folder, count=2)) == 2
    assert gallery(folder, shorter_side=10).read(0).shape == (10, 15, 3)
    with pytest.raises(DataError, match="is no folder"):
        gallery(folder / "nowhere")


def test_crops_are_a_function_of_seed_epoch_and_place(folder):
    def finish(crops):
        return tf.cast(crops, tf.float32) / 255, crops

    batches = Crops(gallery(folder), 16, 5, finish, each=2, shuffled=True, mirror=True)
    assert len(batches) == 3
    assert [tuple(spec.shape) for spec in batches.element_spec] == [(None, 16, 16, 3)] * 2
    whole = [np.asarray(crops) for _, crops in batches.epoch(1)]
    assert [len(crops) for crops in whole] == [5, 5, 2]
    late = [np.asarray(crops) for _, crops in batches.epoch(1, start=2)]
    np.testing.assert_array_equal(whole[2], late[0])
    assert (np.asarray(next(iter(batches.epoch(2)))[1]) != whole[0]).any()
    inputs, crops = next(iter(batches.epoch(1)))
    np.testing.assert_allclose(inputs, crops.numpy() / 255, rtol=1e-6)


def test_crops_lie_within_or_go_on_with_the_border():
    picture = np.arange(5 * 7 * 3, dtype="uint8").reshape(5, 7, 3)
    found = crop(picture, 4, np.random.default_rng(0))
    places = [(top, left) for top in range(2) for left in range(4)]
    assert any((found == picture[top : top + 4, left : left + 4]).all() for top, left in places)
    small = crop(picture[:2, :2], 4, np.random.default_rng(0))
    assert small.shape == (4, 4, 3)
    assert (small[1:, 1:] == small[1, 1]).all()
    assert reduced(picture, None) is picture
    assert reduced(picture, 9) is picture
