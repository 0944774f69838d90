"""Pictures of boards, with what a network says drawn on them."""

import numpy as np
from PIL import Image, ImageDraw

from zoo.data.errors import DataError
from zoo.data.go.geometry import COLUMNS

# Wood, lines, and the colour of what a network says.
_BOARD, _LINE, _SAID = (221, 182, 109), (80, 58, 24), (178, 24, 43)
# Pixels from line to line in pictures without names, for lists of many.
_SMALL = 10
# Drawn so many times larger and scaled down, as Pillow's circles have no smooth edge.
_SMOOTH = 3
# Probabilities below are not written.
_LEAST = 0.01


def draw_stones(black: np.ndarray, white: np.ndarray) -> np.ndarray:
    """A small picture of a position.

    Args:
        black: Where black stones are, (size, size) bool.
        white: Where white stones are.

    Returns:
        (pixels, pixels, 3) uint8, ten pixels for each line.
    """
    return np.asarray(_drawn(np.asarray(black), np.asarray(white), None, None, _SMALL, names=False))


def draw_board(
    matrix: np.ndarray,
    *,
    probabilities: np.ndarray | None = None,
    last: int | None = None,
    spacing: int = 40,
) -> Image.Image:
    """A picture of a position, and of the moves that a network thinks of.

    Args:
        matrix: (size, size), black 1, white -1, none 0, as `Board.matrix` gives it.
        probabilities: Of each point, (size * size,) or one more with the pass, which is not drawn; None for none. The
            area of a disc is proportional to it, and the percentage is written from 1 % on.
        last: The point of the last move, which is marked; None for none.
        spacing: Pixels from line to line, at least 8.

    Raises:
        DataError: The shapes do not belong together, or the spacing is too small.

    Example:
        >>> from zoo.data.go import Board, draw_board
        >>> draw_board(Board(9).matrix()).size
        (400, 400)
    """
    matrix = np.asarray(matrix)
    size = len(matrix)
    if matrix.shape != (size, size) or spacing < 8:
        raise DataError(f"A board is square and has 8 pixels a line. Received: shape {matrix.shape}, spacing={spacing}")
    if probabilities is not None:
        probabilities = np.asarray(probabilities, np.float64).ravel()
        if len(probabilities) not in (size * size, size * size + 1):
            raise DataError(f"There are {size * size} points. Received: {len(probabilities)} probabilities")
    return _drawn(matrix > 0, matrix < 0, probabilities, last, spacing, names=True)


def _drawn(
    black: np.ndarray,
    white: np.ndarray,
    probabilities: np.ndarray | None,
    last: int | None,
    spacing: int,
    *,
    names: bool,
) -> Image.Image:
    size = len(black)
    step = spacing * _SMOOTH
    side = step * (size + (1 if names else 0))
    begin = side // 2 - step * (size - 1) // 2
    image = Image.new("RGB", (side, side), _BOARD)
    draw = ImageDraw.Draw(image)
    ends = begin, begin + step * (size - 1)
    for index in range(size):
        at = begin + step * index
        draw.line([(ends[0], at), (ends[1], at)], _LINE, _SMOOTH)
        draw.line([(at, ends[0]), (at, ends[1])], _LINE, _SMOOTH)

    def disc(point: int, radius: float, colour: tuple[int, int, int]) -> None:
        x, y = begin + step * (point % size), begin + step * (point // size)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], colour)

    for point in range(size * size):
        row, column = divmod(point, size)
        if black[row, column] or white[row, column]:
            disc(point, 0.47 * step, (20, 20, 20))
            if white[row, column]:
                disc(point, 0.44 * step, (245, 245, 245))
            if point == last:
                disc(point, 0.15 * step, _SAID)
        elif probabilities is not None and probabilities[point] > 0:
            disc(point, 0.47 * step * float(np.sqrt(min(probabilities[point], 1.0))), _SAID)
    image = image.resize((side // _SMOOTH, side // _SMOOTH), Image.Resampling.LANCZOS)
    if not names:
        return image
    draw = ImageDraw.Draw(image)
    for index in range(size):
        place = (begin + step * index) / _SMOOTH
        draw.text((place, spacing * 0.3), COLUMNS[index], _LINE, anchor="mm")
        draw.text((spacing * 0.3, place), str(size - index), _LINE, anchor="mm")
    if probabilities is not None:
        for point in range(size * size):
            row, column = divmod(point, size)
            if probabilities[point] >= _LEAST and not (black[row, column] or white[row, column]):
                centre = ((begin + step * column) / _SMOOTH, (begin + step * row) / _SMOOTH)
                draw.text(centre, f"{100 * probabilities[point]:.0f}", (0, 0, 0), anchor="mm")
    return image
