"""The rules of Go: a board that plays moves, takes them back, and knows chains, liberties, ko and superko.

Sources: the Tromp-Taylor rules (https://tromp.github.io/go.html) for area scoring and superko; "The rules of Go" of the
Nihon Ki-in, 1989, for territory; Zobrist, "A New Hashing Method with Application for Game Playing", 1970, for the
hashes. Points are whole numbers from the upper left, rows first; colours are 1 (black) and -1 (white), as in the matrix
that courses draw.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from zoo.data.errors import DataError
from zoo.data.go.geometry import BLACK, COLUMNS, EMPTY, WHITE, Geometry, geometry

Ko = Literal["simple", "positional", "situational"]
Scoring = Literal["area", "territory"]

COLOUR_NAMES = {BLACK: "black", WHITE: "white"}


class IllegalMoveError(DataError):
    """A move that the rules forbid; the message says why."""


@dataclass(frozen=True)
class Rules:
    """What sets of rules differ in.

    Attributes:
        name: What the rules are called.
        ko: "simple" forbids to take back at once a single stone that took one. "positional" forbids any move that
            brings the stones of an earlier position back, "situational" such a move with the same player to move then.
        suicide: Whether stones may be played that leave their own chain without liberties. It is then taken off.
        scoring: "area" counts stones and what they surround, "territory" what they surround and prisoners.
        handicap_bonus: What white gets for black's handicap stones: "none", "stones" (one point for each) or
            "stones_but_one".
    """

    name: str
    ko: Ko
    suicide: bool
    scoring: Scoring
    handicap_bonus: Literal["none", "stones", "stones_but_one"] = "none"


CHINESE = Rules("chinese", "simple", False, "area", "stones")
CHINESE_SUPERKO = Rules("chinese_superko", "positional", False, "area", "stones")
JAPANESE = Rules("japanese", "simple", False, "territory")
AGA = Rules("aga", "situational", False, "area", "stones_but_one")
NEW_ZEALAND = Rules("new_zealand", "situational", True, "area")
TROMP_TAYLOR = Rules("tromp_taylor", "positional", True, "area")

RULES = {
    rules.name: rules for rules in (CHINESE, CHINESE_SUPERKO, JAPANESE, AGA, NEW_ZEALAND, TROMP_TAYLOR)
}  # fmt: skip


class Chain:
    """Stones of one colour that are connected.

    Attributes:
        colour: 1 black, -1 white.
        stones: The set of its points.
        liberties: The set of empty points beside it.
        zobrist: The sum, without carry, of its stones' Zobrist numbers.
    """

    __slots__ = ("colour", "liberties", "stones", "zobrist")

    def __init__(self, colour: int, stones: int, liberties: int, zobrist: int) -> None:
        self.colour = colour
        self.stones = stones
        self.liberties = liberties
        self.zobrist = zobrist


class Position(NamedTuple):
    """The stones after a move, and who moves then."""

    black: int
    white: int
    to_move: int
    zobrist: int


class _Undo(NamedTuple):
    point: int
    colour: int
    chain: Chain | None  # the chain that the stone is in, when it began or grew
    grown: tuple[int, int, int] | None  # what that chain was before it grew
    merged: list[Chain]  # chains that became part of it
    captured: list[Chain]
    suicide: bool
    liberties: list[tuple[Chain, int]]  # chains whose liberties changed, with what they were
    stones: tuple[int, int]
    ko: int
    to_move: int
    zobrist: int
    prisoners: tuple[int, int]


class Board:
    """A game in progress.

    Args:
        size: Number of rows and columns, 2 to 25.
        rules: Which moves are legal, and how to count.
        komi: Points for white.

    Attributes:
        geometry: Points, neighbours, names.
        to_move: Whose turn it is, 1 black or -1 white.
        moves: All moves so far as (colour, point); `geometry.num_points` is a pass.
        ko: The point that the rule of simple ko forbids to the player to move, or -1.
        stones: Sets of points by colour: `stones[1]` black, `stones[-1]` white.
        chains: For each point the chain that lies there, or None.
        groups: All chains on the board.
        prisoners: Stones that were taken, by the colour of the taker.
        handicap: Number of black's handicap stones.
        zobrist: The position's Zobrist hash of 64 bits, without the player to move.

    Example:
        >>> from zoo.data.go import Board
        >>> board = Board(5)
        >>> for vertex in ("B1", "A1", "A2"):
        ...     board.play(board.geometry.point(vertex))
        >>> print(board)
          A B C D E
        5 . . . . . 5
        4 . . . . . 4
        3 . . . . . 3
        2 X . . . . 2
        1 . X . . . 1
          A B C D E
    """

    def __init__(self, size: int = 19, *, rules: Rules = CHINESE, komi: float = 7.5) -> None:
        self.geometry: Geometry = geometry(size)
        self.rules = rules
        self.komi = komi
        self.clear()

    def clear(self) -> None:
        """Take everything off: an empty board, black to move."""
        self.to_move: int = BLACK
        self.moves: list[tuple[int, int]] = []
        self.ko = -1
        # Three places, so that 1 and -1 are two of them.
        self.stones = [0, 0, 0]
        self.prisoners = [0, 0, 0]
        self.chains: list[Chain | None] = [None] * self.geometry.num_points
        self.groups: dict[Chain, None] = {}
        self.handicap = 0
        self.zobrist = 0
        self._undo: list[_Undo] = []
        self._forget_positions()

    def _forget_positions(self) -> None:
        """Begin the history anew with the stones that lie there now."""
        self._positions = [Position(self.stones[BLACK], self.stones[WHITE], self.to_move, self.zobrist)]
        self._seen = {self._key(self.zobrist, self.to_move): 1}

    @property
    def size(self) -> int:
        """Number of rows and columns."""
        return self.geometry.size

    @property
    def pass_move(self) -> int:
        """The number that stands for a pass."""
        return self.geometry.num_points

    @property
    def positions(self) -> list[Position]:
        """The positions so far, from the first one on, which may hold handicap stones, to the present one."""
        return self._positions

    @property
    def occupied(self) -> int:
        """The set of points with stones."""
        return self.stones[BLACK] | self.stones[WHITE]

    @property
    def is_over(self) -> bool:
        """Whether the last two moves were passes of both players."""
        if len(self.moves) < 2:
            return False
        (first, one), (second, two) = self.moves[-2:]
        return one == two == self.pass_move and first == -second

    def colour_at(self, point: int) -> int:
        """1 black, -1 white, 0 empty."""
        chain = self.chains[point]
        return EMPTY if chain is None else chain.colour

    def matrix(self) -> np.ndarray:
        """The board as the courses draw it: (size, size) int8, black 1, white -1, none 0."""
        planes = self.geometry.planes([self.stones[BLACK], self.stones[WHITE]]).astype(np.int8)
        return planes[:, :, 0] - planes[:, :, 1]

    def copy(self) -> "Board":
        """A board in the same position with the same history, which `undo` cannot go back behind."""
        other = Board.__new__(Board)
        other.geometry, other.rules, other.komi = self.geometry, self.rules, self.komi
        other.to_move, other.moves, other.ko = self.to_move, list(self.moves), self.ko
        other.stones, other.prisoners = list(self.stones), list(self.prisoners)
        renewed = {chain: Chain(chain.colour, chain.stones, chain.liberties, chain.zobrist) for chain in self.groups}
        other.chains = [None if chain is None else renewed[chain] for chain in self.chains]
        other.groups = dict.fromkeys(renewed.values())
        other.handicap, other.zobrist = self.handicap, self.zobrist
        other._undo, other._positions, other._seen = [], list(self._positions), dict(self._seen)
        return other

    def setup(
        self,
        *,
        black: Iterable[int] = (),
        white: Iterable[int] = (),
        empty: Iterable[int] = (),
        to_move: int | None = None,
    ) -> None:
        """Put stones on the board, or take them off, as a diagram does; the history begins anew.

        Args:
            black: Points that become black, whatever was there.
            white: Points that become white.
            empty: Points that become empty.
            to_move: Who moves next; None for no change.

        Raises:
            IllegalMoveError: A point is named twice or a chain would have no liberty; the board is as before.
        """
        lists = [list(points) for points in (black, white, empty)]
        blacks, whites, empties = map(self.geometry.set_of, lists)
        if sum(map(len, lists)) != (blacks | whites | empties).bit_count():
            raise IllegalMoveError("A point is set up twice.")
        changed = blacks | whites | empties
        stones = [0, self.stones[BLACK] & ~changed | blacks, self.stones[WHITE] & ~changed | whites]
        groups = self._grouped(stones)
        for chain in groups:
            if not chain.liberties:
                where = self.geometry.vertex(self.geometry.points(chain.stones)[0])
                raise IllegalMoveError(f"The {COLOUR_NAMES[chain.colour]} chain at {where} would have no liberty.")
        self.stones = stones
        self.groups = dict.fromkeys(groups)
        self.chains = [None] * self.geometry.num_points
        self.zobrist = 0
        for chain in groups:
            self.zobrist ^= chain.zobrist
            for point in self.geometry.points(chain.stones):
                self.chains[point] = chain
        self.ko = -1
        if to_move is not None:
            self.to_move = to_move
        self._undo.clear()
        self._forget_positions()

    def _grouped(self, stones: list[int]) -> list[Chain]:
        """Chains of a position, found from its stones alone."""
        board, groups = self.geometry, []
        empty = board.full & ~(stones[BLACK] | stones[WHITE])
        for colour in (BLACK, WHITE):
            rest = stones[colour]
            while rest:
                found = board.flood(rest & -rest, stones[colour])
                rest &= ~found
                zobrist = 0
                for point in board.points(found):
                    zobrist ^= board.zobrist[colour][point]
                groups.append(Chain(colour, found, board.grown(found) & empty, zobrist))
        return groups

    def place_handicap(self, points: Iterable[int]) -> None:
        """Put black's handicap stones on the empty board; white moves next.

        Raises:
            IllegalMoveError: The board is not empty, or there are fewer than two different points.
        """
        points = list(points)
        if self.occupied or self.moves:
            raise IllegalMoveError("Handicap stones are placed on an empty board.")
        if len(points) < 2:
            raise IllegalMoveError(f"A handicap has at least two stones. Received: {len(points)}")
        self.setup(black=points, to_move=WHITE)
        self.handicap = len(points)

    def why_illegal(self, point: int, colour: int | None = None) -> str | None:
        """Why a move is not allowed, or None where it is.

        Args:
            point: The point, or `pass_move`.
            colour: Who moves; None for the player to move.
        """
        board = self.geometry
        colour = self.to_move if colour is None else colour
        if point == board.num_points:
            return None
        if not 0 <= point < board.num_points:
            return f"there is no point {point} on a board of {board.size}x{board.size}"
        if self.chains[point] is not None:
            return f"{board.vertex(point)} is occupied"
        bit = board.bits[point]
        breathes = bool(board.adjacent[point] & ~self.occupied)
        if not breathes:
            if point == self.ko and colour == self.to_move and self.rules.ko == "simple":
                return f"{board.vertex(point)} takes the ko back at once"
            for neighbour in board.neighbours[point]:
                chain = self.chains[neighbour]
                assert chain is not None
                if (chain.liberties != bit) == (chain.colour == colour):
                    breathes = True
                    break
            if not breathes and not self.rules.suicide:
                return f"{board.vertex(point)} is suicide"
        if self.rules.ko != "simple" and self._repeats(point, colour):
            return f"{board.vertex(point)} repeats an earlier position ({self.rules.ko} superko)"
        return None

    def is_legal(self, point: int, colour: int | None = None) -> bool:
        """Whether a move is allowed; a pass always is."""
        return self.why_illegal(point, colour) is None

    def play(self, point: int, colour: int | None = None) -> None:
        """Play a move.

        Args:
            point: The point, or `pass_move`.
            colour: Who moves; None for the player to move. The other one may move as well, as in GTP.

        Raises:
            IllegalMoveError: The rules forbid it.
        """
        colour = self.to_move if colour is None else colour
        if (reason := self.why_illegal(point, colour)) is not None:
            raise IllegalMoveError(f"{COLOUR_NAMES[colour].capitalize()} cannot play there: {reason}.")
        self.put(point, colour)

    def put(self, point: int, colour: int) -> None:
        """Play a move that is known to be legal, or that is read ahead: only the occupied point is not checked for."""
        board, chains = self.geometry, self.chains
        before = self.stones[BLACK], self.stones[WHITE]
        if point == board.num_points:
            record = _Undo(
                point, colour, None, None, [], [], False, [], before, self.ko, self.to_move, self.zobrist,
                (self.prisoners[BLACK], self.prisoners[WHITE]),
            )  # fmt: skip
            self.ko = -1
            self._record(record)
            return
        bit = board.bits[point]
        merged: list[Chain] = []
        captured: list[Chain] = []
        changed: list[tuple[Chain, int]] = []
        liberties = board.adjacent[point] & ~(before[0] | before[1])
        for neighbour in board.neighbours[point]:
            chain = chains[neighbour]
            if chain is None:
                continue
            if chain.colour == colour:
                if chain not in merged:
                    merged.append(chain)
            elif chain.liberties & bit:
                changed.append((chain, chain.liberties))
                chain.liberties ^= bit
                if not chain.liberties:
                    captured.append(chain)
        own = board.zobrist[colour][point]
        zobrist = self.zobrist ^ own
        grown = None
        if merged:
            main = merged[0] if len(merged) == 1 else max(merged, key=lambda chain: chain.stones.bit_count())
            grown = main.stones, main.liberties, main.zobrist
            stones, hashed = main.stones | bit, main.zobrist ^ own
            liberties |= main.liberties
            if len(merged) > 1:
                merged.remove(main)
                for chain in merged:
                    stones |= chain.stones
                    liberties |= chain.liberties
                    hashed ^= chain.zobrist
                    del self.groups[chain]
                    for other in board.points(chain.stones):
                        chains[other] = main
            else:
                merged = []
            main.stones, main.liberties, main.zobrist = stones, liberties & ~bit, hashed
        else:
            main = Chain(colour, bit, liberties, own)
            self.groups[main] = None
        chains[point] = main
        self.stones[colour] |= bit
        prisoners = self.prisoners[BLACK], self.prisoners[WHITE]
        ko = -1
        suicide = False
        if captured:
            taken = 0
            for chain in captured:
                taken |= chain.stones
                zobrist ^= chain.zobrist
            self._take_off(captured, -colour, changed)
            count = taken.bit_count()
            self.prisoners[colour] += count
            if count == 1 and main.stones == bit and main.liberties == taken:
                ko = board.point_of(taken)
        elif not main.liberties:
            suicide = True
            zobrist ^= main.zobrist
            self.prisoners[-colour] += main.stones.bit_count()
            self._take_off([main], colour, changed)
        record = _Undo(
            point, colour, main, grown, merged, captured, suicide, changed, before, self.ko, self.to_move,
            self.zobrist, prisoners,
        )  # fmt: skip
        self.ko, self.zobrist = ko, zobrist
        self._record(record)

    def _take_off(self, captured: list[Chain], colour: int, changed: list[tuple[Chain, int]]) -> None:
        """Take chains of a colour off the board and give their neighbours the liberties."""
        board, chains = self.geometry, self.chains
        taken = 0
        for chain in captured:
            taken |= chain.stones
            del self.groups[chain]
            for point in board.points(chain.stones):
                chains[point] = None
        self.stones[colour] ^= taken
        around = board.grown(taken) & self.stones[-colour]
        while around:
            neighbour = chains[board.point_of(around & -around)]
            assert neighbour is not None
            around &= ~neighbour.stones
            changed.append((neighbour, neighbour.liberties))
            neighbour.liberties |= board.grown(neighbour.stones) & taken

    def _record(self, record: _Undo) -> None:
        self._undo.append(record)
        self.moves.append((record.colour, record.point))
        self.to_move = -record.colour
        self._positions.append(Position(self.stones[BLACK], self.stones[WHITE], self.to_move, self.zobrist))
        key = self._key(self.zobrist, self.to_move)
        self._seen[key] = self._seen.get(key, 0) + 1

    def undo(self) -> None:
        """Take the last move back.

        Raises:
            IllegalMoveError: There is none: nothing was played, or not since the last set-up or copy.
        """
        if not self._undo:
            raise IllegalMoveError("There is no move to take back.")
        board, chains = self.geometry, self.chains
        key = self._key(self.zobrist, self.to_move)
        if self._seen[key] == 1:
            del self._seen[key]
        else:
            self._seen[key] -= 1
        self._positions.pop()
        self.moves.pop()
        record = self._undo.pop()
        main = record.chain
        if main is not None:
            restored = [main, *record.captured] if record.suicide else record.captured
            for chain in restored:
                self.groups[chain] = None
                for point in board.points(chain.stones):
                    chains[point] = chain
            # In reverse: a chain may have lost a liberty first and gained others then.
            for chain, liberties in reversed(record.liberties):
                chain.liberties = liberties
            if record.grown is None:
                del self.groups[main]
            else:
                main.stones, main.liberties, main.zobrist = record.grown
            for chain in record.merged:
                self.groups[chain] = None
                for point in board.points(chain.stones):
                    chains[point] = chain
            chains[record.point] = None
        self.stones[BLACK], self.stones[WHITE] = record.stones
        self.prisoners[BLACK], self.prisoners[WHITE] = record.prisoners
        self.ko, self.to_move, self.zobrist = record.ko, record.to_move, record.zobrist

    def _key(self, zobrist: int, to_move: int) -> int:
        """What the rule of superko compares."""
        return zobrist ^ self.geometry.side[to_move] if self.rules.ko == "situational" else zobrist

    def _repeats(self, point: int, colour: int) -> bool:
        """Whether a move would bring an earlier position back; a hash that is found is compared stone by stone."""
        board, bit = self.geometry, self.geometry.bits[point]
        zobrist = self.zobrist ^ board.zobrist[colour][point]
        taken = own = breathing = 0
        own_hash = board.zobrist[colour][point]
        seen: list[Chain] = []
        for neighbour in board.neighbours[point]:
            chain = self.chains[neighbour]
            if chain is None:
                breathing = 1
            elif chain not in seen:
                seen.append(chain)
                if chain.colour == colour:
                    own |= chain.stones
                    own_hash ^= chain.zobrist
                    breathing |= chain.liberties ^ bit
                elif chain.liberties == bit:
                    taken |= chain.stones
                    zobrist ^= chain.zobrist
        stones = list(self.stones)
        stones[colour] |= bit
        stones[-colour] &= ~taken
        if not taken and not breathing:
            zobrist ^= own_hash
            stones[colour] &= ~(own | bit)
        if self._key(zobrist, -colour) not in self._seen:
            return False
        situational = self.rules.ko == "situational"
        return any(
            position.black == stones[BLACK]
            and position.white == stones[WHITE]
            and (not situational or position.to_move == -colour)
            for position in self._positions
        )

    def legal(self, colour: int | None = None) -> int:
        """The set of points where a player may play.

        Args:
            colour: Which player; None for the one to move.
        """
        board = self.geometry
        colour = self.to_move if colour is None else colour
        empty = board.full & ~self.occupied
        if self.rules.suicide:
            found = empty
        else:
            right, left, down, up = board.shifted(empty)
            found = empty & (right | left | down | up)
            for chain in self.groups:
                liberties = chain.liberties
                # Of one liberty alone: to fill it takes an opponent's chain, and leaves one's own without any.
                if (liberties & (liberties - 1) == 0) == (chain.colour != colour):
                    found |= liberties
        if self.rules.ko == "simple":
            if self.ko >= 0 and colour == self.to_move:
                found &= ~board.bits[self.ko]
            return found
        return found & ~self._repeating(found, colour)

    def _repeating(self, candidates: int, colour: int) -> int:
        """Those of the points where a move would repeat a position."""
        board = self.geometry
        count = self.occupied.bit_count()
        highest = max((position.black | position.white).bit_count() for position in self._positions)
        if count + 1 > highest:
            # A move after which no stones are taken off gives more stones than any position had.
            taking = 0
            if self.rules.suicide:
                empty = board.full & ~self.occupied
                right, left, down, up = board.shifted(empty)
                taking = empty & ~(right | left | down | up)
            for chain in self.groups:
                if chain.liberties & (chain.liberties - 1) == 0:
                    taking |= chain.liberties
            candidates &= taking
        return board.set_of(point for point in board.points(candidates) if self._repeats(point, colour))

    def __str__(self) -> str:
        """The board as GTP shows it: X black, O white."""
        size = self.size
        width = len(str(size))
        columns = " " * (width + 1) + " ".join(COLUMNS[:size])
        rows = [
            f"{size - row:>{width}} "
            + " ".join(
                {EMPTY: ".", BLACK: "X", WHITE: "O"}[self.colour_at(row * size + column)] for column in range(size)
            )
            + f" {size - row}"
            for row in range(size)
        ]
        return "\n".join([columns, *rows, columns])
