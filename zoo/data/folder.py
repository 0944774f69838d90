"""A folder of class folders, checked whole before the first step.

Each file is read and decoded once: that finds truncated pictures, and gives a fingerprint of the content. It costs
what one epoch of reading costs, on all cores. A file that changes later is found by that fingerprint.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.dataset import Compared, Dataset, OnBad, Source
from zoo.data.errors import DataError, printable
from zoo.data.pictures import FORMATS, decode, quiet_pillow, read, read_with_status
from zoo.data.splits import SPLIT_NAMES, SPLITS, groups_by_name, stratified
from zoo.messages import some

# Under "skip" so many files may be bad, or this fraction of all, whichever is more.
MAX_SKIPPED, MAX_SKIPPED_FRACTION = 10, 0.01

_CLUTTER = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class _Found:
    """A picture file: its path below the root, its class, and what decoding it showed, or what is wrong with it."""

    name: str
    label: str
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    digest: str = ""
    fault: str = ""


def load(name: str, root: Path, split_seed: int, on_bad: OnBad, group_by: str | None = None) -> Dataset:
    """The pictures of `root/CLASS/…` or of `root/{train,validation,test}/CLASS/…`."""
    if not os.path.isdir(root):
        raise DataError(f"{printable(str(root))} is no folder.")
    parts = split_folders(root)
    with quiet_pillow():
        found = {part: _scan(root, folder, on_bad) for part, folder in parts.items()}
    everything = [item for items in found.values() for item in items]
    bad = {item.name: item.fault for item in everything if item.fault}
    if on_bad == "skip":
        refuse_too_many(root, bad, len(everything))
    good = {part: [item for item in items if not item.fault] for part, items in found.items()}
    classes = _classes(root, parts, good)
    groups = groups_by_name([item.name for items in good.values() for item in items], group_by)
    splits = _splits(good, classes, split_seed, groups)
    if empty := [split for split in SPLITS if not len(splits.get(split, ()))]:
        counts = ", ".join(f"{split} {len(items)}" for split, items in splits.items())
        raise DataError(f"{printable(str(root))} has too few pictures for the split {', '.join(empty)} ({counts}).")
    used = [item for items in splits.values() for item in items]
    sizes = {item.size for item in used}
    height, width = sizes.pop() if len(sizes) == 1 else (None, None)
    lines = sorted(f"{item.name}\0{item.digest}" for item in used)
    return Dataset(
        name=name,
        classes=classes,
        image_shape=(height, width, max(item.channels for item in used)),
        splits={split: _source(root, items, classes, groups) for split, items in splits.items()},
        source=f"the folder {printable(str(root))}",
        licence="as its owner says",
        fingerprint=hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest(),
        bad_files=bad,
    )


def refuse_too_many(root: Path, bad: Mapping[str, str], total: int) -> None:
    """Raise a DataError where more examples are bad than are skipped."""
    if len(bad) > max(MAX_SKIPPED, MAX_SKIPPED_FRACTION * total):
        raise DataError(
            f"{len(bad)} of {total} files in {printable(str(root))} are bad, too many to skip: "
            + some(f"{printable(name)} ({fault})" for name, fault in bad.items())
            + '. on_bad="count" leaves out all of them.'
        )


def split_folders(root: Path, *, ignore_files: bool = False) -> dict[str, Path]:
    """The folders that hold class folders: one for each split that has its own, or the root for "all".

    Args:
        root: Where they lie.
        ignore_files: Whether files may lie beside the splits, as a corpus of text has its README there.

    Raises:
        DataError: There are splits and none for training, two folders for one, or beside them what belongs to none.
    """
    own: dict[str, Path] = {}
    others = []
    for entry in _entries(root):
        split = SPLIT_NAMES.get(entry.name.lower())
        # A class may be called "train", too; its folder holds pictures and no folders.
        if split is None or not entry.is_dir() or not any(inner.is_dir() for inner in _entries(entry)):
            if entry.is_dir() or not ignore_files:
                others.append(entry.name)
        elif split in own:
            raise DataError(f"{printable(str(root))} has two folders for {split}: {own[split].name}, {entry.name}.")
        else:
            own[split] = entry
    if not own:
        return {"all": root}
    if "train" not in own:
        raise DataError(f"{printable(str(root))} has the splits {', '.join(own)} and no train; add it.")
    if others:
        raise DataError(
            f"{printable(str(root))} has splits and, beside them, what belongs to none: "
            f"{some(map(printable, others))}. Expected only train, validation and test, each with class folders."
        )
    return {split: own[split] for split in SPLITS if split in own}


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, in the order of the names, without hidden files and what systems leave there."""
    try:
        return sorted(
            entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER
        )
    except OSError as error:
        raise DataError(f"{printable(str(folder))} cannot be read: {error.strerror}.") from None


def _scan(root: Path, folder: Path, on_bad: OnBad) -> list[_Found]:
    """Find and decode all pictures below the class folders, in the order of their names."""
    paths: list[tuple[str, str, Path | str]] = []
    for entry in _entries(folder):
        if entry.is_dir():
            label = entry.name
            paths += [(label, _below(root, path), fault or path) for path, fault in _walk(entry, (folder.resolve(),))]
        else:
            paths.append(("", _below(root, entry), "it lies outside of the class folders"))
    with ThreadPoolExecutor() as pool:
        found = []
        for item in pool.map(lambda path: _check(*path), paths):
            if item.fault and on_bad == "raise":
                pool.shutdown(wait=False, cancel_futures=True)
                raise DataError(
                    f"{printable(str(root / item.name))} cannot be used: {item.fault}. "
                    'Mend or remove it, or leave bad files out by on_bad="skip".'
                )
            found.append(item)
    return found


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """All files below a folder, with the fault that makes one unusable. Links are followed, loops are not."""
    real = folder.resolve()
    if real in above:
        yield folder, "it is a link to a folder that contains it"
        return
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _walk(entry, (*above, real))
        else:
            yield entry, ""


def _check(label: str, name: str, path: Path | str) -> _Found:
    """Read and decode one file; `path` is a text where a fault is known already."""
    if isinstance(path, str):
        return _Found(name, label, fault=path)
    try:
        name.encode()
    except UnicodeEncodeError:
        return _Found(name, label, fault="its name is not UTF-8")
    if path.suffix.lower() not in FORMATS:
        return _Found(name, label, fault=f"it is no picture by its name (known: {', '.join(FORMATS)})")
    try:
        content = read(path)
        image = decode(content)
    except DataError as error:
        return _Found(name, label, fault=str(error))
    size, channels = (image.height, image.width), 1 if image.mode == "L" else 3
    return _Found(name, label, size, channels, _digest(content))


def _classes(root: Path, parts: Mapping[str, Path], good: Mapping[str, list[_Found]]) -> tuple[str, ...]:
    """The class folders, each of which must hold a picture, in every split the same."""
    shown = printable(str(root))
    if not any(good.values()):
        raise DataError(f"{shown} holds no usable picture. Expected class folders with pictures.")
    names = {part: [entry.name for entry in _entries(folder) if entry.is_dir()] for part, folder in parts.items()}
    classes = names["train"] if "train" in names else names["all"]
    for part, own in names.items():
        if odd := sorted(set(own) ^ set(classes)):
            raise DataError(f"{shown}: the classes of {part} are not those of train: {some(map(printable, odd))}.")
        if empty := sorted(set(own) - {item.label for item in good[part]}):
            folder, listed = printable(str(parts[part])), some(map(printable, empty))
            raise DataError(f"{folder} has classes without a usable picture: {listed}.")
    if len(classes) < 2:
        raise DataError(f"{shown} has one class, {printable(classes[0])!r}; classifying needs two.")
    return tuple(printable(label) for label in classes)


def _splits(
    good: Mapping[str, list[_Found]], classes: tuple[str, ...], seed: int, groups: Mapping[str, str] | None
) -> dict[str, list[_Found]]:
    """The splits that have folders of their own, and the rest carved out of the others by hash of the name."""
    if "all" in good:
        return _carve(good["all"], classes, seed, groups, validation=True, test=True)
    wanted = {split: split not in good for split in ("validation", "test")}
    carved = _carve(good["train"], classes, seed, groups, **wanted)
    return {split: good[split] if split != "train" and split in good else carved[split] for split in SPLITS}


def _carve(
    items: list[_Found],
    classes: tuple[str, ...],
    seed: int,
    groups: Mapping[str, str] | None,
    *,
    validation: bool,
    test: bool,
) -> dict[str, list[_Found]]:
    fractions = {name: 0.0 for name, wanted in (("validation", validation), ("test", test)) if not wanted}
    labels = np.array([classes.index(printable(item.label)) for item in items])
    names = [item.name for item in items]
    own = None if groups is None else [groups[name] for name in names]
    indices = stratified(labels, names, seed=seed, groups=own, **fractions)
    return {split: [items[index] for index in members] for split, members in indices.items()}


def _source(root: Path, items: list[_Found], classes: tuple[str, ...], groups: Mapping[str, str] | None) -> Source:
    compared = Compared(len(items))

    def content_of(index: int) -> bytes:
        path = root / items[index].name
        try:
            content, status = read_with_status(path)
        except DataError as error:
            raise DataError(f"{printable(str(path))} was good when it was checked; now {error}.") from None
        if compared.is_due(index, status):
            if _digest(content) != items[index].digest:
                raise DataError(f"{printable(str(path))} has changed since it was checked; load the folder again.")
            compared.note(index, status)
        return content

    labels = np.array([classes.index(printable(item.label)) for item in items], np.int32)
    names = [printable(item.name) for item in items]
    own = None if groups is None else [printable(groups[item.name]) for item in items]
    return Source(labels, names, content_of, own)


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
