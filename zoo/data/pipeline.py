"""Batches of a split, in one order of stages for every source."""

import copy
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from zoo.data.augmentation import NUM_DRAWS, Augmentation
from zoo.data.errors import DataError

# From the number of examples of a batch to begin and end of a part of it.
Part: TypeAlias = Callable[[Any], tuple[Any, Any]]

# Keeps the two uses of chance apart: the order of the examples and what happens to them.
_ORDER, _AUGMENTATION = 0, 1


class Examples(Protocol):
    """The examples of one split, each brought to the size and channels of the pipeline."""

    def __len__(self) -> int: ...

    def batches(
        self, order: tf.Tensor | None, batch_size: int, start: tf.Tensor, seed: tf.Tensor | None
    ) -> tf.data.Dataset:
        """Batches (index, picture, label) from number `start` on.

        Args:
            order: Indices of the examples in the order wanted; None where `shuffles_itself`.
            batch_size: Examples of a batch.
            start: Number of the first batch.
            seed: (2,) int64, from which a source that `shuffles_itself` takes its order; None for the stored order.
        """
        ...

    @property
    def shuffles_itself(self) -> bool:
        """Whether the examples can only be read in sequence."""
        ...


class Pipeline:
    """Batches of a split: (pictures, labels), (batch, height, width, channels) float32 and (batch,) int32.

    Args:
        examples: Where they come from.
        picture_shape: Height, width and channels of a picture.
        batch_size: Examples of a batch; the last one may be smaller.
        value_range: What 0 and 255 become.
        training: Whether the order is a new permutation each epoch, and augmentation applies.
        seed: What order and augmentation depend on, with the epoch.
        augmentation: What happens to pictures in training.
    """

    def __init__(
        self,
        examples: Examples,
        picture_shape: tuple[int, int, int],
        *,
        batch_size: int,
        value_range: tuple[float, float],
        training: bool,
        seed: int,
        augmentation: Augmentation,
    ) -> None:
        self.batch_size = batch_size
        self.num_examples = len(examples)
        self.element_spec = (
            tf.TensorSpec((None, *picture_shape), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        )
        self._examples = examples
        self._picture_shape = picture_shape
        self._value_range = value_range
        self._training = training
        self._seed = seed
        self._augmentation = augmentation
        self._part: Part | None = None
        self._trace()

    def _trace(self) -> None:
        self._make: Callable[..., tf.data.Dataset] = self._stages
        if not self._examples.shuffles_itself:
            # Traced once: making the dataset of a further epoch then takes a millisecond.
            self._make = tf.function(self._stages, input_signature=[tf.TensorSpec((), tf.int64)] * 2)

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return -(-self.num_examples // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """The batches of an epoch.

        Args:
            epoch: 0, 1, …; has no effect without `training`.
            start: Number of the first batch, 0 to the number of batches: `epoch(e, k)` is `epoch(e)` without its
                first k batches.

        Returns:
            A finite dataset that knows its length.

        Raises:
            DataError: There is no batch `start`.
        """
        if not 0 <= start <= len(self):
            raise DataError(f"start must be from 0 to {len(self)}, the number of batches. Received: start={start}")
        dataset = self._make(tf.constant(epoch, tf.int64), tf.constant(start, tf.int64))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self) - start))

    def divided(self, part: Part) -> "Pipeline":
        """The same batches, of each only a part: what one of several workers has to read.

        Examples outside of the part are neither read nor decoded, unless the source can only be read in sequence.

        Args:
            part: From the number of examples of a batch to begin and end of the part. Of a smaller batch it must not
                be larger.

        Returns:
            A pipeline whose epochs hold (number of examples of the whole batch, (pictures, labels) of the part).
        """
        other = copy.copy(self)
        other._part = part
        other._places, other._part_size = self._places_of(part)
        other.element_spec = tf.TensorSpec((), tf.int32), self.element_spec
        other._trace()
        return other

    def _stages(self, epoch: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        order, seed, draws = None, None, None
        with tf.device("CPU:0"):  # where tf.data works; from an accelerator, all of this would have to come back
            if not self._examples.shuffles_itself:
                order = tf.range(self.num_examples, dtype=tf.int64)
            if self._training:
                # Shuffle and repeat: a permutation that is a function of (seed, epoch) needs no buffer, no state that
                # a checkpoint would have to hold, and can start anywhere.
                seed = tf.stack([tf.constant(2 * self._seed + _ORDER, tf.int64), epoch])
                if order is not None:
                    order = tf.random.experimental.stateless_shuffle(order, seed)
                chance = tf.stack([tf.constant(2 * self._seed + _AUGMENTATION, tf.int64), epoch])
                draws = tf.random.stateless_uniform((self.num_examples, NUM_DRAWS), chance)
        # Read, decode and resize: what fits is cached in memory, in 8 bits, a quarter of the size that floats would
        # have, and before anything random happens to it.
        batch_size = self.batch_size
        if self._part is not None and order is not None:
            # The parts of all batches, one after the other: all are of one size, but for that of a smaller last batch.
            order, batch_size = tf.gather(order, self._places), self._part_size
        batches = self._examples.batches(order, batch_size, start, seed)

        def finish(index: tf.Tensor, pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Augmentation and scaling work on the whole batch at once: one set of kernels in place of one an example.
            pictures = tf.ensure_shape(pictures, (None, *self._picture_shape))
            if draws is not None:
                pictures = self._augmentation.apply(pictures, tf.gather(draws, index))
            low, high = self._value_range
            return tf.cast(pictures, tf.float32) * ((high - low) / 255) + low, tf.cast(labels, tf.int32)

        # Prefetch last, so that the accelerator finds a batch ready.
        batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        if self._part is not None:
            if order is None:
                batches = batches.map(self._cut)
            totals = tf.data.Dataset.from_tensor_slices(tf.constant(self._totals(), tf.int32)[start:])
            batches = tf.data.Dataset.zip(totals, batches)
        return batches.prefetch(2)

    def _totals(self) -> list[int]:
        """Number of examples of each batch of an epoch."""
        full, rest = divmod(self.num_examples, self.batch_size)
        return [self.batch_size] * full + [rest] * (rest > 0)

    def _places_of(self, part: Part) -> tuple[np.ndarray, int]:
        """Where in an epoch's order the parts of all batches are, and how many examples a part has at most."""
        bounds = {total: [int(bound) for bound in part(total)] for total in set(self._totals())}
        starts = np.arange(len(self)) * self.batch_size
        parts = [start + np.arange(*bounds[total]) for start, total in zip(starts, self._totals(), strict=True)]
        return np.concatenate(parts), len(parts[0])

    def _cut(self, pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        assert self._part is not None
        begin, end = self._part(tf.shape(labels)[0])
        return pictures[begin:end], labels[begin:end]


def index_batches(order: tf.Tensor, batch_size: int, start: tf.Tensor) -> tf.data.Dataset:
    """Batches of indices from number `start` on."""
    return tf.data.Dataset.from_tensor_slices(order[start * batch_size :]).batch(batch_size)
