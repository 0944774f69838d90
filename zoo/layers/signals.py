"""One-dimensional convolutions, batch norm and pooling, for signals and text."""

from typing import Literal

import keras
from keras import layers

from zoo.layers.convolution import he_normal


def conv_1d(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    padding: Literal["same", "valid", "causal"] = "same",
    dilation_rate: int = 1,
    use_bias: bool = True,
    kernel_initializer: keras.initializers.Initializer | None = None,
    name: str,
) -> keras.KerasTensor:
    """A 1-D convolution with He's initialisation.

    Args:
        x: Feature map (batch, positions, channels).
        filters: Number of output channels.
        kernel_size: Number of taps.
        strides: Step.
        padding: "same" for zeros at both ends, the odd one at the end; "causal" for zeros before the first position
            alone; "valid" for none.
        dilation_rate: Spacing of the kernel's taps.
        use_bias: Whether a bias is added.
        kernel_initializer: What the kernel starts from; None for He's normal distribution.
        name: Name of the layer.

    Returns:
        Feature map (batch, ceil(positions / strides), filters) with padding.
    """
    return layers.Conv1D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer or he_normal(),
        data_format="channels_last",
        name=name,
    )(x)


def max_pool_1d(
    x: keras.KerasTensor,
    pool_size: int,
    *,
    strides: int,
    padding: Literal["same", "valid"] = "valid",
    name: str,
) -> keras.KerasTensor:
    """The maximum over a window.

    Args:
        x: Feature map (batch, positions, channels).
        pool_size: Length of the window.
        strides: Step.
        padding: "same" for a window around each `strides`-th position, "valid" for windows inside of the map alone.
        name: Name of the layer.

    Returns:
        Feature map (batch, new positions, channels).
    """
    return layers.MaxPooling1D(pool_size, strides, padding=padding, data_format="channels_last", name=name)(x)
