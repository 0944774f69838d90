"""Training of networks with two heads, as AlphaGo Zero's: the move that was played, and who won.

The loss is the paper's: cross-entropy of the move, and the squared distance of the value from the result, here with a
weight, as Silver et al. weighted it down when they trained on games of people. The paper's L2 penalty is AdamW's decay.
"""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import zoo
from applications.go.batches import Labels, PositionBatches, learn, read_all
from applications.go.network import check_new, write_run
from zoo import training
from zoo.data import DataError
from zoo.data.go import encode_games, split_games, symmetries
from zoo.data.go.positions import Positions


@keras.saving.register_keras_serializable("zoo")
class DualLoss(keras.losses.Loss):
    """Cross-entropy of the move plus a weighted squared error of the value.

    Labels (batch, 2): move, and result from -1 to 1; predictions (batch, moves + 1): probabilities, and the value.

    Args:
        value_weight: Weight of the squared error.
    """

    def __init__(self, value_weight: float = 1.0, name: str = "dual_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.value_weight = value_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        policy = keras.losses.sparse_categorical_crossentropy(y_true[:, 0], y_pred[:, :-1])
        return policy + self.value_weight * keras.ops.square(y_true[:, 1] - y_pred[:, -1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_weight": self.value_weight}


def policy_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Whether the move was the most probable one."""
    return keras.ops.cast(keras.ops.argmax(y_pred[:, :-1], axis=-1) == keras.ops.cast(y_true[:, 0], "int32"), "float32")


def value_error(y_true: Any, y_pred: Any) -> Any:
    """The squared error of the value, 0 to 4; 1 for a value that is always 0."""
    return keras.ops.square(y_true[:, 1] - y_pred[:, -1])


def move_and_result(positions: Positions) -> Labels:
    """Labels of two heads, (n, 2): the move as it lies on the turned board, and the result."""
    table = symmetries.moves(positions.size)

    def labels(indices: np.ndarray, turns: np.ndarray) -> np.ndarray:
        return np.stack([table[turns, positions.moves[indices]], positions.values[indices]], axis=1)

    return labels


def train_dual(
    games: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    model: str = "go_leela_6x128",
    encoder: str = "leela18",  # noqa: A002
    filters: int = 48,
    blocks: int = 4,
    epochs: int = 30,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.05,
    value_weight: float = 0.5,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Train a network of two heads on games, and write a run folder that `zoo go gtp`, `match` and `export` take.

    Args:
        games: SGF file, folder of such, or "gnugo9".
        folder: New folder.
        model: Registered name of the family `alphagozero`.
        encoder: Name of the encoder.
        filters: Filters of a layer.
        blocks: Number of residual blocks.
        epochs: Number of epochs.
        batch_size: Positions of a batch.
        learning_rate: At the start; it falls to 0 by a cosine.
        weight_decay: Decoupled weight decay.
        value_weight: Weight of the value's loss.
        seed: Of weights, order and symmetries.
        progress: Is told a line after each epoch.

    Returns:
        On the test games: "loss", "policy_accuracy" (0 to 1) and "value_error" (0 to 4).

    Raises:
        DataError: The games cannot be used, or the folder holds something.
    """
    from zoo.data.go import encoder as encoder_named

    check_new(folder)
    if zoo.model_card(model).family != "alphagozero":
        names = ", ".join(zoo.list_models(family="alphagozero"))
        raise DataError(f"Networks of two heads are {names}. Received: model={model!r}")
    item = encoder_named(encoder)
    found = read_all(games, progress)
    positions = encode_games(found, item)
    parts = split_games(positions.fingerprints, seed=0)
    splits = {split: positions.of_games(chosen) for split, chosen in parts.items()}
    training.seed_everything(seed)
    size = positions.size
    arguments: dict[str, Any] = {
        "classes": size * size + 1, "input_shape": (size, size, item.num_planes), "filters": filters, "blocks": blocks
    }  # fmt: skip
    network = zoo.create_model(model, **arguments)
    outputs = keras.layers.Concatenate(name="both")([network.output["predictions"], network.output["value"]])
    joint = keras.Model(network.input, outputs)
    labels = move_and_result(positions)

    def batches(split: str, **options: Any) -> PositionBatches:
        return PositionBatches(positions, splits[split], labels, 2, batch_size=batch_size, **options)

    result = learn(
        joint, batches, loss=DualLoss(value_weight), metrics=(policy_accuracy, value_error), epochs=epochs,
        learning_rate=learning_rate, weight_decay=weight_decay, seed=seed, progress=progress,
    )  # fmt: skip
    write_run(
        folder, network, name=model, arguments=arguments, item=item,
        data={"name": f"go:{games}:{encoder}", "games": len(found)},
        settings={
            "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "weight_decay": weight_decay,
            "value_weight": value_weight,
        },
        seed=seed, result=result,
    )  # fmt: skip
    return result["evaluation"]
