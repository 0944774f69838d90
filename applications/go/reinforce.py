"""Reinforcement of a policy by games against earlier forms of itself.

Silver et al., "Mastering the game of Go with deep neural networks and tree search", Nature 529, 2016, section
"Reinforcement learning of policy networks": mini-batches of games against an opponent that is drawn from a pool of
earlier selves, which is extended every so many mini-batches; each move of the learner is made more probable where its
game was won, and less where it was lost (REINFORCE; Williams, "Simple statistical gradient-following algorithms for
connectionist reinforcement learning", 1992).

Differences from the paper:
- The baseline is the learner's mean result with each colour, as the first player wins most games on small boards; the
  paper's is 0 in its first pass and the value network in its second.
- The steps are Adam's; the paper's are plain gradient steps.
- Moves are drawn among those that are legal and fill no own eye, and it is their probability among these that is
  trained. Games end when none is left.
"""

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from applications.go.network import Network, load_network, sensible_moves
from applications.go.selfplay import LONGEST, pick, random_opening
from zoo import runs, weights
from zoo.data import DataError
from zoo.data.go import BLACK, CHINESE, WHITE, Board, score
from zoo.files import append_line, write_atomic, write_json
from zoo.runs.run import BEST, CHECKPOINTS, CONFIG, METRICS, RESULT
from zoo.training.checkpoints import Checkpoints

POOL = "pool"

# How fast the mean results with each colour follow: they stand for the last ten mini-batches or so.
_BASELINE_MOMENTUM = 0.9


@dataclass(frozen=True)
class Reinforcement:
    """What a reinforcement is made of.

    Attributes:
        batch_games: Games of a mini-batch, half with each colour.
        extend: Mini-batches after which the pool gets the learner as it is then.
        learning_rate: Of Adam.
        opening: Number of random moves that a game begins with, the same for two games with the colours exchanged.
        komi: Points for white.
        save: Mini-batches between two checkpoints.
        seed: Of openings, moves and opponents.

    Raises:
        DataError: A number is illegal.
    """

    batch_games: int = 64
    extend: int = 10
    learning_rate: float = 1e-3
    opening: int = 4
    komi: float = 7.0
    save: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_games < 2 or self.batch_games % 2 or self.extend < 1 or self.save < 1:
            raise DataError(
                "batch_games is even and at least 2, extend and save are at least 1. Received: "
                f"batch_games={self.batch_games}, extend={self.extend}, save={self.save}"
            )
        if self.learning_rate <= 0 or self.opening < 0:
            raise DataError(
                "learning_rate is above 0, opening at least 0. Received: "
                f"learning_rate={self.learning_rate}, opening={self.opening}"
            )


@dataclass(frozen=True)
class Record:
    """The learner's moves in some games.

    Attributes:
        planes: Positions before the moves, (n, size, size, planes) int8.
        legal: Which moves there were, (n, moves) bool.
        moves: Which was played, (n,) int32.
        games: In which game, (n,) int32.
        results: Of the learner in each game, 1, -1, or 0 for a draw, (games,) float32.
        colours: Of the learner in each game, (games,) int8.
        length: Mean number of moves of a game.
    """

    planes: np.ndarray
    legal: np.ndarray
    moves: np.ndarray
    games: np.ndarray
    results: np.ndarray
    colours: np.ndarray
    length: float


def play_games(
    learner: Network, opponent: Network, *, games: int, opening: int, komi: float, seed: Sequence[int]
) -> Record:
    """Play games between two policies, all at once; moves are drawn by their probabilities.

    Args:
        learner: Whose moves are recorded; black in each game of even number.
        opponent: The other.
        games: How many; each two that follow one another have one opening.
        opening: Number of random moves.
        komi: Points for white.
        seed: Of openings and moves.
    """
    boards, generators = [], []
    for number in range(games):
        board = Board(learner.size, rules=CHINESE, komi=komi)
        random_opening(board, random.Random(repr((*seed, number // 2))), opening)
        boards.append(board)
        generators.append(np.random.default_rng((*seed, number)))
    colours = np.array([BLACK if number % 2 == 0 else WHITE for number in range(games)], np.int8)
    num_moves = learner.size**2 + learner.has_pass
    planes, legal, moves, owners = [], [], [], []
    while running := [number for number, board in enumerate(boards) if _goes_on(board)]:
        # Those of the learner's moves first; where it was the opponent's turn already, he moves with the others.
        for network, learns in ((learner, True), (opponent, False)):
            mine = [
                number
                for number in running
                if (boards[number].to_move == colours[number]) == learns and _goes_on(boards[number])
            ]
            if not mine:
                continue
            encoded = np.stack([network.encoder.encode(boards[number]) for number in mine])
            policies, _ = network.judge(encoded)
            for number, seen, policy in zip(mine, encoded, policies, strict=True):
                board = boards[number]
                possible = board.geometry.points(sensible_moves(board))
                if not possible:
                    board.play(board.pass_move)
                    continue
                point = pick(possible, policy, 1.0, generators[number])
                if learns:
                    allowed = np.zeros(num_moves, bool)
                    allowed[possible] = True
                    planes.append(seen)
                    legal.append(allowed)
                    moves.append(point)
                    owners.append(number)
                board.play(point)
    margins = np.array([score(board).margin for board in boards])
    return Record(
        np.stack(planes), np.stack(legal), np.array(moves, np.int32), np.array(owners, np.int32),
        np.sign(margins * colours).astype(np.float32), colours, float(np.mean([len(board.moves) for board in boards])),
    )  # fmt: skip


def _goes_on(board: Board) -> bool:
    return not board.is_over and len(board.moves) < LONGEST * board.pass_move


def policy_gradient_loss(logits: Any, legal: Any, moves: Any, advantages: Any, num_games: Any) -> tf.Tensor:
    """What REINFORCE descends: minus the sum over moves of advantage times log-probability, by the number of games.

    Args:
        logits: (n, moves) float32.
        legal: (n, moves) bool; the probability is among these.
        moves: (n,) int32, played ones.
        advantages: (n,) float32, result of the game less the baseline.
        num_games: Number of games.
    """
    masked = tf.where(legal, tf.cast(logits, tf.float32), -1e9)
    logs = tf.nn.log_softmax(masked)
    chosen = tf.gather(logs, moves, axis=1, batch_dims=1)
    return -tf.reduce_sum(advantages * chosen) / tf.cast(num_games, tf.float32)


class Learner:
    """A policy that is trained by its games.

    Args:
        network: The policy.
        learning_rate: Of Adam.
    """

    def __init__(self, network: Network, learning_rate: float) -> None:
        self.network = network
        # Batch-norm statistics stay those of the start: `training=False` below.
        self._logits = zoo.features(network.model, ["logits"])
        self.optimizer = keras.optimizers.Adam(learning_rate)
        self.optimizer.build(self._logits.trainable_variables)
        self.baseline = {BLACK: 0.0, WHITE: 0.0}
        self._step = tf.function(
            self._stepped,
            input_signature=[
                tf.TensorSpec((None, *network.model.input_shape[1:]), tf.float32),
                tf.TensorSpec((None, None), tf.bool), tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None,), tf.float32), tf.TensorSpec((), tf.int32),
            ],
        )  # fmt: skip

    def _stepped(
        self, planes: tf.Tensor, legal: tf.Tensor, moves: tf.Tensor, advantages: tf.Tensor, num_games: tf.Tensor
    ) -> None:
        variables = self._logits.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._logits(planes, training=False)["logits"]
            loss = policy_gradient_loss(logits, legal, moves, advantages, num_games)
        self.optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)

    def learn(self, record: Record) -> None:
        """One step on the games of a mini-batch; the baseline follows their results afterwards."""
        baseline = np.where(record.colours == BLACK, self.baseline[BLACK], self.baseline[WHITE])
        advantages = (record.results - baseline).astype(np.float32)[record.games]
        self._step(
            record.planes.astype(np.float32), record.legal, record.moves, advantages, np.int32(len(record.results))
        )
        for colour in (BLACK, WHITE):
            mean = float(record.results[record.colours == colour].mean())
            self.baseline[colour] += (1 - _BASELINE_MOMENTUM) * (mean - self.baseline[colour])

    def _variables(self) -> dict[str, Any]:
        groups = {"model": self.network.model.weights, "optimizer": self.optimizer.variables}
        return {f"{group}/{index:04d}": item for group, items in groups.items() for index, item in enumerate(items)}

    def take(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The state now: arrays, and plain JSON."""
        arrays = {name: np.array(item.value) for name, item in self._variables().items()}
        return arrays, {"baseline": [self.baseline[BLACK], self.baseline[WHITE]]}

    def put(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Go on from a state that `take` gave."""
        for name, item in self._variables().items():
            item.assign(arrays[name])
        self.baseline = {BLACK: state["baseline"][0], WHITE: state["baseline"][1]}


def reinforce(
    start: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    games: int,
    settings: Reinforcement | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda record: None,
) -> dict[str, Any]:
    """Reinforce the policy of a run, and write a run folder that all of `zoo go` takes.

    A reinforcement that was begun in the folder with the same settings goes on where it was, also after kill -9, and
    comes to the same weights as one that was never stopped. `metrics.jsonl` has a line for each mini-batch, `pool` the
    earlier selves, `best` the learner as it is at the end.

    Args:
        start: Run folder of the policy to begin with, also the first of the pool.
        folder: New run folder, or that of a reinforcement to go on with.
        games: Number of games in all; the last mini-batch is played to its end.
        settings: What it is made of; None for the defaults.
        progress: Is told the metrics of each mini-batch.

    Returns:
        What `result.json` holds: "games", "batches", "pool", and the "won" share of the last ten mini-batches.

    Raises:
        DataError: `games` is below 1, the start has no policy, or the folder holds something else.
    """
    settings = settings or Reinforcement()
    if games < 1:
        raise DataError(f"games must be at least 1. Received: games={games}")
    folder = Path(folder)
    first = runs.open_run(Path(start))
    network = load_network(start)
    config = json.loads(
        json.dumps({
            **{key: first.config[key] for key in ("format", "model", "data")},
            "data": {**first.config["data"], "encoder": network.encoder.name},
            "training": {**first.config.get("training", {}), "reinforcement": asdict(settings)},
            "seed": settings.seed,
            "start": weights.open_weights(Path(start) / BEST).manifest["sha256"],
        })
    )  # fmt: skip
    _begin(folder, config)
    learner = Learner(network, settings.learning_rate)
    opponent = load_network(start)
    store = Checkpoints(folder / CHECKPOINTS, keep=2, background=False)
    try:
        batch = _resume(store, learner, folder)
        if batch == 0:
            weights.save(network.model, folder / POOL / _name(0))
        total = -(-games // settings.batch_games)
        while batch < total:
            record, chosen = _mini_batch(learner, opponent, folder, batch, settings)
            learner.learn(record)
            batch += 1
            if batch % settings.extend == 0:
                weights.save(network.model, folder / POOL / _name(batch // settings.extend))
            metrics = _metrics(record, batch, chosen)
            append_line(folder / METRICS, metrics)
            progress(metrics)
            if batch % settings.save == 0 or batch == total:
                arrays, state = learner.take()
                store.save(batch, arrays, state)
        weights.save(network.model, folder / BEST, batches=batch)
    finally:
        store.close()
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    result = {
        "games": batch * settings.batch_games,
        "batches": batch,
        "pool": 1 + batch // settings.extend,
        "won": float(np.mean([line["won"] for line in lines[-10:]])),
    }
    write_json(folder / RESULT, result)
    return result


def _name(number: int) -> str:
    return f"{number:05d}"


def _begin(folder: Path, config: Mapping[str, Any]) -> None:
    """Make the run folder, or find that of the same settings."""
    path = folder / CONFIG
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != config:
            differing = sorted(key for key in config.keys() | found.keys() if found.get(key) != config.get(key))
            raise DataError(
                f"{folder} holds a run with another {', '.join(differing)}. Give the settings that it was begun with, "
                "or a new folder."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; a run needs a folder of its own.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(config))


def _resume(store: Checkpoints, learner: Learner, folder: Path) -> int:
    """Go on from the last checkpoint: the number of mini-batches that are done; metrics of later ones are dropped."""
    found = store.latest()
    batch = 0
    if found is not None:
        learner.put(found.arrays, found.state)
        batch = found.step
    if (folder / METRICS).is_file():
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)
        write_atomic(folder / METRICS, "".join(lines[:batch]))
    return batch


def _mini_batch(
    learner: Learner, opponent: Network, folder: Path, batch: int, settings: Reinforcement
) -> tuple[Record, int]:
    """The games of a mini-batch, and which of the pool the opponent was; both follow from the seed and the number."""
    chosen = int(np.random.default_rng((settings.seed, batch)).integers(1 + batch // settings.extend))
    weights.load(opponent.model, folder / POOL / _name(chosen))
    record = play_games(
        learner.network, opponent, games=settings.batch_games, opening=settings.opening, komi=settings.komi,
        seed=(settings.seed, batch),
    )  # fmt: skip
    return record, chosen


def _metrics(record: Record, batch: int, chosen: int) -> dict[str, Any]:
    black = record.colours == BLACK
    won = (record.results + 1) / 2
    return {
        "batch": batch, "games": batch * len(won), "opponent": chosen, "won": float(won.mean()),
        "won_black": float(won[black].mean()), "won_white": float(won[~black].mean()), "length": record.length,
    }  # fmt: skip
