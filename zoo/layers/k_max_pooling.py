"""The k largest values of each channel, in the order in which they stand."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("zoo")
class KMaxPooling1D(layers.Layer):
    """Keeps the `k` largest values of each channel and their order.

    Kalchbrenner, Grefenstette, Blunsom 2014, "A Convolutional Neural Network for Modelling Sentences", section 3.2.

    Args:
        k: Number of values to keep of each channel.

    Input (batch, positions, channels) with at least `k` positions; output (batch, k, channels).

    Raises:
        ValueError: There are fewer positions than `k`.

    Example:
        >>> import numpy as np
        >>> from zoo.layers import KMaxPooling1D
        >>> row = np.array([5.0, 1.0, 8.0, 3.0]).reshape(1, 4, 1)
        >>> [float(value) for value in KMaxPooling1D(3)(row)[0, :, 0]]
        [5.0, 8.0, 3.0]
    """

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.k = k

    def call(self, x: Any) -> Any:
        channels_first = ops.transpose(x, (0, 2, 1))
        _, places = ops.top_k(channels_first, self.k)
        kept = ops.take_along_axis(channels_first, ops.sort(places, axis=-1), axis=-1)
        return ops.transpose(kept, (0, 2, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, positions, channels = input_shape
        if positions is not None and positions < self.k:
            raise ValueError(
                f"{self.name} keeps {self.k} values of each channel and needs as many positions. "
                f"Received: {tuple(input_shape)}"
            )
        return (batch, self.k, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}
