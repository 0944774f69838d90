"""Batch normalisation of each part of the frequency axis by itself."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("zoo")
class SubSpectralNormalization(layers.BatchNormalization):
    """Divides the frequency axis into groups and normalises each channel of each group by itself.

    Chang, Park, Cho, Yang, Kim 2021, "SubSpectral Normalization for Neural Audio Data Processing",
    https://arxiv.org/abs/2103.13620, with a scale and an offset for each group.

    Args:
        groups: Number of groups of neighbouring bands; it must divide the number of bands.
        **kwargs: What `keras.layers.BatchNormalization` takes, without `axis`.

    Input and output (batch, frames, bands, channels).

    Raises:
        ValueError: The number of bands is not a multiple of `groups`.

    Example:
        >>> import numpy as np
        >>> from zoo.layers import SubSpectralNormalization
        >>> bands = np.array([1.0, 3.0, 10.0, 30.0], "float32").reshape(1, 1, 4, 1)
        >>> values = SubSpectralNormalization(2)(bands, training=True)
        >>> [round(float(value), 2) for value in values[0, 0, :, 0]]
        [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(self, groups: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "axis": -1})
        self.groups = groups

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._require_groups(input_shape)
        super().build((*input_shape[:-1], self.groups * input_shape[-1]))
        self.input_spec = layers.InputSpec(ndim=4, axes={3: input_shape[-1]})

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        frames = ops.shape(inputs)[1]
        bands, channels = inputs.shape[2:]
        within = bands // self.groups
        # (group, place in the group, channel) -> (place in the group, group and channel), and back.
        x = ops.reshape(inputs, (-1, frames, self.groups, within, channels))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, frames, within, self.groups * channels))
        x = super().call(x, training=training)
        x = ops.reshape(x, (-1, frames, within, self.groups, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, frames, bands, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        self._require_groups(input_shape)
        return input_shape

    def _require_groups(self, input_shape: tuple[int | None, ...]) -> None:
        bands = input_shape[2]
        if bands is None or bands % self.groups:
            raise ValueError(
                f"{self.name} divides the bands into {self.groups} groups; their number must be a multiple of it. "
                f"Received: {tuple(input_shape)}"
            )

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "groups": self.groups}
        del config["axis"]
        return config
