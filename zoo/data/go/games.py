"""Games: what an SGF file says of one, checked move by move against the rules."""

import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from zoo.data.errors import DataError, printable
from zoo.data.go.board import (
    AGA,
    CHINESE,
    COLOUR_NAMES,
    JAPANESE,
    NEW_ZEALAND,
    TROMP_TAYLOR,
    Board,
    IllegalMoveError,
    Rules,
)
from zoo.data.go.geometry import BLACK, LARGEST, SMALLEST, WHITE, geometry
from zoo.data.go.sgf import Node, SgfError, parse, serialise

OnIllegal = Literal["raise", "cut"]

# Sizes above which SGF's "tt" is a point and not a pass (FF[3]).
_LARGEST_WITH_TT = 19
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_RULES = {
    "japanese": JAPANESE, "chinese": CHINESE, "aga": AGA, "nz": NEW_ZEALAND, "new zealand": NEW_ZEALAND,
    "tromp-taylor": TROMP_TAYLOR,
}  # fmt: skip
_RULES_NAMES = {
    JAPANESE: "Japanese", CHINESE: "Chinese", AGA: "AGA", NEW_ZEALAND: "NZ", TROMP_TAYLOR: "Tromp-Taylor"
}  # fmt: skip
_RESULT = re.compile(r"([BW])\+", re.IGNORECASE)


class IllegalGameError(DataError):
    """A game that cannot be played by the rules.

    Attributes:
        move: Number of the first move that cannot be, from 1; 0 for what stands before the first.
        reason: Why.
        game: The game up to that move; None where nothing of it can be used.
    """

    def __init__(self, move: int, reason: str, game: "Game | None" = None) -> None:
        super().__init__(f"Move {move}: {reason}" if move else reason)
        self.move = move
        self.reason = reason
        self.game = game


@dataclass(frozen=True)
class Game:
    """A game as it was played.

    Attributes:
        size: Rows and columns of the board.
        moves: Colour (1 black, -1 white) and point of each move; `size * size` is a pass.
        black_setup: Points of black stones that lay there before the first move, such as handicap.
        white_setup: The same for white.
        first: Who moves first.
        handicap: Number of handicap stones.
        komi: Points for white; 0 where the file says nothing.
        rules: By which it was played.
        result: As written: "B+3.5", "W+R", "0" for a draw, "" if unknown.
        black: Black's name.
        white: White's name.
        name: Where the game is from.
    """

    size: int
    moves: tuple[tuple[int, int], ...]
    black_setup: tuple[int, ...] = ()
    white_setup: tuple[int, ...] = ()
    first: int = BLACK
    handicap: int = 0
    komi: float = 0.0
    rules: Rules = CHINESE
    result: str = ""
    black: str = ""
    white: str = ""
    name: str = field(default="", compare=False)

    @property
    def winner(self) -> int | None:
        """1 black, -1 white, 0 a draw, None unknown."""
        if found := _RESULT.match(self.result):
            return BLACK if found[1].upper() == "B" else WHITE
        return 0 if self.result.lower() in ("0", "draw", "jigo") else None

    def start(self) -> Board:
        """The board before the first move."""
        board = Board(self.size, rules=self.rules, komi=self.komi)
        board.setup(black=self.black_setup, white=self.white_setup, to_move=self.first)
        board.handicap = self.handicap
        return board

    def replay(self) -> Iterator[tuple[Board, int, int]]:
        """The board before each move, with the colour and the point of the move.

        It is one board that goes on: copy it to keep it.

        Raises:
            IllegalGameError: A move is not legal.
        """
        board = self.start()
        for number, (colour, point) in enumerate(self.moves, 1):
            board.to_move = colour
            yield board, colour, point
            try:
                board.play(point, colour)
            except IllegalMoveError as error:
                raise IllegalGameError(number, str(error)) from None

    def fingerprint(self) -> str:
        """What is the same for a game turned or mirrored: the smallest of the eight readings of its moves and stones.

        In which order the stones are named that lay there before the first move does not count. Games are told apart by
        it when they are split, so that no game is in two splits under another name.
        """
        size = self.size
        every = [*self.moves, *((2, point) for point in self.black_setup), *((-2, point) for point in self.white_setup)]
        readings = []
        for number in range(8):
            reading = []
            for colour, point in every:
                row, column = divmod(point, size)
                if point == size * size:
                    reading.append((colour, -1))
                    continue
                if number & 4:
                    row, column = column, row
                if number & 1:
                    row = size - 1 - row
                if number & 2:
                    column = size - 1 - column
                reading.append((colour, row * size + column))
            readings.append(reading[: len(self.moves)] + sorted(reading[len(self.moves) :]))
        return hashlib.sha256(repr((size, min(readings))).encode()).hexdigest()

    def to_node(self) -> Node:
        """The game as a tree of SGF."""
        root = Node({"GM": ["1"], "FF": ["4"], "CA": ["UTF-8"], "SZ": [str(self.size)], "KM": [f"{self.komi:g}"]})
        facts = {"RU": _RULES_NAMES.get(self.rules, ""), "RE": self.result, "PB": self.black, "PW": self.white}
        facts["HA"] = str(self.handicap) if self.handicap else ""
        root.properties.update({name: [value] for name, value in facts.items() if value})
        for name, points in (("AB", self.black_setup), ("AW", self.white_setup)):
            if points:
                root.properties[name] = [_letters(point, self.size) for point in points]
        if self.first == WHITE:
            root.properties["PL"] = ["W"]
        node = root
        for colour, point in self.moves:
            new = Node({"B" if colour == BLACK else "W": [_letters(point, self.size)]})
            node.children.append(new)
            node = new
        return root


def _letters(point: int, size: int) -> str:
    """A point as SGF writes it, column first; a pass is nothing."""
    if point == size * size:
        return ""
    row, column = divmod(point, size)
    return _LETTERS[column] + _LETTERS[row]


def _point(value: str, size: int) -> int:
    """The point of a move's value."""
    value = value.strip()
    if not value or (value == "tt" and size <= _LARGEST_WITH_TT):
        return size * size
    column, row = (_LETTERS.find(letter) for letter in value) if len(value) == 2 else (-1, -1)
    if not (0 <= column < size and 0 <= row < size):
        raise DataError(f"{printable(value)!r} is no point of a board of {size}x{size}.")
    return row * size + column


def _points(values: Iterable[str], size: int) -> tuple[int, ...]:
    """The points of a list's values; "aa:cc" is a rectangle."""
    found: list[int] = []
    for value in values:
        first, colon, last = value.partition(":")
        begin, end = _point(first, size), _point(last if colon else first, size)
        if size * size in (begin, end):
            raise DataError(f"{printable(value)!r} is no point of a board of {size}x{size}.")
        found += [
            row * size + column
            for row in range(begin // size, end // size + 1)
            for column in range(begin % size, end % size + 1)
        ]
    return tuple(found)


def game_from_nodes(nodes: Iterable[Node], *, name: str = "", on_illegal: OnIllegal = "raise") -> Game:
    """The game of a line of nodes, the root first; each move is checked.

    Args:
        nodes: Such as `Node.main_line` gives.
        name: What the game is called.
        on_illegal: What a move that cannot be does: "raise" rejects the game, "cut" ends it before that move.

    Raises:
        IllegalGameError: A move cannot be, or the root says what cannot be: with the number of the move and the reason.
    """
    nodes = iter(nodes)
    root = next(nodes)
    size = _size(root)
    try:
        setup = {key: _points(root.properties.get(key, ()), size) for key in ("AB", "AW")}
        komi = _komi(root)
    except DataError as error:
        raise IllegalGameError(0, str(error)) from None
    handicap = root.get("HA")
    first = WHITE if (root.get("PL") or "").strip().upper()[:1] in ("W", "2") else BLACK
    if "PL" not in root.properties and setup["AB"] and not setup["AW"]:
        first = WHITE
    moves: list[tuple[int, int]] = []

    def made() -> Game:
        return Game(
            size=size, moves=tuple(moves), black_setup=setup["AB"], white_setup=setup["AW"],
            first=moves[0][0] if moves else first,
            handicap=int(handicap) if handicap and handicap.strip().isdecimal() else 0,
            komi=komi, rules=_RULES.get((root.get("RU") or "").strip().lower(), JAPANESE),
            result=(root.get("RE") or "").strip(), black=root.get("PB") or "", white=root.get("PW") or "", name=name,
        )  # fmt: skip

    try:
        board = made().start()
    except DataError as error:
        raise IllegalGameError(0, f"The set-up cannot be: {error}") from None
    for node in (root, *nodes):
        reason = None
        if node is not root and node.properties.keys() & {"AB", "AW", "AE"}:
            reason = "stones are set up in the middle of the game."
        for key, colour in (("B", BLACK), ("W", WHITE)):
            if key not in node.properties or reason:
                continue
            try:
                point = _point(node.properties[key][0], size)
                if moves and moves[-1][0] == colour:
                    raise DataError(f"{COLOUR_NAMES[colour]} plays twice in a row.")
                if not moves:  # situational superko asks who moved in the first position
                    board.setup(to_move=colour)
                board.play(point, colour)
            except DataError as error:
                reason = str(error)
            else:
                moves.append((colour, point))
        if reason:
            if on_illegal == "cut" and moves:
                break
            raise IllegalGameError(len(moves) + 1, reason, made())
    return made()


def _size(root: Node) -> int:
    if (root.get("GM") or "1").strip() != "1":
        raise IllegalGameError(0, f"It is no game of Go. Received: GM[{printable(root.get('GM') or '')}]")
    text = (root.get("SZ") or "19").strip()
    columns, _, rows = text.partition(":")
    if not columns.isdecimal() or rows not in ("", columns) or not SMALLEST <= int(columns) <= LARGEST:
        raise IllegalGameError(
            0, f"A board has {SMALLEST} to {LARGEST} rows and as many columns. Received: SZ[{printable(text)}]"
        )
    return int(columns)


def _komi(root: Node) -> float:
    text = (root.get("KM") or "0").strip().replace(",", ".")
    try:
        komi = float(text)
    except ValueError:
        komi = math.nan
    if not abs(komi) <= 1000:  # also where it is not a number
        raise DataError(f"Komi is a number of points. Received: KM[{printable(text)}]")
    return komi


def read_games(path: str | Path, *, on_illegal: OnIllegal = "raise") -> tuple[list[Game], dict[str, str]]:
    """All games of a file or folder: `.sgf`, each with one or many games, plain or `.gz`.

    Args:
        path: A file, or a folder whose files are read in the order of their names, also in folders below.
        on_illegal: What a move that cannot be does: "raise" rejects the game, "cut" keeps what comes before.

    Returns:
        The games, and for each that was rejected its name and the reason.

    Raises:
        DataError: There is no such path, or no file below it.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.name.lower().endswith((".sgf", ".sgf.gz")))
    elif path.is_file():
        files = [path]
    else:
        raise DataError(f"There is no file or folder {printable(str(path))}.")
    if not files:
        raise DataError(f"{printable(str(path))} holds no .sgf file.")
    games: list[Game] = []
    rejected: dict[str, str] = {}
    for file in files:
        label = file.name if path.is_file() else file.relative_to(path).as_posix()
        try:
            content = file.read_bytes()
            roots = parse(gzip.decompress(content) if file.suffix == ".gz" else content)
        except (SgfError, OSError, EOFError, zlib.error) as error:
            rejected[label] = str(error)
            continue
        for number, root in enumerate(roots, 1):
            name = label if len(roots) == 1 else f"{label}#{number}"
            try:
                games.append(game_from_nodes(root.main_line(), name=name, on_illegal=on_illegal))
            except IllegalGameError as error:
                rejected[name] = str(error)
    return games, rejected


def to_sgf(games: Game | Sequence[Game]) -> str:
    """The text of an SGF file with one game or several."""
    return serialise([games.to_node()] if isinstance(games, Game) else [game.to_node() for game in games])


def handicap_points(size: int, count: int) -> list[int]:
    """Where GTP's fixed_handicap puts stones, on boards of odd sizes from 9, or 7 for up to four stones.

    Raises:
        DataError: There are no such points.
    """
    most = 9 if size % 2 and size >= 9 else 4 if size >= 7 else 0
    if not 2 <= count <= most:
        raise DataError(f"A board of {size}x{size} has {most or 'no'} handicap points. Received: {count}")
    board = geometry(size)
    low = 2 if size < 13 else 3
    high, middle = size - 1 - low, size // 2
    corners = [(high, low), (low, high), (low, low), (high, high)]
    sides = [(middle, low), (middle, high), (low, middle), (high, middle)]
    chosen = corners[:count]
    if count in (5, 7, 9):
        chosen = [*chosen[:4], *sides[: count - 5], (middle, middle)]
    elif count in (6, 8):
        chosen = [*chosen[:4], *sides[: count - 4]]
    return sorted(board.size * row + column for row, column in chosen)
