"""Pooling with the borders that published weights were trained with, and with dilation."""

from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

Padding = Literal["valid", "same", "ceil", "zeros"]


def max_pool(
    x: keras.KerasTensor,
    pool_size: int,
    *,
    strides: int = 1,
    padding: Padding = "valid",
    signed: bool = False,
    dilation_rate: int = 1,
    name: str,
) -> keras.KerasTensor:
    """The maximum over a window.

    Args:
        x: Feature map (batch, height, width, channels).
        pool_size: Height and width of the window, in taps.
        strides: Step in both directions; 1 with dilation.
        padding: "valid" for windows inside of the map alone; "same" for as many positions as the map has, without a
            stride; "ceil" for a last window that may reach over the border at the bottom and right, as PyTorch's
            `ceil_mode` with windows of 2 or 3 and a stride of 2; "zeros" for half a window on every side, as PyTorch's
            `padding=1` with windows of 3, for maps without negative values.
        signed: Whether values may be negative, which makes the border of "ceil" dearer; for windows of 3.
        dilation_rate: Spacing of the window's taps.
        name: Name of the layer; the padding layer is called `<name>_pad`.

    Returns:
        The pooled map (batch, new height, new width, channels).
    """
    if padding == "ceil" and signed:
        # Without a stride "same" pads by minus infinity. The windows that are asked for are those around the second
        # position, the fourth and so on.
        x = max_pool(x, pool_size, padding="same", dilation_rate=dilation_rate, name=name)
        margin = ((dilation_rate, 0), (dilation_rate, 0))
        x = layers.Cropping2D(margin, data_format="channels_last", name=f"{name}_crop")(x)
        return max_pool(x, 1, strides=strides, name=f"{name}_stride")
    if padding == "ceil":
        x, padding = _zeros_around(x, 0, dilation_rate, name), "valid"
    elif padding == "zeros":
        half = dilation_rate * (pool_size // 2)
        x, padding = _zeros_around(x, half, half, name), "valid"
    if dilation_rate > 1:
        return DilatedPooling2D("max", pool_size, dilation_rate, padding=padding, name=name)(x)
    return layers.MaxPooling2D(pool_size, strides, padding=padding, data_format="channels_last", name=name)(x)


def average_pool(
    x: keras.KerasTensor,
    pool_size: int,
    *,
    strides: int = 1,
    padding: Literal["valid", "same"] = "valid",
    count_include_pad: bool = False,
    dilation_rate: int = 1,
    name: str,
) -> keras.KerasTensor:
    """The mean over a window.

    Args:
        x: Feature map (batch, height, width, channels).
        pool_size: Height and width of the window, in taps; odd for "same".
        strides: Step in both directions; 1 with dilation.
        padding: "valid" for windows inside of the map alone; "same" for as many positions as the map has, without a
            stride.
        count_include_pad: Whether the zeros beyond the border are counted in the mean, as PyTorch does by default;
            TensorFlow takes the mean over what is inside.
        dilation_rate: Spacing of the window's taps.
        name: Name of the layer; the padding layer is called `<name>_pad`.

    Returns:
        The pooled map (batch, new height, new width, channels).
    """
    if count_include_pad and padding == "same":
        half = dilation_rate * (pool_size // 2)
        x, padding = _zeros_around(x, half, half, name), "valid"
    if dilation_rate > 1:
        return DilatedPooling2D("average", pool_size, dilation_rate, padding=padding, name=name)(x)
    return layers.AveragePooling2D(pool_size, strides, padding=padding, data_format="channels_last", name=name)(x)


def _zeros_around(x, before, after, name):
    """Rows and columns of zeros: above and on the left, below and on the right."""
    margin = ((before, after), (before, after))
    return layers.ZeroPadding2D(margin, data_format="channels_last", name=f"{name}_pad")(x)


def adaptive_average_pool(x: keras.KerasTensor, size: int, *, name: str) -> keras.KerasTensor:
    """Means over `size` x `size` bins: bin i of n rows reaches from floor(i n / size) to ceil((i + 1) n / size).

    A map of that size stays as it is, without a layer.

    Raises:
        ValueError: The size of the feature map is not known.
    """
    if None in x.shape[1:]:
        raise ValueError(
            "This network's dense head needs a fixed input size. "
            f"Received a feature map of shape {tuple(x.shape)}. Give input_shape in full, or include_top=False."
        )
    if x.shape[1:3] == (size, size):
        return x
    return AdaptiveAveragePooling2D(size, name=name)(x)


@keras.saving.register_keras_serializable("zoo")
class AdaptiveAveragePooling2D(layers.Layer):
    """Means over `size` x `size` bins, whatever the size of the map; bins overlap where it does not divide.

    Keras's layer of that name fails in a compiled function where the map is smaller than the number of bins (Keras
    3.15). Here each axis is multiplied by a small matrix.

    Args:
        size: Height and width of the output.

    Input (batch, height, width, channels) of a known size; output (batch, size, size, channels).

    Example:
        >>> import numpy as np
        >>> from zoo.layers import AdaptiveAveragePooling2D
        >>> row = np.array([1.0, 2.0, 6.0]).reshape(1, 1, 3, 1)
        >>> [float(value) for value in AdaptiveAveragePooling2D(2)(row)[0, 0, :, 0]]
        [1.5, 4.0]
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, x: Any) -> Any:
        rows, columns = (ops.cast(self._means(length), x.dtype) for length in x.shape[1:3])
        return ops.einsum("ih,bhwc,jw->bijc", rows, x, columns)

    def _means(self, length):
        """The matrix (size, length) of one axis: bin i reaches from floor(i n / size) to ceil((i + 1) n / size)."""
        matrix = np.zeros((self.size, length), "float32")
        for index in range(self.size):
            bounds = slice(index * length // self.size, -(-(index + 1) * length // self.size))
            matrix[index, bounds] = 1 / (bounds.stop - bounds.start)
        return matrix

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.size, self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("zoo")
class DilatedPooling2D(layers.Layer):
    """The maximum or mean over a window whose taps stand `dilation_rate` apart, without a stride.

    What pooling becomes in a network whose strides are replaced by dilation; Keras's pooling has none.

    Args:
        kind: "max" or "average"; the mean is over the taps that are inside of the map.
        pool_size: Height and width of the window, in taps; odd for "same".
        dilation_rate: Spacing of the taps.
        padding: "valid" or "same".

    Input (batch, height, width, channels); output likewise, height and width less `dilation_rate * (pool_size - 1)`
    with "valid".

    Example:
        >>> import numpy as np
        >>> from zoo.layers import DilatedPooling2D
        >>> row = np.array([5.0, 1.0, 2.0, 8.0, 3.0]).reshape(1, 1, 5, 1).repeat(3, axis=1)
        >>> [float(value) for value in DilatedPooling2D("max", 2, dilation_rate=2)(row)[0, 0, :, 0]]
        [5.0, 8.0, 3.0]
    """

    def __init__(
        self,
        kind: Literal["max", "average"],
        pool_size: int,
        dilation_rate: int,
        *,
        padding: Literal["valid", "same"] = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.pool_size = pool_size
        self.dilation_rate = dilation_rate
        self.padding = padding

    def call(self, x: Any) -> Any:
        if self.kind == "max":
            return self._over_taps(x, ops.maximum, float("-inf"))
        total = self._over_taps(x, ops.add, 0)
        return total / self._over_taps(ops.ones_like(x[:1, :, :, :1]), ops.add, 0)

    def _over_taps(self, x, combine, border):
        """The window is a square: first along the height, then along the width."""
        reach = self.dilation_rate * (self.pool_size - 1)
        for axis in (1, 2):
            if self.padding == "same":
                margin = [(0, 0)] * 4
                margin[axis] = (reach // 2, reach // 2)
                x = ops.pad(x, margin, constant_values=border)
            size = ops.shape(x)[axis] - reach
            taps = [self._rows(x, axis, start, size) for start in range(0, reach + 1, self.dilation_rate)]
            x = taps[0]
            for tap in taps[1:]:
                x = combine(x, tap)
        return x

    @staticmethod
    def _rows(x, axis, start, size):
        return x[:, start : start + size] if axis == 1 else x[:, :, start : start + size]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        reach = self.dilation_rate * (self.pool_size - 1) if self.padding == "valid" else 0
        batch, *sizes, channels = input_shape
        smaller = [None if size is None else size - reach for size in sizes]
        if any(size is not None and size < 1 for size in smaller):
            raise ValueError(f"{self.name} needs a feature map of at least {reach + 1}. Received: {tuple(input_shape)}")
        return (batch, *smaller, channels)

    def get_config(self) -> dict[str, Any]:
        own = {"kind": self.kind, "pool_size": self.pool_size, "dilation_rate": self.dilation_rate}
        return {**super().get_config(), **own, "padding": self.padding}
