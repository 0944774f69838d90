"""Signals from files, checked whole before the first step."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.arrays import ArrayDataset, Arrays, carved
from zoo.data.errors import DataError, printable
from zoo.data.signals.makers import CBF_CLASSES, CONTROL_CLASSES, make_cbf, make_synthetic_control
from zoo.data.splits import SPLITS

# Signals that are made: classes, function, number of training and test signals in the UCR archive, where from.
_MADE = {
    "cbf": (CBF_CLASSES, make_cbf, 30, 900, "Saito 1994"),
    "synthetic_control": (CONTROL_CLASSES, make_synthetic_control, 300, 300, "Alcock and Manolopoulos 1999"),
}
# Seeds of what is made, for the training and the test signals.
_TRAIN_SEED, _TEST_SEED = 0, 1


def load(name: str, rest: str, split_seed: int) -> ArrayDataset:
    """`cbf`, `synthetic_control`, or the path of an .npz, .csv or .tsv file, or of a folder of such of each split.

    `?validation=train` behind it trains on the validation examples as well and judges epochs by the training examples,
    as published results for very small sets were measured.
    """
    rest, _, text = rest.partition("?")
    options = _options(text)
    if rest in _MADE:
        classes, make, num_train, num_test, source = _MADE[rest]
        parts = {"train": make(num_train, seed=_TRAIN_SEED), "test": make(num_test, seed=_TEST_SEED)}
        return _dataset(name, parts, classes, split_seed, f"made by the formula of {source}", "none: numbers", options)
    path = Path(rest)
    parts, classes = _read(path)
    return _dataset(name, parts, classes, split_seed, printable(str(path)), "as its owner says", options)


def _options(text: str) -> dict[str, str]:
    """What stands behind the question mark, `validation=train`."""
    options = dict(part.partition("=")[::2] for part in text.split("&") if part)
    for key, value in options.items():
        if key != "validation" or value not in ("own", "train"):
            raise DataError(f"Signals have the option validation=own or validation=train. Received: {text!r}")
    return options


def normalised(signal: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 along time, of each channel; one that does not change becomes zeros.

    Args:
        signal: (…, samples, channels).

    Returns:
        The same shape, float32.
    """
    centred = signal.astype(np.float64) - signal.mean(-2, keepdims=True, dtype=np.float64)
    return (centred / np.maximum(centred.std(-2, keepdims=True), 1e-8)).astype(np.float32)


def read_signal(path: Path, form: Mapping[str, Any]) -> np.ndarray:
    """One signal from a file, as the network takes it.

    Args:
        path: .npy, or .csv or .txt with one row for each sample.
        form: `Dataset.form`.

    Returns:
        (samples, channels) float32.

    Raises:
        DataError: The file cannot be read, or the signal has another length or number of channels.
    """
    shown = printable(str(path))
    try:
        values = (
            np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=1)
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{shown} holds no signal: {error}.") from None
    values = values[:, None] if values.ndim == 1 else values
    if values.shape != tuple(form["shape"]):
        raise DataError(f"{shown}: expected a signal of {tuple(form['shape'])}. Received: {values.shape}")
    _require_finite(values, shown)
    return normalised(values)


def _read(path: Path) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    shown = printable(str(path))
    if path.is_dir():
        files = {split: [own for own in sorted(path.iterdir()) if _is_split(own, split)] for split in SPLITS}
        if not files["train"]:
            raise DataError(f"{shown} has no file such as train.csv or NAME_TRAIN.tsv.")
        if several := [split for split in SPLITS if len(files[split]) > 1]:
            raise DataError(
                f"{shown} has several files for {several[0]}: {', '.join(p.name for p in files[several[0]])}."
            )
        tables = {split: _table(own[0]) for split, own in files.items() if own}
    elif path.suffix == ".npz":
        tables = _archive(path)
    elif path.suffix in (".csv", ".tsv", ".txt"):
        tables = {"all": _table(path)}
    else:
        raise DataError(f"Signals are .npz, .csv or .tsv files, cbf or synthetic_control. Received: {shown}")
    names = sorted({label for _, labels in tables.values() for label in labels}, key=_natural)
    if len(names) < 2:
        raise DataError(f"{shown} has one class; classifying needs two.")
    numbers = {label: index for index, label in enumerate(names)}
    parts = {
        part: (values, np.array([numbers[label] for label in labels], np.int32))
        for part, (values, labels) in tables.items()
    }
    return parts, tuple(printable(label) for label in names)


def _is_split(path: Path, split: str) -> bool:
    known = path.suffix in (".csv", ".tsv", ".txt")
    return known and (path.stem.lower() == split or path.stem.lower().endswith(f"_{split}"))


def _natural(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return float("inf"), label


def _table(path: Path) -> tuple[np.ndarray, list[str]]:
    """Rows of a class and samples, as in the UCR archive."""
    shown = printable(str(path))
    rows: list[list[float]] = []
    labels: list[str] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{shown} cannot be read: {error}.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = line.replace("\t", ",").split(",")
        try:
            rows.append([float(cell) for cell in cells[1:]])
        except ValueError as error:
            raise DataError(f"{shown}:{number}: expected a class and numbers; {error}.") from None
        labels.append(cells[0].strip())
        if len(rows[-1]) != len(rows[0]) or not rows[-1]:
            raise DataError(f"{shown}:{number}: expected {len(rows[0])} samples. Received: {len(rows[-1])}")
    if not rows:
        raise DataError(f"{shown} holds no signal.")
    values = np.array(rows, np.float32)[..., None]
    _require_finite(values, shown)
    return values, labels


def _archive(path: Path) -> dict[str, tuple[np.ndarray, list[str]]]:
    """`x` and `y`, or `x_train`, `y_train` and so on."""
    shown = printable(str(path))
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{shown} cannot be read: {error}.") from None
    pairs = {part: (f"x_{part}", f"y_{part}") for part in SPLITS} if "x_train" in arrays else {"all": ("x", "y")}
    tables = {}
    for part, (x, y) in pairs.items():
        if x not in arrays and part not in ("train", "all"):
            continue
        if x not in arrays or y not in arrays:
            raise DataError(
                f"{shown} needs x and y, or x_train and y_train. Received: {', '.join(arrays) or 'nothing'}"
            )
        values = arrays[x][..., None] if arrays[x].ndim == 2 else arrays[x]
        if values.ndim != 3 or arrays[y].shape != values.shape[:1]:
            raise DataError(
                f"{shown}: {x} must be (signals, samples) or (signals, samples, channels) and {y} (signals,). "
                f"Received: {arrays[x].shape} and {arrays[y].shape}"
            )
        _require_finite(values, f"{shown}, {x}")
        tables[part] = values, [str(label) for label in arrays[y].tolist()]
    if len({values.shape[1:] for values, _ in tables.values()}) > 1:
        raise DataError(f"{shown}: the signals of all splits must have one shape.")
    return tables


def _require_finite(values: np.ndarray, shown: str) -> None:
    if not np.isfinite(values).all():
        raise DataError(f"{shown} holds values that are no finite numbers.")


def _dataset(
    name: str,
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]],
    classes: Sequence[str],
    split_seed: int,
    source: str,
    licence: str,
    options: Mapping[str, str],
) -> ArrayDataset:
    whole = {}
    for part, (values, labels) in parts.items():
        shaped = values[..., None] if values.ndim == 2 else values
        names = [f"{part}/{index}" for index in range(len(labels))]
        whole[part] = Arrays(labels, names, normalised(shaped))
    digest = hashlib.sha256()
    for own in whole.values():
        digest.update(own.values.tobytes() + own.labels.tobytes())
    shape = next(iter(whole.values())).values.shape[1:]
    splits = carved(whole, split_seed, source)
    if options.get("validation") == "train":
        known = splits["train"].joined(splits["validation"])
        splits = {**splits, "train": known, "validation": known}
    return ArrayDataset(
        name=name,
        classes=tuple(classes),
        image_shape=shape,
        splits=splits,
        source=source,
        licence=licence,
        fingerprint=digest.hexdigest(),
        modality="signal",
        form={"kind": "signal", "shape": list(shape)},
    )
