"""What the Inception networks from the third on, and those with residual connections, are made of."""

from typing import Literal

import keras

from zoo.layers.convolution import batch_norm, conv, relu

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-3, 0.9


def conv_bn_relu(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int | tuple[int, int],
    *,
    strides: int = 1,
    padding: Literal["same", "valid"] = "same",
    dilation_rate: int = 1,
    name: str,
) -> keras.KerasTensor:
    """A convolution without a bias, batch norm, ReLU.

    Args:
        x: Feature map (batch, height, width, channels).
        filters: Number of output channels.
        kernel_size: Odd height and width of the kernel.
        strides: Step in both directions.
        padding: "same" for zeros on all sides alike, "valid" for none.
        dilation_rate: Spacing of the kernel's taps.
        name: The layers are called `<name>_conv`, `<name>_bn` and `<name>_relu`.

    Returns:
        Feature map (batch, new height, new width, filters).
    """
    x = conv(
        x, filters, kernel_size, strides=strides, padding=padding, dilation_rate=dilation_rate, name=f"{name}_conv"
    )
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return relu(x, name=f"{name}_relu")


def branch(
    x: keras.KerasTensor,
    *convolutions: tuple[int, int | tuple[int, int]],
    reduction: int | None = None,
    dilation_rate: int = 1,
    name: str,
) -> keras.KerasTensor:
    """One branch of an inception module: convolutions one after the other.

    Args:
        x: Feature map (batch, height, width, channels).
        *convolutions: Filters and kernel size of each.
        reduction: Stride of the last convolution, which then has no padding; None outside of reduction modules.
        dilation_rate: Spacing of the kernels' taps.
        name: The layers are called `<name>_conv`, `<name>_bn` and `<name>_relu`; where there are several convolutions
            `<name>_1_conv` and so on.

    Returns:
        Feature map (batch, new height, new width, filters of the last convolution).
    """
    for number, (filters, kernel_size) in enumerate(convolutions, 1):
        is_last = number == len(convolutions)
        x = conv_bn_relu(
            x,
            filters,
            kernel_size,
            strides=reduction if is_last and reduction else 1,
            padding="valid" if is_last and reduction else "same",
            dilation_rate=dilation_rate,
            name=f"{name}_{number}" if len(convolutions) > 1 else name,
        )
    return x
