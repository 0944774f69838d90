"""A network as one TensorFlow function: what every engine is made from."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

INPUT = "images"


@dataclass(frozen=True)
class Graph:
    """A traced network.

    Attributes:
        function: The concrete function; called on one tensor, it gives the list of outputs.
        shape: Shape of the input with the batch; None where any size is legal.
        dtype: Type of the input.
        outputs: Name of each output; empty where the network has a lone one, which is then no dict.
        model: The model whose variables the function reads, which must live as long; None where they are constants.
    """

    function: Any
    shape: tuple[int | None, ...]
    dtype: str
    outputs: tuple[str, ...]
    model: keras.Model | None = None

    @property
    def output_names(self) -> tuple[str, ...]:
        """A name for each output, also for a lone one."""
        return self.outputs or ("output",)

    def answer(self, values: list[np.ndarray]) -> np.ndarray | dict[str, np.ndarray]:
        """What the network gives, of the outputs in their order."""
        return dict(zip(self.outputs, values, strict=True)) if self.outputs else values[0]


def input_of(model: keras.Model) -> tuple[tuple[int | None, ...], str]:
    """Shape without the batch and type of a model's input.

    Raises:
        ValueError: The model is not built, or has several inputs.
    """
    inputs = model.inputs or []
    if len(inputs) != 1:
        raise ValueError(
            f"{model.name!r} must be a built model with one input. Received: {len(inputs)} inputs. Build it on "
            "keras.Input."
        )
    return tuple(inputs[0].shape[1:]), keras.backend.standardize_dtype(inputs[0].dtype)


def fixed(shape: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """A shape all of whose sizes are known; None for another one."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else None


def trace(model: keras.Model, input_shape: tuple[int | None, ...], *, is_frozen: bool = False) -> Graph:
    """Trace a model for inference, for batches of any size.

    TensorFlow runs the variables as they are. Constants would make ResNet-50 faster for one picture, by 7 % in float32
    and a third in bfloat16, and hardly for 16, but take ten times their bytes and, for VGG-16, minutes.

    Args:
        model: A built model with one input.
        input_shape: Shape of an example.
        is_frozen: Whether variables become constants, as some converters want them.

    Raises:
        ValueError: The model is not built, or has several inputs.
    """
    _, dtype = input_of(model)
    shape = (None, *input_shape)
    names = _names(model)

    def call(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = model(images, training=False)
        values = [outputs[name] for name in names] if isinstance(outputs, dict) else keras.tree.flatten(outputs)
        return [tf.cast(value, tf.float32) if value.dtype.is_floating else value for value in values]

    traced = tf.function(call, input_signature=[tf.TensorSpec(shape, dtype, name=INPUT)], autograph=False)
    function = traced.get_concrete_function()
    if is_frozen:
        return Graph(convert_variables_to_constants_v2(function), shape, dtype, names)
    return Graph(function, shape, dtype, names, model)


def _names(model: keras.Model) -> tuple[str, ...]:
    """Names of the outputs: the keys of a dict, the layers' names of a list; none of a lone output."""
    if isinstance(model.output, dict):
        return tuple(model.output)
    if isinstance(model.output, (list, tuple)):
        return tuple(model.output_names)
    return ()
