"""The nearest neighbour, with Euclidean distance and with dynamic time warping: what networks for series must beat."""

import numpy as np


def nearest_neighbour(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, warping: float = 0.0) -> np.ndarray:
    """The class of the training series that is nearest to each test series.

    Args:
        train: (n, samples).
        labels: Class of each training series, (n,).
        test: (m, samples).
        warping: Part of the length by which samples may be moved in time to meet; 0 for Euclidean distance.

    Returns:
        (m,) classes.
    """
    if not warping:
        squares = (test**2).sum(1)[:, None] - 2 * test @ train.T + (train**2).sum(1)
        return labels[squares.argmin(1)]
    reach = max(1, round(warping * train.shape[1]))
    return np.array([labels[_warped(series, train, reach).argmin()] for series in test])


def _warped(series: np.ndarray, others: np.ndarray, reach: int) -> np.ndarray:
    """The cost of the cheapest path that matches a series with each of the others, which are worked on at once."""
    length = len(series)
    costs = np.full((len(others), length + 1), np.inf)
    costs[:, 0] = 0
    for row in range(1, length + 1):
        following = np.full_like(costs, np.inf)
        for column in range(max(1, row - reach), min(length, row + reach) + 1):
            step = np.minimum(np.minimum(costs[:, column], costs[:, column - 1]), following[:, column - 1])
            following[:, column] = (series[row - 1] - others[:, column - 1]) ** 2 + step
        costs = following
    return costs[:, -1]
