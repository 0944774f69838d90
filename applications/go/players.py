"""Who plays: at random, by a policy, or by a search that a policy and a value or playouts guide."""

import math
import random
from typing import Protocol

import numpy as np

from applications.go.network import Network, sensible_moves
from zoo.data import DataError
from zoo.data.go import BLACK, Board, score


class Player(Protocol):
    """Somebody who answers positions with moves."""

    name: str

    def new_game(self, seed: int) -> None:
        """Forget the game before; what is random follows from the seed."""
        ...

    def choose(self, board: Board) -> int | None:
        """A legal move of the player to move, `board.pass_move`, or None to resign; the board stays as it is."""
        ...


def should_pass(board: Board) -> bool:
    """Whether a pass ends the game as won: the opponent has passed, and the board as it lies counts for the player.

    Stones that are dead count as alive here, so that a player who passes by this rule has won without any agreement.
    """
    if not board.moves or board.moves[-1][1] != board.pass_move:
        return False
    return score(board).margin * board.to_move > 0


class RandomPlayer:
    """Plays any legal move that does not fill an own eye; passes when there is none.

    Args:
        seed: Of the moves.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)

    def new_game(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def choose(self, board: Board) -> int | None:
        moves = board.geometry.points(sensible_moves(board))
        return self._rng.choice(moves) if moves else board.pass_move


class PolicyPlayer:
    """Plays what a network finds most probable, or draws from it.

    Args:
        network: The network.
        temperature: 0 takes the most probable move; above, moves are drawn by their probability to the power of
            1 / temperature.
        symmetric: Whether the mean over eight symmetries is taken.
        resign: Value below which it resigns, -1 to 0, for networks with a value; None for never.
        seed: Of the draws.

    Raises:
        DataError: An argument is illegal.
    """

    def __init__(
        self,
        network: Network,
        *,
        temperature: float = 0.0,
        symmetric: bool = False,
        resign: float | None = None,
        seed: int = 0,
    ) -> None:
        check_options(temperature, resign)
        self.name = "policy"
        self.network = network
        self.temperature = temperature
        self.symmetric = symmetric
        self.resign = resign
        self._rng = random.Random(seed)

    def new_game(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def choose(self, board: Board) -> int | None:
        if should_pass(board):
            return board.pass_move
        (policy,), (value,) = self.network([board], symmetric=self.symmetric)
        if self.resign is not None and self.network.has_value and value < self.resign:
            return None
        moves = board.geometry.points(sensible_moves(board))
        if self.network.has_pass:
            moves.append(board.pass_move)
        return _drawn(moves, policy[moves], self.temperature, self._rng) if moves else board.pass_move


class SearchPlayer:
    """Looks ahead by PUCT (Silver et al. 2017): what is probable or has proved good is looked at further.

    A position at the end of a line is judged by the network's value, by a game played out at random to its end, or by
    the mean of both, as AlphaGo did.

    Args:
        network: The network; without a value playouts alone judge.
        visits: Number of lines for a move, at least 1.
        playouts: Share of the playout in the judgement, 0 to 1; None for 1 without a value and 0.5 with one.
        exploration: c in c * P * sqrt(N) / (1 + n), above 0.
        temperature: As `PolicyPlayer`, on the numbers of visits.
        resign: Judgement below which it resigns, -1 to 0; None for never.
        seed: Of playouts and draws.

    Raises:
        DataError: An argument is illegal.
    """

    def __init__(
        self,
        network: Network,
        *,
        visits: int = 200,
        playouts: float | None = None,
        exploration: float = 1.5,
        temperature: float = 0.0,
        resign: float | None = None,
        seed: int = 0,
    ) -> None:
        check_options(temperature, resign)
        share = (0.5 if network.has_value else 1.0) if playouts is None else playouts
        if visits < 1 or not 0 <= share <= 1 or exploration <= 0:
            raise DataError(
                "visits must be at least 1, playouts from 0 to 1, exploration above 0. Received: "
                f"visits={visits}, playouts={playouts}, exploration={exploration}"
            )
        if share < 1 and not network.has_value:
            raise DataError(f"A network without a value needs playouts=1. Received: playouts={playouts}")
        self.name = f"search of {visits}"
        self.network = network
        self.visits = visits
        self.share = share
        self.exploration = exploration
        self.temperature = temperature
        self.resign = resign
        self.root: Tree | None = None
        self._rng = random.Random(seed)

    def new_game(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.root = None

    def choose(self, board: Board) -> int | None:
        if should_pass(board):
            return board.pass_move
        self.root = root = self.search(board)
        counts = np.array([child.visits for child in root.children], np.float64)
        best = root.children[int(counts.argmax())]
        if self.resign is not None and best.visits and best.total / best.visits < self.resign:
            return None
        return _drawn(root.moves, counts, self.temperature, self._rng)

    def search(self, board: Board) -> "Tree":
        """The tree of `visits` lines from a position, which stays as it is."""
        root = Tree()
        self._grow(root, board)
        for _ in range(self.visits):
            line, ahead = [root], board.copy()
            node = root
            while node.children and not ahead.is_over:
                node, move = node.best(self.exploration)
                ahead.put(move, ahead.to_move)
                line.append(node)
            mover = -ahead.to_move  # of the last move
            worth = _won(ahead, mover) if ahead.is_over else -self._grow(node, ahead)
            for place, visited in enumerate(reversed(line)):
                visited.visits += 1
                visited.total += worth if place % 2 == 0 else -worth
        return root

    def _grow(self, node: "Tree", board: Board) -> float:
        """Add the moves of a position to the tree, and judge it for the player to move, -1 to 1."""
        (policy,), (value,) = self.network([board])
        moves = board.geometry.points(sensible_moves(board))
        # A pass is looked at where the game may end by it, or nothing else is left.
        if not moves or (board.moves and board.moves[-1][1] == board.pass_move):
            moves.append(board.pass_move)
        priors = np.array([policy[move] if move < len(policy) else 1 / len(moves) for move in moves], np.float64)
        total = priors.sum()
        priors = priors / total if total > 0 else np.full(len(moves), 1 / len(moves))
        node.moves = moves
        node.children = [Tree(prior) for prior in priors.tolist()]
        worth = (1 - self.share) * float(value) if self.share < 1 else 0.0
        if self.share:
            worth += self.share * playout(board.copy(), self._rng)
        return worth


class Tree:
    """A position of the search.

    Attributes:
        prior: The probability that the policy gave to the move that leads here.
        visits: Number of lines through it.
        total: Sum of their judgements for the player who made that move.
        moves: Moves from here, once it was looked at.
        children: The positions after them.
    """

    __slots__ = ("children", "moves", "prior", "total", "visits")

    def __init__(self, prior: float = 1.0) -> None:
        self.prior = prior
        self.visits = 0
        self.total = 0.0
        self.moves: list[int] = []
        self.children: list[Tree] = []

    def best(self, exploration: float) -> tuple["Tree", int]:
        """The child to look at next, and its move."""
        factor = exploration * math.sqrt(self.visits + 1)
        # What was never looked at counts as much as the position itself.
        unknown = -self.total / self.visits if self.visits else 0.0
        highest, chosen = -math.inf, 0
        for index, child in enumerate(self.children):
            worth = child.total / child.visits if child.visits else unknown
            worth += factor * child.prior / (1 + child.visits)
            if worth > highest:
                highest, chosen = worth, index
        return self.children[chosen], self.moves[chosen]


def playout(board: Board, rng: random.Random) -> float:
    """Play on at random until nothing is left; 1 where the player to move has won, -1 where he has lost.

    No eyes are filled. Chains in atari beside the last move are taken or saved first, as in MoGo (Gelly et al. 2006,
    "Modification of UCT with Patterns in Monte-Carlo Go"): without it, playouts are blind to the simplest fights.
    """
    player = board.to_move
    limit = len(board.moves) + 2 * board.pass_move
    points = board.geometry.points
    while not board.is_over and len(board.moves) < limit:
        sensible = sensible_moves(board)
        urgent = _urgent(board) & sensible if board.moves else 0
        moves = points(urgent or sensible)
        board.put(rng.choice(moves) if moves else board.pass_move, board.to_move)
    return _won(board, player)


def _urgent(board: Board) -> int:
    """Where the last move can be answered: its chain or those beside it that are in atari."""
    geometry = board.geometry
    last = board.moves[-1][1]
    if last == board.pass_move:
        return 0
    found = 0
    chain = board.chains[last]
    if chain is not None and chain.liberties & (chain.liberties - 1) == 0:
        found |= chain.liberties
    for neighbour in geometry.neighbours[last]:
        chain = board.chains[neighbour]
        if chain is not None and chain.colour == board.to_move and chain.liberties & (chain.liberties - 1) == 0:
            # Saved where the last liberty gives two more, else the chain is given up.
            beyond = geometry.grown(chain.liberties) & ~board.occupied & ~chain.liberties
            if beyond & (beyond - 1):
                found |= chain.liberties
    return found


def _won(board: Board, player: int) -> float:
    margin = score(board).margin * (1 if player == BLACK else -1)
    return float((margin > 0) - (margin < 0))


def _drawn(moves: list[int], weights: np.ndarray, temperature: float, rng: random.Random) -> int:
    """The move of the highest weight, or one drawn by weight to the power of 1 / temperature."""
    if temperature == 0 or not weights.max() > 0:
        return moves[int(np.argmax(weights))]
    scaled = (weights / weights.max()) ** (1 / temperature)
    return rng.choices(moves, scaled.tolist())[0]


def check_options(temperature: float, resign: float | None) -> None:
    """Refuse options that no player can have."""
    if not 0 <= temperature < math.inf:
        raise DataError(f"temperature must be at least 0. Received: temperature={temperature}")
    if resign is not None and not -1 <= resign <= 0:
        raise DataError(f"resign is a value from -1 to 0. Received: resign={resign}")
