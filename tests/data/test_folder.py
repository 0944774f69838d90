"""Folders as they are found: every fault is named, before the first step."""

import io
import os
import shutil
import stat
import struct
import warnings
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.data import DataError, pictures, read_image


def picture(seed=0, size=(6, 5), mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (*size, 3), "uint8")
    return Image.fromarray(values).convert(mode)


def encoded(image, format_, **options):
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


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


def test_a_worker_decodes_its_part_alone(root, monkeypatch):
    monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", 0)
    pipeline = load(root).pipeline("train", batch_size=5, training=True, seed=2)
    whole = [labels.numpy() for _, labels in pipeline.epoch(1)]
    decoded, decode = [], pictures.decode
    monkeypatch.setattr(pictures, "decode", lambda content: decoded.append(content) or decode(content))
    parts = [labels.numpy() for _, (_, labels) in pipeline.divided(lambda total: (total // 2, total)).epoch(1)]
    for batch, part in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(batch[len(batch) // 2 :], part)
    assert len(decoded) == sum(len(part) for part in parts) < sum(len(batch) for batch in whole)


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


def test_a_class_may_be_called_train(root):
    (root / "cat").rename(root / "train")
    assert load(root).classes == ("dog", "train")


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("Val", "test"), r"has the splits validation, test and no train; add it"),
        (("train", "val", "valid"), r"has two folders for validation: val, valid"),
        (("train", "extra"), r"beside them, what belongs to none: extra. Expected only train, validation and test"),
    ],
)
def test_folders_of_splits_must_be_clear(root, tmp_path, splits, message):
    for split in splits:
        shutil.copytree(root, tmp_path / "splits" / split)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "splits")


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
    for folder in (root / ".cache", root / "dog" / ".cache"):
        folder.mkdir()
        picture().save(folder / "copy.png")
    data = load(root)
    assert data.classes == ("cat", "dog")
    assert sum(data.num_examples.values()) == 40


def png(width, height, data=b""):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def whole(format_, **options):
    """The file of a good picture."""
    return encoded(picture(1, (64, 64)), format_, **options)


def flipped():
    """A picture with one wrong bit in the middle of its data."""
    content = bytearray(whole("PNG"))
    content[len(content) // 2] ^= 4
    return bytes(content)


FAULTS = {
    "empty.png": (b"", "the file is empty"),
    "garbage.jpg": (b"no picture at all", "it is no picture of a known format"),
    "half.jpg": (whole("JPEG")[:1000], "it is truncated or damaged"),
    "last.jpg": (whole("JPEG")[:-40], "it is truncated or damaged"),
    "text.txt": (b"notes", "it is no picture by its name"),
    "wide.png": (png(12_000, 12_000, bytes(1000)), "it has more than 64 megapixels"),
    "wider.png": (png(200_000, 200_000), "it has more than 64 megapixels"),
    "page.jpg": (b"<html>not found</html>", "it is no picture of a known format"),
    "vector.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is no picture of a known format"),
    "post.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no picture of a known format"),
    "flipped.png": (flipped(), "it is truncated or damaged"),
    "tail.png": (whole("PNG")[:-13], "it is truncated or damaged"),
    "half.gif": (whole("GIF")[:-40], "it is truncated or damaged"),
    "half.bmp": (whole("BMP")[:-40], "it is truncated or damaged"),
    "half.webp": (whole("WEBP")[:-40], "it is truncated or damaged"),
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
    (root / "cat" / "half.jpg").write_bytes(whole("JPEG")[:-40])
    data = load(root, on_bad="count")
    assert len(data.bad_files) == 12
    assert data.num_bad_files == {"the file is empty": 11, "it is truncated or damaged": 1}
    assert data.describe()["bad_file_reasons"] == data.num_bad_files
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


def test_a_pipe_is_not_waited_for(root):
    os.mkfifo(root / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"cat/pipe.png cannot be used: it is no regular file"):
        load(root)
    with pytest.raises(DataError, match=r"cat/pipe.png cannot be used: it is no regular file"):
        read_image(root / "cat" / "pipe.png")


def test_a_file_too_large_for_a_picture_is_not_read(root):
    with open(root / "cat" / "disk.png", "wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(DataError, match=r"cat/disk.png cannot be used: it has more than 489 MiB \(8192 MiB\)"):
        load(root)


@contextmanager
def forbidden(path):
    """Take the rights to a path away, also from a superuser, who becomes nobody for that while."""
    private = [folder for folder in path.parents if not folder.stat().st_mode & 0o001]
    modes = {item: stat.S_IMODE(item.stat().st_mode) for item in (path, *private)}
    for folder in private:
        folder.chmod(0o755)
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)
        for item, mode in modes.items():
            item.chmod(mode)


def test_what_may_not_be_read_is_named(root):
    with (
        forbidden(root / "dog" / "03.png"),
        pytest.raises(DataError, match=r"dog/03.png cannot be used: it cannot be read: Permission denied"),
    ):
        load(root)
    with forbidden(root / "dog"), pytest.raises(DataError, match=r"dog cannot be read: Permission denied"):
        load(root)
    with forbidden(root.parent), pytest.raises(DataError, match=r"data is no folder"):
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
    with pytest.raises(Exception, match=r"png was good when it was checked; now it cannot be read: No such file"):
        list(data.pipeline("test", batch_size=8).epoch())


def test_a_file_that_changes_is_named(root, monkeypatch):
    for limit in (zoo.data.dataset.CACHE_BYTES, 0):
        monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", limit)
        data = load(root)
        picture(limit + 500).save(root / data.example_name("test", 0))
        with pytest.raises(Exception, match=r"png has changed since it was checked; load the folder again"):
            list(data.pipeline("test", batch_size=8).epoch())


def test_a_file_is_compared_once_and_again_when_it_is_another(root, monkeypatch):
    monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", 0)
    data, compared = load(root), []
    digest = zoo.data.folder._digest
    monkeypatch.setattr(zoo.data.folder, "_digest", lambda content: compared.append(1) or digest(content))
    pipeline = data.pipeline("test", batch_size=8)
    for _ in range(2):
        list(pipeline.epoch())
        assert len(compared) == data.num_examples["test"]
    path = root / data.example_name("test", 0)
    path.write_bytes(path.read_bytes())
    list(pipeline.epoch())
    assert len(compared) == data.num_examples["test"] + 1
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content[:-20] + content[-19:-18] + content[-19:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # of one size, and as old, by what it says
    assert path.stat().st_size == times.st_size
    with pytest.raises(Exception, match="png has changed since it was checked; load the folder again"):
        list(pipeline.epoch())


def test_decoding_in_threads_leaves_warnings_alone(root):
    for path in root.glob("*/*.png"):  # EXIF data that Pillow warns of
        path.with_suffix(".jpg").write_bytes(whole("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"))
    before = list(warnings.filters)
    data = load(root)
    list(data.pipeline("train", batch_size=8, image_size=(4, 4)).epoch())
    read_image(root / "cat" / "00.jpg")
    assert warnings.filters == before


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


def test_grey_and_colour_are_what_pillow_makes_of_them():
    colours = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], "uint8"))
    assert pictures.fit(colours, None, 1).ravel().tolist() == [76, 150, 29, 18]  # 0.299 R + 0.587 G + 0.114 B
    grey = Image.fromarray(np.array([[0, 7, 255]], "uint8"))
    assert pictures.fit(grey, None, 3).tolist() == [[[0] * 3, [7] * 3, [255] * 3]]


def test_the_kind_of_a_picture_does_not_change_its_colours():
    image = picture()
    for content in (
        encoded(image, "BMP"),
        encoded(image, "WEBP", lossless=True),
        encoded(image.convert("RGBA"), "PNG"),
    ):
        np.testing.assert_array_equal(np.asarray(pictures.decode(content)), np.asarray(image))
    flat = Image.new("RGB", (16, 16), (200, 100, 50))
    for content in (encoded(flat.convert("CMYK"), "JPEG", quality=100), encoded(flat.quantize(4), "PNG")):
        np.testing.assert_allclose(np.asarray(pictures.decode(content)), np.asarray(flat), atol=3)


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
    with pytest.raises(DataError, match=r"nothing.png cannot be used: it cannot be read: No such file or directory"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(DataError, match=r"Pictures have 1 channel"):
        read_image(tmp_path / "nothing.png", channels=4)
    with pytest.raises(DataError, match=r"image_size must be at least 1x1. Received: image_size=\(0, 3\)"):
        read_image(tmp_path / "nothing.png", image_size=(0, 3))
