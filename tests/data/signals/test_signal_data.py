"""Signals from files and from formulas."""

import re

import numpy as np
import pytest
import scipy.signal

import zoo
from zoo.data import DataError
from zoo.data.signals import (
    add_noise,
    downsample_by_2,
    make_cbf,
    make_ecg,
    make_synthetic_control,
    signal_to_noise,
    upsample_by_2,
)


def test_cbf_has_a_plateau_a_ramp_up_and_a_ramp_down():
    signals, labels = make_cbf(3000, seed=0)
    np.testing.assert_array_equal(labels[:4], [0, 1, 2, 0])
    assert signals.shape == (3000, 128)
    # Before the event there is noise alone; begin is at most 32 and the extent at least 32.
    assert signals[:, :15].std() == pytest.approx(1, abs=0.02)
    inside = signals[:, 33:47].mean(0)
    assert abs(inside.mean() - 6 * (1 / 3 + 1 / 2)) < 1.5
    means = [signals[labels == label].mean(0) for label in range(3)]
    assert means[0][40] == pytest.approx(6, abs=0.3)
    # A bell rises while a funnel falls.
    assert means[1][33] < means[1][45] < means[1][60]
    assert means[2][33] > means[2][60] > means[2][100]


def test_control_charts_have_their_six_forms():
    signals, labels = make_synthetic_control(600, seed=0)
    ends = signals[:, -10:].mean(1) - signals[:, :10].mean(1)
    means = [ends[labels == label].mean() for label in range(6)]
    assert abs(means[0]) < 1
    assert means[2] == pytest.approx(0.35 * 50, abs=2)
    assert means[3] == pytest.approx(-0.35 * 50, abs=2)
    assert means[4] == pytest.approx(13.75, abs=1.5)
    assert means[5] == pytest.approx(-13.75, abs=1.5)
    # Noise is uniform from -6 to 6.
    assert np.abs(signals[labels == 0] - 30).max() <= 6
    spectrum = np.abs(np.fft.rfft(signals[labels == 1] - 30, axis=1)).mean(0)
    assert 4 <= spectrum.argmax() <= 6


@pytest.mark.parametrize("make", [make_cbf, make_synthetic_control])
def test_makers_are_functions_of_their_seed(make):
    np.testing.assert_array_equal(make(6, seed=3)[0], make(6, seed=3)[0])
    assert not np.array_equal(make(6, seed=3)[0], make(6, seed=4)[0])


def test_ecg_beats_between_55_and_95_times_a_minute_with_one_peak_each():
    for seed in range(4):
        signal = make_ecg(30, seed=seed)
        peaks, _ = scipy.signal.find_peaks(signal, height=0.5 * signal.max(), distance=75)
        assert 55 * 0.9 / 2 <= len(peaks) <= 95 * 1.1 / 2
        distances = np.diff(peaks) / 250
        assert 0 < distances.std() < 0.15


def test_noise_has_the_ratio_that_is_asked_for():
    clean = make_ecg(20, seed=0)
    for decibels in (0, 6, 12):
        noisy = add_noise(clean, decibels, seed=1)
        assert signal_to_noise(clean, noisy) == pytest.approx(decibels, abs=0.1)
    powers = np.abs(np.fft.rfft(add_noise(clean, 0, seed=1) - clean)) ** 2
    frequencies = np.fft.rfftfreq(len(clean), 1 / 250)
    low, hum = powers[frequencies < 1].sum(), powers[abs(frequencies - 50) < 0.2].sum()
    assert low / powers.sum() == pytest.approx(1 / 3, abs=0.05)
    assert hum / powers.sum() == pytest.approx(1 / 3, abs=0.05)
    assert signal_to_noise(clean, clean) == float("inf")


def test_half_and_twice_the_samples_undo_each_other():
    values = np.arange(7)
    np.testing.assert_array_equal(downsample_by_2(upsample_by_2(values)), values)


def test_made_data_has_the_sizes_of_the_archive():
    dataset = zoo.data.load("signals:cbf")
    assert dataset.classes == ("cylinder", "bell", "funnel")
    assert sum(dataset.num_examples.values()) == 930
    assert dataset.num_examples["test"] == 900
    assert dataset.image_shape == (128, 1)
    values, labels = next(iter(dataset.pipeline("test", batch_size=50).epoch()))
    assert values.shape == (50, 128, 1)
    np.testing.assert_allclose(values.numpy().mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(values.numpy().std(1), 1, atol=1e-5)
    assert labels.dtype == "int32"
    assert zoo.data.load("signals:cbf").fingerprint == dataset.fingerprint


def rows(count=40, length=9):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, length)), [f"c{index % 2}" for index in range(count)]


def test_tables_and_archives_hold_the_same(tmp_path):
    values, labels = rows()
    lines = [",".join([label, *map(repr, row.tolist())]) for label, row in zip(labels, values, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    np.savez(tmp_path / "a.npz", x=values, y=labels)
    parts = [zoo.data.load(f"signals:{tmp_path / name}").splits["train"].values for name in ("a.csv", "a.npz")]
    np.testing.assert_allclose(*parts, atol=1e-6)


def test_a_folder_has_files_for_its_splits(tmp_path):
    values, labels = rows()
    for name in ("X_TRAIN.tsv", "X_TEST.tsv"):
        lines = ["\t".join([label, *map(str, row)]) for label, row in zip(labels, values, strict=True)]
        (tmp_path / name).write_text("\n".join(lines))
    dataset = zoo.data.load(f"signals:{tmp_path}")
    assert dataset.num_examples["test"] == 40
    assert dataset.num_examples["train"] + dataset.num_examples["validation"] == 40
    (tmp_path / "X_TEST.tsv").rename(tmp_path / "X_Valid.tsv")
    (tmp_path / "README.md").write_text("Where it is from.")
    dataset = zoo.data.load(f"signals:{tmp_path}")
    assert dataset.num_examples["validation"] == 40
    assert dataset.num_examples["train"] + dataset.num_examples["test"] == 40
    (tmp_path / "X_held_out.tsv").touch()
    with pytest.raises(DataError, match=r"beside them, what belongs to none: X_held_out\.tsv\. Expected only those of"):
        zoo.data.load(f"signals:{tmp_path}")
    (tmp_path / "X_held_out.tsv").rename(tmp_path / "val.csv")
    with pytest.raises(DataError, match=r"has several files for validation: X_Valid\.tsv, val\.csv"):
        zoo.data.load(f"signals:{tmp_path}")


def test_an_archive_has_arrays_for_its_splits(tmp_path):
    path, (values, labels) = tmp_path / "a.npz", rows()
    pairs = {"x_train": values, "y_train": labels, "x_val": values, "y_val": labels}
    np.savez(path, **pairs)
    dataset = zoo.data.load(f"signals:{path}")
    assert dataset.num_examples["validation"] == 40
    assert dataset.num_examples["train"] + dataset.num_examples["test"] == 40
    for more in ({"x_valid": values, "y_valid": labels}, {"x_test": values}, {"x_dev": values}):
        np.savez(path, **pairs, **more)
        with pytest.raises(DataError, match=r"needs x_train and y_train, .* else\. Received: x_train, y_train, x_val"):
            zoo.data.load(f"signals:{path}")
    np.savez(path, x=values, y=labels, x_test=values, y_test=labels)
    with pytest.raises(DataError, match="needs x_train and y_train, .* Received: x, y, x_test, y_test"):
        zoo.data.load(f"signals:{path}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1,2\nb,1\n", ":2: expected 2 samples. Received: 1"),
        ("a,1,2\nb,1,x\n", ":2: expected a class and numbers; could not convert string to float"),
        ("a,1,2\nb,1,nan\n", "holds values that are no finite numbers"),
        ("a,1,2\na,1,3\n", "has one class; classifying needs two"),
        ("", "holds no signal"),
    ],
)
def test_faults_of_tables_are_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "a.csv")) + ".*" + message):
        zoo.data.load(f"signals:{tmp_path / 'a.csv'}")


def test_faults_of_archives_are_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((4, 5)), y=np.zeros(4))
    flipped, locked = bytearray(path.read_bytes()), bytearray(path.read_bytes())
    start = 30 + int.from_bytes(flipped[26:28], "little") + int.from_bytes(flipped[28:30], "little")
    flipped[start] |= 6  # the first byte behind the header: a kind of block that deflate does not have
    locked[locked.index(b"PK\1\2") + 8] |= 1  # says that the first array is encrypted
    for content in (b"PK no archive", b"", flipped, locked):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            zoo.data.load(f"signals:{path}")
    np.savez(path, x=np.zeros((4, 5)))
    with pytest.raises(DataError, match="needs x and y, or x_train and y_train. Received: x"):
        zoo.data.load(f"signals:{path}")
    np.savez(path, x=np.zeros((4, 5)), y=np.zeros(3))
    with pytest.raises(DataError, match=re.escape("Received: (4, 5) and (3,)")):
        zoo.data.load(f"signals:{path}")
    np.savez(path, x=np.array([{"a": 1}], dtype=object), y=np.zeros(1))
    with pytest.raises(DataError, match="cannot be read"):  # objects would have to be unpickled
        zoo.data.load(f"signals:{path}")


def test_arrays_refuse_what_is_for_pictures():
    dataset = zoo.data.load("signals:cbf")
    with pytest.raises(DataError, match=r"There are augmentations for pictures.* Received: augmentation='flip'"):
        dataset.pipeline("train", batch_size=2, training=True, augmentation="flip")
    with pytest.raises(DataError, match="signals:cbf is signal; this check looks at pictures"):
        zoo.data.check(dataset)
    with pytest.raises(DataError, match="signals:cbf is signal, and the network takes image"):
        dataset.for_model("image", (224, 224, 3))
    with pytest.raises(DataError, match="digits holds pictures, and the network takes audio"):
        zoo.data.load("digits").for_model("audio", (49, 10, 1))
    with pytest.raises(DataError, match="which cannot be mixed so"):
        dataset.pipeline("train", batch_size=2, training=True, mix=zoo.data.Mix(cutmix=1.0))


def test_folds_and_order_are_those_of_every_data_set():
    dataset = zoo.data.load("signals:synthetic_control")
    fold = dataset.fold(1, of=3)
    assert sum(fold.num_examples.values()) == 600
    pipeline = dataset.pipeline("train", batch_size=16, training=True, seed=5)
    whole = np.concatenate([values.numpy() for values, _ in pipeline.epoch(2)])
    rest = np.concatenate([values.numpy() for values, _ in pipeline.epoch(2, start=3)])
    np.testing.assert_array_equal(whole[48:], rest)
    assert not np.array_equal(whole, np.concatenate([values.numpy() for values, _ in pipeline.epoch(3)]))


def test_epochs_can_be_judged_by_the_training_signals():
    own, joined = (zoo.data.load(f"signals:cbf{option}") for option in ("", "?validation=train"))
    assert joined.num_examples == {"train": 30, "validation": 30, "test": 900}
    assert own.num_examples["train"] + own.num_examples["validation"] == 30
    assert sorted(joined.splits["train"].names) == sorted([*own.splits["train"].names, *own.splits["validation"].names])
    np.testing.assert_array_equal(joined.splits["test"].values, own.splits["test"].values)
    with pytest.raises(DataError, match=r"train holds nothing out and has no folds\. Leave validation=train out"):
        joined.fold(0, of=3)
    with pytest.raises(DataError, match="validation must be own or train. Received: validation=.test."):
        zoo.data.load("signals:cbf?validation=test")
