"""Training of value networks on games that a policy played against itself, as AlphaGo's.

Silver et al. 2016, section "Reinforcement learning of value networks": few positions of each of many games, as those of
one game differ by a stone and have one result, which a network learns by heart. The loss is the squared distance of the
value from the result.

In training the network also says whose each point is at the end, from the last feature map by one filter of 1x1, which
is left out afterwards: 81 answers of a game teach more than the one of who won (Wu, "Accelerating Self-Play Learning in
Go", 2019, https://arxiv.org/abs/1902.10565, section "Auxiliary ownership and score targets").
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

import zoo
from applications.go.batches import Labels, PositionBatches, learn, read_all
from applications.go.network import check_new, write_run
from zoo import training
from zoo.data import DataError
from zoo.data.go import BLACK, WHITE, Game, encode_games, score, split_games, symmetries
from zoo.data.go.positions import Positions

MODEL = "go_value"


@keras.saving.register_keras_serializable("zoo")
class ValueLoss(keras.losses.Loss):
    """Squared error of the value, and the weighted mean of the squared errors of the points where these are known.

    Labels (batch, 2 + points): result from -1 to 1, whether the points are known, whose each point is, 1 for the player
    to move and -1 for the other. Predictions (batch, 1 + points): the value and the points.

    Args:
        ownership_weight: Weight of the points.
    """

    def __init__(self, ownership_weight: float = 1.0, name: str = "value_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.ownership_weight = ownership_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        points = keras.ops.mean(keras.ops.square(y_true[:, 2:] - y_pred[:, 1:]), axis=-1)
        return keras.ops.square(y_true[:, 0] - y_pred[:, 0]) + self.ownership_weight * y_true[:, 1] * points

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ownership_weight": self.ownership_weight}


def value_error(y_true: Any, y_pred: Any) -> Any:
    """The squared error of the value, 0 to 4; 1 for a value that is always 0."""
    return keras.ops.square(y_true[:, 0] - y_pred[:, 0])


def winner_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Whether the value names the winner; a draw is named by none."""
    return keras.ops.cast(y_true[:, 0] * y_pred[:, 0] > 0, "float32")


def owners(game: Game) -> np.ndarray | None:
    """Whose each point is at the end: (points,) int8, 1 black, -1 white, 0 of nobody.

    None where that is not known: the game was resigned, or the board at its end, counted by the rules of the game with
    all stones alive, gives another result than the game has, so that dead ones were among them.
    """
    board = game.start()
    for colour, point in game.moves:
        board.play(point, colour)
    found = score(board)
    if not board.is_over or found.margin != _margin(game.result):
        return None
    whose = np.zeros(board.geometry.num_points, np.int8)
    whose[board.geometry.points(found.black_area | board.stones[BLACK])] = BLACK
    whose[board.geometry.points(found.white_area | board.stones[WHITE])] = WHITE
    return whose


def _margin(result: str) -> float | None:
    """By how much black has won by a result such as "B+3.5" or "0"; None where it has no number."""
    try:
        return {"B": 1, "W": -1}[result[:1].upper()] * float(result[2:]) if result != "0" else 0.0
    except (KeyError, ValueError):
        return None


def result_and_owners(positions: Positions, games: Sequence[Game]) -> Labels:
    """Labels of `ValueLoss` for positions of some games."""
    points = positions.size**2
    whose = np.zeros((len(games), points), np.int8)
    known = np.zeros(len(games), np.int8)
    for index, game in enumerate(games):
        if (found := owners(game)) is not None:
            whose[index], known[index] = found, 1
    colours = np.array(
        [games[game].moves[number][0] for game, number in zip(positions.games, positions.numbers, strict=True)], np.int8
    )
    table = symmetries.moves(positions.size)[:, :points]

    def labels(indices: np.ndarray, turns: np.ndarray) -> np.ndarray:
        own = whose[positions.games[indices]] * colours[indices, None]
        turned = np.empty_like(own)
        np.put_along_axis(turned, table[turns], own, axis=1)
        return np.concatenate(
            [positions.values[indices, None], known[positions.games[indices], None], turned], axis=1
        )  # fmt: skip

    return labels


def train_value(
    games: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    encoder: str = "alphago49",  # noqa: A002
    filters: int = 48,
    hidden_layers: int = 5,
    hidden_units: int = 64,
    per_game: int = 16,
    epochs: int = 4,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.01,
    ownership_weight: float = 1.0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Train a value network on games, and write a run folder that `--value` of `zoo go gtp` and `match` takes.

    Args:
        games: SGF file, folder of such, or "gnugo9".
        folder: New folder.
        encoder: Name of the encoder.
        filters: Filters of a layer.
        hidden_layers: Number of convolutions.
        hidden_units: Units of the value's dense layer.
        per_game: Positions of a game that are drawn.
        epochs: Number of epochs.
        batch_size: Positions of a batch.
        learning_rate: At the start; it falls to 0 by a cosine.
        weight_decay: Decoupled weight decay.
        ownership_weight: Weight of whose each point is at the end; 0 for who wins alone.
        seed: Of the draw, weights, order and symmetries.
        progress: Is told a line after each epoch.

    Returns:
        On the test games: "loss", "value_error" (0 to 4) and "winner_accuracy" (0 to 1).

    Raises:
        DataError: The games cannot be used, or the folder holds something.
    """
    from zoo.data.go import encoder as encoder_named

    check_new(folder)
    item = encoder_named(encoder)
    found = read_all(games, progress)
    decided = [game for game in found if game.winner is not None]
    if not decided:
        raise DataError(f"{games} holds no game whose result is known.")
    positions = encode_games(decided, item, per_game=per_game, seed=seed)
    parts = split_games(positions.fingerprints, seed=0)
    splits = {split: positions.of_games(chosen) for split, chosen in parts.items()}
    training.seed_everything(seed)
    size = positions.size
    arguments: dict[str, Any] = {
        "classes": 1, "input_shape": (size, size, item.num_planes), "filters": filters, "hidden_layers": hidden_layers,
        "hidden_units": hidden_units,
    }  # fmt: skip
    network = zoo.create_model(MODEL, **arguments)
    whose = keras.layers.Conv2D(1, 1, activation="tanh", name="ownership")(network.get_layer("stride1").output)
    outputs = [network.output["value"], keras.layers.Flatten(name="ownership_flatten")(whose)]
    joint = keras.Model(network.input, keras.layers.Concatenate(name="both")(outputs))
    labels = result_and_owners(positions, decided)

    def batches(split: str, **options: Any) -> PositionBatches:
        return PositionBatches(positions, splits[split], labels, 2 + size * size, batch_size=batch_size, **options)

    result = learn(
        joint, batches, loss=ValueLoss(ownership_weight), metrics=(value_error, winner_accuracy), epochs=epochs,
        learning_rate=learning_rate, weight_decay=weight_decay, seed=seed, progress=progress,
    )  # fmt: skip
    write_run(
        folder, network, name=MODEL, arguments=arguments, item=item,
        data={"name": f"go:{games}:{encoder}", "games": len(decided), "per_game": per_game},
        settings={
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "weight_decay": weight_decay,
            "ownership_weight": ownership_weight,
        },
        seed=seed, result=result,
    )  # fmt: skip
    return result["evaluation"]
