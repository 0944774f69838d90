"""The eight symmetries of the board, for planes and moves together.

Number 0 changes nothing. A symmetry first swaps rows and columns (4), then mirrors the columns (2), then the rows (1).
"""

import functools

import numpy as np

NUM_SYMMETRIES = 8


def transform(planes: np.ndarray, number: int) -> np.ndarray:
    """Boards turned or mirrored.

    Args:
        planes: (..., rows, columns, channels), as many rows as columns.
        number: 0 to 7.

    Returns:
        A view of the same shape.
    """
    if number & 4:
        planes = np.swapaxes(planes, -3, -2)
    if number & 2:
        planes = planes[..., ::-1, :]
    if number & 1:
        planes = planes[..., ::-1, :, :]
    return planes


@functools.cache
def moves(size: int) -> np.ndarray:
    """Where each move goes: (8, size * size + 1) int32, by symmetry and point; a pass stays one.

    Example:
        >>> from zoo.data.go import symmetries
        >>> symmetries.moves(3)[:, 1].tolist()  # the middle of the upper edge
        [1, 7, 1, 7, 3, 3, 5, 5]
    """
    table = np.empty((NUM_SYMMETRIES, size * size + 1), np.int32)
    points = np.arange(size * size).reshape(size, size, 1)
    for number in range(NUM_SYMMETRIES):
        # What stands at a place after the change was at `origin` before it.
        origin = transform(points, number).ravel()
        table[number, origin] = np.arange(size * size)
    table[:, -1] = size * size
    table.setflags(write=False)
    return table


@functools.cache
def inverse(number: int) -> int:
    """The symmetry that undoes another."""
    size = 3
    table = moves(size)
    return next(other for other in range(NUM_SYMMETRIES) if (table[other][table[number]] == np.arange(10)).all())
