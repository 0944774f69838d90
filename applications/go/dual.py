"""Training of networks with two heads, as AlphaGo Zero's: the move that was played, and who won.

The loss is the paper's: cross-entropy of the move, and the squared distance of the value from the result, here with a
weight, as Silver et al. weighted it down when they trained on games of people. The paper's L2 penalty is AdamW's decay.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo import training, weights
from zoo.data import DataError
from zoo.data.go import EMBEDDED, encode_games, read_games, split_games, symmetries
from zoo.data.go.positions import Positions
from zoo.files import write_json
from zoo.runs.run import BEST, CONFIG, FORMAT, RESULT


@keras.saving.register_keras_serializable("zoo")
class DualLoss(keras.losses.Loss):
    """Cross-entropy of the move plus a weighted squared error of the value.

    Labels (batch, 2): move, and result from -1 to 1; predictions (batch, moves + 1): probabilities, and the value.

    Args:
        value_weight: Weight of the squared error.
    """

    def __init__(self, value_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(name="dual_loss", **kwargs)
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


class DualBatches:
    """Positions in a repeatable order with moves and results; a `zoo.training.trainer.Batches`.

    Args:
        positions: All positions.
        indices: Those of this split.
        batch_size: Positions of a batch.
        training: Whether each epoch has its own order and each position a symmetry by chance.
        seed: What these depend on, with the epoch.
    """

    def __init__(
        self, positions: Positions, indices: np.ndarray, *, batch_size: int, training: bool = False, seed: int = 0
    ) -> None:
        self._positions, self._indices = positions, indices
        self._batch_size, self._training, self._seed = batch_size, training, seed
        size, planes = positions.size, positions.encoder.num_planes
        self.element_spec = (
            tf.TensorSpec((None, size, size, planes), tf.float32), tf.TensorSpec((None, 2), tf.float32)
        )  # fmt: skip

    def __len__(self) -> int:
        return -(-len(self._indices) // self._batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """The batches of an epoch from number `start` on."""
        order, turns = self._indices, np.zeros(len(self._indices), np.int64)
        if self._training:
            rng = np.random.default_rng((self._seed, epoch))
            order = rng.permutation(order)
            turns = rng.integers(symmetries.NUM_SYMMETRIES, size=len(order))
        positions, table = self._positions, symmetries.moves(self._positions.size)

        def read(chosen: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            planes = positions.planes(chosen).astype(np.float32)
            for number in np.unique(numbers):
                planes[numbers == number] = symmetries.transform(planes[numbers == number], int(number))
            moves = table[numbers, positions.moves[chosen]]
            return planes, np.stack([moves, positions.values[chosen]], axis=1).astype(np.float32)

        def fetch(chosen: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.numpy_function(read, [chosen, numbers], (tf.float32, tf.float32))
            return tuple(tf.ensure_shape(item, spec.shape) for item, spec in zip(batch, self.element_spec, strict=True))

        begin = start * self._batch_size
        dataset = tf.data.Dataset.from_tensor_slices((order[begin:], turns[begin:])).batch(self._batch_size)
        return dataset.map(fetch, num_parallel_calls=2, deterministic=True).prefetch(2)


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

    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; a run needs a folder of its own.")
    if zoo.model_card(model).family != "alphagozero":
        names = ", ".join(zoo.list_models(family="alphagozero"))
        raise DataError(f"Networks of two heads are {names}. Received: model={model!r}")
    item = encoder_named(encoder)
    found, rejected = read_games(EMBEDDED.get(str(games), Path(games)))
    if rejected:
        progress(f"{len(rejected)} games were left out, such as {next(iter(rejected.items()))}")
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
    batches = DualBatches(positions, splits["train"], batch_size=batch_size, training=True, seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(batches))
    trainer = training.Trainer(
        joint,
        optimizer=keras.optimizers.AdamW(rate, weight_decay=weight_decay),
        loss=DualLoss(value_weight),
        metrics=[
            keras.metrics.MeanMetricWrapper(function, name=function.__name__)
            for function in (policy_accuracy, value_error)
        ],
        steps_per_call=16,
    )

    def tell(epoch: int, logs: Any = None) -> None:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items() if name != "step")
        progress(f"epoch {epoch + 1}/{epochs}: {numbers}")

    history = trainer.fit(
        batches,
        epochs=epochs,
        validation=DualBatches(positions, splits["validation"], batch_size=batch_size),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=tell)],
    )
    result = trainer.evaluate(DualBatches(positions, splits["test"], batch_size=batch_size))
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(network, folder / BEST)
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "model": {"name": model, "arguments": arguments},
            "data": {
                "name": f"go:{games}:{encoder}", "encoder": encoder, "games": len(found), "split_seed": 0,
                "on_bad": "count", "value_range": item.value_range, "image_size": (size, size),
                "classes": ["move"] * (size * size + 1),
            },
            "training": {
                "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
                "weight_decay": weight_decay, "value_weight": value_weight,
            },
            "seed": seed,
        },
    )  # fmt: skip
    write_json(folder / RESULT, {"evaluation": result, "history": history})
    return result
