"""Convolutions with set weights, as Keras layers.

What networks call a convolution lays the kernel on the picture as it is; in mathematics the kernel is reversed first,
by 180 degrees. `scipy.signal.correlate2d` does the one, `scipy.signal.convolve2d` the other.

Keras pads "same" for a stride of more than 1 so that the last window ends at the border. Here zeros are put as SciPy
puts them, whatever the stride, and so the strided result is the whole one with rows and columns left out.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import keras
import numpy as np
from keras import layers

Padding = Literal["valid", "same", "full"]


def convolution(
    kernels: np.ndarray,
    *,
    biases: Sequence[float] | None = None,
    reverse: bool = False,
    padding: Padding = "valid",
    strides: int = 1,
) -> keras.Sequential:
    """A layer whose every output channel is a filter over all input channels.

    Args:
        kernels: (height, width, input channels, filters).
        biases: What is added to each filter's answer; None for layers without.
        reverse: Whether the kernels are turned by 180 degrees first.
        padding: "valid" for windows inside the picture alone; "same" for as many as the picture has pixels; "full" for
            all windows that touch the picture.
        strides: Step in both directions.

    Returns:
        A built model from (batch, height, width, input channels) of any size.

    Raises:
        ValueError: The kernels have another form, or an argument an illegal value.

    Example:
        >>> import numpy as np
        >>> from applications.filters.convolution import convolution
        >>> from applications.filters.kernels import SOBEL_X, SOBEL_Y
        >>> model = convolution(np.stack([SOBEL_X, SOBEL_Y], -1)[:, :, None], biases=[0, 0])
        >>> model.count_params(), model.compute_output_shape((1, 512, 512, 1))
        (20, (1, 510, 510, 2))
    """
    _check(padding, strides)
    if kernels.ndim != 4 or not kernels.size:
        raise ValueError(
            f"kernels must be (height, width, input channels, filters). Received: shape {kernels.shape}"
        )  # fmt: skip
    height, width, channels, filters = kernels.shape
    own = layers.Conv2D(filters, (height, width), strides=strides, use_bias=biases is not None,
                        data_format="channels_last", name="convolution")  # fmt: skip
    model = _padded(own, channels, [zeros_around(side, padding, reverse) for side in (height, width)])
    weights = [_turned(kernels, reverse)]
    own.set_weights(weights if biases is None else [*weights, np.asarray(biases, np.float32)])
    return model


def filtered(
    picture: np.ndarray, kernel: np.ndarray, *, reverse: bool = False, padding: Padding = "same", strides: int = 1
) -> np.ndarray:
    """A picture through one kernel, each channel by itself.

    Args:
        picture: (height, width) or (height, width, channels).
        kernel: (height, width).
        reverse: Whether the kernel is turned by 180 degrees first.
        padding: As for `convolution`.
        strides: As for `convolution`.

    Returns:
        float32, of as many axes as the picture.

    Raises:
        ValueError: The picture or the kernel has another form, or is smaller than the kernel without padding.

    Example:
        >>> import numpy as np
        >>> from applications.filters.convolution import filtered
        >>> filtered(np.ones((512, 512)), np.ones((9, 9)), padding="full").shape
        (520, 520)
    """
    _check(padding, strides)
    if picture.ndim not in (2, 3) or kernel.ndim != 2:
        raise ValueError(
            "picture must be (height, width) or (height, width, channels), kernel (height, width). "
            f"Received: shapes {picture.shape} and {kernel.shape}"
        )
    if padding == "valid" and any(side < size for side, size in zip(picture.shape, kernel.shape, strict=False)):
        raise ValueError(
            f"Without padding the picture must be as large as the kernel. Received: picture {picture.shape[:2]}, "
            f"kernel {kernel.shape}. Use padding=\"same\" or \"full\"."
        )  # fmt: skip
    volume = picture.reshape(*picture.shape[:2], -1)
    channels = volume.shape[-1]
    own = layers.DepthwiseConv2D(
        kernel.shape, strides=strides, use_bias=False, data_format="channels_last", name="convolution"
    )
    model = _padded(own, channels, [zeros_around(side, padding, reverse) for side in kernel.shape])
    own.set_weights([np.repeat(_turned(kernel[:, :, None, None], reverse), channels, axis=2)])
    found = np.asarray(model(volume[None].astype(np.float32)))[0]
    return found if picture.ndim == 3 else found[..., 0]


def output_size(size: int, kernel: int, padding: int = 0, strides: int = 1) -> int:
    """(N − K + 2P)/S + 1, rounded down: how many windows fit along an axis.

    Args:
        size: N, pixels of the picture.
        kernel: K, pixels of the kernel.
        padding: P, zeros on each side.
        strides: S, the step.

    Example:
        >>> from applications.filters.convolution import output_size
        >>> output_size(512, 9), output_size(512, 9, padding=4), output_size(512, 9, padding=8)
        (504, 512, 520)
    """
    return (size - kernel + 2 * padding) // strides + 1


def zeros_around(kernel: int, padding: Padding, reverse: bool = False) -> tuple[int, int]:
    """How many zeros stand before and behind an axis; with "same" and an even kernel it is as in SciPy."""
    if padding == "valid":
        return 0, 0
    if padding == "full":
        return kernel - 1, kernel - 1
    less, more = (kernel - 1) // 2, kernel // 2
    return (more, less) if reverse else (less, more)


def _check(padding: str, strides: int) -> None:
    if padding not in get_args(Padding):
        raise ValueError(f'padding must be "valid", "same" or "full". Received: padding={padding!r}')
    if strides < 1:
        raise ValueError(f"strides must be at least 1. Received: strides={strides}")


def _padded(layer: layers.Layer, channels: int, margins: Sequence[tuple[int, int]]) -> keras.Sequential:
    """The layer behind zeros, built for pictures of any size."""
    parts: list[layers.Layer] = [keras.Input((None, None, channels))]
    if any(map(any, margins)):
        parts.append(layers.ZeroPadding2D(tuple(margins), data_format="channels_last", name="zeros"))
    return keras.Sequential([*parts, layer])


def _turned(kernels: np.ndarray, reverse: bool) -> np.ndarray:
    return np.asarray(kernels[::-1, ::-1] if reverse else kernels, np.float32)
