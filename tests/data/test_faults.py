"""Faults F20 to F27 that cross files: docs/data.md has the table of all of them."""

import io
import os
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import zoo
from zoo import runs
from zoo.data import DataError, pictures

PHOTOGRAPHS = [Image.fromarray(image) for image in load_sample_images().images]


def encoded(image, format_, **options):
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def odd_pictures():
    """One of each kind, by the name of its file."""
    photograph = PHOTOGRAPHS[0].crop((100, 100, 160, 150))
    exif = Image.Exif()
    exif[0x0112] = 8
    wide = Image.fromarray(np.asarray(photograph.convert("L"), np.uint16) * 257)
    return {
        "cmyk.jpg": encoded(photograph.convert("CMYK"), "JPEG"),
        "progressive.jpg": encoded(photograph, "JPEG", progressive=True),
        "grey.jpg": encoded(photograph.convert("L"), "JPEG"),
        "turned.jpg": encoded(photograph, "JPEG", exif=exif),
        "sixteen.png": encoded(wide, "PNG"),
        "palette.png": encoded(photograph.quantize(16), "PNG"),
        "alpha.png": encoded(photograph.convert("RGBA"), "PNG"),
        "one.png": encoded(photograph.crop((0, 0, 1, 1)), "PNG"),
        "line.png": encoded(photograph.resize((60_000, 1)), "PNG"),
        "column.jpg": encoded(photograph.resize((1, 60_000)), "JPEG"),
        "moving.gif": encoded(photograph, "GIF", save_all=True, append_images=[photograph.rotate(90)]),
        "picture.webp": encoded(photograph, "WEBP"),
        "picture.bmp": encoded(photograph, "BMP"),
    }


@pytest.fixture
def root(tmp_path):
    for label, photograph in zip(("cat", "dog"), PHOTOGRAPHS, strict=True):
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(16):
            part = photograph.crop((20 * index, 10 * index, 60 + 20 * index, 50 + 10 * index))
            part.save(tmp_path / "data" / label / f"{index}.jpg", quality=90)
    return tmp_path / "data"


@pytest.mark.parametrize("augmentation", [None, "crop+flip+randaugment"])
@pytest.mark.parametrize("decoder", ["exact", "scaled"])
def test_f20_f23_pictures_of_every_kind_become_finite_values_of_the_range(root, decoder, augmentation):
    for name, content in odd_pictures().items():
        (root / "cat" / name).write_bytes(content)
    data = zoo.data.load(f"folder:{root}")
    assert sum(data.num_examples.values()) == 32 + len(odd_pictures())
    for split in data.num_examples:
        training = {"training": True, "augmentation": augmentation} if split == "train" and augmentation else {}
        batches = data.pipeline(
            split, batch_size=8, image_size=(12, 10), value_range=(-1.0, 2.0), decoder=decoder, **training
        )
        values = np.concatenate([x.numpy() for x, _ in batches.epoch()])
        assert values.shape == (data.num_examples[split], 12, 10, 3)
        assert np.isfinite(values).all()
        assert -1.000001 <= values.min() < values.max() <= 2.000001


def test_f20_a_flipped_bit_of_a_jpeg_is_refused_or_is_the_same_picture_for_all(root):
    content = encoded(PHOTOGRAPHS[1].crop((0, 0, 120, 90)), "JPEG", quality=90)
    box, refused, same = (7, 9, 100, 80), 0, 0
    for place in range(200, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[place] ^= 8
        try:
            whole = pictures.decode(bytes(damaged))
        except DataError:
            refused += 1
            continue
        part = pictures.decode_fitted(bytes(damaged), (20, 30), 3, choose=lambda *_: box)
        assert pictures.pixels(part).shape == (20, 30, 3)
        same += np.array_equal(pictures.pixels(part), pictures.fit(whole, (20, 30), 3, box))
    assert same >= 25


def test_f22_labels_are_numbers_of_classes(root, tmp_path):
    folder = zoo.data.load(f"folder:{root}")
    zoo.data.write_shards(folder, tmp_path / "shards")
    for data in (zoo.data.load("digits"), folder, zoo.data.load(f"shards:{tmp_path / 'shards'}")):
        for split in data.num_examples:
            batches = data.pipeline(split, batch_size=64, image_size=(8, 8)).epoch()
            labels = np.concatenate([y.numpy() for _, y in batches])
            assert labels.dtype == np.int32
            assert set(labels.tolist()) == set(range(len(data.classes)))


def test_f27_data_that_changed_between_two_runs_are_noticed(root, tmp_path):
    settings = runs.Settings(model="simple_cnn", data=f"folder:{root}", image_size=(16, 16), epochs=1, patience=1)
    runs.train(settings, tmp_path / "run")
    assert runs.train(settings, tmp_path / "run").result()["epochs"] == 1
    for change in ("added", "edited", "deleted"):
        path = root / "dog" / ("new.jpg" if change == "added" else "3.jpg")
        before = path.read_bytes() if path.exists() else None
        if change == "deleted":
            path.unlink()
        else:
            PHOTOGRAPHS[0].crop((0, 0, 40, 40)).save(path)
        with pytest.raises(ValueError, match=r"holds another run.* data.fingerprint "):
            runs.train(settings, tmp_path / "run")
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    runs.train(settings, tmp_path / "run")


@pytest.mark.slow
def test_f21_a_hundred_thousand_files_take_seconds(tmp_path):
    source = tmp_path / "source.png"
    Image.new("L", (2, 2)).save(source)
    for label in ("a", "b"):
        for part in range(50):  # a file has at most 65,000 names
            folder = tmp_path / "data" / label / str(part)
            folder.mkdir(parents=True)
            own = folder / "first.png"
            own.write_bytes(source.read_bytes())
            for index in range(999):
                os.link(own, folder / f"{index}.png")
    began = time.process_time()
    data = zoo.data.load(f"folder:{tmp_path / 'data'}")
    assert sum(data.num_examples.values()) == 100_000
    assert time.process_time() - began < 120
