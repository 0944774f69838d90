"""How well a network predicts moves: by phase of the game, and whether its probabilities are what they say."""

from dataclasses import dataclass

import numpy as np

from applications.go.network import Network
from zoo import runs
from zoo.data import DataError
from zoo.data.go import symmetries
from zoo.data.go.positions import GoSplit

# Parts of a game by its move, in points of the board: up to a quarter, up to a half, later.
PHASES = (("opening", 0.0, 0.25), ("middle game", 0.25, 0.5), ("endgame", 0.5, np.inf))
BINS = 10


@dataclass(frozen=True)
class Accuracy:
    """Of some positions.

    Attributes:
        name: Which ones.
        positions: How many.
        top1: Share whose move the network finds most probable, 0 to 1.
        top5: Share whose move is among its five.
        cross_entropy: In nats.
    """

    name: str
    positions: int
    top1: float
    top5: float
    cross_entropy: float


@dataclass(frozen=True)
class Evaluation:
    """Of a split.

    Attributes:
        phases: All positions, then each phase.
        calibration: Of moves with a probability in each tenth: how many, the mean probability, the share played.
        calibration_error: Mean distance of the last two, weighted by the number.
    """

    phases: tuple[Accuracy, ...]
    calibration: tuple[tuple[int, float, float], ...]
    calibration_error: float


def evaluate(network: Network, run: runs.Run, *, split: str = "test", symmetric: bool = False) -> Evaluation:
    """Accuracy and calibration of a network on the games of its run.

    Args:
        network: The network.
        run: The run that it is of.
        split: "train", "validation" or "test".
        symmetric: Whether the mean over the board's eight symmetries is taken.

    Raises:
        DataError: There is no such split, or its data is not of games.
    """
    source = run.dataset.splits.get(split)
    if not isinstance(source, GoSplit):
        raise DataError(f"There is no split {split!r} of games. Splits: {', '.join(run.dataset.splits)}")
    positions, indices = source.positions, source.indices
    moves, numbers = positions.moves[indices], positions.numbers[indices]
    rows = []
    for start in range(0, len(indices), 256):
        planes = positions.planes(indices[start : start + 256]).astype(np.float32)
        rows.append(_policy(network, planes, positions.size, symmetric))
    policy = np.concatenate(rows)
    share = numbers / positions.size**2
    phases = [("all", np.ones(len(moves), bool))]
    phases += [(name, (share >= low) & (share < high)) for name, low, high in PHASES]
    calibration, error = calibrate(policy, moves)
    return Evaluation(
        tuple(accuracy(name, policy[chosen], moves[chosen]) for name, chosen in phases if chosen.any()),
        calibration,
        error,
    )


def _policy(network: Network, planes: np.ndarray, size: int, symmetric: bool) -> np.ndarray:
    rows = []
    for number in range(symmetries.NUM_SYMMETRIES if symmetric else 1):
        policy, _ = network._call(symmetries.transform(planes, number))
        rows.append(policy.numpy()[:, symmetries.moves(size)[number, : policy.shape[1]]])
    return np.mean(rows, axis=0)


def accuracy(name: str, policy: np.ndarray, moves: np.ndarray) -> Accuracy:
    """Of rows of probabilities and the moves that were played."""
    hits = np.argsort(-policy, axis=1, kind="stable")[:, :5] == moves[:, None]
    chosen = policy[np.arange(len(moves)), moves]
    loss = -np.log(np.maximum(chosen, 1e-12)).mean()
    return Accuracy(name, len(moves), float(hits[:, 0].mean()), float(hits.any(axis=1).mean()), float(loss))


def calibrate(policy: np.ndarray, moves: np.ndarray) -> tuple[tuple[tuple[int, float, float], ...], float]:
    """Each most probable move's probability against how often it was played, in tenths."""
    best = policy.argmax(axis=1)
    said, played = policy.max(axis=1), best == moves
    tenth = np.minimum((said * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for number in range(BINS):
        chosen = tenth == number
        if count := int(chosen.sum()):
            mean, share = float(said[chosen].mean()), float(played[chosen].mean())
            rows.append((count, mean, share))
            error += count / len(moves) * abs(mean - share)
    return tuple(rows), error
