"""Recordings: PhysioNet's files, windows, splits by recording, resampling."""

import base64
import re

import numpy as np
import pytest

import zoo
from zoo.data import DataError
from zoo.data.signals import read_record, read_recording, read_signal, read_windows
from zoo.data.signals.recordings import Options

# Two records of 30 samples and two channels that the package wfdb 4.3.1 wrote with wrsamp, and the sum of each channel
# in millivolts as its rdrecord reads them.
RECORDS = {
    "r212": (
        "r212 2 360 30\nr212.dat 212 200.0(0)/mV 12 0 1 1129 0 MLII\nr212.dat 212 100.0(10)/mV 12 0 -1 107 0 V5\n",
        "AfD/RQAoeQBQrwB2vwCJxACpqgC5igDBWQDGHgDI2Q+9mA+jbQ+IQg9iNg9EOw8bXf/3jf/Pxf+nDvCNRfBwivBWr/BAzPBDz/A/s/A6ifBTTPBn"
        "FPCFyv+g",
        (5.645, -1.93),
    ),
    "r16": (
        "r16 2 360 30\nr16.dat 16 200.0(0)/mV 16 0 1 1129 0 MLII\nr16.dat 16 100.0(1024)/mV 16 0 -1 107 0 V5\n",
        "AQD//0UAKAB5AFAArwB2AL8AiQDEAKkAqgC5AIoAwQBZAMYAHgDIANn/vQCY/6MAbf+IAEL/YgA2/0QAO/8bAF3/9/+N/8//xf+n/w4Ajf9FAHD/"
        "igBW/68AQP/MAEP/zwA//7MAOv+JAFP/TABn/xQAhf/K/6D/",
        (5.645, -306.13),
    ),
}
FIRST = {"r212": [[0.005, -0.11], [0.345, 0.3], [0.605, 0.7]], "r16": [[0.005, -10.25], [0.345, -9.84], [0.605, -9.44]]}


def write(folder, name):
    header, samples, _ = RECORDS[name]
    (folder / f"{name}.hea").write_text(header)
    (folder / f"{name}.dat").write_bytes(base64.b64decode(samples))
    return folder / f"{name}.hea"


@pytest.mark.parametrize("name", list(RECORDS))
def test_records_are_read_as_wfdb_reads_them(tmp_path, name):
    record = read_record(write(tmp_path, name))
    assert record.values.shape == (30, 2)
    assert (record.rate, record.channels, record.units) == (360, ("MLII", "V5"), ("mV", "mV"))
    np.testing.assert_allclose(record.values[:3], FIRST[name], atol=1e-12)
    np.testing.assert_allclose(record.values.sum(0), RECORDS[name][2], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda header, samples: (header.replace(" 212 200", " 80 200"), samples),
            "16 and 212 are read. Received: 80",
        ),
        (lambda header, samples: (header, samples[:-3]), "is damaged: the samples of MLII sum"),
        (lambda header, samples: (header, samples[:-1]), "is cut short: it has 59 samples for 2 channels"),
        (lambda header, samples: (header, b"\x07" + samples[1:]), "is damaged: the samples of MLII sum to"),
        (lambda header, samples: (header.replace("r212 2", "r212 3"), samples), "it says 3 signals and describes 2"),
        (lambda header, samples: (header.replace("r212 2", "r212/4 2"), samples), "of several segments are not read"),
        (lambda header, samples: ("", samples), ":1: expected the name of a record"),
        (lambda header, samples: (header.replace("200.0(0)/mV", "x"), samples), ":2: expected a gain such as"),
    ],
)
def test_faults_of_records_are_named(tmp_path, change, message):
    path = write(tmp_path, "r212")
    header, samples = change(path.read_text(), (tmp_path / "r212.dat").read_bytes())
    path.write_text(header)
    (tmp_path / "r212.dat").write_bytes(samples)
    with pytest.raises(DataError, match=message):
        read_record(path)


def test_missing_files_and_samples_are_named(tmp_path):
    path = write(tmp_path, "r16")
    (tmp_path / "r16.dat").unlink()
    with pytest.raises(DataError, match=r"r16\.dat cannot be read: No such file or directory"):
        read_record(path)
    (tmp_path / "r16.hea").write_text("r16 1 360 2\nr16.dat 16 200 16 0\n")
    (tmp_path / "r16.dat").write_bytes(np.array([5, -32768], "<i2").tobytes())
    assert np.isnan(read_record(path).values[1, 0])
    with pytest.raises(DataError, match=r"r16\.hea holds values that are no finite numbers"):
        read_recording(path)


def test_records_are_resampled(tmp_path):
    time = np.arange(720) / 360
    (tmp_path / "a.hea").write_text("a 1 360 720\na.dat 16 1000/mV 16 0\n")
    (tmp_path / "a.dat").write_bytes(np.round(1000 * np.sin(2 * np.pi * 5 * time)).astype("<i2").tobytes())
    values = read_recording(tmp_path / "a.hea", Options(rate=250))
    assert values.shape == (500, 1)
    expected = np.sin(2 * np.pi * 5 * np.arange(500) / 250)
    np.testing.assert_allclose(values[50:-50, 0], expected[50:-50], atol=0.01)


def test_half_and_twice_the_samples_keep_what_is_slow(tmp_path):
    wave = np.sin(2 * np.pi * np.arange(400) / 100)
    np.save(tmp_path / "a.npy", wave)
    half, twice = (read_recording(tmp_path / "a.npy", Options(**{name: 1}))[:, 0] for name in ("down", "up"))
    assert (len(half), len(twice)) == (200, 800)
    np.testing.assert_allclose(half[5:-5], wave[::2][5:-5], atol=0.01)
    np.testing.assert_allclose(twice[5:-5], np.sin(2 * np.pi * np.arange(800) / 200)[5:-5], atol=0.01)
    np.testing.assert_allclose(twice[::2][5:-5], wave[5:-5], atol=1e-12)
    fast = np.tile([1.0, -1.0], 50)  # what half the rate cannot hold is gone, not folded down
    np.save(tmp_path / "b.npy", fast)
    assert np.abs(read_recording(tmp_path / "b.npy", Options(down=1))[1:]).max() < 1e-12


@pytest.fixture
def folder(tmp_path):
    """Recordings of 500 and more samples of two channels, by 12 patients."""
    for number in range(24):
        label = ("slow", "fast")[number % 2]
        path = tmp_path / "recordings" / label / f"patient{number // 2}-{number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        period = (40, 10)[number % 2]
        wave = np.sin(2 * np.pi * np.arange(500 + 10 * number) / period)
        np.save(path, np.stack([wave, number + 0 * wave], 1))
    return tmp_path / "recordings"


def test_windows_of_one_recording_are_in_one_split(folder):
    dataset = zoo.data.load(f"signals:{folder}?window=128&hop=64")
    assert dataset.classes == ("fast", "slow")
    assert dataset.image_shape == (128, 2)
    assert sum(dataset.num_examples.values()) == sum((500 + 10 * number - 128) // 64 + 1 for number in range(24))
    recordings = [{name.partition("#")[0] for name in part.names} for part in dataset.splits.values()]
    assert sum(map(len, recordings)) == len(set.union(*recordings)) == 24
    assert min(map(len, recordings)) >= 2
    assert dataset.splits["train"].names[1].endswith("#64")
    grouped = zoo.data.load(f"signals:{folder}?window=128", group_by="(patient[0-9]+)-")
    patients = [{re.search("patient[0-9]+", name)[0] for name in part.names} for part in grouped.splits.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 12
    values, _ = next(iter(dataset.pipeline("test", batch_size=4).epoch()))
    np.testing.assert_allclose(values[..., 0].numpy().std(1), 1, atol=1e-5)
    assert np.abs(values[..., 1]).max() == 0  # a channel that does not change


@pytest.mark.parametrize("name", ["test", "valid"])
def test_splits_that_are_there_are_kept_to(folder, name):
    root = folder.parent / "given"
    for path in sorted(folder.rglob("*.npy")):
        split = name if int(path.stem.split("-")[1]) >= 16 else "train"
        target = root / split / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    dataset = zoo.data.load(f"signals:{root}?window=200")
    numbers = {split: {int(name.partition("#")[0].split("-")[1][:-4]) for name in part.names}
               for split, part in dataset.splits.items()}  # fmt: skip
    given, carved = ("test", "validation") if name == "test" else ("validation", "test")
    assert numbers[given] == set(range(16, 24))
    assert not numbers["train"] & numbers[carved]
    assert numbers["train"] | numbers[carved] == set(range(16))
    grouped = zoo.data.load(f"signals:{root}?window=200", group_by="(patient[0-7])-")  # of the training alone
    assert grouped.splits[given].groups[0] == "fast/patient10-21.npy"
    (root / "train").rename(root / "training")
    with pytest.raises(DataError, match=f"has the splits {given} and no train; add it"):
        zoo.data.load(f"signals:{root}?window=200")


def test_the_form_reads_other_recordings_alike(folder):
    dataset = zoo.data.load(f"signals:{folder}?window=100&hop=50&down=1")
    form = dataset.form
    assert form == {"kind": "signal", "shape": [100, 2], "window": 100, "hop": 50, "down": 1}
    path = folder / "slow" / "patient0-0.npy"
    windows, begins = read_windows(path, form)
    assert windows.shape == (4, 100, 2)
    assert begins.tolist() == [0, 50, 100, 150]
    place = [list(part.names).index("slow/patient0-0.npy#0") for part in dataset.splits.values()
             if "slow/patient0-0.npy#0" in part.names]  # fmt: skip
    part = next(part for part in dataset.splits.values() if "slow/patient0-0.npy#0" in part.names)
    np.testing.assert_array_equal(part.values[place[0]], windows[0])
    np.save(path, np.load(path)[:200])
    np.testing.assert_allclose(read_signal(path, form)[:40], windows[0][:40], atol=0.2)
    with pytest.raises(DataError, match=r"`zoo signals windows` names the class of each window. Received: \(255, 2\)"):
        read_signal(folder / "fast" / "patient0-1.npy", form)
    np.save(path, np.zeros((50, 2)))
    with pytest.raises(DataError, match=r"expected at least 100 samples of 2 channels. Received: \(25, 2\)"):
        read_windows(path, form)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?windo=3", "Signals have the options validation, window, hop, rate, down, up. Received: 'windo=3'"),
        ("?window=x", "window is int. Received: 'window=x'"),
        ("?hop=3", "must be at least 0, and a hop is for windows"),
        ("?window=9999", "is shorter than a window of 9999 samples"),
        ("", r"expected \(510, 2\) samples and channels as in fast/patient0-1.npy, or \?window=SAMPLES"),
    ],
)
def test_what_cannot_be_cut_is_refused(folder, options, message):
    with pytest.raises(DataError, match=message):
        zoo.data.load(f"signals:{folder}{options}")


def test_damaged_arrays_are_named(folder):
    path = folder / "slow" / "patient0-0.npy"
    content = path.read_bytes()
    for damaged in (b"", content[:-1], content.replace(b"}", b"{", 1), content.replace(b"'", b"?", 1)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"slow/patient0-0\.npy holds no signal: "):
            zoo.data.load(f"signals:{folder}?window=128")


def test_options_of_recordings_are_for_recordings(tmp_path):
    with pytest.raises(DataError, match="are for recordings, files in class folders. Received: 'signals:cbf.window=9'"):
        zoo.data.load("signals:cbf?window=9")
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(DataError, match="lies outside of the class folders"):
        zoo.data.load(f"signals:{tmp_path}")
    (tmp_path / "a.npy").rename(tmp_path / "a.dat")
    with pytest.raises(DataError, match=r"holds neither train.csv or NAME_TRAIN.tsv nor recordings \(.csv"):
        zoo.data.load(f"signals:{tmp_path}")
