"""Games of an engine against itself, from random openings that a seed gives."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from applications.go.engines import Engine, gnugo
from applications.go.network import Network, sensible_moves
from zoo.data import DataError
from zoo.data.go import BLACK, CHINESE, Board, Game, score, to_sgf
from zoo.files import write_atomic

# Moves after which a game is broken off, in board points.
LONGEST = 3


def random_opening(board: Board, rng: random.Random, num_moves: int) -> None:
    """Play random legal moves: without them an engine opens in few ways, and test games repeat training games."""
    for _ in range(num_moves):
        moves = board.geometry.points(board.legal())
        board.play(rng.choice(moves))


def engine_game(engine: Engine, board: Board, *, seed: int, name: str) -> Game:
    """A game of an engine against itself, from the board as it is.

    Raises:
        EngineError: The engine stopped.
        IllegalMoveError: It made a move that the rules forbid.
    """
    geometry = board.geometry
    engine.send(f"boardsize {board.size}")
    engine.send("clear_board")
    engine.send(f"komi {board.komi:g}")
    engine.send(f"set_random_seed {seed}")
    for colour, move in board.moves:
        engine.play(geometry, colour, move)
    resigned = 0
    while not board.is_over and len(board.moves) < LONGEST * geometry.num_points:
        point = engine.genmove(geometry, board.to_move)
        if point is None:
            resigned = board.to_move
            break
        board.play(point)
    result = f"{'W' if resigned == BLACK else 'B'}+R" if resigned else engine.send("final_score").split()[0]
    player = Path(engine.command[0]).name
    return Game(
        size=board.size, moves=tuple(board.moves), komi=board.komi, rules=board.rules, result=result, black=player,
        white=player, name=name,
    )  # fmt: skip


def make_games(
    folder: Path,
    *,
    level: int,
    games: int,
    size: int,
    seed: int,
    opening: int,
    komi: float,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Let GNU Go play games against itself, one SGF file each; those that are there already stay.

    Args:
        folder: Where the files go.
        level: GNU Go's level, 0 to 10.
        games: Number of games.
        size: Rows and columns, 5 to 19.
        seed: Of openings and engine: the same seed gives the same games.
        opening: Number of random moves that a game begins with.
        komi: Points for white.
        progress: Is told the number of games that are there.

    Returns:
        The number of games that were played now.

    Raises:
        EngineError: There is no GNU Go, or it stopped.
        DataError: An argument is illegal.
    """
    if not 5 <= size <= 19:
        raise DataError(f"GNU Go plays on boards of 5 to 19. Received: board={size}")
    if games < 1 or opening < 0:
        raise DataError(
            f"There is at least 1 game, and no negative opening. Received: games={games}, opening={opening}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    played = 0
    for number in range(1, games + 1):
        path = folder / f"game_{number:05d}.sgf"
        if not path.is_file():
            own = random.Random(f"{seed}/{number}")
            board = Board(size, rules=CHINESE, komi=komi)
            random_opening(board, own, opening)
            # A new process for each game: GNU Go 3.8 keeps the score of the game before, and repeats it.
            with Engine(gnugo(level=level)) as engine:
                game = engine_game(engine, board, seed=own.randrange(1, 1 << 30), name=path.name)
            write_atomic(path, to_sgf(game))
            played += 1
        progress(number)
    return played


def policy_games(
    network: Network,
    *,
    games: int,
    seed: int,
    opening: int = 4,
    komi: float = 7.0,
    temperature: float = 1.0,
    at_once: int = 128,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Game]:
    """Let a network's policy play against itself, many games at once, until no sensible move is left.

    Nobody passes before, so that no stone is left that area scoring would count wrongly.

    Args:
        network: The network.
        games: Number of games, at least 1.
        seed: The same seed gives the same games.
        opening: Number of random moves that a game begins with.
        komi: Points for white.
        temperature: Moves are drawn by their probability to the power of 1 / temperature; 0 takes the best.
        at_once: Number of games whose positions go through the network together.
        progress: Is told the number of games that are finished.

    Returns:
        The games, by Chinese rules, with their results.

    Raises:
        DataError: An argument is illegal.
    """
    if games < 1 or opening < 0 or temperature < 0 or at_once < 1:
        raise DataError(
            "games and at_once are at least 1, opening and temperature at least 0. Received: "
            f"games={games}, at_once={at_once}, opening={opening}, temperature={temperature}"
        )
    finished: dict[int, Game] = {}
    waiting = iter(range(games))
    running: dict[int, tuple[Board, np.random.Generator]] = {}
    while len(finished) < games:
        while len(running) < at_once and (number := next(waiting, None)) is not None:
            board = Board(network.size, rules=CHINESE, komi=komi)
            random_opening(board, random.Random(f"{seed}/{number}"), opening)
            running[number] = board, np.random.default_rng((seed, number))
        numbers = list(running)
        policies, _ = network([running[number][0] for number in numbers])
        for number, policy in zip(numbers, policies, strict=True):
            board, rng = running[number]
            moves = board.geometry.points(sensible_moves(board))
            board.play(pick(moves, policy, temperature, rng) if moves else board.pass_move)
            if board.is_over or len(board.moves) >= LONGEST * board.pass_move:
                finished[number] = Game(
                    size=board.size, moves=tuple(board.moves), komi=komi, rules=CHINESE, result=score(board).result,
                    black="policy", white="policy", name=f"game_{number + 1:05d}.sgf",
                )  # fmt: skip
                del running[number]
                progress(len(finished))
    return [finished[number] for number in range(games)]


def pick(moves: list[int], policy: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """The most probable of some moves, or one drawn by probability to the power of 1 / temperature.

    Args:
        moves: At least one.
        policy: Probabilities of all moves.
        temperature: 0 for the most probable one.
        rng: For the draw.
    """
    weights = policy[moves].astype(np.float64)
    if temperature == 0 or not weights.max() > 0:
        return moves[int(weights.argmax())]
    weights = (weights / weights.max()) ** (1 / temperature)
    return moves[int(rng.choice(len(moves), p=weights / weights.sum()))]
