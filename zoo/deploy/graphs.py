"""A network as one TensorFlow function: what every engine is made from."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.deploy.folding import LINEAR

INPUT = "images"


@dataclass(frozen=True)
class Graph:
    """A traced network.

    Attributes:
        function: The concrete function; called on one tensor, it gives the list of outputs. With `weights` it takes
            them behind that tensor.
        shape: Shape of the input with the batch; None where any size is legal.
        dtype: Type of the input.
        outputs: Name of each output; empty where the network has a lone one, which is then no dict.
        model: The model whose variables the function reads, which must live as long; None where it reads none.
        weights: The variable that belongs to each further input of the function, by the name of that input.
    """

    function: Any
    shape: tuple[int | None, ...]
    dtype: str
    outputs: tuple[str, ...]
    model: keras.Model | None = None
    weights: Mapping[str, keras.Variable] = field(default_factory=dict)

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


def trace(
    model: keras.Model,
    input_shape: tuple[int | None, ...],
    *,
    outputs: tuple[str, ...] | None = None,
    weights_as_inputs: bool = False,
) -> Graph:
    """Trace a model for inference, for batches of any size.

    Variables stay variables. As constants in TensorFlow's graph they would make ResNet-50 faster there for one picture,
    by 7 % in float32 and a third in bfloat16, and hardly for 16, but take ten times their bytes and, for VGG-16,
    minutes.

    Args:
        model: A built model with one input.
        input_shape: Shape of an example.
        outputs: Names of the outputs, where the model was made of another that gave them theirs; None for its own.
        weights_as_inputs: Whether the function takes the values of kernels and biases behind the examples, for
            converters that know no variables. Other vectors, such as those of batch norms, become constants, for
            tf2onnx moves transpositions past constants alone.

    Raises:
        ValueError: The model is not built, or has several inputs.
    """
    _, dtype = input_of(model)
    shape = (None, *input_shape)
    names = output_names(model) if outputs is None else outputs
    variables, run = _stateless(model) if weights_as_inputs else ([], functools.partial(model, training=False))

    def call(images: tf.Tensor, *weights: tf.Tensor) -> list[tf.Tensor]:
        given = run(images, *weights)
        values = [given[name] for name in names] if isinstance(given, dict) else keras.tree.flatten(given)
        return [tf.cast(value, tf.float32) if value.dtype.is_floating else value for value in values]

    signature = [tf.TensorSpec(shape, dtype, name=INPUT)]
    signature += [tf.TensorSpec(item.shape, item.dtype, name=f"weight{i}") for i, item in enumerate(variables)]
    function = tf.function(call, input_signature=signature, autograph=False).get_concrete_function()
    taken = {tensor.name: item for tensor, item in zip(function.inputs[1:], variables, strict=False)}
    return Graph(function, shape, dtype, names, None if weights_as_inputs else model, taken)


def _stateless(model: keras.Model) -> tuple[list[keras.Variable], Callable[..., Any]]:
    """Kernels and biases, and the model as a function of examples and of their values; the rest is constant."""
    trainable, others = model.trainable_variables, model.non_trainable_variables
    linear = {id(item) for layer in model._flatten_layers() if type(layer) in LINEAR for item in layer.variables}
    variables = [item for item in (*trainable, *others) if len(item.shape) > 1 or id(item) in linear]
    inputs = {id(item): place for place, item in enumerate(variables)}
    constants = {id(item): item.numpy() for item in (*trainable, *others) if id(item) not in inputs}

    def run(images: tf.Tensor, *weights: tf.Tensor) -> Any:
        known = constants | {key: weights[place] for key, place in inputs.items()}
        states = ([tf.convert_to_tensor(known[id(item)]) for item in part] for part in (trainable, others))
        return model.stateless_call(*states, images, training=False)[0]

    return variables, run


def module(graph: Graph) -> tf.Module:
    """What TensorFlow saves of a network: its variables and `call`, from examples to a dict of the outputs."""

    def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(graph.output_names, graph.function(images), strict=True))

    found = tf.Module()
    found.weights = [] if graph.model is None else [variable.value for variable in graph.model.variables]
    found.call = tf.function(call, input_signature=[tf.TensorSpec(graph.shape, graph.dtype, name=INPUT)])
    return found


def output_names(model: keras.Model) -> tuple[str, ...]:
    """Names of the outputs: the keys of a dict, the layers' names of a list; none of a lone output.

    Raises:
        ValueError: Outputs of a list have the same name.
    """
    if isinstance(model.output, dict):
        return tuple(model.output)
    if not isinstance(model.output, (list, tuple)):
        return ()
    names = tuple(model.output_names)
    if len(set(names)) < len(names):
        raise ValueError(
            f"The outputs of {model.name!r} must have names of their own. Received: {', '.join(names)}. Give them as a "
            "dict."
        )
    return names
