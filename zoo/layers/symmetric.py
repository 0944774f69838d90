"""Layers whose weights are tied by the eight symmetries of a square: turn what they see, and what they answer turns.

Clark, Storkey, "Teaching Deep Convolutional Neural Networks to Play Go", 2014, https://arxiv.org/abs/1412.3409, which
builds the symmetries of the board into the weights so. Weights that a symmetry maps to each other are one variable.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops


def _symmetries(size: int) -> np.ndarray:
    """Where each cell of a square goes, (8, size * size)."""
    cells = np.arange(size * size).reshape(size, size)
    turned = [np.rot90(square, number) for square in (cells, cells.T) for number in range(4)]
    return np.stack([square.ravel() for square in turned])


def _numbered(orbits: np.ndarray) -> np.ndarray:
    """From the smallest member of each entry's orbit to numbers from 0 on."""
    return np.unique(orbits, return_inverse=True)[1].reshape(orbits.shape).astype(np.int32)


@keras.saving.register_keras_serializable("zoo")
class SymmetricConv2D(layers.Layer):
    """A 2-D convolution with a bias, padded to the same size, whose filters are their own mirror images.

    Each filter has one weight for the taps that turning and mirroring map to each other, 10 for 7x7 and 6 for 5x5.

    Args:
        filters: Number of filters.
        kernel_size: Odd height and width of the filters.
        **kwargs: What every layer takes.

    Input (batch, height, width, channels), output (batch, height, width, filters).

    Example:
        >>> import numpy as np
        >>> from zoo.layers import SymmetricConv2D
        >>> layer = SymmetricConv2D(4, 5)
        >>> x = np.random.default_rng(0).normal(size=(1, 9, 9, 2)).astype("float32")
        >>> bool(np.allclose(np.rot90(layer(x), axes=(1, 2)), layer(np.rot90(x, axes=(1, 2)).copy()), atol=1e-5))
        True
        >>> layer.count_params()
        52
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = (kernel_size, kernel_size)
        self._taps = _numbered(_symmetries(kernel_size).min(axis=0))

    def build(self, input_shape: tuple[Any, ...]) -> None:
        channels = input_shape[-1]
        # He's, for as many taps as the filter has and not for as many weights.
        deviation = math.sqrt(2 / (len(self._taps) * channels))
        self.weight = self.add_weight(
            name="weight",
            shape=(int(self._taps.max()) + 1, channels, self.filters),
            initializer=keras.initializers.RandomNormal(stddev=deviation),
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    @property
    def kernel(self) -> Any:
        """The filters in full, (height, width, channels, filters)."""
        return ops.reshape(ops.take(self.weight, self._taps, axis=0), (*self.kernel_size, -1, self.filters))

    def call(self, x: Any) -> Any:
        kernel = ops.cast(self.kernel, self.compute_dtype)
        y = ops.conv(x, kernel, strides=1, padding="same", data_format="channels_last")
        return y + ops.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)

    def count_macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates for one example."""
        return math.prod(output_shape[1:]) * len(self._taps) * self.weight.shape[1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size[0]}


@keras.saving.register_keras_serializable("zoo")
class SymmetricBoardDense(layers.Layer):
    """A dense layer from a square feature map to one number for each of its positions, tied by symmetry.

    A pair of positions, one that is seen and one that is answered for, has the weights of all pairs that turning and
    mirroring map it to.

    Input (batch, size, size, channels), output (batch, size * size), rows first.

    Raises:
        ValueError: The feature map is not square, or its size is not known.

    Example:
        >>> import numpy as np
        >>> from zoo.layers import SymmetricBoardDense
        >>> layer = SymmetricBoardDense()
        >>> x = np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype("float32")
        >>> plain, turned = (np.reshape(layer(seen), (5, 5)) for seen in (x, np.rot90(x, axes=(1, 2)).copy()))
        >>> bool(np.allclose(np.rot90(plain), turned, atol=1e-5))
        True
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        _, height, width, channels = input_shape
        if height is None or channels is None or height != width:
            raise ValueError(
                f"Weights are tied by symmetry on square boards of known size. Received shape {tuple(input_shape)}. "
                "Give input_shape in full, with as many rows as columns."
            )
        turned, points = _symmetries(height), height * width
        pairs = turned[:, :, None] * points + turned[:, None, :]
        self._pairs = _numbered(pairs.min(axis=0)).ravel()
        # The answers' own orbits.
        self._points = _numbered(turned.min(axis=0))
        limit = math.sqrt(6 / (points * channels + points))  # Glorot's, of the whole layer
        self.weight = self.add_weight(
            name="weight",
            shape=(int(self._pairs.max()) + 1, channels),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        self.bias = self.add_weight(name="bias", shape=(int(self._points.max()) + 1,), initializer="zeros")

    def call(self, x: Any) -> Any:
        _, height, width, channels = x.shape
        points = height * width
        kernel = ops.reshape(ops.take(self.weight, self._pairs, axis=0), (points, points, channels))
        kernel = ops.reshape(ops.transpose(kernel, (0, 2, 1)), (points * channels, points))
        x = ops.reshape(x, (-1, points * channels))
        y = ops.matmul(x, ops.cast(kernel, self.compute_dtype))
        return y + ops.cast(ops.take(self.bias, self._points, axis=0), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, height, width, _ = input_shape
        return (batch, height * width)

    def count_macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates for one example."""
        return output_shape[1] ** 2 * self.weight.shape[1]
