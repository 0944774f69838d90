"""Matches: many games between two sides, colours alternating, each opening played from both."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from applications.go.engines import Engine, EngineError, find_program, gnugo
from applications.go.players import Player
from applications.go.selfplay import LONGEST, random_opening
from zoo.data import DataError
from zoo.data.go import BLACK, CHINESE, WHITE, Board, Game, score


class Side(Protocol):
    """One of the two who play."""

    name: str

    def check(self, size: int) -> None:
        """Whether the side can play at all, asked before the first game.

        Args:
            size: Rows and columns.

        Raises:
            DataError: It cannot.
        """
        ...

    def begin(self, board: Board, seed: int) -> None:
        """A new game, which begins with the moves that were played on the board."""
        ...

    def tell(self, board: Board, colour: int, point: int) -> None:
        """A move of the other side, which was played on the board already."""
        ...

    def move(self, board: Board) -> int | None:
        """The move of the player to move; None to resign."""
        ...

    def close(self) -> None:
        """The match is over."""
        ...


class PlayerSide:
    """A player of ours."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.name = player.name

    def check(self, size: int) -> None:
        pass

    def begin(self, board: Board, seed: int) -> None:
        self.player.new_game(seed)

    def tell(self, board: Board, colour: int, point: int) -> None:
        pass

    def move(self, board: Board) -> int | None:
        return self.player.choose(board)

    def close(self) -> None:
        pass


class EngineSide:
    """Another program; each game has a process of its own, so that one crash costs one game.

    Args:
        command: As `Engine` takes it.
        name: What the side is called.
        seeded: Whether the program knows `set_random_seed`.
    """

    def __init__(self, command: str | list[str], *, name: str, seeded: bool = False, timeout: float = 120.0) -> None:
        self.command, self.name, self.seeded, self.timeout = command, name, seeded, timeout
        self._engine: Engine | None = None

    def check(self, size: int) -> None:
        try:
            with Engine(self.command, timeout=self.timeout) as engine:
                engine.send(f"boardsize {size}")
        except EngineError as error:
            raise DataError(
                f"An opponent must be a run folder or a GTP program that plays on {size}x{size}. "
                f"Received: {self.name!r}. {error}"
            ) from None

    def begin(self, board: Board, seed: int) -> None:
        self.close()
        self._engine = engine = Engine(self.command, timeout=self.timeout)
        setup = [f"boardsize {board.size}", "clear_board", f"komi {board.komi:g}"]
        engine.send_all([*setup, *([f"set_random_seed {seed}"] if self.seeded else [])])
        for colour, point in board.moves:
            engine.play(board.geometry, colour, point)

    def tell(self, board: Board, colour: int, point: int) -> None:
        assert self._engine is not None
        self._engine.play(board.geometry, colour, point)

    def move(self, board: Board) -> int | None:
        assert self._engine is not None
        try:
            return self._engine.genmove(board.geometry, board.to_move)
        except ValueError as error:
            raise EngineError(f"{self.name} answered no move: {error}") from None

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


@dataclass
class Result:
    """The games of a match.

    Attributes:
        names: Of the two sides.
        games: All games, with their results.
        first_colours: The colour of the first side in each game.
        failures: What crashes and illegal moves there were: number of the game, from 1, and text. Who causes one loses.
    """

    names: tuple[str, str]
    games: list[Game] = field(default_factory=list)
    first_colours: list[int] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def wins(self, colour: int | None = None) -> float:
        """Games that the first side won, draws as a half; only those with one colour, if given."""
        pairs = [
            (game.winner, mine)
            for game, mine in zip(self.games, self.first_colours, strict=True)
            if colour in (None, mine)
        ]
        return sum(1.0 if winner == mine else 0.5 if winner == 0 else 0.0 for winner, mine in pairs)

    def played(self, colour: int | None = None) -> int:
        """Number of games."""
        return sum(colour in (None, mine) for mine in self.first_colours)

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the first side's share of the games, after Wilson."""
        return wilson(self.wins(), len(self.games))

    def __str__(self) -> str:
        low, high = self.interval()
        count, wins = len(self.games), self.wins()
        lines = [
            f"{self.names[0]} won {wins:g} of {count} games against {self.names[1]}: "
            f"{100 * wins / max(count, 1):.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})",
            f"as black {self.wins(BLACK):g} of {self.played(BLACK)}, as white {self.wins(WHITE):g} of "
            f"{self.played(WHITE)}; {sum(len(game.moves) for game in self.games) / max(count, 1):.0f} moves a game",
        ]
        lines += [f"game {number}: {text}" for number, text in self.failures]
        return "\n".join(lines)


def wilson(wins: float, games: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a share by Wilson's score, which is right also near 0 and 1 and for few games.

    Example:
        >>> tuple(round(end, 3) for end in wilson(20, 20))
        (0.839, 1.0)
    """
    if not games:
        return 0.0, 1.0
    share = wins / games
    centre = (share + z * z / (2 * games)) / (1 + z * z / games)
    half = z * math.sqrt(share * (1 - share) / games + z * z / (4 * games * games)) / (1 + z * z / games)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def play_match(
    first: Side,
    second: Side,
    *,
    games: int,
    size: int,
    komi: float,
    seed: int = 0,
    opening: int = 4,
    progress: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Play a match.

    The games of a pair begin with the same random moves, of which the second is played with the colours exchanged. The
    end is counted by GNU Go where it is installed, else by area with all stones alive.

    Args:
        first: One side.
        second: The other.
        games: Number of games, at least 1.
        size: Rows and columns.
        komi: Points for white.
        seed: Of openings and players.
        opening: Number of random moves.
        progress: Is told after each game.

    Raises:
        DataError: An argument is illegal, or a side cannot play on such a board.
    """
    if games < 1 or opening < 0:
        raise DataError(
            f"There is at least 1 game, and no negative opening. Received: games={games}, opening={opening}"
        )
    for side in (first, second):
        side.check(size)
    result = Result((first.name, second.name))
    try:
        for number in range(games):
            own = random.Random(f"{seed}/{number // 2}")
            board = Board(size, rules=CHINESE, komi=komi)
            random_opening(board, own, opening)
            colour = BLACK if number % 2 == 0 else WHITE
            sides: dict[int, Side] = {colour: first, -colour: second}
            outcome, failure = play_game(sides, board, seed=own.randrange(1, 1 << 30))
            result.games.append(
                Game(
                    size=size,
                    moves=tuple(board.moves),
                    komi=komi,
                    rules=CHINESE,
                    result=outcome,
                    black=sides[BLACK].name,
                    white=sides[WHITE].name,
                )
            )
            result.first_colours.append(colour)
            if failure:
                result.failures.append((number + 1, failure))
            progress(result)
    finally:
        first.close()
        second.close()
    return result


def play_game(sides: dict[int, Side], board: Board, *, seed: int) -> tuple[str, str]:
    """Play a game to its end on a board; returns the result as SGF writes it, and what went wrong, if anything."""
    mover = board.to_move
    try:
        for colour in (BLACK, WHITE):
            mover = colour
            sides[colour].begin(board, seed)
        while not board.is_over and len(board.moves) < LONGEST * board.pass_move:
            mover = board.to_move
            point = sides[mover].move(board)
            if point is None:
                return ("W" if mover == BLACK else "B") + "+R", ""
            board.play(point)
            mover = -mover
            sides[mover].tell(board, -mover, point)
    except (EngineError, DataError) as error:
        loser, winner = sides[mover].name, "W" if mover == BLACK else "B"
        return f"{winner}+F", f"{loser} lost by a fault: {error}"
    return count(board), ""


def count(board: Board) -> str:
    """The result of a finished game: by GNU Go, which knows dead stones, or by area with all stones alive."""
    if find_program("gnugo") is None or board.size > 19:
        return score(board).result
    with Engine(gnugo(level=1)) as referee:
        referee.send_all([f"boardsize {board.size}", "clear_board", f"komi {board.komi:g}"])
        for colour, point in board.moves:
            referee.play(board.geometry, colour, point)
        return referee.send("final_score").split()[0]
