"""Convolutions and what stands between them, with the padding that published weights were trained with."""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers


def he_normal(*, depthwise: bool = False) -> keras.initializers.Initializer:
    """A normal distribution of variance 2 / fan-in (He et al. 2015, "Delving Deep into Rectifiers", equation 10).

    A new one for each layer: an initialiser of Keras draws its seed when it is made and gives the same numbers to every
    layer that it serves.

    Args:
        depthwise: Whether it is for a depthwise kernel, whose inputs Keras counts along the other channel axis.
    """
    mode = "fan_out" if depthwise else "fan_in"
    return keras.initializers.VarianceScaling(scale=2.0, mode=mode, distribution="untruncated_normal")


def conv(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int | tuple[int, int],
    *,
    strides: int = 1,
    padding: Literal["same", "valid"] = "same",
    dilation_rate: int = 1,
    groups: int = 1,
    use_bias: bool = False,
    name: str,
) -> keras.KerasTensor:
    """A 2-D convolution with symmetric zero padding of `dilation_rate * (kernel_size - 1) / 2` on each side.

    TensorFlow's own "same" padding puts the odd row and column at the bottom and right when it strides, PyTorch's is
    symmetric; published weights see shifted pictures when the two are mixed up. Without a stride both are the same.

    Args:
        x: Feature map (batch, height, width, channels).
        filters: Number of output channels.
        kernel_size: Odd height and width of the kernel.
        strides: Step in both directions.
        padding: "same" for the symmetric padding, "valid" for none.
        dilation_rate: Spacing of the kernel's taps.
        groups: Number of groups that the channels are split into.
        use_bias: Whether a bias is added.
        name: Name of the layer; the padding layer is called `<name>_pad`.

    Returns:
        Feature map (batch, ceil(height / strides), ceil(width / strides), filters) with the padding.
    """
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if padding == "same" and strides > 1:
        margins = dilation_rate * (height - 1) // 2, dilation_rate * (width - 1) // 2
        if any(margins):
            x = layers.ZeroPadding2D(margins, data_format="channels_last", name=f"{name}_pad")(x)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=he_normal(),
        data_format="channels_last",
        name=name,
    )(x)


def depthwise_conv(
    x: keras.KerasTensor,
    kernel_size: int,
    *,
    strides: int = 1,
    dilation_rate: int = 1,
    padding: tuple[int, int] | None = None,
    name: str,
) -> keras.KerasTensor:
    """A 2-D convolution of each channel with a kernel of its own, without a bias.

    Args:
        x: Feature map (batch, height, width, channels).
        kernel_size: Odd height and width of the kernels.
        strides: Step in both directions.
        dilation_rate: Spacing of the kernels' taps.
        padding: Zeros (before, after) in both directions; None for the symmetric padding of `conv`.
        name: Name of the layer; the padding layer is called `<name>_pad`.

    Returns:
        Feature map (batch, ceil(height / strides), ceil(width / strides), channels) with symmetric padding.
    """
    margin = dilation_rate * (kernel_size - 1) // 2
    same = strides == 1 and padding is None
    if not same:
        padding = padding or (margin, margin)
        x = layers.ZeroPadding2D((padding, padding), data_format="channels_last", name=f"{name}_pad")(x)
    return layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="same" if same else "valid",
        dilation_rate=dilation_rate,
        use_bias=False,
        depthwise_initializer=he_normal(depthwise=True),
        data_format="channels_last",
        name=name,
    )(x)


def batch_norm(x: keras.KerasTensor, *, epsilon: float, momentum: float, name: str) -> keras.KerasTensor:
    """Batch normalisation over the last axis."""
    return layers.BatchNormalization(axis=-1, epsilon=epsilon, momentum=momentum, name=name)(x)


def relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """max(x, 0)."""
    return layers.Activation("relu", name=name)(x)


def stochastic_depth(x: keras.KerasTensor, rate: float, *, name: str) -> keras.KerasTensor:
    """Stochastic depth (Huang et al. 2016): in training, the whole branch of an example is dropped at this rate.

    The branches that are kept are scaled by 1 / (1 - rate), so that inference needs no change. A rate of 0 adds
    nothing to the graph.
    """
    if not rate:
        return x
    return layers.Dropout(rate, noise_shape=(None,) + (1,) * (len(x.shape) - 1), name=name)(x)


def dilated_strides(
    stage_strides: Sequence[int], *, stem_stride: int, output_stride: int | None
) -> list[tuple[int, int, int]]:
    """How each stage strides and dilates so that the last feature map has the stride `output_stride`.

    A stage that would pass `output_stride` keeps the resolution and doubles the spacing of its kernels instead, so
    that every kernel sees the same positions of the picture as before (Chen et al. 2017, "Rethinking Atrous
    Convolution"). The first convolution of such a stage still has the previous stage's dilation.

    Args:
        stage_strides: Stride of each stage's first block.
        stem_stride: Stride of the feature map that enters the first stage.
        output_stride: Stride of the last feature map, or None for the network's own.

    Returns:
        For each stage (strides, dilation_rate, resulting stride).

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    own = [stem_stride]
    for strides in stage_strides:
        own.append(own[-1] * strides)
    if output_stride is not None and output_stride not in own:
        legal = ", ".join(str(stride) for stride in sorted(set(own)))
        raise ValueError(f"output_stride must be one of {legal}. Received: output_stride={output_stride!r}")
    plan, current, dilation = [], stem_stride, 1
    for strides in stage_strides:
        if output_stride is not None and current * strides > output_stride:
            dilation *= strides
            strides = 1
        current *= strides
        plan.append((strides, dilation, current))
    return plan
