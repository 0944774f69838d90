"""Kernels drawn anew, by another distribution than the network's own."""

from collections.abc import Iterator
from typing import Literal

import keras

Initializer = Literal[
    "own", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "truncated_normal",
    "orthogonal",
]  # fmt: skip

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def initialise(model: keras.Model, initializer: Initializer, *, seed: int) -> None:
    """Draw the kernels of all convolutions and dense layers anew; biases and norms stay.

    Args:
        model: A built model.
        initializer: "own" leaves the model as it is. The others are those of `keras.initializers` with its defaults:
            "truncated_normal" has a deviation of 0.05 in every layer.
        seed: Seed; each kernel gets one of its own from it.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("simple_cnn")
        >>> zoo.training.initialise(model, "truncated_normal", seed=1)
        >>> bool(abs(model.get_layer("hidden").kernel.numpy()).max() <= 0.1)
        True
    """
    if initializer == "own":
        return
    for number, kernel in enumerate(_kernels(model)):
        drawn = keras.initializers.get({"class_name": initializer, "config": {"seed": seed + number}})
        kernel.assign(drawn(kernel.shape, dtype=kernel.dtype))


def _kernels(model: keras.Model) -> Iterator[keras.Variable]:
    for layer in model._flatten_layers(include_self=False):
        own = {id(variable) for variable in layer._trainable_variables}
        for name in _KERNELS:
            kernel = getattr(layer, name, None)
            if isinstance(kernel, keras.Variable) and id(kernel) in own:
                yield kernel
