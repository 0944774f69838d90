"""Trained weights for another number of input channels, or of classes.

Channels: grey pictures, depth or infrared beside colour, spectral bands.
Only the first convolution sees the channels of the input, so only its kernel changes. The rule is timm's
(`timm/models/_manipulate.py`, `adapt_input_conv`), chosen so that the first feature map keeps its scale and everything
behind it finds what it was trained for.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)


def input_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """The kernel of a first convolution for another number of input channels.

    - The same number: the kernel as it is.
    - 1: the sum over the channels. The answer to a grey picture is then what the old kernel says to that picture in
      each channel: nothing is lost, if all channels are scaled alike (`Preprocessing.grey`).
    - Any other: the channels repeated in turn until there are enough, times old / new. Inputs that look alike in all
      channels then give sums of the old size, so that batch norm and all that follows fit. This is a start for
      training: what each new channel means, the network has to learn.

    Args:
        kernel: (…, input channels, filters), as Keras has it: trained weights of floating-point.
        channels: Number of input channels wanted, at least 1.

    Returns:
        (…, channels, filters) of the same dtype; a new array unless the number is the same.

    Raises:
        ValueError: `kernel` has fewer than two axes or no channels, or `channels` is no whole number above 0.

    Example:
        >>> import numpy as np
        >>> from zoo.weights import input_channels
        >>> kernel = np.arange(6.0).reshape(1, 1, 3, 2)
        >>> input_channels(kernel, 1).tolist()
        [[[[6.0, 9.0]]]]
        >>> input_channels(kernel, 4)[0, 0, :, 0].tolist()
        [0.0, 1.5, 3.0, 0.0]
    """
    kernel = np.asarray(kernel)
    if kernel.ndim < 2 or kernel.shape[-2] < 1:
        raise ValueError(f"kernel must have the shape (…, input channels, filters). Received: shape {kernel.shape}")
    if isinstance(channels, bool) or not isinstance(channels, (int, np.integer)) or channels < 1:
        raise ValueError(f"channels must be a whole number, at least 1. Received: channels={channels!r}")
    old = kernel.shape[-2]
    if channels == old:
        return kernel
    wide = kernel.astype(np.promote_types(kernel.dtype, np.float32))
    if channels == 1:
        adapted = wide.sum(axis=-2, keepdims=True)
    else:
        repeats = math.ceil(channels / old)
        adapted = np.concatenate([wide] * repeats, axis=-2)[..., :channels, :] * (old / channels)
    return adapted.astype(kernel.dtype)


def first_convolution(model: keras.Model) -> keras.layers.Layer:
    """The convolution that sees the input: the one with `kernel` to adapt.

    It is found by the graph, not by its name: the layer with weights that the input reaches without passing another.
    Layers without weights (padding, scaling, preprocessing) may stand before it, also in a model of their own.

    Args:
        model: A functional model with one input.

    Raises:
        ValueError: There is none, several layers with weights see the input, or the one that does is no plain
            convolution, as after a batch norm of the input or with a depthwise stem. Their weights belong to single
            channels and cannot be summed.

    Example:
        >>> import zoo
        >>> zoo.weights.first_convolution(zoo.create_model("resnet18")).name
        'stem_conv'
    """
    if not hasattr(model, "_nodes_by_depth"):
        raise ValueError(f"The model must be functional, so that its graph is known. Received: {type(model).__name__}")
    found = list({id(layer): layer for layer in _weighted_at_the_input(model)}.values())
    if len(found) != 1:
        names = ", ".join(repr(layer.name) for layer in found) or "none"
        raise ValueError(f"The input of {model.name!r} must reach one layer with weights first. Received: {names}.")
    layer = found[0]
    if not isinstance(layer, _CONVOLUTIONS) or layer.groups != 1:
        kind = type(layer).__name__ if getattr(layer, "groups", 1) == 1 else f"{type(layer).__name__} with groups"
        raise ValueError(
            f"The first layer with weights must be a convolution over all input channels. "
            f"Received: {layer.name!r}, a {kind}; its weights belong to single channels."
        )
    return layer


def is_other_head(layer: keras.layers.Layer, classes: int, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether stored weights have this layer for another number of classes, and are otherwise of its form.

    Args:
        layer: A built layer of a head.
        classes: Its number of classes.
        shapes: Shape of each stored tensor, by the path of its variable.

    Returns:
        True if all its variables are stored, and their shapes differ in one axis, that of the classes.

    Example:
        >>> import zoo
        >>> logits = zoo.create_model("resnet20", classes=5).get_layer("logits")
        >>> is_other_head(logits, 5, {"logits/kernel": (64, 3), "logits/bias": (3,)})
        True
        >>> is_other_head(logits, 5, {"logits/kernel": (32, 3), "logits/bias": (3,)})
        False
    """
    pairs = [(tuple(variable.shape), shapes.get(variable.path, ())) for variable in layer.weights]
    return all(_differ_in(own, found) == [classes] for own, found in pairs)


def _differ_in(own: tuple[int, ...], found: tuple[int, ...]) -> list[int]:
    """The sizes of the first shape where the second has others; none where they have not as many axes."""
    if len(own) != len(found):
        return []
    return [size for size, other in zip(own, found, strict=True) if size != other]


def _weighted_at_the_input(model: Any) -> Iterator[keras.layers.Layer]:
    """Layers with weights that the input reaches without passing another, nested models unfolded."""
    reached = {id(tensor) for tensor in model.inputs}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input or not any(id(tensor) in reached for tensor in node.input_tensors):
                continue
            weights = getattr(node.operation, "weights", [])
            if not weights:
                reached.update(id(tensor) for tensor in node.outputs)
            elif hasattr(node.operation, "_nodes_by_depth"):
                yield from _weighted_at_the_input(node.operation)
            else:
                yield node.operation
