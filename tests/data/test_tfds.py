import builtins

import numpy as np
import pytest

import zoo
import zoo.data.tfds
from zoo.data import DataError

tfds = pytest.importorskip("tensorflow_datasets", reason="the extra 'data' is not installed")


class Shapes(tfds.core.GeneratorBasedBuilder):
    """Bright and dark squares: a set of our own, prepared for real and without a network."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = ("train",)
    SIZE = (8, 6)

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(*self.SIZE, 1)),
                "label": tfds.features.ClassLabel(names=["dark", "bright"]),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.SPLITS}

    def _generate_examples(self, split):
        rng = np.random.default_rng(len(split))
        for index in range(60):
            label = -1 if split == "test" and self.UNLABELLED else index % 2
            base = 180 * (index % 2)
            yield f"{index:04}", {"image": rng.integers(base, base + 60, (8, 6, 1), "uint8"), "label": label}

    UNLABELLED = False


class ShapesWithSplits(Shapes):
    """The same with splits of its own."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = ("train", "validation", "test")


class ShapesOfManySizes(Shapes):
    """The same without a common size."""

    VERSION = tfds.core.Version("1.0.0")
    SIZE = (None, None)


class ShapesUnlabelled(ShapesWithSplits):
    """The same with a test split whose labels are kept back."""

    VERSION = tfds.core.Version("1.0.0")
    UNLABELLED = True


class Unreachable(Shapes):
    """A set whose download fails."""

    VERSION = tfds.core.Version("1.0.0")

    def _split_generators(self, dl_manager):
        raise ConnectionError("the network is down")


class Depths(tfds.core.GeneratorBasedBuilder):
    """A set whose pictures are no pictures of whole numbers."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.float32),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"image": np.zeros((4, 4, 1), "float32"), "label": 0}


class Few(Shapes):
    """A set too small to be divided."""

    VERSION = tfds.core.Version("1.0.0")

    def _generate_examples(self, split):
        yield from list(super()._generate_examples(split))[:4]


@pytest.fixture
def data_dir(tmp_path):
    for builder in (Shapes, ShapesWithSplits, ShapesOfManySizes, ShapesUnlabelled):
        builder(data_dir=tmp_path).download_and_prepare()
    return tmp_path


def check_pictures(data, split):
    """Every picture of the split has the brightness of its label."""
    batch, labels = next(iter(data.pipeline(split, batch_size=100, image_size=(8, 6)).epoch()))
    assert len(labels) == data.num_examples[split]
    np.testing.assert_array_equal(batch.numpy().mean(axis=(1, 2, 3)) > 0.5, labels.numpy() == 1)


def test_missing_splits_are_carved_out_of_train(data_dir):
    data = zoo.data.load("tfds:shapes", data_dir=data_dir)
    assert data.classes == ("dark", "bright")
    assert data.image_shape == (8, 6, 1)
    assert data.num_examples == {"train": 40, "validation": 8, "test": 12}
    names = {data.example_name(split, i) for split, count in data.num_examples.items() for i in range(count)}
    assert names == {f"shapes/train/{index}" for index in range(60)}
    for split in data.num_examples:
        check_pictures(data, split)


def test_pixels_are_those_that_tensorflow_datasets_gives(data_dir, monkeypatch):
    expected = list(tfds.as_numpy(tfds.builder("shapes_with_splits", data_dir=data_dir).as_dataset(split="test")))
    for limit in (zoo.data.tfds.MEMORY_BYTES, 0):
        monkeypatch.setattr(zoo.data.tfds, "MEMORY_BYTES", limit)
        data = zoo.data.load("tfds:shapes_with_splits", data_dir=data_dir)
        batch, labels = next(iter(data.pipeline("test", batch_size=60, value_range=(0, 255)).epoch()))
        np.testing.assert_array_equal(batch, [example["image"] for example in expected])
        np.testing.assert_array_equal(labels, [example["label"] for example in expected])


def test_fingerprints_tell_sets_apart(data_dir):
    names = ("shapes", "shapes_with_splits", "shapes")
    one, other, again = (zoo.data.load(f"tfds:{name}", data_dir=data_dir).fingerprint for name in names)
    assert one == again != other


def test_own_splits_are_kept(data_dir):
    data = zoo.data.load("tfds:shapes_with_splits", data_dir=data_dir)
    assert data.num_examples == {"train": 60, "validation": 60, "test": 60}
    check_pictures(data, "validation")


def test_a_split_without_labels_is_not_used(data_dir):
    data = zoo.data.load("tfds:shapes_unlabelled", data_dir=data_dir)
    assert data.num_examples == {"train": 48, "validation": 60, "test": 12}
    check_pictures(data, "test")


def test_large_sets_are_streamed(data_dir, monkeypatch):
    monkeypatch.setattr(zoo.data.tfds, "MEMORY_BYTES", 0)
    data = zoo.data.load("tfds:shapes_of_many_sizes", data_dir=data_dir)
    assert data.image_shape == (None, None, 1)
    assert data.num_examples == {"train": 39, "validation": 9, "test": 12}
    for split in data.num_examples:
        check_pictures(data, split)
    assert data.example_name("test", 3) == "shapes_of_many_sizes/train[80%:100%]/3"


def test_streams_keep_the_promise_of_seed_and_epoch(data_dir, monkeypatch):
    monkeypatch.setattr(zoo.data.tfds, "MEMORY_BYTES", 0)
    data = zoo.data.load("tfds:shapes_with_splits", data_dir=data_dir)
    pipeline = data.pipeline("train", batch_size=16, training=True, seed=1, augmentation=zoo.data.Augmentation(shift=1))

    def epoch(number, start=0):
        return [x.numpy() for x, _ in pipeline.epoch(number, start)]

    first = epoch(0)
    assert [len(batch) for batch in first] == [16, 16, 16, 12]
    for one, other in zip(first[2:], epoch(0, start=2), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(np.concatenate(first), np.concatenate(epoch(1)))
    parts = pipeline.divided(lambda total: (total // 4, total // 2)).epoch(0, 1)
    for whole, (total, (part, _)) in zip(first[1:], parts, strict=True):
        assert len(whole) == total
        np.testing.assert_array_equal(whole[total // 4 : total // 2], part)
    plain = data.pipeline("test", batch_size=16)
    for (one, _), (other, _) in zip(plain.epoch(0), plain.epoch(3), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "tf_flowers"])
def test_names_of_tensorflow_datasets(name, tmp_path):
    with tfds.testing.mock_data(num_examples=120):
        data = zoo.data.load(f"tfds:{name}", data_dir=tmp_path, download=True)
        assert len(data.classes) == {"mnist": 10, "cifar10": 10, "tf_flowers": 5}[name]
        size = None if data.image_shape[0] else (16, 16)
        batch, labels = next(iter(data.pipeline("train", batch_size=8, image_size=size, training=True).epoch()))
        assert batch.shape[-1] == data.image_shape[-1]
        assert int(labels.numpy().max()) < len(data.classes)


def test_what_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(DataError, match=r"tfds:mnist is not prepared in .*mnist.* Fetch it once"):
        zoo.data.load("tfds:mnist", data_dir=tmp_path)
    with pytest.raises(DataError, match="TensorFlow Datasets has no 'no_such_set'"):
        zoo.data.load("tfds:no_such_set", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unreachable", "tfds:unreachable could not be fetched: the network is down"),
        ("depths", "tfds:depths has pictures of float32; expected 8 or 16 bits"),
        ("few", "tfds:few has too few examples for the split validation, test"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        zoo.data.load(f"tfds:{name}", data_dir=tmp_path, download=True)


def test_sets_of_nothing_that_is_known_are_refused(tmp_path):
    with (
        tfds.testing.mock_data(num_examples=3),
        pytest.raises(DataError, match=r"is no set of pictures, sound or text with labels; its features are"),
    ):
        zoo.data.load("tfds:titanic", data_dir=tmp_path, download=True)


def test_without_the_extra_the_message_names_it(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("tensorflow_datasets"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r'needs TensorFlow Datasets: pip install "cnn-zoo\[data\]"'):
        zoo.data.load("tfds:mnist")


def prepared_file(data_dir, name="shapes"):
    (path,) = (data_dir / name / "1.0.0").glob("*train.tfrecord*")
    return path


@pytest.mark.parametrize("limit", [1 << 29, 0])
def test_f28_a_prepared_file_that_is_cut_or_gone_is_named(data_dir, monkeypatch, limit):
    monkeypatch.setattr(zoo.data.tfds, "MEMORY_BYTES", limit)
    path = prepared_file(data_dir)
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(
        DataError,
        match=rf"tfds:shapes is damaged: the files of train have {len(content) - 30} bytes. Expected: {len(content)} "
        rf"bytes. Delete .*shapes/1.0.0 and fetch it again",
    ):
        zoo.data.load("tfds:shapes", data_dir=data_dir)
    path.unlink()
    with pytest.raises(DataError, match=rf"{path.name} cannot be read: No such file or directory. Delete .* and fetch"):
        zoo.data.load("tfds:shapes", data_dir=data_dir)


def test_f28_a_flipped_bit_is_found_by_the_records_checksum(data_dir, monkeypatch):
    path = prepared_file(data_dir)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"tfds:shapes is damaged: train cannot be read after its example \d+: .*corrupted record at"
    ):
        zoo.data.load("tfds:shapes", data_dir=data_dir)
    monkeypatch.setattr(zoo.data.tfds, "MEMORY_BYTES", 0)
    data = zoo.data.load("tfds:shapes", data_dir=data_dir)
    with pytest.raises(Exception, match="corrupted record at"):
        list(data.pipeline("train", batch_size=16).epoch())


class Interrupted(Shapes):
    """A set whose preparation is broken off in mid-writing."""

    VERSION = tfds.core.Version("1.0.0")

    def _generate_examples(self, split):
        yield from list(super()._generate_examples(split))[:20]
        raise ConnectionResetError("the connection was closed")


class Mismatched(Shapes):
    """A set whose download is not what its authors published."""

    VERSION = tfds.core.Version("1.0.0")

    def _split_generators(self, dl_manager):
        raise tfds.core.download.download_manager.NonMatchingChecksumError("Artifact x, has wrong checksum")


def test_f28_a_preparation_that_was_broken_off_is_none(tmp_path):
    for _ in range(2):
        with pytest.raises(DataError, match="tfds:interrupted could not be fetched: the connection was closed"):
            zoo.data.load("tfds:interrupted", data_dir=tmp_path, download=True)
        with pytest.raises(DataError, match="tfds:interrupted is not prepared in .*interrupted/1.0.0. Fetch it once"):
            zoo.data.load("tfds:interrupted", data_dir=tmp_path)


def test_f28_a_download_with_a_wrong_checksum_is_refused(tmp_path):
    with pytest.raises(DataError, match="tfds:mismatched could not be fetched: Artifact x, has wrong checksum"):
        zoo.data.load("tfds:mismatched", data_dir=tmp_path, download=True)


def test_f28_another_version_is_another_set(data_dir, monkeypatch):
    before = zoo.data.load("tfds:shapes", data_dir=data_dir).fingerprint
    monkeypatch.setattr(Shapes, "VERSION", tfds.core.Version("2.0.0"))
    with pytest.raises(DataError, match="tfds:shapes is not prepared in .*shapes/2.0.0. Fetch it once"):
        zoo.data.load("tfds:shapes", data_dir=data_dir)
    assert zoo.data.load("tfds:shapes", data_dir=data_dir, download=True).fingerprint != before


def test_statistics_of_a_stream_are_of_its_training_part(data_dir, monkeypatch):
    monkeypatch.setattr(zoo.data.tfds, "MEMORY_BYTES", 0)
    data = zoo.data.load("tfds:shapes", data_dir=data_dir)
    train = np.concatenate([x.numpy() for x, _ in data.pipeline("train", batch_size=64).epoch()])
    statistics = zoo.data.channel_statistics(data)
    assert statistics.num_examples == len(train) == data.num_examples["train"] < 60
    np.testing.assert_allclose(statistics.mean, train.mean((0, 1, 2), np.float64), rtol=1e-6)
