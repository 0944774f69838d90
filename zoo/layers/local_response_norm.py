"""Local response normalisation, which networks had before batch norm."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("zoo")
class LocalResponseNormalization(layers.Layer):
    """Divides each value by `(bias + alpha * sum) ** beta`, the sum of squares over the neighbouring channels.

    Krizhevsky, Sutskever, Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section
    3.3, with the meaning that `tf.nn.local_response_normalization` gives to the arguments. Computed in float32.

    Args:
        depth_radius: Number of channels to each side that the sum reaches; at the ends there are fewer.
        bias: Constant that is added.
        alpha: Factor on the sum. Caffe's `alpha` is a factor on the mean: divide it by `2 * depth_radius + 1`.
        beta: Exponent.

    Input and output (batch, height, width, channels).

    Example:
        >>> import numpy as np
        >>> from zoo.layers import LocalResponseNormalization
        >>> layer = LocalResponseNormalization(depth_radius=1, bias=1.0, alpha=1.0, beta=0.5)
        >>> [round(float(value), 3) for value in layer(np.array([[[[1.0, 2.0, 2.0]]]]))[0, 0, 0]]
        [0.408, 0.632, 0.667]
    """

    def __init__(self, depth_radius: int, bias: float, alpha: float, beta: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def call(self, x: Any) -> Any:
        values = ops.cast(x, "float32")
        margin = [(0, 0)] * (len(x.shape) - 1) + [(self.depth_radius, self.depth_radius)]
        squares = ops.pad(ops.square(values), margin)
        channels = x.shape[-1]
        total = sum(squares[..., start : start + channels] for start in range(2 * self.depth_radius + 1))
        return ops.cast(values / ops.power(self.bias + self.alpha * total, self.beta), x.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}
