"""Ladders: whether a chain can be taken by atari after atari.

Reading follows one chain. The attacker may only give atari; the defender may play at the last liberty or take a chain
that gives atari. A chain with three liberties has escaped. The simple rule of ko holds while reading, so that a ladder
which depends on a ko counts as the side that may take first has it.

A result depends on a few stones alone. They are noted while reading, and the result is taken again for as long as they
are the same: positions of one game after the other differ in one or two stones, so most ladders are read once.
"""

from dataclasses import dataclass, field

from zoo.data.go.board import Board, Chain
from zoo.data.go.geometry import BLACK, WHITE

# Positions that one ladder may take; the longest real ones run across the board and take a few hundred.
MOST_POSITIONS = 600
# Moves that one line of a ladder may have. Kos on several sides let both take for ever, as simple ko alone forbids no
# such circle; a ladder across a board of 19x19 has about 80 moves, and each is two and a half calls deep in Python.
MOST_MOVES = 200
# Results that are kept.
_MOST_KEPT = 4096


class _TooLongError(Exception):
    pass


@dataclass
class Ladders:
    """Reads ladders and remembers them; one reader serves any number of boards.

    Example:
        >>> from zoo.data.go import Board, Ladders
        >>> board = Board(9)
        >>> where = board.geometry.point
        >>> board.setup(black=map(where, ["D5", "E4", "D3"]), white=[where("D4")], to_move=1)
        >>> [board.geometry.vertex(point) for point in Ladders().captures(board, where("D4"))]
        []
    """

    _kept: dict[tuple[int, int, int, int, bool], tuple[int, int, int, bool]] = field(default_factory=dict)

    def captures(self, board: Board, point: int) -> list[int]:
        """The moves that take the chain at `point`, which has two liberties, in a ladder.

        Args:
            board: The position; it is played on while reading and is the same afterwards.
            point: A point of the chain; its opponent moves, as if it were his turn.

        Returns:
            Those of the two liberties where the atari works, in rising order.
        """
        chain = board.chains[point]
        if chain is None or chain.liberties.bit_count() != 2:
            return []
        return [move for move in board.geometry.points(chain.liberties) if self._works(board, chain, move, True)]

    def escapes(self, board: Board, point: int) -> list[int]:
        """The moves that save the chain at `point`, which is in atari, from a ladder.

        Args:
            board: The position; it is played on while reading and is the same afterwards.
            point: A point of the chain; its own side moves, as if it were its turn.

        Returns:
            The last liberty, or points that take a chain beside it, where that works, in rising order.
        """
        chain = board.chains[point]
        if chain is None or chain.liberties.bit_count() != 1:
            return []
        return [move for move in _rescues(board, chain)[0] if self._works(board, chain, move, False)]

    def _works(self, board: Board, chain: Chain, move: int, attack: bool) -> bool:
        ko = board.ko if board.to_move == (-chain.colour if attack else chain.colour) else -1
        key = board.size, chain.stones, move, ko, attack
        stones = board.stones
        if (kept := self._kept.get(key)) is not None:
            seen, black, white, result = kept
            if stones[BLACK] & seen == black and stones[WHITE] & seen == white:
                return result
        anchor = board.geometry.point_of(chain.stones & -chain.stones)
        before = stones[BLACK], stones[WHITE]
        reader = _Reader(board, anchor)
        depth = len(board.moves)
        try:
            works = reader.attack_at(move) if attack else reader.escape_by(move)
        except _TooLongError:
            while len(board.moves) > depth:
                board.undo()
            works, reader.seen = not attack, board.geometry.full
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        seen = reader.seen
        self._kept[key] = seen, before[0] & seen, before[1] & seen, works
        return works


def _rescues(board: Board, chain: Chain) -> tuple[list[int], int]:
    """Moves that may save a chain in atari, in rising order, and the set of points that this depends on."""
    geometry = board.geometry
    around = geometry.grown(chain.stones)
    seen, moves = geometry.grown(around), chain.liberties
    opponents = around & board.stones[-chain.colour]
    while opponents:
        other = board.chains[geometry.point_of(opponents & -opponents)]
        assert other is not None
        opponents &= ~other.stones
        seen |= geometry.grown(other.stones)
        if other.liberties & (other.liberties - 1) == 0:
            moves |= other.liberties
    return geometry.points(moves), seen


class _Reader:
    """One ladder: the chain that has a stone at `anchor`, and all that was looked at."""

    def __init__(self, board: Board, anchor: int) -> None:
        self.board = board
        self.anchor = anchor
        self.seen = 0
        self.positions = 0
        self.deepest = len(board.moves) + MOST_MOVES

    def _chain(self) -> Chain:
        chain = self.board.chains[self.anchor]
        assert chain is not None
        return chain

    def _play(self, point: int, colour: int) -> bool:
        """Play a move if it is legal by simple ko and without suicide."""
        board, geometry = self.board, self.board.geometry
        self.positions += 1
        if self.positions > MOST_POSITIONS or len(board.moves) >= self.deepest:
            raise _TooLongError
        self.seen |= geometry.grown(geometry.bits[point])
        breathes = bool(geometry.adjacent[point] & ~board.occupied)
        for neighbour in geometry.neighbours[point]:
            chain = board.chains[neighbour]
            if chain is not None:
                self.seen |= geometry.grown(chain.stones)
                if (chain.liberties & (chain.liberties - 1) == 0) != (chain.colour == colour):
                    breathes = True
        if not breathes or (point == board.ko and colour == board.to_move):
            return False
        board.put(point, colour)
        return True

    def attack_at(self, move: int) -> bool:
        """Whether atari at `move` takes the chain, which has two liberties."""
        chain = self._chain()
        self.seen |= self.board.geometry.grown(chain.stones)
        if not self._play(move, -chain.colour):
            return False
        taken = not self._escapes()
        self.board.undo()
        return taken

    def _escapes(self) -> bool:
        """Whether the chain, in atari and to move, gets away."""
        moves, seen = _rescues(self.board, self._chain())
        self.seen |= seen
        return any(self.escape_by(move) for move in moves)

    def escape_by(self, move: int) -> bool:
        """Whether the chain, in atari, gets away by `move`."""
        geometry = self.board.geometry
        chain = self._chain()
        self.seen |= geometry.grown(geometry.grown(chain.stones))
        if not self._play(move, chain.colour):
            return False
        chain = self._chain()
        self.seen |= geometry.grown(chain.stones)
        liberties = chain.liberties.bit_count()
        if liberties == 2:
            away = not any(self.attack_at(point) for point in geometry.points(chain.liberties))
        else:
            away = liberties > 2
        self.board.undo()
        return away
