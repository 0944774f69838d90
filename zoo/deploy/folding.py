"""Batch norm folded into the convolutions beside it, and what does nothing in inference taken out.

In inference batch norm is a scale and an offset for each channel (Jacob et al. 2018, "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", https://arxiv.org/abs/1712.05877, section 3.2). Behind
a linear layer they go into its kernel and bias:

    (W x + b) * scale + offset = (W * scale) x + (b * scale + offset).

Before one they do too, if that layer pads nothing: zeros put around the normalised picture are not what becomes zero
when the padding comes first. A factor for all channels behind a linear layer, as on the residuals of Inception-ResNet,
goes into it in the same way.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from zoo.graph import nodes

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
LINEAR = (*_CONVOLUTIONS, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE, layers.Dense)

_NOTHING_IN_INFERENCE = (
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.AlphaDropout,
    layers.GaussianDropout, layers.GaussianNoise, layers.ActivityRegularization, layers.Identity,
)  # fmt: skip


@dataclass
class _Norm:
    """What a batch norm or a factor does to each channel: x * scale + offset, in double precision."""

    scale: np.ndarray
    offset: np.ndarray


def fold(model: keras.Model) -> keras.Model:
    """The same network for inference: fewer layers, the same answers.

    Batch norm goes into the convolution or dense layer before it, or into those behind it where they pad nothing;
    where it can go into neither it stays. Rescaling by one number goes into the layer before it. Dropout, noise,
    identities and linear activations are taken out, and with them the endpoints. Layers that are called several times
    stay as they are.

    Args:
        model: A functional or sequential model, built. It stays as it is; the result has weights of its own.

    Returns:
        A model for inference; layers that are left keep their names.

    Raises:
        ValueError: The model is not functional.

    Example:
        >>> import zoo
        >>> from zoo.deploy import fold
        >>> model = zoo.create_model("resnet20")
        >>> folded = fold(model)
        >>> len(model.layers), len(folded.layers)
        (80, 57)
    """
    if isinstance(model, keras.Sequential) and model.built:
        model = model._functional
    if not hasattr(model, "_nodes_by_depth"):
        raise ValueError(
            f"fold takes functional models. Received: {model.name!r}, a {type(model).__name__}. Make it of keras.Input."
        )
    calls = [node for node in nodes(model) if not node.is_input]
    plan = _Plan(model, calls)
    tensors = {
        id(source): keras.Input(source.shape[1:], dtype=source.dtype, name=source.name) for source in model.inputs
    }
    made: dict[int, Any] = {}
    for node in calls:
        layer = node.operation
        if id(node) in plan.pruned:
            tensors[id(node.outputs[0])] = tensors[id(node.input_tensors[0])]
            continue
        if id(layer) not in made:
            made[id(layer)] = plan.rebuilt(layer)
        args, kwargs = node.arguments.fill_in(tensors)
        results = keras.tree.flatten(made[id(layer)](*args, **kwargs))
        plan.fill(layer, made[id(layer)])
        tensors.update((id(old), new) for old, new in zip(node.outputs, results, strict=True))
    inputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.input)
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    return keras.Model(inputs, outputs, name=model.name)


class _Plan:
    """Which calls vanish, and which layers get other weights.

    Attributes:
        pruned: The calls, by id, whose output is their input.
    """

    def __init__(self, model: keras.Model, calls: list[Any]) -> None:
        self._times_called = Counter(id(node.operation) for node in calls)
        self._before: dict[int, _Norm] = {}
        self._behind: dict[int, list[_Norm]] = {}
        self.pruned = {id(node) for node in calls if _does_nothing(node.operation)}
        self._producers = {id(tensor): node for node in calls for tensor in node.outputs}
        self._outputs = {id(tensor) for tensor in keras.tree.flatten(model.output)}
        self._users: dict[int, list[Any]] = {}
        for node in calls:
            for tensor in node.input_tensors:
                self._users.setdefault(id(tensor), []).append(node)
        # From the input on, so that a second batch norm finds the first one gone.
        for node in calls:
            if self._times_called[id(node.operation)] > 1:
                continue
            if type(node.operation) is layers.BatchNormalization:
                self._place(node)
            elif type(node.operation) is layers.Rescaling:
                self._place_rescaling(node)

    def _place(self, node: Any) -> None:
        norm = node.operation
        producer = self._linear_before(node)
        if producer is not None and _channel_axis(producer.operation, producer.outputs[0]) == _axis(norm, node):
            self._put_behind(producer, node, _norm(norm))
            return
        users = list(self._users_behind(node.outputs[0]))
        if users and all(self._takes(user, _axis(norm, node)) for user in users):
            for user in users:
                self._before[id(user.operation)] = _norm(norm)
            self.pruned.add(id(node))

    def _place_rescaling(self, node: Any) -> None:
        producer, (scale, offset) = self._linear_before(node), (node.operation.scale, node.operation.offset)
        if producer is None or np.ndim(scale) or np.ndim(offset):
            return
        channels = producer.outputs[0].shape[_channel_axis(producer.operation, producer.outputs[0])]
        norm = _Norm(np.full(channels, scale, np.float64), np.full(channels, offset, np.float64))
        self._put_behind(producer, node, norm)

    def _put_behind(self, producer: Any, node: Any, norm: _Norm) -> None:
        self._behind.setdefault(id(producer.operation), []).append(norm)
        self.pruned.add(id(node))

    def _linear_before(self, node: Any) -> Any:
        """The linear call whose output nothing but this call sees, if there is one."""
        tensor = node.input_tensors[0]
        while True:
            if len(self._users[id(tensor)]) > 1 or id(tensor) in self._outputs:
                return None
            producer = self._producers.get(id(tensor))
            if producer is None or id(producer) not in self.pruned:
                break
            tensor = producer.input_tensors[0]
        return producer if producer is not None and self._is_linear(producer) else None

    def _users_behind(self, tensor: Any) -> Iterator[Any]:
        """The calls that see a tensor, also through what does nothing; a None where the model gives it away."""
        if id(tensor) in self._outputs:
            yield None
        for node in self._users.get(id(tensor), []):
            if id(node) in self.pruned:
                yield from self._users_behind(node.outputs[0])
            else:
                yield node

    def _is_linear(self, node: Any) -> bool:
        layer = node.operation
        return (
            type(layer) in LINEAR
            and layer.activation is keras.activations.linear
            and self._times_called[id(layer)] == 1
            and not getattr(layer, "quantization_mode", None)
        )

    def _takes(self, node: Any, axis: int) -> bool:
        """Whether a scale and an offset before a call can go into its kernel."""
        if node is None:
            return False
        layer = node.operation
        if type(layer) not in (*_CONVOLUTIONS, *_DEPTHWISE, layers.Dense) or self._times_called[id(layer)] != 1:
            return False
        if getattr(layer, "quantization_mode", None) or _channel_axis(layer, node.input_tensors[0]) != axis:
            return False
        return isinstance(layer, layers.Dense) or layer.padding == "valid" or set(layer.kernel_size) == {1}

    def rebuilt(self, layer: Any) -> Any:
        """A layer of the same kind and name, with a bias where one is needed; what is no layer stays."""
        if isinstance(layer, keras.Model):
            return fold(layer)
        if not isinstance(layer, layers.Layer):
            return layer
        config = layer.get_config()
        if id(layer) in self._behind or id(layer) in self._before:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def fill(self, layer: Any, new: Any) -> None:
        """Give a rebuilt layer its weights."""
        if not isinstance(layer, layers.Layer) or isinstance(layer, keras.Model) or not layer.weights:
            return
        before, behind = self._before.get(id(layer)), self._behind.get(id(layer), [])
        if before is None and not behind:
            for variable, old in zip(new.variables, layer.variables, strict=True):
                variable.assign(old)
            return
        kernel, bias = _Kernel(layer), _bias(layer)
        if before is not None:
            bias = bias + kernel.sum_of(before.offset)
            kernel.scale_inputs(before.scale)
        for norm in behind:
            bias = bias * norm.scale + norm.offset
            kernel.scale_outputs(norm.scale)
        kernel.assign_to(new)
        new.bias.assign(bias.astype(np.float32))


class _Kernel:
    """The kernel of a linear layer in double precision, whose axes of channels each kind has elsewhere."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        name = "pointwise_kernel" if isinstance(layer, _SEPARABLE) else "kernel"
        self.name = name
        self.values = keras.ops.convert_to_numpy(getattr(layer, name)).astype(np.float64)

    def scale_outputs(self, scale: np.ndarray) -> None:
        if isinstance(self.layer, _TRANSPOSED):
            self.values = self.values * scale[:, np.newaxis]
        elif isinstance(self.layer, _DEPTHWISE):
            self.values = self.values * scale.reshape(self.values.shape[-2:])
        else:
            self.values = self.values * scale

    def scale_inputs(self, scale: np.ndarray) -> None:
        self.values = self.values * self._of_inputs(scale)

    def sum_of(self, offset: np.ndarray) -> np.ndarray:
        """What the kernel makes of an input that is the same everywhere."""
        product = self.values * self._of_inputs(offset)
        if isinstance(self.layer, _DEPTHWISE):
            return product.sum(axis=tuple(range(product.ndim - 2))).reshape(-1)
        return product.sum(axis=tuple(range(product.ndim - 1)))

    def _of_inputs(self, values: np.ndarray) -> np.ndarray:
        """Numbers of the input's channels as they lie along the kernel: a group sees its own part."""
        if isinstance(self.layer, _CONVOLUTIONS) and self.layer.groups > 1:
            groups = self.layer.groups
            filters = self.values.shape[-1] // groups
            return np.repeat(values.reshape(groups, -1).T, filters, axis=1)
        return values[:, np.newaxis]

    def assign_to(self, new: Any) -> None:
        getattr(new, self.name).assign(self.values.astype(np.float32))
        if self.name == "pointwise_kernel":
            new.depthwise_kernel.assign(self.layer.depthwise_kernel)


def _does_nothing(layer: Any) -> bool:
    if type(layer) is layers.Activation:
        return layer.activation is keras.activations.linear
    return type(layer) in _NOTHING_IN_INFERENCE


def _norm(layer: Any) -> _Norm:
    mean, variance = (
        keras.ops.convert_to_numpy(item).astype(np.float64) for item in (layer.moving_mean, layer.moving_variance)
    )
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * keras.ops.convert_to_numpy(layer.gamma)
    offset = -mean * scale
    if layer.center:
        offset = offset + keras.ops.convert_to_numpy(layer.beta)
    return _Norm(scale, offset)


def _bias(layer: Any) -> np.ndarray:
    if layer.use_bias:
        return keras.ops.convert_to_numpy(layer.bias).astype(np.float64)
    channels = layer.units if isinstance(layer, layers.Dense) else _filters(layer)
    return np.zeros(channels)


def _filters(layer: Any) -> int:
    if isinstance(layer, _DEPTHWISE):
        return layer.kernel.shape[-1] * layer.kernel.shape[-2]
    return layer.filters


def _axis(norm: Any, node: Any) -> int:
    """The axis that a batch norm keeps apart, counted from 0."""
    return norm.axis % len(node.outputs[0].shape)


def _channel_axis(layer: Any, tensor: Any) -> int:
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return 1
    return len(tensor.shape) - 1
