"""Signals from files, checked whole before the first step."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.arrays import ArrayDataset, Arrays, carved
from zoo.data.errors import DAMAGED, DataError, printable
from zoo.data.folder import split_folders
from zoo.data.signals.makers import CBF_CLASSES, CONTROL_CLASSES, make_cbf, make_synthetic_control
from zoo.data.signals.recordings import SUFFIXES, Options, cut, read_folder, read_recording
from zoo.data.splits import SPLIT_NAMES, SPLITS, groups_by_name
from zoo.messages import some

_TABLES = (".csv", ".tsv", ".txt")

# Signals that are made: classes, function, number of training and test signals in the UCR archive, where from.
_MADE = {
    "cbf": (CBF_CLASSES, make_cbf, 30, 900, "Saito 1994"),
    "synthetic_control": (CONTROL_CLASSES, make_synthetic_control, 300, 300, "Alcock and Manolopoulos 1999"),
}
# Seeds of what is made, for the training and the test signals.
_TRAIN_SEED, _TEST_SEED = 0, 1


def load(name: str, rest: str, split_seed: int, group_by: str | None = None) -> ArrayDataset:
    """`cbf`, `synthetic_control`, or the path of an .npz, .csv or .tsv file, of a folder of such of each split, or of a
    folder of class folders of recordings (perhaps in `train`, `validation` and `test`).

    Behind a question mark the values of `zoo.data.signals.recordings.Options` may stand, such as `window=256&hop=128`.
    """
    rest, _, text = rest.partition("?")
    options = Options.parse(text)
    path = Path(rest)
    if rest not in _MADE and path.is_dir() and "train" not in map(_split_of, path.iterdir()):
        return _recordings(name, path, split_seed, group_by, options)
    if group_by is not None or options.form:
        raise DataError(
            "group_by, window, hop, rate, down and up are for recordings, files in class folders. "
            f"Received: {name!r}, group_by={group_by!r}"
        )
    if rest in _MADE:
        classes, make, num_train, num_test, source = _MADE[rest]
        parts = {"train": make(num_train, seed=_TRAIN_SEED), "test": make(num_test, seed=_TEST_SEED)}
        return _dataset(name, parts, classes, split_seed, f"made by the formula of {source}", "none: numbers", options)
    parts, classes = _read(path)
    return _dataset(name, parts, classes, split_seed, printable(str(path)), "as its owner says", options)


def _recordings(name: str, root: Path, split_seed: int, group_by: str | None, options: Options) -> ArrayDataset:
    """Windows of recordings; those of one recording, or of what `group_by` finds in its name, are in one split."""
    read = {part: read_folder(folder, options) for part, folder in split_folders(root).items()}
    classes = sorted({label for _, labels, _ in read.values() for label in labels})
    shown = printable(str(root))
    if len(classes) < 2:
        raise DataError(f"{shown} has {len(classes)} classes of recordings; classifying needs two.")
    if len({values.shape[1:] for values, _, _ in read.values()}) > 1:
        raise DataError(f"{shown}: the signals of all splits must have one shape; ?window=SAMPLES cuts them.")
    numbers = {label: index for index, label in enumerate(classes)}
    parts = {part: (values, np.array([numbers[label] for label in labels], np.int32))
             for part, (values, labels, _) in read.items()}  # fmt: skip
    names = {part: own for part, (_, _, own) in read.items()}
    groups = {part: [item.partition("#")[0] for item in own] for part, own in names.items()}
    group_of = groups_by_name([recording for own in groups.values() for recording in own], group_by)
    if group_of is not None:
        groups = {part: [group_of[recording] for recording in own] for part, own in groups.items()}
    printed = tuple(map(printable, classes))
    return _dataset(name, parts, printed, split_seed, shown, "as its owner says", options, names, groups)


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
        path: .npy; .csv or .txt with one row for each sample; .hea, the header of a record of PhysioNet's.
        form: `Dataset.form`.

    Returns:
        (samples, channels) float32.

    Raises:
        DataError: The file cannot be read, or the signal has another length or number of channels.
    """
    values = read_recording(path, Options.from_form(form))
    if values.shape != tuple(form["shape"]):
        hint = " `zoo signals windows` names the class of each window." if form.get("window") else ""
        raise DataError(
            f"{printable(str(path))}: expected a signal of {tuple(form['shape'])}.{hint} Received: {values.shape}"
        )
    return normalised(values)


def read_windows(path: Path, form: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The windows of a recording, as the network takes them.

    Args:
        path: As `read_signal` takes it, of any length from a window on.
        form: `Dataset.form`.

    Returns:
        Windows (n, samples, channels) float32, and the sample at which each begins, (n,), counted as the network sees
        the recording.

    Raises:
        DataError: The file cannot be read, is shorter than a window, or has another number of channels.
    """
    samples, channels = form["shape"]
    options = Options.from_form({**form, "window": samples})
    values = read_recording(path, options)
    if values.shape[1] != channels or len(values) < samples:
        raise DataError(
            f"{printable(str(path))}: expected at least {samples} samples of {channels} channels. "
            f"Received: {values.shape}"
        )
    windows = cut(values, options)
    return normalised(windows), np.arange(len(windows)) * options.step


def _read(path: Path) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    shown = printable(str(path))
    if path.is_dir():
        tables = {split: _table(own) for split, own in _split_tables(path).items()}
    elif path.suffix == ".npz":
        tables = _archive(path)
    elif path.suffix in _TABLES:
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


def _split_tables(root: Path) -> dict[str, Path]:
    """The table of each split; beside them may lie only what no signals are read from."""
    shown = printable(str(root))
    files: dict[str, list[Path]] = {split: [] for split in SPLITS}
    others = []
    for path in sorted(root.iterdir()):
        if split := _split_of(path):
            files[split].append(path)
        elif not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in (*_TABLES, *SUFFIXES, ".npz")):
            others.append(path.name)
    if several := [split for split in SPLITS if len(files[split]) > 1]:
        raise DataError(f"{shown} has several files for {several[0]}: {', '.join(p.name for p in files[several[0]])}.")
    if others:
        raise DataError(
            f"{shown} has tables of splits and, beside them, what belongs to none: {some(map(printable, others))}. "
            "Expected only those of train, validation and test."
        )
    return {split: own[0] for split, own in files.items() if own}


def _split_of(path: Path) -> str | None:
    """The split of a table by its name, such as `train.csv` or `NAME_VALID.tsv`."""
    return SPLIT_NAMES.get(path.stem.lower().rpartition("_")[2]) if path.suffix in _TABLES else None


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
    except DAMAGED as error:
        raise DataError(f"{shown} cannot be read: {error}.") from None
    tables = {}
    for part, (x, y) in _pairs(arrays, shown).items():
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


def _pairs(keys: Collection[str], shown: str) -> dict[str, tuple[str, str]]:
    """What the signals and the classes of each split are called, or those of "all"."""
    received = ", ".join(map(printable, keys)) or "nothing"
    named = [(split, (f"x_{name}", f"y_{name}")) for name, split in SPLIT_NAMES.items()
             if f"x_{name}" in keys or f"y_{name}" in keys]  # fmt: skip
    if not named:
        if not {"x", "y"} <= set(keys):
            raise DataError(f"{shown} needs x and y, or x_train and y_train. Received: {received}")
        return {"all": ("x", "y")}
    pairs = dict(named)
    if "train" not in pairs or len(pairs) < len(named) or set(keys) != {key for pair in pairs.values() for key in pair}:
        raise DataError(
            f"{shown} needs x_train and y_train, perhaps such a pair of validation (or val, valid) and of test, and "
            f"nothing else. Received: {received}"
        )
    return pairs


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
    options: Options,
    given_names: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> ArrayDataset:
    whole = {}
    for part, (values, labels) in parts.items():
        shaped = values[..., None] if values.ndim == 2 else values
        names = [f"{part}/{index}" for index in range(len(labels))] if given_names is None else given_names[part]
        whole[part] = Arrays(labels, names, normalised(shaped), None if groups is None else groups[part])
    digest = hashlib.sha256()
    for own in whole.values():
        digest.update(own.values.tobytes() + own.labels.tobytes())
    shape = next(iter(whole.values())).values.shape[1:]
    splits = carved(whole, split_seed, source)
    if options.validation == "train":
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
        form={"kind": "signal", "shape": list(shape), **options.form},
    )
