"""Convolution along frequency whose filters differ from one part of the spectrum to the next."""

import math
from typing import Any

import keras
from keras import layers, ops

from zoo.layers.convolution import he_normal


@keras.saving.register_keras_serializable("zoo")
class LimitedWeightSharing(layers.Layer):
    """Convolution and max-pooling along frequency, with weights that are shared within a pooling window alone.

    Abdel-Hamid, Mohamed, Jiang, Deng, Penn, Yu 2014, "Convolutional Neural Networks for Speech Recognition", section
    III-D. Each of the overlapping pooling windows ("sections") has filters of its own, which move over the positions
    of that window; its maximum is all that is left of them. Speech sounds differently at low and high frequencies, so
    that a filter which is of use in one place need not be in another.

    Args:
        filters: Number of filters of each section.
        filter_size: Extent of a filter: number of frames and of bands.
        pool_size: Number of positions along frequency that a section has.
        pool_strides: Positions from one section to the next.
        activation: Name of the activation, before the maximum.
        **kwargs: What every layer takes.

    Input (batch, frames, bands, maps) with a known number of bands; output (batch, frames - filter_size[0] + 1,
    sections, filters).

    Raises:
        ValueError: There are too few bands for one section, or too few frames.

    Example:
        >>> import numpy as np
        >>> from zoo.layers import LimitedWeightSharing
        >>> layer = LimitedWeightSharing(84, (15, 8), pool_size=6, pool_strides=2, activation="sigmoid")
        >>> layer(np.zeros((1, 15, 40, 3), "float32")).shape
        TensorShape([1, 1, 14, 84])
    """

    def __init__(
        self,
        filters: int,
        filter_size: tuple[int, int],
        pool_size: int,
        pool_strides: int,
        activation: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.filter_size = tuple(filter_size)
        self.pool_size = pool_size
        self.pool_strides = pool_strides
        # What one output sees, as of any convolution: a section.
        self.kernel_size = (self.filter_size[0], pool_size + self.filter_size[1] - 1)
        self.strides = (1, pool_strides)
        self.activation = activation
        self._activate = keras.activations.get(activation)

    def build(self, input_shape: tuple[int, ...]) -> None:
        sections = self._sections(input_shape[2])
        # A kernel each, so that each has the right scale to start from.
        shape = (*self.filter_size, input_shape[-1], self.filters)
        self.kernels = [
            self.add_weight(shape=shape, initializer=he_normal(), name=f"kernel{section}")
            for section in range(sections)
        ]
        self.biases = [
            self.add_weight(shape=(self.filters,), initializer="zeros", name=f"bias{section}")
            for section in range(sections)
        ]

    def call(self, x: Any) -> Any:
        outputs = []
        for section, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            start = section * self.pool_strides
            y = ops.conv(
                x[:, :, start : start + self.kernel_size[1]], kernel, padding="valid", data_format="channels_last"
            )
            outputs.append(ops.max(self._activate(y + bias), axis=2))
        return ops.stack(outputs, axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, frames, bands, _ = input_shape
        height, width = self.kernel_size
        if bands is None or bands < width or (frames is not None and frames < height):
            raise ValueError(
                f"{self.name} needs at least {height} frames and {width} bands. Received: {tuple(input_shape)}"
            )
        return (batch, None if frames is None else frames - height + 1, self._sections(bands), self.filters)

    def _sections(self, bands: int) -> int:
        return (bands - self.kernel_size[1]) // self.pool_strides + 1

    def count_macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates: those of the convolutions at all positions of all sections."""
        return math.prod(output_shape[1:3]) * self.pool_size * math.prod(self.kernels[0].shape)

    def get_config(self) -> dict[str, Any]:
        own = ("filters", "filter_size", "pool_size", "pool_strides", "activation")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
