"""Boards as whole numbers: one bit for each point, so that one operation of Python's works on all points at once.

A set of points is a whole number. Each row has one bit more than the board has columns, always 0, so that a shift by
one column does not run into the next row. Unions, neighbours and counts of sets then cost a few dozen nanoseconds on
any size of board, which is what makes a board in plain Python fast enough for millions of positions.
"""

import functools
import random
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

BLACK: Literal[1] = 1
WHITE: Literal[-1] = -1
EMPTY: Literal[0] = 0

SMALLEST, LARGEST = 2, 25

# Columns of GTP and of diagrams: the letter I is left out.
COLUMNS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"

# The numbers of Zobrist's table. Fixed, so that hashes are the same in every process and may be kept in files.
_ZOBRIST_SEED = 1970


class Geometry:
    """What depends on the size of the board alone; `geometry(size)` keeps one for each.

    A point is `row * size + column`, rows from the top, as in SGF; `size * size` stands for a pass.

    Args:
        size: Number of rows and columns, 2 to 25.

    Attributes:
        num_points: Number of points, which is also the number of a pass.
        bits: For each point the set that holds it alone.
        full: The set of all points.
        neighbours: For each point the list of its neighbours.
        adjacent: The same as sets.
        diagonal: For each point the set of its diagonal neighbours.
        border: The points of the first line.
        zobrist: For each colour (index 1 black, -1 white) and point a random number of 64 bits.
        side: Random numbers of 64 bits for the player to move, by colour.
    """

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
            raise ValueError(f"A board has {SMALLEST} to {LARGEST} rows and columns. Received: size={size!r}")
        self.size = size
        self.num_points = size * size
        self._row = size + 1
        self.bits = [1 << (row * self._row + column) for row in range(size) for column in range(size)]
        self.full = sum(self.bits)
        # By the length of a number with one bit: `(bit & -bit).bit_length()`.
        self._point_at = [0] * (size * self._row + 1)
        for point, bit in enumerate(self.bits):
            self._point_at[bit.bit_length()] = point
        self.adjacent = [self.grown(bit) & ~bit for bit in self.bits]
        self.neighbours = [self.points(adjacent) for adjacent in self.adjacent]
        self.diagonal = [self._diagonal(bit) for bit in self.bits]
        self.border = sum(
            bit for bit, adjacent in zip(self.bits, self.adjacent, strict=True) if adjacent.bit_count() < 4
        )
        rng = random.Random(_ZOBRIST_SEED)
        black, white = ([rng.getrandbits(64) for _ in range(LARGEST * LARGEST)] for _ in range(2))
        place = [row * LARGEST + column for row in range(size) for column in range(size)]
        self.zobrist = [[], [black[index] for index in place], [white[index] for index in place]]
        self.side = [0, rng.getrandbits(64), rng.getrandbits(64)]

    def grown(self, points: int) -> int:
        """The set with all neighbours of its points."""
        row = self._row
        return (points | points << 1 | points >> 1 | points << row | points >> row) & self.full

    def shifted(self, points: int) -> tuple[int, int, int, int]:
        """The set moved by one in each direction: a point is in one of these for each neighbour that it has in it."""
        row, full = self._row, self.full
        return points << 1 & full, points >> 1 & full, points << row & full, points >> row & full

    def shifted_diagonally(self, points: int) -> tuple[int, int, int, int]:
        """The same in the four diagonal directions."""
        row, full = self._row, self.full
        return (
            points << (row + 1) & full,
            points << (row - 1) & full,
            points >> (row + 1) & full,
            points >> (row - 1) & full,
        )

    def _diagonal(self, bit: int) -> int:
        return sum(self.shifted_diagonally(bit))

    def points(self, bits: int) -> list[int]:
        """The points of a set, in rising order."""
        found = []
        while bits:
            lowest = bits & -bits
            found.append(self._point_at[lowest.bit_length()])
            bits ^= lowest
        return found

    def point_of(self, bit: int) -> int:
        """The point of a set that holds one."""
        return self._point_at[bit.bit_length()]

    def set_of(self, points: Iterable[int]) -> int:
        """The set of some points."""
        bits = 0
        for point in points:
            bits |= self.bits[point]
        return bits

    def flood(self, seed: int, within: int) -> int:
        """The points of `within` that are connected to `seed`, which lies in it."""
        found = seed
        while True:
            more = self.grown(found) & within
            if more == found:
                return found
            found = more

    def planes(self, sets: Sequence[int]) -> np.ndarray:
        """Sets as planes of zeros and ones, (size, size, number of sets) uint8."""
        if not sets:
            return np.zeros((self.size, self.size, 0), np.uint8)
        num_bytes = -(-self.size * self._row // 8)
        packed = np.frombuffer(b"".join([bits.to_bytes(num_bytes, "little") for bits in sets]), np.uint8)
        flat = np.unpackbits(packed.reshape(len(sets), num_bytes), axis=1, bitorder="little")
        return flat[:, : self.size * self._row].reshape(len(sets), self.size, self._row)[:, :, :-1].transpose(1, 2, 0)

    def vertex(self, point: int) -> str:
        """The name of a point as people and GTP write it: "D4", or "pass"."""
        if point == self.num_points:
            return "pass"
        row, column = divmod(point, self.size)
        return f"{COLUMNS[column]}{self.size - row}"

    def point(self, vertex: str) -> int:
        """The point of a name such as "D4", or "pass", in capitals or not.

        Raises:
            ValueError: There is no such point on this board.
        """
        name = vertex.strip().upper()
        if name == "PASS":
            return self.num_points
        column = COLUMNS.find(name[:1]) if name else -1
        digits = name[1:]
        if 0 <= column < self.size and digits.isascii() and digits.isdecimal() and 1 <= int(digits) <= self.size:
            return (self.size - int(digits)) * self.size + column
        last = self.vertex(self.size - 1)
        raise ValueError(f"A point is A1 to {last}, or pass. Received: {vertex!r}")


@functools.cache
def geometry(size: int) -> Geometry:
    """The geometry of a size; made once.

    Example:
        >>> from zoo.data.go.geometry import geometry
        >>> nine = geometry(9)
        >>> nine.vertex(0), nine.point("J1"), [nine.vertex(point) for point in nine.neighbours[0]]
        ('A9', 80, ['B9', 'A8'])
    """
    return Geometry(size)
