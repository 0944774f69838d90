"""A Go Text Protocol engine, version 2 (https://www.lysator.liu.se/~gunnar/gtp/gtp2-spec-draft2/gtp2-spec.html)."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

import zoo
from applications.go.network import Network
from applications.go.players import Player
from zoo.data import DataError
from zoo.data.go import BLACK, CHINESE, WHITE, Board, Rules, handicap_points, read_games, score

_COLOURS = {"b": BLACK, "black": BLACK, "w": WHITE, "white": WHITE}
_GREATEST_KOMI = 1000.0


class _Refusal(Exception):  # noqa: N818  (an answer of the protocol, not an error of ours)
    pass


class GtpEngine:
    """Answers GTP commands.

    Args:
        player: Who chooses the moves.
        size: Rows and columns of the board, which a network fixes.
        komi: Points for white until `komi` says otherwise.
        rules: Which moves are legal, and how `final_score` counts; in a game that `loadsgf` reads, those of its file.
        network: For the command `policy`, which gogui draws; None for none.
        sizes: Other sizes that the player takes; () for `size` alone.
    """

    def __init__(
        self,
        player: Player,
        size: int,
        *,
        komi: float = 7.0,
        rules: Rules = CHINESE,
        network: Network | None = None,
        sizes: Iterable[int] = (),
    ) -> None:
        self.player = player
        self.network = network
        self.sizes = {size, *sizes}
        self.rules = rules
        self.board = Board(size, rules=rules, komi=komi)
        self.games = 0
        self.is_over = False
        self.commands: dict[str, Callable[[list[str]], str]] = {
            "protocol_version": lambda words: "2",
            "name": lambda words: "cnn-zoo",
            "version": lambda words: zoo.__version__,
            "known_command": lambda words: str(bool(words) and words[0] in self.commands).lower(),
            "list_commands": lambda words: "\n".join(sorted(self.commands)),
            "quit": self._quit,
            "boardsize": self._boardsize,
            "clear_board": self._clear_board,
            "komi": self._komi,
            "fixed_handicap": self._fixed_handicap,
            "place_free_handicap": self._fixed_handicap,
            "set_free_handicap": self._set_free_handicap,
            "play": self._play,
            "genmove": self._genmove,
            "reg_genmove": self._reg_genmove,
            "undo": self._undo,
            "loadsgf": self._loadsgf,
            "time_settings": lambda words: "",
            "time_left": lambda words: "",
            "final_score": lambda words: score(self.board).result,
            "final_status_list": self._final_status_list,
            "showboard": lambda words: "\n" + str(self.board),
            "all_legal": self._all_legal,
            "policy": self._policy,
            "gogui-analyze_commands": lambda words: "dboard/Policy/policy",
        }

    def answer(self, line: str) -> str | None:
        """The answer to a line, with its sign and the empty line behind it; None where the line asks nothing."""
        line = line.partition("#")[0].replace("\t", " ")
        words = "".join(character for character in line if character >= " " and character != "\x7f").split()
        if not words:
            return None
        number = words.pop(0) if words[0].isdecimal() else ""
        if not words:
            return None
        name, arguments = words[0], words[1:]
        try:
            if name not in self.commands:
                raise _Refusal("unknown command")
            sign, text = "=", self.commands[name](arguments)
        except _Refusal as refusal:
            sign, text = "?", str(refusal)
        return f"{sign}{number}{' ' if text and not text.startswith(chr(10)) else ''}{text}\n\n"

    def serve(self, lines: Iterable[str], out: TextIO) -> None:
        """Answer lines until `quit` or their end."""
        for answer in self._answers(lines):
            out.write(answer)
            out.flush()

    def _answers(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            answer = self.answer(line)
            if answer is not None:
                yield answer
            if self.is_over:
                return

    def _quit(self, words: list[str]) -> str:
        self.is_over = True
        return ""

    def _boardsize(self, words: list[str]) -> str:
        size = _whole(words)
        if size not in self.sizes:
            raise _Refusal("unacceptable size")
        self.board = Board(size, rules=self.rules, komi=self.board.komi)
        return self._clear_board([])

    def _clear_board(self, words: list[str]) -> str:
        self.board.rules = self.rules
        self.board.clear()
        self.games += 1
        self.player.new_game(self.games)
        return ""

    def _komi(self, words: list[str]) -> str:
        try:
            komi = float(words[0])
        except (IndexError, ValueError):
            raise _Refusal("syntax error") from None
        if not abs(komi) <= _GREATEST_KOMI or math.isnan(komi):
            raise _Refusal("komi is not a number of points")
        self.board.komi = komi
        return ""

    def _fixed_handicap(self, words: list[str]) -> str:
        count = _whole(words)
        if self.board.occupied or self.board.moves:
            raise _Refusal("board not empty")
        try:
            points = handicap_points(self.board.size, count)
        except DataError:
            raise _Refusal("invalid number of stones") from None
        self.board.place_handicap(points)
        return " ".join(map(self.board.geometry.vertex, points))

    def _set_free_handicap(self, words: list[str]) -> str:
        if self.board.occupied or self.board.moves:
            raise _Refusal("board not empty")
        try:
            points = [self.board.geometry.point(word) for word in words]
            if self.board.pass_move in points:
                raise DataError("a pass is no stone")
            self.board.place_handicap(points)
        except ValueError:
            raise _Refusal("bad vertex list") from None
        return ""

    def _play(self, words: list[str]) -> str:
        if len(words) < 2 or words[0].lower() not in _COLOURS:
            raise _Refusal("invalid color or coordinate")
        try:
            point = self.board.geometry.point(words[1])
        except ValueError:
            raise _Refusal("invalid color or coordinate") from None
        try:
            self.board.play(point, _COLOURS[words[0].lower()])
        except DataError:
            raise _Refusal("illegal move") from None
        return ""

    def _choose(self, words: list[str]) -> int | None:
        colour = _COLOURS.get(words[0].lower()) if words else None
        if colour is None:
            raise _Refusal("invalid color")
        before = self.board.to_move
        self.board.to_move = colour
        point = self.player.choose(self.board)
        if point is None:
            self.board.to_move = before
        return point

    def _genmove(self, words: list[str]) -> str:
        point = self._choose(words)
        if point is None:
            return "resign"
        self.board.play(point)
        return self.board.geometry.vertex(point)

    def _reg_genmove(self, words: list[str]) -> str:
        before = self.board.to_move
        point = self._choose(words)
        self.board.to_move = before
        return "resign" if point is None else self.board.geometry.vertex(point)

    def _undo(self, words: list[str]) -> str:
        try:
            self.board.undo()
        except DataError:
            raise _Refusal("cannot undo") from None
        return ""

    def _loadsgf(self, words: list[str]) -> str:
        if not words or (len(words) > 1 and not words[-1].isdecimal()):
            raise _Refusal("syntax error")
        last = int(words[-1]) if len(words) > 1 else None
        try:
            games, _ = read_games(Path(words[0]))
        except DataError:
            games = []
        if not games or games[0].size not in self.sizes:
            raise _Refusal("cannot load file")
        self.board = games[0].start()
        for colour, point in games[0].moves[: None if last is None else max(last - 1, 0)]:
            self.board.play(point, colour)
        self.player.new_game(self.games)
        return ""

    def _final_status_list(self, words: list[str]) -> str:
        """All stones that lie there are alive, as `final_score` counts them."""
        if len(words) != 1 or words[0] not in ("alive", "dead", "seki"):
            raise _Refusal("invalid status")
        if words[0] != "alive":
            return ""
        board = self.board.geometry
        return "\n".join(" ".join(map(board.vertex, board.points(chain.stones))) for chain in self.board.groups)

    def _all_legal(self, words: list[str]) -> str:
        colour = _COLOURS.get(words[0].lower()) if words else None
        if colour is None:
            raise _Refusal("invalid color")
        board = self.board.geometry
        return " ".join(map(board.vertex, board.points(self.board.legal(colour))))

    def _policy(self, words: list[str]) -> str:
        """The probability of each point, a row of the board in a line, for gogui."""
        if self.network is None:
            raise _Refusal("there is no network")
        (policy,), _ = self.network([self.board])
        size = self.board.size
        return "\n".join(
            " ".join(f"{value:.4f}" for value in policy[row * size : (row + 1) * size]) for row in range(size)
        )


def _whole(words: list[str]) -> int:
    if not words or not words[0].isdecimal():
        raise _Refusal("syntax error")
    return int(words[0])
