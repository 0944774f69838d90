"""Kernels that are set by hand, (height, width) float32, written as they lie on the picture: without reversal.

The matrices of 3x3 but Sobel's are those of GIMP's manual, https://docs.gimp.org/2.10/en/gimp-filter-convolution-matrix.html.
"""

import numpy as np


def average(size: int = 9) -> np.ndarray:
    """The mean over a square.

    Example:
        >>> from applications.filters.kernels import average
        >>> float(average(3).sum().round(6))
        1.0
    """
    return np.full((size, size), 1 / size**2, np.float32)


def gaussian(size: int = 9, sigma: float = 3.0) -> np.ndarray:
    """A bell, cut off at a square and scaled to sum 1.

    Args:
        size: Side in pixels, odd.
        sigma: Standard deviation in pixels.
    """
    offset = np.arange(size) - (size - 1) / 2
    bell = np.exp(-(offset**2) / (2 * sigma**2))
    kernel = np.outer(bell, bell)
    return (kernel / kernel.sum()).astype(np.float32)


SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)
EDGE_ENHANCE = np.array([[0, 0, 0], [-1, 1, 0], [0, 0, 0]], np.float32)
EDGE_DETECT = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
SOBEL_Y = SOBEL_X.T.copy()

NAMED: dict[str, np.ndarray] = {
    "average 9 × 9": average(),
    "Gaussian 9 × 9, sigma 3": gaussian(),
    "sharpen": SHARPEN,
    "edge enhance": EDGE_ENHANCE,
    "edge detect": EDGE_DETECT,
    "Sobel x": SOBEL_X,
    "Sobel y": SOBEL_Y,
}


def parse(text: str) -> np.ndarray:
    """A kernel from text: rows apart by ";", numbers by spaces.

    Args:
        text: Such as "0 -1 0; -1 5 -1; 0 -1 0".

    Returns:
        (height, width) float32.

    Raises:
        ValueError: It is no such text.

    Example:
        >>> from applications.filters.kernels import parse
        >>> parse("1 0 -1").shape
        (1, 3)
    """
    try:
        rows = [[float(number) for number in row.split()] for row in text.split(";")]
    except ValueError:
        rows = []
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1 or not np.isfinite(rows).all():
        raise ValueError(
            f'A kernel must be rows of equally many finite numbers, such as "0 -1 0; -1 5 -1; 0 -1 0". '
            f"Received: {text!r}"
        )
    return np.array(rows, np.float32)
