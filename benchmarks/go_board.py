"""How many moves and positions a second: our board and encoders beside sgfmill's board.

    python benchmarks/go_board.py
    python benchmarks/go_board.py --peer sgfmill        # pip install sgfmill
    python benchmarks/go_board.py --games tests/data/go/gnugo19.sgf.gz

The embedded 9x9 games are played through, and others on 19x19, by default random ones. Rounds alternate between the
boards, and the fastest of each counts, in processor time of one core. `pip install sgfmill` gives the peer, a board in
plain Python.
Prints a table in Markdown.
"""

import argparse
import random
import time
from collections.abc import Callable

from zoo.data.go import EMBEDDED, ENCODERS, Board, Encoder, Game, read_games

ROUNDS = 5


def random_games(count: int) -> list[Game]:
    games = []
    for seed in range(count):
        rng, board = random.Random(seed), Board(19)
        for _ in range(250):
            board.play(rng.choice(board.geometry.points(board.legal())))
        games.append(Game(size=19, moves=tuple(board.moves)))
    return games


def ours(games: list[Game]) -> int:
    total = 0
    for game in games:
        board = Board(game.size, rules=game.rules)
        for colour, point in game.moves:
            board.play(point, colour)
        total += len(game.moves)
    return total


def ours_with_undo(games: list[Game]) -> int:
    total = 0
    for game in games:
        board = Board(game.size, rules=game.rules)
        for colour, point in game.moves:
            board.play(point, colour)
            board.undo()
            board.play(point, colour)
        total += 2 * len(game.moves)
    return total


def sgfmill(games: list[Game]) -> int:
    from sgfmill import boards

    total = 0
    for game in games:
        board = boards.Board(game.size)
        for colour, point in game.moves:
            if point != game.size**2:
                board.play(*divmod(point, game.size), "b" if colour == 1 else "w")
        total += len(game.moves)
    return total


def encoding(item: Encoder) -> Callable[[list[Game]], int]:
    def run(games: list[Game]) -> int:
        item._ladders._kept.clear()
        total = 0
        for game in games:
            for board, _, _ in game.replay():
                item.encode(board)
                total += 1
        return total

    return run


def rates(contestants: dict[str, Callable[[list[Game]], int]], games: list[Game], rounds: int) -> dict[str, float]:
    best = dict.fromkeys(contestants, 0.0)
    for _ in range(rounds):
        for name, run in contestants.items():
            began = time.process_time()
            done = run(games)
            best[name] = max(best[name], done / (time.process_time() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=("none", "sgfmill"), default="none", help="board to compare with")
    parser.add_argument("--games", metavar="SGF", help="games for the second column (default: random ones, 19x19)")
    arguments = parser.parse_args()
    boards: dict[str, Callable[[list[Game]], int]] = {"moves": ours, "moves, each taken back once": ours_with_undo}
    if arguments.peer == "sgfmill":
        boards["moves on sgfmill's board"] = sgfmill
    encoders = {f"positions as {name}": encoding(item) for name, item in ENCODERS.items()}
    nine, nineteen = read_games(EMBEDDED["gnugo9"])[0][:100], random_games(10)
    second = "19x19, random games"
    if arguments.games:
        nineteen, second = read_games(arguments.games)[0], arguments.games
    print(f"| in a second | 9x9, games of GNU Go | {second} |\n|---|---:|---:|")
    for group, rounds in ((boards, ROUNDS), (encoders, 2)):
        small, large = rates(group, nine, rounds), rates(group, nineteen, rounds)
        for name in group:
            print(f"| {name} | {small[name]:,.0f} | {large[name]:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
