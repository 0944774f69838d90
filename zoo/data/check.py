"""Look a data set through before anything is trained on it."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from zoo.data.arrays import ArrayDataset
from zoo.data.dataset import Dataset, Source
from zoo.data.duplicates import near_duplicates, perceptual_hash, thumbnail
from zoo.data.errors import DataError, printable
from zoo.data.pictures import quiet_pillow
from zoo.data.splits import group_names

# A class is called rare where the largest one has more than so many times its examples in training.
RARE = 10


@dataclass(frozen=True)
class DataReport:
    """What a check found.

    Attributes:
        num_examples: For each class the number of its examples in "train", "validation" and "test".
        sizes: Smallest and largest height and width, in pixels.
        problems: What makes results wrong: one sentence each.
        notes: What one should know: one sentence each.
    """

    num_examples: dict[str, tuple[int, ...]]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check(dataset: Dataset, *, group_by: str | None = None) -> DataReport:
    """Decode every picture and look for what would make a training or its result wrong.

    Looked for are pictures that are in two splits, to the pixel or to the eye; equal pictures of different classes;
    groups that straddle splits; rare and empty classes; files that were left out.

    Args:
        dataset: The data; one that is read in sequence cannot be checked.
        group_by: Regular expression, searched in each example's name; what its first group matches names the examples
            that belong together, such as "(person[0-9]+)". None where all are independent.

    Returns:
        What was found.

    Raises:
        DataError: The data is read in sequence, the expression is wrong, or a picture cannot be decoded.

    Example:
        >>> import zoo
        >>> zoo.data.check(zoo.data.load("digits")).num_examples["0"]
        (115, 27, 36)
    """
    if isinstance(dataset, ArrayDataset):
        raise DataError(
            f"{printable(dataset.name)} is {dataset.modality}; this check looks at pictures. Its files were checked "
            "when they were loaded."
        )
    sources = {name: split for name, split in dataset.splits.items() if isinstance(split, Source)}
    if len(sources) < len(dataset.splits):
        raise DataError(f"{printable(dataset.name)} is read in sequence; only sets in memory and folders are checked.")
    where = [(name, index) for name, source in sources.items() for index in range(len(source))]
    names = [sources[split].names[index] for split, index in where]
    labels = [int(sources[split].labels[index]) for split, index in where]
    parts = [list(sources).index(split) for split, _ in where]

    def look(place: tuple[str, int]) -> tuple[tuple[int, int], bytes, int, np.ndarray]:
        image = sources[place[0]].picture(place[1])
        digest = hashlib.sha256(f"{image.size} {image.mode}".encode() + image.tobytes()).digest()
        return (image.height, image.width), digest, perceptual_hash(image), thumbnail(image)

    with quiet_pillow(), ThreadPoolExecutor() as pool:
        sizes, digests, hashes, thumbnails = zip(*pool.map(look, where), strict=True)
    equal: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        equal[digest].append(index)
    same = [members for members in equal.values() if len(members) > 1]
    problems, notes = [], []
    leaks = [members for members in same if len({parts[member] for member in members}) > 1]
    if leaks:
        problems.append(f"Pictures in more than one split, to the pixel: {_some(leaks, names)}.")
    conflicts = [members for members in same if len({labels[member] for member in members}) > 1]
    if conflicts:
        problems.append(f"Equal pictures in more than one class: {_some(conflicts, names)}.")
    near = [pair for pair in near_duplicates(list(hashes), np.stack(thumbnails), parts)
            if digests[pair[0]] != digests[pair[1]]]  # fmt: skip
    if near:
        notes.append(f"Pictures of different splits that look the same: {_some(near, names)}.")
    if within := [members for members in same if len({parts[member] for member in members}) == 1]:
        notes.append(f"Pictures that come more than once within a split: {_some(within, names)}.")
    if group_by is not None:
        groups = group_names(names, group_by)
        splits_of: dict[str, set[int]] = defaultdict(set)
        for group, part in zip(groups, parts, strict=True):
            splits_of[group].add(part)
        if straddling := sorted(group for group, own in splits_of.items() if len(own) > 1):
            problems.append(
                f"Groups in more than one split: {len(straddling)} of {len(splits_of)} "
                f"({', '.join(map(printable, straddling[:5]))}{', …' if len(straddling) > 5 else ''})."
            )
    counts = {
        label: tuple(int((sources[split].labels == number).sum()) for split in sources)
        for number, label in enumerate(dataset.classes)
    }
    problems += [
        f"The class {label} has no example in {split}."
        for label, numbers in counts.items()
        for split, number in zip(sources, numbers, strict=True)
        if not number
    ]
    most = max(numbers[0] for numbers in counts.values())
    notes += [
        f"The class {label} is rare: {numbers[0]} examples in train, the largest class has {most}; see balance=."
        for label, numbers in counts.items()
        if numbers[0] * RARE < most
    ]
    if dataset.bad_files:
        reasons = ", ".join(f"{reason} ({number})" for reason, number in dataset.num_bad_files.items())
        notes.append(f"Files left out: {len(dataset.bad_files)}; {reasons}.")
    heights, widths = zip(*sizes, strict=True)
    extent = ((min(heights), max(heights)), (min(widths), max(widths)))
    return DataReport(counts, extent, tuple(problems), tuple(notes))


def _some(members: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    shown = [" = ".join(names[member] for member in group[:3]) for group in members[:3]]
    return f"{len(members)} ({'; '.join(shown)}{'; …' if len(members) > 3 else ''})"
