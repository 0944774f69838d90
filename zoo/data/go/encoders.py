"""What a network sees of a position: planes, in groups that say how many they have.

- `matrix`: the one matrix that courses draw: black 1, white -1, none 0. It does not say whose turn it is;
  `matrix_to_move` does: the player to move is 1, the opponent -1.
- `simple`: own stones, opponent's stones, empty points, ones.
- `history`: the same, and where the last four moves were.
- `tactical`: the same, and liberties, captures and liberties after a move: 22 planes.
- `clark8`: Clark and Storkey, 2014: chains by colour with one, two, three or more liberties, the ko, ones.
- `alphago48`: Silver et al., "Mastering the game of Go with deep neural networks and tree search", Nature 529, 2016,
  extended data table 2, without the player's colour; `alphago49` has it, for the value network.
- `alphagozero17`: Silver et al., "Mastering the game of Go without human knowledge", Nature 550, 2017: the stones of
  both players now and in the seven positions before, and the player's colour.
- `leela18`: the same with a plane for each colour, of which the one to move is ones, as Leela Zero has it.

Where the papers leave something open: the first of eight planes of a count stands for 1, the last for 8 or more; for
the size of a capture the first stands for none. The first plane of "turns since" is the last move, set-up stones have
the last. An own eye, which "sensibleness" leaves out, is an empty point with own stones on all sides and at most one
opponent's stone on its diagonals, none at the edge. A ladder is captured or escaped as `zoo.data.go.Ladders` reads it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zoo.data.errors import DataError
from zoo.data.go.board import Board, Chain
from zoo.data.go.geometry import BLACK, Geometry
from zoo.data.go.ladders import Ladders


class View:
    """A position from the player to move, with what several groups of planes need, found once.

    Args:
        board: The position; ladders are played out on it, and it is the same afterwards.
        ladders: The reader of ladders.
    """

    def __init__(self, board: Board, ladders: Ladders) -> None:
        self.board = board
        self.geometry: Geometry = board.geometry
        self.ladders = ladders
        self.colour = board.to_move
        self.own = board.stones[self.colour]
        self.opponent = board.stones[-self.colour]
        self.empty = self.geometry.full & ~(self.own | self.opponent)

    @cached_property
    def legal(self) -> int:
        """The set of points where the player may move."""
        return self.board.legal()

    @cached_property
    def chains(self) -> tuple[list[Chain], list[Chain]]:
        """The player's chains and the opponent's."""
        own: list[Chain] = []
        other: list[Chain] = []
        for chain in self.board.groups:
            (own if chain.colour == self.colour else other).append(chain)
        return own, other

    @cached_property
    def liberties(self) -> list[int]:
        """The chains of 1, 2, … 7, and 8 or more liberties, as eight sets."""
        sets = [0] * 8
        for chain in self.board.groups:
            sets[min(chain.liberties.bit_count(), 8) - 1] |= chain.stones
        return sets

    @cached_property
    def in_atari(self) -> dict[int, int]:
        """For each point that takes opponent's chains, as a set of one: the stones that it takes."""
        taken: dict[int, int] = {}
        for chain in self.chains[1]:
            liberty = chain.liberties
            if liberty & (liberty - 1) == 0:
                taken[liberty] = taken.get(liberty, 0) | chain.stones
        return taken

    @cached_property
    def after(self) -> list[int]:
        """The legal moves after which the player's stone has 1, 2, … 7, and 8 or more liberties, as eight sets.

        Suicide, which some rules allow, leaves no stone and is in none.
        """
        geometry, empty = self.geometry, self.empty
        sets = [0] * 8
        # Most moves join no chain or one, and take nothing: counted for all points at once, by adding bits.
        once = several = 0
        chains = []
        for chain in self.chains[0]:
            liberties = chain.liberties
            several |= once & liberties
            once |= liberties
            chains.append((liberties, liberties.bit_count()))
        capturing = 0
        for bit in self.in_atari:
            capturing |= bit
        slow = (several | capturing) & self.legal
        alone = self.legal & ~once & ~slow
        right, left, down, up = geometry.shifted(empty)
        for number, where in enumerate(_counted(right, left, down, up)[1:], 1):
            sets[number - 1] |= where & alone
        simple = self.legal & once & ~slow
        for liberties, count in chains:
            if where := liberties & simple:
                # The chain keeps its other liberties and gains the empty neighbours that it did not have.
                right, left, down, up = geometry.shifted(empty & ~liberties)
                for number, counted in enumerate(_counted(right, left, down, up)):
                    if (found := counted & where) and (free := count - 1 + number):
                        sets[min(free, 8) - 1] |= found
        while slow:
            bit = slow & -slow
            slow ^= bit
            if free := self._after_one(bit)[1].bit_count():
                sets[min(free, 8) - 1] |= bit
        return sets

    def _after_one(self, bit: int) -> tuple[int, int]:
        """Stones and liberties of the chain that a legal move gives."""
        geometry, chains, colour = self.geometry, self.board.chains, self.colour
        point = geometry.point_of(bit)
        stones = bit
        liberties = geometry.adjacent[point] & self.empty
        for neighbour in geometry.neighbours[point]:
            chain = chains[neighbour]
            if chain is not None and chain.colour == colour:
                stones |= chain.stones
                liberties |= chain.liberties
        if taken := self.in_atari.get(bit):
            liberties |= geometry.grown(stones) & taken
        return stones, liberties & ~bit

    @cached_property
    def eyes(self) -> int:
        """The player's own eyes."""
        geometry, own = self.geometry, self.own
        # Points beyond the edge count as own for the neighbours, and as one opponent's stone for the diagonals.
        right, left, down, up = geometry.shifted(geometry.full & ~own)
        surrounded = self.empty & ~(right | left | down | up)
        if not surrounded:
            return 0
        one = two = 0
        for diagonal in geometry.shifted_diagonally(self.opponent):
            two |= one & diagonal
            one |= diagonal
        return surrounded & ~two & ~(one & geometry.border)


def _counted(first: int, second: int, third: int, fourth: int) -> tuple[int, int, int, int, int]:
    """The points that are in none, one, two, three and all of four sets."""
    one, both = first ^ second, first & second
    other, others = third ^ fourth, third & fourth
    # one + 2 both + other + 2 others, in binary.
    units = one ^ other
    carry = one & other
    twos = both ^ others ^ carry
    fours = both & others
    return ~(units | twos | fours), units & ~twos, twos & ~units, units & twos, fours


@dataclass(frozen=True)
class Group:
    """Planes that belong together.

    Attributes:
        name: What they show.
        num_planes: How many.
        sets: From a view to that many sets of points.
    """

    name: str
    num_planes: int
    sets: Callable[[View], Sequence[int]]


def _colours(view: View) -> list[int]:
    return [view.own, view.opponent, view.empty]


def _ones(view: View) -> list[int]:
    return [view.geometry.full]


def _zeros(view: View) -> list[int]:
    return [0]


def _own_and_opponent(view: View) -> list[int]:
    return [view.own, view.opponent]


def _black_to_move(view: View) -> list[int]:
    return [view.geometry.full if view.colour == BLACK else 0]


def _each_to_move(view: View) -> list[int]:
    return [view.geometry.full if view.colour == BLACK else 0, 0 if view.colour == BLACK else view.geometry.full]


def _last_moves(view: View) -> list[int]:
    """Where the last four moves were, the last first; passes leave a plane empty."""
    moves = view.board.moves[:-5:-1]
    bits = view.geometry.bits
    sets = [bits[point] if point < view.geometry.num_points else 0 for _, point in moves]
    return sets + [0] * (4 - len(sets))


def _turns_since(view: View) -> list[int]:
    """The stones that were played in the last, last but one, … move, and the others."""
    bits, passed = view.geometry.bits, view.geometry.num_points
    rest = view.own | view.opponent
    sets = []
    for _, point in view.board.moves[:-8:-1]:
        found = rest & bits[point] if point != passed else 0
        sets.append(found)
        rest ^= found
    return sets + [0] * (7 - len(sets)) + [rest]


def _liberties(view: View) -> list[int]:
    return view.liberties


def _liberties_by_colour(view: View) -> list[int]:
    """One, two, three or more liberties: own chains, then the opponent's."""
    one, two, *more = view.liberties
    three = 0
    for stones in more:
        three |= stones
    return [stones & side for side in (view.own, view.opponent) for stones in (one, two, three)]


def _ko(view: View) -> list[int]:
    """The point that simple ko forbids."""
    return [view.geometry.bits[view.board.ko] if view.board.ko >= 0 else 0]


def _capture_size(view: View) -> list[int]:
    """Legal moves that take no stone, one, … six, and seven or more."""
    sets = [view.legal] + [0] * 7
    for bit, taken in view.in_atari.items():
        if bit & view.legal:
            sets[0] ^= bit
            sets[min(taken.bit_count(), 7)] |= bit
    return sets


def _few_captures(view: View) -> list[int]:
    """Legal moves that take one, two, three or more stones."""
    _, one, two, *more = _capture_size(view)
    return [one, two, sum(more)]


def _self_atari(view: View) -> list[int]:
    """Legal moves that leave the player's chain one liberty: how many stones it has then."""
    sets = [0] * 8
    rest = view.after[0]
    while rest:
        bit = rest & -rest
        rest ^= bit
        sets[min(view._after_one(bit)[0].bit_count(), 8) - 1] |= bit
    return sets


def _liberties_after(view: View) -> list[int]:
    return view.after


def _few_liberties_after(view: View) -> list[int]:
    """Legal moves after which the stone has one, two, three, four, five or more liberties."""
    one, two, three, four, *more = view.after
    return [one, two, three, four, sum(more)]


def _ladder_capture(view: View) -> list[int]:
    """Legal moves that take a chain in a ladder."""
    geometry, found = view.geometry, 0
    for chain in view.chains[1]:
        if chain.liberties.bit_count() == 2 and chain.liberties & view.legal & ~found:
            moves = view.ladders.captures(view.board, geometry.point_of(chain.stones & -chain.stones))
            found |= geometry.set_of(moves)
    return [found & view.legal]


def _ladder_escape(view: View) -> list[int]:
    """Legal moves that save a chain in atari."""
    geometry, found = view.geometry, 0
    for chain in view.chains[0]:
        if chain.liberties & (chain.liberties - 1) == 0:
            moves = view.ladders.escapes(view.board, geometry.point_of(chain.stones & -chain.stones))
            found |= geometry.set_of(moves)
    return [found & view.legal]


def _sensible(view: View) -> list[int]:
    """Legal moves that do not fill an own eye."""
    return [view.legal & ~view.eyes]


def _past(num_positions: int) -> Callable[[View], list[int]]:
    """Own stones now and before, then the opponent's; zeros before the first position."""

    def sets(view: View) -> list[int]:
        positions = view.board.positions[: -num_positions - 1 : -1]
        missing = [0] * (num_positions - len(positions))
        blacks, whites = [item.black for item in positions], [item.white for item in positions]
        own, other = (blacks, whites) if view.colour == BLACK else (whites, blacks)
        return own + missing + other + missing

    return sets


@dataclass(frozen=True)
class Encoder:
    """From positions to the input of a network.

    Attributes:
        name: What it is called.
        groups: Groups of planes, in order; their counts add up to `num_planes`.
        signed: Whether the only plane is the difference of the two sets, stones of 1 and -1.
        stones: The planes that hold stones: of the player to move, and of the opponent.

    Example:
        >>> from zoo.data.go import Board, encoder
        >>> encoder("alphago48").encode(Board(9)).shape
        (9, 9, 48)
        >>> [(group.name, group.num_planes) for group in encoder("simple").groups]
        [('stone colour', 3), ('ones', 1)]
    """

    name: str
    groups: tuple[Group, ...]
    signed: bool = False
    stones: tuple[tuple[int, ...], tuple[int, ...]] = ((0,), (1,))
    _ladders: Ladders = field(default_factory=Ladders, compare=False, repr=False)

    @property
    def num_planes(self) -> int:
        """Number of channels of the network's input."""
        return 1 if self.signed else sum(group.num_planes for group in self.groups)

    @property
    def value_range(self) -> tuple[int, int]:
        """Lowest and highest value."""
        return (-1, 1) if self.signed else (0, 1)

    def sets(self, board: Board) -> list[int]:
        """The planes of a position as sets of points; for a signed encoder, those of 1 and of -1."""
        view = View(board, self._ladders)
        sets: list[int] = []
        for group in self.groups:
            sets += group.sets(view)
        return sets

    def encode(self, board: Board) -> np.ndarray:
        """The planes of a position.

        Args:
            board: The position, with its history; ladders are played out on it, and it is the same afterwards.

        Returns:
            (size, size, num_planes) int8.
        """
        return self.unpacked(board.geometry, self.sets(board))

    def unpacked(self, board: Geometry, sets: Sequence[int]) -> np.ndarray:
        """Sets that `sets` gave, as planes, (size, size, num_planes) int8."""
        planes = board.planes(sets).astype(np.int8)
        return planes[:, :, :1] - planes[:, :, 1:] if self.signed else planes


def _black_and_white(view: View) -> list[int]:
    return [view.board.stones[BLACK], view.board.stones[-BLACK]]


_COLOURS, _ONES = Group("stone colour", 3, _colours), Group("ones", 1, _ones)
_SIMPLE = (_COLOURS, _ONES)
_HISTORY = (*_SIMPLE, Group("last moves", 4, _last_moves))
_ALPHAGO = (
    _COLOURS,
    _ONES,
    Group("turns since", 8, _turns_since),
    Group("liberties", 8, _liberties),
    Group("capture size", 8, _capture_size),
    Group("self-atari size", 8, _self_atari),
    Group("liberties after move", 8, _liberties_after),
    Group("ladder capture", 1, _ladder_capture),
    Group("ladder escape", 1, _ladder_escape),
    Group("sensibleness", 1, _sensible),
    Group("zeros", 1, _zeros),
)
_BY_COLOUR = Group("liberties by colour", 6, _liberties_by_colour)
_PAST = Group("stones of eight positions", 16, _past(8))

ENCODERS = {
    item.name: item
    for item in (
        Encoder("matrix", (Group("black and white", 2, _black_and_white),), signed=True),
        Encoder("matrix_to_move", (Group("own and opponent", 2, _own_and_opponent),), signed=True),
        Encoder("simple", _SIMPLE),
        Encoder("history", _HISTORY),
        Encoder(
            "tactical",
            (
                *_HISTORY,
                _BY_COLOUR,
                Group("captures", 3, _few_captures),
                Group("liberties after move", 5, _few_liberties_after),
            ),
        ),
        Encoder("clark8", (_BY_COLOUR, Group("ko", 1, _ko), _ONES), stones=((0, 1, 2), (3, 4, 5))),
        Encoder("alphago48", _ALPHAGO),
        Encoder("alphago49", (*_ALPHAGO, Group("player colour", 1, _black_to_move))),
        Encoder("alphagozero17", (_PAST, Group("colour to move", 1, _black_to_move)), stones=((0,), (8,))),
        Encoder("leela18", (_PAST, Group("each colour to move", 2, _each_to_move)), stones=((0,), (8,))),
    )
}


def encoder(name: str) -> Encoder:
    """The encoder of a name.

    Raises:
        DataError: There is none; the names are listed.
    """
    try:
        return ENCODERS[name]
    except KeyError:
        raise DataError(f"Encoders are {', '.join(ENCODERS)}. Received: {name!r}") from None
