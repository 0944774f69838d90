"""From the numbers of words or characters to columns of numbers that training leaves as they are."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("zoo")
class OneHot(layers.Layer):
    """Number n becomes a column of zeros with a one in place n - 1; 0 becomes zeros alone.

    Args:
        depth: Length of a column, the largest number.

    Input (batch, positions), whole numbers from 0 to `depth`; output (batch, positions, depth).

    Example:
        >>> import numpy as np
        >>> from zoo.layers import OneHot
        >>> OneHot(3)(np.array([[0, 1, 3]])).numpy().astype(int).tolist()
        [[[0, 0, 0], [1, 0, 0], [0, 0, 1]]]
    """

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.depth = depth

    def call(self, x: Any) -> Any:
        return ops.one_hot(ops.cast(x, "int32") - 1, self.depth, dtype=self.compute_dtype)

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor((*x.shape, self.depth), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "depth": self.depth}


@keras.saving.register_keras_serializable("zoo")
class FixedEmbedding(layers.Layer):
    """A vector for each number, which training does not change, also when all layers are unfrozen.

    Args:
        input_dim: Number of vectors.
        output_dim: Length of a vector.
        embeddings_initializer: What the vectors start from; given ones come by `set_weights`.

    Input (batch, positions), whole numbers from 0 to `input_dim` - 1; output (batch, positions, output_dim).

    Example:
        >>> import numpy as np
        >>> from zoo.layers import FixedEmbedding
        >>> layer = FixedEmbedding(2, 3, "ones")
        >>> layer(np.array([[0, 1, 1, 0]])).shape, len(layer.trainable_weights)
        (TensorShape([1, 4, 3]), 0)
    """

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform", **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            trainable=False,
            name="embeddings",
        )

    def call(self, x: Any) -> Any:
        return ops.cast(ops.take(self.embeddings, ops.cast(x, "int32"), axis=0), self.compute_dtype)

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor((*x.shape, self.output_dim), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
        return {**super().get_config(), **own}
