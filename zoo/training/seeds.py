"""One seed for everything that draws random numbers."""

import keras
import tensorflow as tf


def seed_everything(seed: int) -> None:
    """Make what follows repeatable: seeds Python, NumPy, TensorFlow and Keras, and asks for deterministic kernels.

    Args:
        seed: A whole number from 0 to 2**32 - 1.

    Raises:
        ValueError: The seed is outside of that range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1. Received: seed={seed}")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
