"""Shards: the same data in other files, every fault of theirs named."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import zoo
from zoo.cli import main
from zoo.data import DataError, write_shards

PHOTOGRAPHS = [Image.fromarray(image) for image in load_sample_images().images]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 24 photographs by eight persons, as JPEG files."""
    root = tmp_path_factory.mktemp("photographs")
    for label, photograph in zip(("cat", "dög"), PHOTOGRAPHS, strict=True):
        (root / label).mkdir()
        for index in range(24):
            part = photograph.crop((10 * index, 5 * index, 60 + 10 * index, 50 + 5 * index))
            part.save(root / label / f"p{index // 3}_{index}.jpg", quality=90)
    return zoo.data.load(f"folder:{root}", group_by=r"(p\d+)_")


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "shards"
    write_shards(folder, out, shard_bytes=10_000)
    return out


@pytest.fixture
def shards(written, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(written, tmp_path / "shards")


def load(root, **options):
    return zoo.data.load(f"shards:{root}", **options)


def test_all_facts_are_kept(folder, written):
    data = load(written)
    for name in ("classes", "image_shape", "num_examples", "licence", "fingerprint", "value_range"):
        assert getattr(data, name) == getattr(folder, name)
    for split, source in folder.splits.items():
        stored = data.splits[split]
        assert list(stored.names) == list(source.names)
        assert list(stored.groups) == list(source.groups)
        np.testing.assert_array_equal(stored.labels, source.labels)
        for index in range(len(source)):
            assert stored.content(index) == source.content(index)
    assert len(list(written.glob("train-*.tfrecord"))) > 2
    assert data.describe()["source"].startswith("shards of folder:")


@pytest.mark.parametrize("cached", [True, False])
def test_epochs_are_those_of_the_folder_from_any_batch_on(folder, written, monkeypatch, cached):
    if not cached:
        monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", 0)
    options = {"batch_size": 4, "image_size": (24, 20), "training": True, "seed": 4, "augmentation": "flip+randaugment"}
    theirs, ours = (data.pipeline("train", **options) for data in (folder, load(written)))
    whole = [(x.numpy(), y.numpy()) for x, y in theirs.epoch(2)]
    for start in (0, 3, len(whole) - 1):
        for (pictures, labels), (x, y) in zip(whole[start:], ours.epoch(2, start), strict=True):
            np.testing.assert_array_equal(pictures, x)
            np.testing.assert_array_equal(labels, y)


def test_any_reader_of_tfrecord_reads_them(folder, written):
    form = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
        "class": tf.io.FixedLenFeature((), tf.string),
        "name": tf.io.FixedLenFeature((), tf.string),
        "group": tf.io.FixedLenFeature((), tf.string),
    }
    source = folder.splits["train"]
    files = sorted(map(str, written.glob("train-*.tfrecord")))
    records = [tf.io.parse_single_example(record, form) for record in tf.data.TFRecordDataset(files)]
    assert [record["name"].numpy().decode() for record in records] == list(source.names)
    assert [record["group"].numpy().decode() for record in records] == list(source.groups)
    assert [int(record["label"]) for record in records] == source.labels.tolist()
    for number, record in enumerate(records):
        assert record["image"].numpy() == source.content(number)
        assert record["class"].numpy().decode() == folder.classes[source.labels[number]]


def test_groups_stay_together_in_folds_and_checks(written):
    data = load(written)
    for number in range(3):
        fold = data.fold(number, of=3)
        groups = [set(fold.splits[split].groups) for split in ("train", "validation")]
        assert not groups[0] & groups[1]
    assert zoo.data.check(data, group_by=r"(p\d+)_").problems == ()


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def place_of(shards, split, number):
    """File, number within it and place of a picture."""
    with np.load(shards / f"{split}.npz") as arrays:
        shard, offset, length = arrays["places"][number]
        first = int((arrays["places"][:, 0] < shard).sum())
    return shards / f"{split}-{shard:05}.tfrecord", number - first, int(offset + length // 2)


def test_a_broken_record_is_named(shards):
    file, record, place = place_of(shards, "train", 11)
    data = load(shards)
    name = data.example_name("train", 11)
    assert record > 0
    examples = [tf.train.Example.FromString(one.numpy()) for one in tf.data.TFRecordDataset(str(file))]
    assert examples[record].features.feature["name"].bytes_list.value[0].decode() == name
    flip(file, place)
    message = rf"{file.name}, record {record} \({name}\) is damaged: its SHA-256 is not the one that was written"
    with pytest.raises(DataError, match=message):
        data.pipeline("train", batch_size=4, image_size=(8, 8))
    with pytest.raises(Exception, match=message):
        list(data.pipeline("train", batch_size=4, image_size=(8, 8), training=True, augmentation="crop").epoch())
    with pytest.raises(DataError, match=message):
        zoo.data.check(data)

    skipped = load(shards, on_bad="skip")
    assert list(skipped.bad_files) == [name]
    assert skipped.num_examples["train"] == data.num_examples["train"] - 1
    assert skipped.fingerprint != data.fingerprint
    assert zoo.data.check(skipped).notes[-1].startswith("Files left out: 1;")


def test_a_record_that_breaks_after_it_was_read_is_named(shards, monkeypatch):
    monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", 0)
    data = load(shards)
    pipeline = data.pipeline("train", batch_size=4, image_size=(8, 8))
    for _ in range(2):
        list(pipeline.epoch())
    file, _, place = place_of(shards, "train", 11)
    flip(file, place)
    with pytest.raises(Exception, match=r"is damaged: its SHA-256 is not the one that was written"):
        list(pipeline.epoch())


def test_too_many_broken_records_are_not_skipped(shards):
    for number in range(11):
        file, _, place = place_of(shards, "train", number)
        flip(file, place)
    with pytest.raises(DataError, match="11 of 48 files in .*shards are bad, too many to skip: cat/p"):
        load(shards, on_bad="skip")
    assert len(load(shards, on_bad="count").bad_files) == 11


def test_a_file_that_is_cut_or_gone_is_named(shards):
    file = shards / "train-00001.tfrecord"
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    with pytest.raises(DataError, match=rf"train-00001.tfrecord is damaged: it has {len(content) - 100} bytes. Expect"):
        load(shards)
    file.unlink()
    with pytest.raises(DataError, match="train-00001.tfrecord cannot be read: No such file"):
        load(shards)


def test_a_file_that_vanishes_later_is_named(shards):
    data = load(shards)
    (shards / "test-00000.tfrecord").unlink()
    with pytest.raises(DataError, match=r"test-00000.tfrecord, record 0 \(.*\) cannot be read: No such file"):
        data.pipeline("test", batch_size=4, image_size=(8, 8))


@pytest.mark.parametrize("name", ["index.json", "train.npz"])
def test_every_flipped_bit_of_an_index_is_found(shards, name):
    size = (shards / name).stat().st_size
    good = (shards / name).read_bytes()
    for place in range(0, size, size // 40):
        flip(shards / name, place)
        with pytest.raises(DataError, match=rf"{name} (is damaged|has format)"):
            load(shards)
        (shards / name).write_bytes(good)
    assert load(shards).num_examples


def test_what_is_no_folder_of_shards_is_refused(tmp_path, shards):
    with pytest.raises(DataError, match="is no folder of shards: index.json cannot be read: No such file"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"Received: '.*shards'. Did you mean shards:/"):
        zoo.data.load(str(shards))
    stored = json.loads((shards / "index.json").read_text())
    (shards / "index.json").write_text(json.dumps({**stored, "format": 2}))
    with pytest.raises(DataError, match="index.json has format 2, this version reads 1"):
        load(shards)
    with pytest.raises(DataError, match="group_by is for folders, whose files have names. Received: 'shards:x'"):
        load("x", group_by="(x)")


def test_writing_is_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def stop(count):
        if count == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(folder, out, progress=stop)
    assert list(tmp_path.iterdir()) == []
    (out / "x").mkdir(parents=True)
    with pytest.raises(DataError, match="out is there already; shards need a new or empty folder"):
        write_shards(folder, out)
    (out / "x").rmdir()
    write_shards(folder, out)
    assert load(out).fingerprint == folder.fingerprint
    with pytest.raises(DataError, match="shard_bytes must be at least 1. Received: shard_bytes=0"):
        write_shards(folder, tmp_path / "other", shard_bytes=0)


KILLED = """
import os, signal, sys
import zoo
data = zoo.data.load("digits")
zoo.data.write_shards(data, sys.argv[1], progress=lambda n: n == 700 and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_writing_leaves_no_folder_of_that_name(tmp_path):
    out = tmp_path / "digits"
    assert subprocess.run([sys.executable, "-c", KILLED, out], capture_output=True, check=False).returncode == -9
    assert not out.exists()
    data = zoo.data.load("digits")
    with pytest.raises(DataError, match=".digits.partial is left of a writing that was broken off, or belongs to one"):
        write_shards(data, out)
    shutil.rmtree(tmp_path / ".digits.partial")
    write_shards(data, out)
    test = load(out).pipeline("test", batch_size=359)
    for one, other in zip(next(iter(test.epoch())), next(iter(data.pipeline("test", batch_size=359).epoch()))):  # noqa: B905
        np.testing.assert_array_equal(one, other)


FULL = """
import resource, sys
import zoo
data = zoo.data.load("digits")
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    zoo.data.write_shards(data, sys.argv[1])
except OSError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing(tmp_path):
    out = tmp_path / "digits"
    done = subprocess.run([sys.executable, "-c", FULL, out], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert os.listdir(tmp_path) == []


def test_the_command(folder, tmp_path, capsys):
    out = tmp_path / "shards"
    arguments = ["shard", "--data", folder.name, "--out", str(out), "--group-by", r"(p\d+)_", "--shard-mb", "1"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    counts = folder.num_examples
    assert f"train {counts['train']}, validation {counts['validation']}, test {counts['test']}; finger" in printed
    assert folder.fingerprint[:16] in printed
    assert main(["check-data", f"shards:{out}"]) in (0, 2)
    assert "dög" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments[:-1], "0"]) == 2
    assert "--shard-mb must be at least 1. Received: --shard-mb 0" in capsys.readouterr().err


def test_a_training_runs_on_them(written, tmp_path, capsys):
    arguments = ["train", "simple_cnn", "--data", f"shards:{written}", "--out", str(tmp_path / "run"), "--epochs", "1",
                 "--image-size", "16", "--augment", "flip"]  # fmt: skip
    assert main(arguments) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["fingerprint"] == load(written).fingerprint
    assert config["data"]["decoder"] == "exact"
