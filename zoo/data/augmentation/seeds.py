"""Seeds of what is random about an example: functions of the run's seed, the epoch and the example.

A seed is two int64, as TensorFlow's stateless random numbers take it. The first holds the run's seed, below 2**33, and
the epoch; the second the example and, above 2**40, which of its random numbers are meant.
"""

import tensorflow as tf

_EPOCH, _BRANCH = 33, 40


def example_seed(key: int, epoch: tf.Tensor, example: tf.Tensor) -> tf.Tensor:
    """The seed of one example in one epoch.

    Args:
        key: Seed of the run and use of chance, 0 to below 2**33.
        epoch: () int64, below 2**30.
        example: Number of the example, () int64, below 2**40.

    Returns:
        (2,) int64.
    """
    return tf.stack([key + tf.bitwise.left_shift(epoch, tf.constant(_EPOCH, tf.int64)), tf.cast(example, tf.int64)])


def branch(seed: tf.Tensor, number: int) -> tf.Tensor:
    """A further seed of the same example, 0 to below 2**23; 0 is the seed itself."""
    return seed + tf.constant([0, number << _BRANCH], tf.int64)
