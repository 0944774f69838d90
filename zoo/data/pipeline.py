"""Batches of a split, in one order of stages for every source."""

import copy
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from zoo.data.augmentation import Augmentation, Mix, SpecAugment
from zoo.data.augmentation.chain import NUM_DRAWS
from zoo.data.augmentation.seeds import branch, example_seed
from zoo.data.errors import DataError

# From the number of examples of a batch to begin and end of a part of it.
Part: TypeAlias = Callable[[Any], tuple[Any, Any]]

# Keeps the two uses of chance apart: the order of the examples and what happens to them.
_ORDER, _AUGMENTATION = 0, 1

# Mixing takes the seed of a batch's first example, in a branch that no step takes.
_MIX = 1 << 22

# Masks of spectrograms likewise take a branch of each example's seed.
_MASKS = 1 << 21


class Examples(Protocol):
    """The examples of one split, each brought to the size and channels of the pipeline."""

    def __len__(self) -> int: ...

    def batches(
        self,
        order: tf.Tensor | None,
        batch_size: int,
        start: tf.Tensor,
        seed: tf.Tensor | None,
        chance: tf.Tensor | None,
    ) -> tf.data.Dataset:
        """Batches (visit, picture, label) from number `start` on.

        A visit is an index, plus the number of examples for each time that the example has come before in this epoch.

        Args:
            order: Visits in the order wanted; None where `shuffles_itself`.
            batch_size: Examples of a batch.
            start: Number of the first batch.
            seed: (2,) int64, from which a source that `shuffles_itself` takes its order; None for the stored order.
            chance: () int64, from which, with the visit, is drawn what happens in reading; None outside of training.
        """
        ...

    @property
    def shuffles_itself(self) -> bool:
        """Whether the examples can only be read in sequence."""
        ...


class Pipeline:
    """Batches of a split: (pictures, labels), (batch, height, width, channels) float32 and (batch,) int32.

    Of sound, text and signals, whatever shape and type the examples have. With `mix`, labels are (batch, classes)
    float32 that sum to one.

    Args:
        examples: Where they come from.
        picture_shape: Height, width and channels of a picture; the shape of another example.
        batch_size: Examples of a batch; the last one may be smaller.
        value_range: What 0 and 255 become; None for values that stay as they are.
        training: Whether the order is a new permutation each epoch, and augmentation applies.
        seed: What order and augmentation depend on, with the epoch.
        augmentation: What happens to pictures in training.
        mix: How pictures of a batch are mixed in training; None for not at all.
        num_classes: Number of classes.
        weights: How much each example counts when an epoch's are drawn, (n,) float64; None for each once.
        repeats: How often an example comes in a row; an epoch then has a part of the examples.
        dtype: Type of what comes out.
        prepare: From a batch of examples to what the network takes, such as a spectrogram; None for as they are.
    """

    def __init__(
        self,
        examples: Examples,
        picture_shape: tuple[int, ...],
        *,
        batch_size: int,
        value_range: tuple[float, float] | None,
        training: bool,
        seed: int,
        augmentation: Augmentation,
        mix: Mix | None,
        num_classes: int,
        weights: np.ndarray | None,
        repeats: int,
        dtype: tf.DType = tf.float32,
        prepare: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.num_examples = len(examples)
        spec = tf.TensorSpec((None, *picture_shape), dtype)
        if prepare is not None:
            made = tf.function(prepare).get_concrete_function(spec).structured_outputs
            spec = tf.TensorSpec(made.shape, made.dtype)
        self.element_spec: Any = (
            spec,
            tf.TensorSpec((None,), tf.int32) if mix is None else tf.TensorSpec((None, num_classes), tf.float32),
        )
        self._examples = examples
        self._picture_shape = picture_shape
        self._value_range = value_range
        self._training = training
        self._seed = seed
        self._augmentation = augmentation
        self._mix = mix
        self._num_classes = num_classes
        self._weights = weights
        self._repeats = repeats
        self._prepare = prepare
        self._part: Part | None = None
        self._places, self._part_size = np.empty(0, np.int64), batch_size
        self._traced: Callable[..., tf.data.Dataset] | None = None

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
        dataset = self._make()(tf.constant(epoch, tf.int64), tf.constant(start, tf.int64))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(self) - start))
        dataset._examples = self._examples  # what `weakly` calls lives as long as the batches that it makes
        return dataset

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
        other._traced = None
        return other

    def _make(self) -> Callable[..., tf.data.Dataset]:
        """From epoch and start to the batches."""
        if self._examples.shuffles_itself:
            return self._stages
        if self._traced is None:
            # Traced once: making the dataset of a further epoch then takes a millisecond. As a concrete function, for
            # TensorFlow warns of retracing where functions of one name are called for the first time, one after the
            # other, and a search makes hundreds of pipelines.
            function = tf.function(self._stages, [tf.TensorSpec((), tf.int64)] * 2, autograph=False)
            self._traced = function.get_concrete_function()
        return self._traced

    def _stages(self, epoch: tf.Tensor, start: tf.Tensor) -> tf.data.Dataset:
        order, seed, chance, draws = None, None, None, None
        key = 2 * self._seed + _AUGMENTATION
        # What happens to a batch as a whole needs its random numbers at once, and each example only once an epoch.
        at_once = self._augmentation.is_shift_and_flip and self._weights is None and self._repeats == 1
        with tf.device("CPU:0"):  # where tf.data works; from an accelerator, all of this would have to come back
            if not self._examples.shuffles_itself:
                order = tf.range(self.num_examples, dtype=tf.int64)
            if self._training:
                # Shuffle and repeat: a permutation that is a function of (seed, epoch) needs no buffer, no state that
                # a checkpoint would have to hold, and can start anywhere.
                seed = tf.stack([tf.constant(2 * self._seed + _ORDER, tf.int64), epoch])
                if order is not None:
                    order = _drawn(order, self._weights, self._repeats, seed)
                chance = example_seed(key, epoch, tf.constant(0, tf.int64))[0]
                if at_once:
                    draws = tf.random.stateless_uniform(
                        (self.num_examples, NUM_DRAWS), tf.stack([tf.constant(key, tf.int64), epoch])
                    )
        # Read, decode and resize: what fits is cached in memory, in 8 bits, a quarter of the size that floats would
        # have, and before anything random happens to it.
        batch_size = self.batch_size
        # Mixing needs the whole batch, a source in sequence reads it anyway; otherwise a part is all that is read.
        reads_part = self._part is not None and order is not None and self._mix is None
        if reads_part:
            # The parts of all batches, one after the other: all are of one size, but for that of a smaller last batch.
            order, batch_size = tf.gather(order, self._places), self._part_size
        batches = self._examples.batches(order, batch_size, start, seed, chance)

        def change(visit: tf.Tensor, picture: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            picture = tf.ensure_shape(picture, self._picture_shape)
            changed = self._augmentation.apply(picture, example_seed(key, epoch, visit), first=num_read)
            return visit, changed, label

        num_read = self._augmentation.num_read
        masks = self._augmentation.masks
        if self._training and not at_once and num_read < len(self._augmentation.steps) - (masks is not None):
            # One by one, as each gets an operation of its own, and on all cores.
            batches = batches.unbatch().map(change, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            batches = batches.batch(batch_size)

        def finish(visit: tf.Tensor, pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # What is alike for all works on the whole batch: one set of kernels in place of one an example.
            pictures = tf.ensure_shape(pictures, (None, *self._picture_shape))
            if draws is not None:
                pictures = self._augmentation.shift_and_flip(pictures, tf.gather(draws, visit))
            if self._value_range is not None:
                low, high = self._value_range
                pictures = tf.cast(pictures, tf.float32) * ((high - low) / 255)
                if low:  # each pass over a batch of floats takes time
                    pictures += low
            if self._prepare is not None:
                pictures = self._prepare(pictures)
            if self._training and masks is not None:
                pictures = self._masked(masks, pictures, key, epoch, visit)
            if self._mix is None:
                return pictures, tf.cast(labels, tf.int32)
            soft = tf.one_hot(labels, self._num_classes)
            return self._mix.apply(pictures, soft, branch(example_seed(key, epoch, visit[0]), _MIX))

        # Prefetch last, so that the accelerator finds a batch ready.
        batches = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        if self._part is not None:
            if not reads_part:
                batches = batches.map(self._cut)
            totals = tf.data.Dataset.from_tensor_slices(tf.constant(self._totals(), tf.int32)[start:])
            batches = tf.data.Dataset.zip(totals, batches)
        return batches.prefetch(2)

    @staticmethod
    def _masked(
        masks: SpecAugment, spectrograms: tf.Tensor, key: int, epoch: tf.Tensor, visits: tf.Tensor
    ) -> tf.Tensor:
        """Spectrograms with masks of their own, (batch, frames, bands, maps)."""

        def one(example: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            return masks.apply(example[0], branch(example_seed(key, epoch, example[1]), _MASKS))

        spec = tf.TensorSpec(spectrograms.shape[1:], spectrograms.dtype)
        return tf.map_fn(one, (spectrograms, visits), fn_output_signature=spec)

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


def weakly(method: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A method as `tf.numpy_function` may have it, which keeps what it is given until the process ends.

    The object of the method is not kept: `Pipeline.epoch` ties it to the batches.
    """
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> np.ndarray:
        living = reference()
        assert living is not None, "the batches are gone"
        return living(*arguments)

    return call


def _drawn(visits: tf.Tensor, weights: np.ndarray | None, repeats: int, seed: tf.Tensor) -> tf.Tensor:
    """An epoch's visits in random order.

    Args:
        visits: 0, 1, … for each example, (n,) int64.
        weights: As `Pipeline` takes them.
        repeats: As `Pipeline` takes them.
        seed: (2,) int64.

    Returns:
        (n,) int64.
    """
    count = visits.shape[0]
    if weights is None and repeats == 1:
        return tf.random.experimental.stateless_shuffle(visits, seed)
    if weights is not None:
        # At regular steps through the summed weights, from a random place on: each example comes as often as its
        # weight says, rounded up or down, so that an epoch's share of a class hardly depends on chance.
        begin = tf.random.stateless_uniform((), branch(seed, 1), dtype=tf.float64)
        places = (tf.cast(visits, tf.float64) + begin) / count
        ends = tf.constant(np.cumsum(weights) / np.sum(weights), tf.float64)
        drawn = tf.minimum(tf.searchsorted(ends, places, side="right", out_type=tf.int64), count - 1)
        earlier = visits - tf.searchsorted(drawn, drawn, side="left", out_type=tf.int64)
        return tf.random.experimental.stateless_shuffle(drawn + count * earlier, seed)
    first = tf.random.experimental.stateless_shuffle(visits, seed)[: -(-count // repeats)]
    several = first[:, None] + count * tf.range(repeats, dtype=tf.int64)
    return tf.reshape(several, (-1,))[:count]


def visit_batches(order: tf.Tensor, batch_size: int, start: tf.Tensor) -> tf.data.Dataset:
    """Batches of visits from number `start` on."""
    return tf.data.Dataset.from_tensor_slices(order[start * batch_size :]).batch(batch_size)
