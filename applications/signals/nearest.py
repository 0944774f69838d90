"""The nearest neighbour, with Euclidean distance and with dynamic time warping: what networks for series must beat."""

import numpy as np


def nearest_neighbour(train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, warping: float = 0.0) -> np.ndarray:
    """The class of the training series that is nearest to each test series.

    Args:
        train: (n, samples), or (n, samples, channels), whose channels are moved in time together.
        labels: Class of each training series, (n,).
        test: The same of m series.
        warping: Part of the length by which samples may be moved in time to meet; 0 for Euclidean distance.

    Returns:
        (m,) classes.
    """
    if not warping:
        train, test = (series.reshape(len(series), -1) for series in (train, test))
        squares = (test**2).sum(1)[:, None] - 2 * test @ train.T + (train**2).sum(1)
        return labels[squares.argmin(1)]
    reach = max(1, round(warping * train.shape[1]))
    train, test = (series.reshape(*series.shape[:2], -1) for series in (train, test))
    return np.array([labels[_warped(series, train, reach).argmin()] for series in test])


def _warped(series: np.ndarray, others: np.ndarray, reach: int) -> np.ndarray:
    """The cost of the cheapest path that matches a series with each of the others, which are worked on at once.

    Args:
        series: (samples, channels).
        others: (n, samples, channels).
        reach: Samples by which the path may leave the diagonal.
    """
    length = len(series)
    costs = np.full((len(others), length + 1), np.inf)
    costs[:, 0] = 0
    for row in range(1, length + 1):
        following = np.full_like(costs, np.inf)
        distances = ((series[row - 1] - others) ** 2).sum(-1)
        for column in range(max(1, row - reach), min(length, row + reach) + 1):
            step = np.minimum(np.minimum(costs[:, column], costs[:, column - 1]), following[:, column - 1])
            following[:, column] = distances[:, column - 1] + step
        costs = following
    return costs[:, -1]
