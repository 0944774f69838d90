"""How many lines a second the search looks at, by how many positions are judged together.

    python benchmarks/go_search.py runs/go --value runs/value

Positions are from the embedded games of GNU Go, one of each twentieth game after twenty moves; each is searched from an
empty tree. Rounds alternate between the sizes, and the fastest of each counts, in processor time of one core: give
TF_NUM_INTRAOP_THREADS=1. "Padded" fills each batch up to its size, so that the network is called with one shape alone.
Prints a table in Markdown.
"""

import argparse
import time

import numpy as np

from applications.go.network import Network, ValueNetwork, load_network, load_value
from applications.go.search import Judge, SearchPlayer
from zoo.data.go import EMBEDDED, Board, read_games

ROUNDS = 3
SIZES = (1, 2, 4, 8, 16, 32)


class Padded:
    """A judge that is always asked about as many positions."""

    def __init__(self, judge: Judge, size: int) -> None:
        self.judge, self.size, self.encode = judge, size, judge.encode

    def __call__(self, planes: list, *, symmetric: bool = False) -> tuple[np.ndarray, np.ndarray]:
        count = len(planes)
        policy, values = self.judge([*planes, *[planes[0]] * (self.size - count)], symmetric=symmetric)
        return policy[:count], values[:count]


def positions(size: int, count: int) -> list[Board]:
    found = []
    for game in read_games(EMBEDDED["gnugo9"])[0][::20][:count]:
        board = game.start()
        for colour, point in game.moves[:20]:
            board.play(point, colour)
        found.append(board)
    if found[0].size != size:
        raise SystemExit(f"The games are on {found[0].size}x{found[0].size}, the network plays on {size}x{size}.")
    return found


def seconds(player: SearchPlayer, boards: list[Board]) -> float:
    began = time.process_time()
    for board in boards:
        player.new_game(0)
        player.search(board)
    return time.process_time() - began


def measure(network: Network, value: ValueNetwork | None, *, visits: int, count: int, rounds: int) -> dict[str, float]:
    """Lines a second of each contestant."""
    boards = positions(network.size, count)
    players = {}
    for size in SIZES:
        players[f"{size}"] = SearchPlayer(network, value=value, visits=visits, batch_size=size)
    players["8, padded"] = SearchPlayer(network, value=value, visits=visits, batch_size=8)
    players["8, padded"]._judge = Padded(players["8, padded"]._judge, 8)  # type: ignore[assignment]
    best = dict.fromkeys(players, np.inf)
    for _ in range(rounds):
        for name, player in players.items():
            best[name] = min(best[name], seconds(player, boards))
    return {name: visits * len(boards) / spent for name, spent in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="RUN", help="run folder of the policy, on 9x9")
    parser.add_argument("--value", metavar="RUN", help="run folder of the value network")
    parser.add_argument("--visits", type=int, default=200, help="lines of a search (default: 200)")
    parser.add_argument("--positions", type=int, default=10, help="how many are searched, 1 to 15 (default: 10)")
    arguments = parser.parse_args()
    value = load_value(arguments.value) if arguments.value else None
    network = load_network(arguments.folder)
    found = measure(network, value, visits=arguments.visits, count=arguments.positions, rounds=ROUNDS)
    print("| judged together | lines a second |\n|---|---:|")
    for name, rate in found.items():
        print(f"| {name} | {rate:,.0f} |")


if __name__ == "__main__":
    main()
