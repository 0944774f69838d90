"""Who plays: at random or by a policy; `applications.go.search` has who looks ahead."""

import math
import random
from typing import Protocol

import numpy as np

from applications.go.network import Network, sensible_moves
from zoo.data import DataError
from zoo.data.go import Board, score


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
        return drawn(moves, policy[moves], self.temperature, self._rng) if moves else board.pass_move


def drawn(moves: list[int], weights: np.ndarray, temperature: float, rng: random.Random) -> int:
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
