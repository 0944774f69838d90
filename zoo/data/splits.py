"""Splits into training, validation and test that depend on nothing but a seed and the examples' names."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from zoo.data.errors import DataError

SPLITS = ("train", "validation", "test")
# What the folder, table or array of each split may be called, in lower case.
SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
VALIDATION, TEST = 0.15, 0.20


def stratified(
    labels: np.ndarray,
    keys: Sequence[str],
    *,
    seed: int,
    validation: float = VALIDATION,
    test: float = TEST,
    groups: Sequence[str] | None = None,
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
        groups: Examples of one group, such as pictures of one person, come into one split; None where all are
            independent. The fractions are then met as well as whole groups allow.

    Returns:
        For each split the indices of its examples, rising.
    """
    if groups is not None:
        fractions = np.array([1 - validation - test, validation, test])
        dealt = _deal_groups(labels, groups, fractions, seed)
        return {name: np.flatnonzero(dealt == number) for number, name in enumerate(SPLITS)}
    hashes = _hashes(keys, seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(hashes[members], kind="stable")]
        num_test, num_validation = round(len(members) * test), round(len(members) * validation)
        parts["test"].append(members[:num_test])
        parts["validation"].append(members[num_test : num_test + num_validation])
        parts["train"].append(members[num_test + num_validation :])
    return {name: np.sort(np.concatenate(arrays)) for name, arrays in parts.items()}


def folds(
    labels: np.ndarray, keys: Sequence[str], number: int, *, seed: int, groups: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Divide examples into parts of one size in which each class is represented alike, for cross-validation.

    Args:
        labels: Class of each example, (n,) integers.
        keys: A name for each example, all different.
        number: Number of parts, at least 2.
        seed: Another seed gives other parts.
        groups: As `stratified` takes them.

    Returns:
        For each part the indices of its examples, rising.
    """
    if groups is not None:
        dealt = _deal_groups(labels, groups, np.full(number, 1 / number), seed)
    else:
        # Dealt out like cards, one class after the other, each in the order of the hashes.
        order = np.lexsort((np.argsort(np.argsort(_hashes(keys, seed))), labels))
        dealt = np.empty(len(labels), np.int64)
        dealt[order] = np.arange(len(labels)) % number
    return [np.flatnonzero(dealt == part) for part in range(number)]


def hash_order(keys: Sequence[str], seed: int) -> np.ndarray:
    """The order of keys by a hash of seed and key: the same on every machine, (n,) indices."""
    return np.argsort(_hashes(keys, seed), kind="stable")


def group_names(names: Sequence[str], group_by: str) -> list[str]:
    """The group of each name; a name that the expression does not match is a group of its own.

    Raises:
        DataError: The expression is wrong, has not one group, or matches no name at all.
    """
    try:
        expression = re.compile(group_by)
    except re.error as error:
        raise DataError(f"group_by is no regular expression: {error}. Received: group_by={group_by!r}") from None
    if expression.groups != 1:
        raise DataError(f'group_by needs one group, such as "(person[0-9]+)". Received: group_by={group_by!r}')
    matches = [expression.search(name) for name in names]
    if not any(matches):
        raise DataError(f"group_by matches no name, such as {names[0]!r}. Received: group_by={group_by!r}")
    return [name if match is None or match[1] is None else match[1] for name, match in zip(names, matches, strict=True)]


def groups_by_name(names: Sequence[str], group_by: str | None) -> dict[str, str] | None:
    """The group of each name, before names are divided or left out; None without an expression.

    Raises:
        DataError: As `group_names`.
    """
    return None if group_by is None else dict(zip(names, group_names(names, group_by), strict=True))


def _hashes(keys: Sequence[str], seed: int) -> np.ndarray:
    return np.array([hashlib.sha256(f"{seed}/{key}".encode("utf-8", "surrogateescape")).digest() for key in keys])


def _deal_groups(labels: np.ndarray, groups: Sequence[str], fractions: np.ndarray, seed: int) -> np.ndarray:
    """The part of each example: whole groups, the largest first, each to where its classes are most wanting."""
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    classes, label_numbers = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(counts, (members, label_numbers), 1)
    # How much each part still lacks of each class, in proportion to the class, so that rare ones count as much.
    lacking = fractions[:, None] * counts.sum(0)
    hashes = _hashes([str(name) for name in names], seed)
    order = np.lexsort((np.argsort(np.argsort(hashes)), -counts.sum(1)))
    dealt = np.empty(len(names), np.int64)
    for group in order:
        share = counts[group] / counts.sum(0)
        gains = np.where(fractions > 0, lacking @ share / np.maximum(fractions * len(labels), 1), -np.inf)
        dealt[group] = int(np.argmax(gains))
        lacking[dealt[group]] -= counts[group]
    return dealt[members]
