"""Batches of positions for trainings that ask for more than the move that was played."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from zoo.data.go import symmetries
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
