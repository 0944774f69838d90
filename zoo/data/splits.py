"""Splits into training, validation and test that depend on nothing but a seed and the examples' names."""

import hashlib
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "validation", "test")
VALIDATION, TEST = 0.15, 0.20


def stratified(
    labels: np.ndarray, keys: Sequence[str], *, seed: int, validation: float = VALIDATION, test: float = TEST
) -> dict[str, np.ndarray]:
    """Divide examples so that each class is represented alike in all splits and each example is in one.

    Within a class the examples are put in the order of a hash of seed and key: the same on every machine and with
    every version of every library, and hardly changed when examples are added.

    Args:
        labels: Class of each example, (n,) integers.
        keys: A name for each example, all different.
        seed: Another seed gives another split.
        validation: Fraction of each class that goes to the validation split, 0 to 1.
        test: Fraction of each class that goes to the test split, 0 to 1.

    Returns:
        For each split the indices of its examples, rising.
    """
    hashes = np.array([hashlib.sha256(f"{seed}/{key}".encode("utf-8", "surrogateescape")).digest() for key in keys])
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(hashes[members], kind="stable")]
        num_test, num_validation = round(len(members) * test), round(len(members) * validation)
        parts["test"].append(members[:num_test])
        parts["validation"].append(members[num_test : num_test + num_validation])
        parts["train"].append(members[num_test + num_validation :])
    return {name: np.sort(np.concatenate(arrays)) for name, arrays in parts.items()}
