"""A part of a data set, asked for in its name: some classes, few examples of each, a long tail.

    digits?classes=5,6,7,8,9&per_class=10&draw=3

What a name says, a run folder keeps, so that the same part is found again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import numpy as np

from zoo.data.dataset import Dataset, Source
from zoo.data.errors import DataError, printable
from zoo.data.splits import hash_order

KEYS = ("classes", "per_class", "draw", "tail")


@dataclass(frozen=True)
class Part:
    """Which part.

    Attributes:
        classes: Names of the classes to keep, in the order of their new labels; () for all.
        per_class: Most examples of each class in the training split, and in the validation split, so that choosing by
            validation sees no more labels than training; None for all. The test split stays whole.
        draw: Seed of which examples.
        tail: Examples of the last class over those of the first in the training split, above 0 and at most 1; classes
            between them follow geometrically (Cui et al. 2019, https://arxiv.org/abs/1901.05555). 1: as they are.
    """

    classes: tuple[str, ...] = ()
    per_class: int | None = None
    draw: int = 0
    tail: float = 1.0

    @classmethod
    def parse(cls, query: str, name: str) -> "Part":
        """The part that a query says, what stands behind "?".

        Args:
            query: Such as "classes=5,6&per_class=10".
            name: The whole name, for messages.

        Raises:
            DataError: A key is not known, or a value out of its range.

        Example:
            >>> Part.parse("classes=5,6&per_class=10", "digits")
            Part(classes=('5', '6'), per_class=10, draw=0, tail=1.0)
        """
        found = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := [key for key in found if key not in KEYS]:
            raise DataError(
                f"A part of data has {', '.join(KEYS)}, as in digits?classes=5,6&per_class=10. "
                f"Received: {', '.join(unknown)} in {printable(name)}"
            )
        try:
            part = cls(
                classes=tuple(found["classes"].split(",")) if "classes" in found else (),
                per_class=int(found["per_class"]) if "per_class" in found else None,
                draw=int(found.get("draw", 0)),
                tail=float(found.get("tail", 1)),
            )
        except ValueError:
            raise DataError(f"per_class, draw and tail are numbers. Received: {printable(name)}") from None
        if (part.per_class is not None and part.per_class < 1) or part.draw < 0 or not 0 < part.tail <= 1:
            raise DataError(
                "per_class must be at least 1, draw at least 0, tail above 0 and at most 1. "
                f"Received: {printable(name)}"
            )
        return part


def take(dataset: Dataset, part: Part, name: str) -> Dataset:
    """The part of a data set.

    Args:
        dataset: Its splits can be read in any order.
        part: Which part.
        name: What it is called.

    Raises:
        DataError: A class is not there, there are fewer than two, or the data is read in sequence.
    """
    if unknown := [item for item in part.classes if item not in dataset.classes]:
        raise DataError(
            f"{printable(dataset.name)} has the classes {', '.join(dataset.classes)}. Received: {', '.join(unknown)}"
        )
    classes = part.classes or dataset.classes
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise DataError(f"Name at least two classes, each once. Received: {', '.join(classes)}")
    labels = [dataset.classes.index(item) for item in classes]
    splits = {}
    for split, source in dataset.splits.items():
        if not isinstance(source, Source):
            raise DataError(f"{printable(dataset.name)} is read in sequence, so no part of it can be taken.")
        splits[split] = _taken(source, labels, part, split)
    fingerprint = hashlib.sha256()
    for split, (_, chosen) in splits.items():
        fingerprint.update(json.dumps([dataset.fingerprint, split, labels]).encode() + chosen.tobytes())
    return replace(
        dataset,
        name=name,
        classes=tuple(classes),
        splits={split: source for split, (source, _) in splits.items()},
        fingerprint=fingerprint.hexdigest(),
    )


def _taken(source: Source, labels: list[int], part: Part, split: str) -> tuple[Source, np.ndarray]:
    """The examples that are kept, in their stored order, with their new labels, and their indices."""
    order = hash_order(source.names, part.draw)
    kept: list[np.ndarray] = []
    largest = max(int((source.labels == label).sum()) for label in labels)
    for place, label in enumerate(labels):
        members = order[source.labels[order] == label]
        count = len(members)
        if split != "test" and part.per_class is not None:
            count = min(count, part.per_class)
        if split == "train" and part.tail < 1:
            most = min(largest, part.per_class or largest)
            count = min(count, max(1, round(most * part.tail ** (place / (len(labels) - 1)))))
        kept.append(members[:count])
    chosen = np.sort(np.concatenate(kept)).astype(np.int64)
    new: Mapping[int, int] = {label: place for place, label in enumerate(labels)}
    found = source.chosen(chosen)
    return replace(found, labels=np.array([new[label] for label in found.labels.tolist()], np.int32)), chosen
