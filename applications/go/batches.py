"""Trainings on positions that ask for more than the move that was played: their games, batches and course."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo import training
from zoo.data.go import EMBEDDED, Game, read_games, symmetries
from zoo.data.go.positions import Positions

# From indices of positions, and the symmetry that each is seen in, to labels (n, num_labels).
Labels = Callable[[np.ndarray, np.ndarray], np.ndarray]


class PositionBatches:
    """Positions in a repeatable order with labels; a `zoo.training.trainer.Batches`.

    Args:
        positions: All positions.
        indices: Those of this split.
        labels: Gives the labels.
        num_labels: How many a position has.
        batch_size: Positions of a batch.
        training: Whether each epoch has its own order and each position a symmetry by chance.
        seed: What these depend on, with the epoch.
    """

    def __init__(
        self,
        positions: Positions,
        indices: np.ndarray,
        labels: Labels,
        num_labels: int,
        *,
        batch_size: int,
        training: bool = False,
        seed: int = 0,
    ) -> None:
        self._positions, self._indices, self._labels = positions, indices, labels
        self._batch_size, self._training, self._seed = batch_size, training, seed
        size, planes = positions.size, positions.encoder.num_planes
        self.element_spec = (
            tf.TensorSpec((None, size, size, planes), tf.float32), tf.TensorSpec((None, num_labels), tf.float32)
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

        def read(chosen: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            planes = self._positions.planes(chosen).astype(np.float32)
            for number in np.unique(numbers):
                planes[numbers == number] = symmetries.transform(planes[numbers == number], int(number))
            return planes, self._labels(chosen, numbers).astype(np.float32)

        def fetch(chosen: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.numpy_function(read, [chosen, numbers], (tf.float32, tf.float32))
            return tuple(tf.ensure_shape(item, spec.shape) for item, spec in zip(batch, self.element_spec, strict=True))

        begin = start * self._batch_size
        dataset = tf.data.Dataset.from_tensor_slices((order[begin:], turns[begin:])).batch(self._batch_size)
        return dataset.map(fetch, num_parallel_calls=2, deterministic=True).prefetch(2)


def read_all(games: str | os.PathLike, progress: Callable[[str], None]) -> list[Game]:
    """The games of an SGF file, a folder of such, or "gnugo9"; `progress` is told how many could not be used."""
    found, rejected = read_games(EMBEDDED.get(str(games), Path(games)))
    if rejected:
        progress(f"{len(rejected)} games were left out, such as {next(iter(rejected.items()))}")
    return found


def learn(
    model: keras.Model,
    batches: Callable[..., PositionBatches],
    *,
    loss: keras.losses.Loss,
    metrics: Sequence[Callable[[Any, Any], Any]],
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Train a model by AdamW and a cosine, and score it.

    Args:
        model: With all that is learned in one output.
        batches: From the name of a split, and options of `PositionBatches`, to its batches.
        loss: Of labels and output.
        metrics: From labels and output to a number for each position; reported by their names.
        epochs: Number of epochs.
        learning_rate: At the start; it falls to 0.
        weight_decay: Decoupled weight decay.
        seed: Of order and symmetries.
        progress: Is told a line after each epoch.

    Returns:
        "evaluation", the scores of the test split, and "history", those of each epoch.
    """
    train = batches("train", training=True, seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(train))
    trainer = training.Trainer(
        model,
        optimizer=keras.optimizers.AdamW(rate, weight_decay=weight_decay),
        loss=loss,
        metrics=[keras.metrics.MeanMetricWrapper(function, name=function.__name__) for function in metrics],
        steps_per_call=16,
    )

    def tell(epoch: int, logs: Any = None) -> None:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items() if name != "step")
        progress(f"epoch {epoch + 1}/{epochs}: {numbers}")

    history = trainer.fit(
        train,
        epochs=epochs,
        validation=batches("validation"),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=tell)],
    )
    return {"evaluation": trainer.evaluate(batches("test")), "history": history}
