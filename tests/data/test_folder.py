"""Folders as they are found: every fault is named, before the first step."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.data import DataError, pictures, read_image


def picture(seed=0, size=(6, 5), mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (*size, 3), "uint8")
    return Image.fromarray(values).convert(mode)


@pytest.fixture
def root(tmp_path):
    """Two classes of twenty pictures each, in colour, all of one size."""
    for label in ("cat", "dog"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(20):
            picture(index + 100 * (label == "dog")).save(tmp_path / "data" / label / f"{index:02}.png")
    return tmp_path / "data"


def load(root, **options):
    return zoo.data.load(f"folder:{root}", **options)


def test_a_good_folder(root):
    data = load(root)
    assert data.classes == ("cat", "dog")
    assert data.image_shape == (6, 5, 3)
    assert data.num_examples == {"train": 26, "validation": 6, "test": 8}
    assert data.bad_files == {}
    names = [data.example_name(split, i) for split, count in data.num_examples.items() for i in range(count)]
    assert sorted(names) == sorted(f"{label}/{i:02}.png" for label in data.classes for i in range(20))
    for split in data.num_examples:
        pictures_, labels = next(iter(data.pipeline(split, batch_size=40, value_range=(0, 255)).epoch()))
        for index, (pixels, label) in enumerate(zip(pictures_.numpy(), labels.numpy(), strict=True)):
            name = data.example_name(split, index)
            assert name.startswith(data.classes[label] + "/")
            np.testing.assert_array_equal(pixels, np.asarray(Image.open(root / name)))


def test_pipeline_and_read_image_see_the_same_pixels(root, monkeypatch):
    form = {"image_size": (4, 7), "channels": 1, "value_range": (-1.0, 1.0)}
    for limit in (zoo.data.dataset.CACHE_BYTES, 0):  # held in memory, and decoded each time
        monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", limit)
        data = load(root)
        batch = next(iter(data.pipeline("test", batch_size=8, **form).epoch()))[0].numpy()
        for index, pixels in enumerate(batch):
            np.testing.assert_allclose(pixels, read_image(root / data.example_name("test", index), **form), atol=1e-6)


def test_decoding_each_time_gives_the_same_epochs(root, monkeypatch):
    options = {"batch_size": 5, "training": True, "seed": 2, "augmentation": zoo.data.Augmentation(shift=1, flip=True)}
    epochs = []
    for limit in (zoo.data.dataset.CACHE_BYTES, 0):
        monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", limit)
        pipeline = load(root).pipeline("train", **options)
        epochs.append(np.concatenate([x for x, _ in pipeline.epoch(1)]))
    np.testing.assert_array_equal(*epochs)


def test_own_splits_are_kept(root, tmp_path):
    nested = tmp_path / "nested"
    for split, indices in (("train", range(16)), ("val", range(16, 20))):
        for label in ("cat", "dog"):
            (nested / split / label).mkdir(parents=True)
            for index in indices:
                (nested / split / label / f"{index}.png").write_bytes((root / label / f"{index:02}.png").read_bytes())
    data = load(nested)
    assert data.num_examples == {"train": 26, "validation": 8, "test": 6}
    assert all(data.example_name("validation", i).startswith("val/") for i in range(8))
    assert all(data.example_name("test", i).startswith("train/") for i in range(6))


def test_fingerprint_is_of_the_content(root):
    before = load(root).fingerprint
    os.utime(root / "cat" / "00.png", (1, 1))
    assert load(root).fingerprint == before
    picture(999).save(root / "cat" / "00.png")
    assert load(root).fingerprint != before


def test_clutter_is_ignored(root):
    (root / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / "dog" / ".hidden.png").write_bytes(b"x")
    assert sum(load(root).num_examples.values()) == 40


def png(width, height, data=b""):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def jpeg():
    buffer = io.BytesIO()
    picture(1, (64, 64)).save(buffer, "JPEG")
    return buffer.getvalue()


def flipped():
    """A picture with one wrong bit in the middle of its data."""
    buffer = io.BytesIO()
    picture(1, (64, 64)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[len(content) // 2] ^= 4
    return bytes(content)


FAULTS = {
    "empty.png": (b"", "the file is empty"),
    "garbage.jpg": (b"no picture at all", "it is no picture of a known format"),
    "half.jpg": (jpeg()[: len(jpeg()) // 2], "it is truncated or damaged"),
    "last.jpg": (jpeg()[:-40], "it is truncated or damaged"),
    "text.txt": (b"notes", "it is no picture by its name"),
    "wide.png": (png(12_000, 12_000, bytes(1000)), "it has more than 64 megapixels"),
    "wider.png": (png(200_000, 200_000), "it has more than 64 megapixels"),
    "page.jpg": (b"<html>not found</html>", "it is no picture of a known format"),
    "vector.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is no picture of a known format"),
    "post.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no picture of a known format"),
    "flipped.png": (flipped(), "it is truncated or damaged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_file_is_named(root, name):
    content, reason = FAULTS[name]
    (root / "dog" / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"dog/{name} cannot be used: {reason}"):
        load(root)
    data = load(root, on_bad="skip")
    assert list(data.bad_files) == [f"dog/{name}"]
    assert data.bad_files[f"dog/{name}"].startswith(reason)
    assert data.describe()["bad_files"] == 1
    assert sum(data.num_examples.values()) == 40
    with pytest.raises(
        DataError, match=rf"{name} cannot be used: {reason}" if name != "text.txt" else "cannot be used"
    ):
        read_image(root / "dog" / name)


def test_a_huge_picture_costs_nothing(root):
    import resource

    (root / "dog" / "wide.png").write_bytes(png(12_000, 12_000, bytes(144_012_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="more than 64 megapixels"):
        load(root)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_skipping_has_a_limit_and_counting_has_none(root):
    for index in range(11):
        (root / "cat" / f"bad{index}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"11 of 51 files in .* are bad, too many to skip: cat/bad0.png \(the file is"):
        load(root, on_bad="skip")
    data = load(root, on_bad="count")
    assert len(data.bad_files) == 11
    assert sum(data.num_examples.values()) == 40


def test_missing_and_empty_folders(root, tmp_path):
    with pytest.raises(DataError, match="nowhere is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"00.png is no folder"):
        load(root / "cat" / "00.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no usable picture. Expected class folders"):
        load(tmp_path / "empty")
    (root / "bird").mkdir()
    with pytest.raises(DataError, match="has classes without a usable picture: bird"):
        load(root)


def test_one_class_is_too_few(root):
    for path in (root / "dog").iterdir():
        path.unlink()
    (root / "dog").rmdir()
    with pytest.raises(DataError, match="has one class, 'cat'; classifying needs two"):
        load(root)


def test_too_few_pictures_for_a_split(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        picture().save(tmp_path / label / "one.png")
    with pytest.raises(DataError, match=r"too few pictures for the split validation, test \(train 2, validation 0"):
        load(tmp_path)


def test_classes_of_splits_must_agree(root, tmp_path):
    for split, labels in (("train", "ab"), ("test", "ac")):
        for label in labels:
            (tmp_path / "n" / split / label).mkdir(parents=True)
            picture().save(tmp_path / "n" / split / label / "one.png")
    with pytest.raises(DataError, match="the classes of test are not those of train: b, c"):
        load(tmp_path / "n")


def test_a_file_outside_of_the_classes(root):
    picture().save(root / "stray.png")
    with pytest.raises(DataError, match=r"stray.png cannot be used: it lies outside of the class folders"):
        load(root)


def test_a_symlink_loop_is_found(root):
    (root / "cat" / "again").symlink_to(root / "cat", target_is_directory=True)
    with pytest.raises(DataError, match="cat/again cannot be used: it is a link to a folder that contains it"):
        load(root)
    assert sum(load(root, on_bad="skip").num_examples.values()) == 40


def test_a_dangling_link_is_unreadable(root):
    (root / "cat" / "gone.png").symlink_to(root / "nothing.png")
    with pytest.raises(DataError, match=r"cat/gone.png cannot be used: it cannot be read: No such file"):
        load(root)


def test_a_name_that_is_not_utf8(root):
    path = os.path.join(os.fsencode(root), b"cat", b"caf\xe9.png")
    with open(path, "wb") as file:
        file.write((root / "cat" / "00.png").read_bytes())
    with pytest.raises(DataError, match=r"caf\\udce9.png cannot be used: its name is not UTF-8"):
        load(root)
    assert sum(load(root, on_bad="skip").num_examples.values()) == 40


def test_control_characters_are_not_printed(root):
    (root / "cat" / "a\x1b[31mred\n.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        load(root)
    assert "\x1b" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_vanishes_is_named(root, monkeypatch):
    monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", 0)
    data = load(root)
    (root / data.example_name("test", 0)).unlink()
    with pytest.raises(Exception, match="was there at the start and cannot be read now"):
        list(data.pipeline("test", batch_size=8).epoch())


def test_grey_folders_are_grey_and_sizes_may_differ(root):
    for path in [*root.glob("*/*.png")]:
        picture(1, mode="L").save(path)
    assert load(root).image_shape == (6, 5, 1)
    picture(1, (9, 9), "L").save(root / "cat" / "00.png")
    data = load(root)
    assert data.image_shape == (None, None, 1)
    with pytest.raises(DataError, match="The pictures of folder:.* differ in size; give image_size"):
        data.pipeline("test", batch_size=4)
    assert data.pipeline("test", batch_size=4, image_size=(8, 8)).element_spec[0].shape == (None, 8, 8, 1)


def encoded(image, format_, **options):
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (encoded(picture(mode="1"), "PNG"), "L"),
        (encoded(picture(mode="L"), "PNG"), "L"),
        (encoded(picture(mode="LA"), "PNG"), "L"),
        (encoded(picture(mode="P"), "PNG"), "RGB"),
        (encoded(picture(mode="RGBA"), "PNG"), "RGB"),
        (encoded(picture(mode="CMYK"), "JPEG"), "RGB"),
        (encoded(picture(), "GIF"), "RGB"),
        (encoded(picture(), "BMP"), "RGB"),
        (encoded(picture(), "WEBP", lossless=True), "RGB"),
        (encoded(picture(size=(1, 1)), "PNG"), "RGB"),
    ],
)
def test_every_kind_of_picture_becomes_grey_or_colour(content, mode):
    image = pictures.decode(content)
    assert image.mode == mode
    for channels in (1, 3):
        assert pictures.fit(image, (4, 4), channels).shape == (4, 4, channels)


def test_sixteen_bits_are_reduced_to_eight():
    wide = np.array([[0, 257, 65535], [128, 30000, 514]], "uint16")
    image = pictures.decode(encoded(Image.fromarray(wide), "PNG"))
    assert np.asarray(image).tolist() == [[0, 1, 255], [0, 117, 2]]


def test_exif_orientation_is_applied():
    image = picture(size=(4, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    upright = pictures.decode(encoded(image, "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(upright), np.rot90(np.asarray(image), -1))


def test_read_image_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"nothing.png cannot be read: No such file or directory"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(DataError, match=r"Pictures have 1 channel"):
        read_image(tmp_path / "nothing.png", channels=4)
