"""What predictions on a split say: accuracy with its interval, scores of each class, calibration, telling examples.

Precision, recall and F1 are scikit-learn's.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

# A float32 softmax misses 1 by about 1e-7 a class; a float16 one by about 1e-3.
SUM_TOLERANCE = 5e-3


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions on one split, each example once.

    Attributes:
        split: Name of the split, e.g. "test".
        classes: Names of the k classes.
        labels: Right classes, (n,), integers from 0 to k - 1; n is at least 1.
        probabilities: Predicted probabilities, (n, k), floating point; each row sums to 1.
        image: Function from an index (0 to n - 1) to the picture, (height, width, channels), uint8, 1 or 3 channels.
        name: Function from an index to the name of the example; the text is not trusted.

    Raises:
        ValueError: A shape, type or value is not as described.
    """

    split: str
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    image: Callable[[int], np.ndarray]
    name: Callable[[int], str]

    def __post_init__(self) -> None:
        """Refuse what cannot be scored, before anything is drawn."""
        labels, probabilities, num_classes = self.labels, self.probabilities, len(self.classes)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be integers of shape (n,). Received: {labels.dtype} of {labels.shape}")
        if not len(labels):
            raise ValueError(f"An evaluation needs at least one example. Received: none in split {self.split!r}")
        if probabilities.shape != (len(labels), num_classes) or probabilities.dtype.kind != "f":
            raise ValueError(
                f"probabilities must be floating point of shape (examples, classes), here "
                f"({len(labels)}, {num_classes}). Received: {probabilities.dtype} of {probabilities.shape}"
            )
        if labels.min() < 0 or labels.max() >= num_classes:
            raise ValueError(
                f"labels must lie between 0 and {num_classes - 1}, as there are {num_classes} classes. "
                f"Received: {labels.min()} to {labels.max()}"
            )
        sums = probabilities.sum(axis=1, dtype=np.float64)
        bad = ~(np.abs(sums - 1) <= SUM_TOLERANCE) | ~(probabilities >= 0).all(axis=1)
        if bad.any():
            first = int(bad.argmax())
            raise ValueError(
                f"Each row of probabilities must be non-negative and sum to 1 (apply softmax to logits). "
                f"Received: row {first} with sum {sums[first]:.6g} and lowest value {probabilities[first].min():.6g}"
            )

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each example, (n,)."""
        return self.probabilities.argmax(axis=1)

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable class, (n,), 0 to 1."""
        return self.probabilities.max(axis=1)

    @functools.cached_property
    def wrong(self) -> np.ndarray:
        """Whether each example was mistaken, (n,), bool."""
        return self.predicted != self.labels

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """Counts, (k, k): true class in rows, predicted class in columns."""
        shape = (len(self.classes), len(self.classes))
        cells = np.ravel_multi_index((self.labels, self.predicted), shape)
        return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)

    def telling(self, count: int) -> np.ndarray:
        """Indices of the mistakes made with the most confidence; without mistakes, of the least certain examples.

        Args:
            count: How many at most.

        Returns:
            At most `count` indices, the most telling first.
        """
        if not self.wrong.any():
            return np.argsort(self.confidence, kind="stable")[:count]
        indices = np.flatnonzero(self.wrong)
        return indices[np.argsort(-self.confidence[indices], kind="stable")][:count]


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class, 0 to 1; NaN where a score is not defined."""

    index: int
    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Confusion:
    """How often one class was taken for another; `share` is the part of the true class's examples, 0 to 1."""

    true: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Mean confidence, accuracy and number of examples of each bin of confidence, and the expected error.

    `confidence` and `accuracy` are NaN in empty bins; `error` is the mean gap between the two, weighted by number.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    error: float


def class_scores(evaluation: Evaluation) -> list[ClassScores]:
    """Precision, recall, F1 and support of each class, in the order of the classes.

    Precision is not defined (NaN) for a class that was never predicted, recall for one without an example.
    """
    columns = precision_recall_fscore_support(
        evaluation.labels,
        evaluation.predicted,
        labels=np.arange(len(evaluation.classes)),
        zero_division=np.nan,
    )
    rows = zip(evaluation.classes, *(column.tolist() for column in columns), strict=True)
    return [ClassScores(index, *row) for index, row in enumerate(rows)]


def most_confused(evaluation: Evaluation, count: int) -> list[Confusion]:
    """The pairs (true class, predicted class) that were confused most often, at most `count` of them."""
    errors = evaluation.confusion.copy()
    np.fill_diagonal(errors, 0)
    support = evaluation.confusion.sum(axis=1)
    order = np.argsort(-errors, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    return [
        Confusion(
            int(true), int(predicted), int(errors[true, predicted]), float(errors[true, predicted] / support[true])
        )
        for true, predicted in pairs
        if errors[true, predicted]
    ]


def wilson_interval(right: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), which stays in range near 0 and 1.

    Args:
        right: Number of hits, 0 to `total`.
        total: Number of trials, at least 1.
        level: Level of confidence, between 0 and 1.

    Returns:
        Lower and upper end, 0 to 1.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / total
    scale = 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def calibration(evaluation: Evaluation, bins: int = 10) -> Calibration:
    """Compare the confidence of predictions with how often they are right.

    Args:
        evaluation: The predictions.
        bins: Number of bins of equal width between 0 and 1.

    Returns:
        The bins, and the expected calibration error (Naeini 2015), 0 to 1.
    """
    bin_of = np.minimum((evaluation.confidence * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    divisor = np.where(counts, counts, np.nan)
    confidence = np.bincount(bin_of, weights=evaluation.confidence, minlength=bins) / divisor
    accuracy = np.bincount(bin_of, weights=~evaluation.wrong, minlength=bins) / divisor
    error = float(np.nansum(counts * np.abs(accuracy - confidence)) / counts.sum())
    return Calibration(confidence, accuracy, counts, error)
