"""Mixup and cutmix: two pictures of a batch in one, their labels in proportion."""

import math
from dataclasses import dataclass

import tensorflow as tf

from zoo.data.augmentation.seeds import branch
from zoo.data.augmentation.steps import check_probability
from zoo.data.errors import DataError


@dataclass(frozen=True)
class Mix:
    """Mixup (Zhang et al. 2017, arXiv 1710.09412) and cutmix (Yun et al. 2019, arXiv 1905.04899) of a batch.

    One share lambda is drawn for a batch. Mixup adds the next picture of the batch, in the share 1 - lambda, to each;
    cutmix puts a box of it, 1 - lambda of the area, into each. As the order is random, the next picture is a random
    one. Labels become soft: one-hot, mixed in the share of the pixels.

    Attributes:
        mixup: Lambda is drawn from Beta(mixup, mixup); 0 for no mixup.
        cutmix: The same for cutmix.
        probability: How often a batch is mixed at all, 0 to 1.
        switch: How often it is cutmix, where both are on, 0 to 1.

    Raises:
        DataError: A number is out of its range.

    Example:
        >>> import zoo
        >>> digits = zoo.data.load("digits")
        >>> batches = digits.pipeline("train", batch_size=32, training=True, mix=zoo.data.Mix(mixup=0.2))
        >>> batches.element_spec[1]
        TensorSpec(shape=(None, 10), dtype=tf.float32, name=None)
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    switch: float = 0.5

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise DataError(f"mix: {name} must be at least 0. Received: {name}={value!r}")
        check_probability("mix", "probability", self.probability)
        check_probability("mix", "switch", self.switch)

    def apply(self, pictures: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mix a batch.

        Args:
            pictures: (batch, height, width, channels) float32.
            labels: (batch, classes) float32, which sum to one.
            seed: (2,) int64, other for each batch of each epoch.

        Returns:
            Pictures and labels of the same shapes.
        """
        happens, chosen = tf.unstack(tf.random.stateless_uniform((2,), seed))
        if not (self.mixup or self.cutmix):
            return pictures, labels
        is_cutmix = chosen < self.switch if self.mixup and self.cutmix else tf.constant(self.cutmix > 0)
        alpha = tf.where(is_cutmix, float(self.cutmix), float(self.mixup))
        gammas = tf.random.stateless_gamma((2,), branch(seed, 1), alpha)
        # Of two numbers so small that both are 0 in float32, one is the whole, each as often.
        share = tf.where(tf.reduce_sum(gammas) > 0, gammas[0] / tf.reduce_sum(gammas), tf.round(chosen))

        def mixed() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.cond(
                is_cutmix,
                lambda: _cutmix(pictures, labels, share, branch(seed, 2)),
                lambda: (_blend(pictures, share), _blend(labels, share)),
            )

        return tf.cond(happens < self.probability, mixed, lambda: (pictures, labels))


def _blend(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return share * values + (1 - share) * tf.roll(values, -1, 0)


def _cutmix(pictures: tf.Tensor, labels: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A box about a random point, cut off at the border; labels by the area that is left of it."""
    size = tf.constant([pictures.shape[1], pictures.shape[2]])
    half = tf.cast(tf.cast(size, tf.float32) * tf.sqrt(1 - share) / 2, tf.int32)
    middle = tf.cast(tf.random.stateless_uniform((2,), seed) * tf.cast(size, tf.float32), tf.int32)
    begin, end = tf.maximum(middle - half, 0), tf.minimum(middle + half, size)
    down, across = tf.range(size[0])[:, None, None], tf.range(size[1])[None, :, None]
    inside = (down >= begin[0]) & (down < end[0]) & (across >= begin[1]) & (across < end[1])
    area = tf.cast(tf.reduce_prod(end - begin), tf.float32) / tf.cast(tf.reduce_prod(size), tf.float32)
    return tf.where(inside, tf.roll(pictures, -1, 0), pictures), _blend(labels, 1 - area)
