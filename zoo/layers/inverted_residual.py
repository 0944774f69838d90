"""The block of MobileNet v2 and of those that came after it."""

import keras
from keras import layers

from zoo.layers.convolution import batch_norm, conv, depthwise_conv, stochastic_depth


def inverted_residual(
    x: keras.KerasTensor,
    filters: int,
    *,
    expanded: int,
    kernel_size: int = 3,
    strides: int = 1,
    dilation_rate: int = 1,
    residual: bool,
    squeezed: int = 0,
    activation: str,
    epsilon: float,
    momentum: float,
    drop_rate: float = 0.0,
    name: str,
) -> keras.KerasTensor:
    """1x1 to more channels, depthwise convolution, 1x1 to few channels without an activation.

    Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", https://arxiv.org/abs/1801.04381,
    figure 3b; with squeeze and excitation between the last two as in figure 4 of Howard et al. 2019, "Searching for
    MobileNetV3", https://arxiv.org/abs/1905.02244.

    Args:
        x: Feature map (batch, height, width, channels).
        filters: Number of output channels.
        expanded: Number of channels between; as many as the input has: there is no first convolution.
        kernel_size: Odd height and width of the depthwise kernels.
        strides: Step of the depthwise convolution.
        dilation_rate: Spacing of the depthwise kernels' taps.
        residual: Whether the input is added; shapes must agree.
        squeezed: Number of units between squeeze and excitation; 0 for none.
        activation: Name of the activation after the first two convolutions.
        epsilon: That of batch norm.
        momentum: That of batch norm.
        drop_rate: Rate of stochastic depth, where the block is residual.
        name: Prefix of the layers' names.

    Returns:
        Feature map (batch, ceil(height / strides), ceil(width / strides), filters).
    """
    y = x
    if expanded != x.shape[-1]:
        y = conv(y, expanded, 1, name=f"{name}_expand_conv")
        y = batch_norm(y, epsilon=epsilon, momentum=momentum, name=f"{name}_expand_bn")
        y = layers.Activation(activation, name=f"{name}_expand_act")(y)
    y = depthwise_conv(y, kernel_size, strides=strides, dilation_rate=dilation_rate, name=f"{name}_depthwise_conv")
    y = batch_norm(y, epsilon=epsilon, momentum=momentum, name=f"{name}_depthwise_bn")
    y = layers.Activation(activation, name=f"{name}_depthwise_act")(y)
    if squeezed:
        y = _squeeze_excite(y, squeezed, name=f"{name}_squeeze")
    y = conv(y, filters, 1, name=f"{name}_project_conv")
    y = batch_norm(y, epsilon=epsilon, momentum=momentum, name=f"{name}_project_bn")
    if not residual:
        return y
    y = stochastic_depth(y, drop_rate, name=f"{name}_drop_path")
    return layers.Add(name=f"{name}_add")([x, y])


def _squeeze_excite(x, squeezed, *, name):
    """Each channel times a gate between 0 and 1, which two small layers derive from the means of all channels."""
    gate = layers.GlobalAveragePooling2D(keepdims=True, data_format="channels_last", name=f"{name}_mean")(x)
    gate = conv(gate, squeezed, 1, use_bias=True, name=f"{name}_conv1")
    gate = layers.Activation("relu", name=f"{name}_relu")(gate)
    gate = conv(gate, x.shape[-1], 1, use_bias=True, name=f"{name}_conv2")
    gate = layers.Activation("hard_sigmoid", name=f"{name}_gate")(gate)
    return layers.Multiply(name=f"{name}_scale")([x, gate])


def rounded_width(width: float, divisor: int = 8) -> int:
    """The multiple of `divisor` that is nearest to a width, at least one, and never more than 10 % below the width."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded
