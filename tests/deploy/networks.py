"""Small networks for the tests of deployment."""

import keras
import numpy as np
import pytest
from keras import layers

from zoo.deploy import engines, formats


def needs(name):
    """Skip a test where an engine is not installed."""
    if name not in engines.installed():
        pytest.skip(f"{name} is not installed")


def needs_format(name, int8=False):
    """Skip a test where the packages for a format are not installed."""
    item = formats.FORMATS[name]
    if item.engine not in engines.installed():
        pytest.skip(f"{item.engine} is not installed")
    if int8 and item.quantiser is not None:
        pytest.importorskip(item.quantiser)


def with_statistics(model, seed=0):
    """The model with moving statistics, scales and offsets that do something."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(rng.uniform(-0.5, 0.5, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            if layer.center:
                layer.beta.assign(rng.uniform(-0.5, 0.5, layer.beta.shape))
    return model


def two_outputs():
    """A network that gives a dict of two, whose keys are not in the order of the alphabet."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    outputs = {"value": layers.Dense(1, name="value")(x), "policy": layers.Dense(5, name="policy")(x)}
    return with_statistics(keras.Model(inputs, outputs, name="two_outputs"))


def of_words():
    """A network that reads numbers of words."""
    inputs = keras.Input((12,), dtype="int32")
    x = layers.Embedding(30, 8)(inputs)
    x = layers.GlobalMaxPooling1D()(layers.Conv1D(6, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(4)(x), name="of_words")


def of_any_size():
    """A network that takes pictures of any size."""
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), name="of_any_size")


def pictures(count, shape=(8, 8, 3), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype("float32")
