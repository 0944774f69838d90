"""Questions that a built model answers: its endpoints, its cost, its receptive field.

They read the graph of any functional Keras model, of the registry or not, loaded from a file or just built.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras import layers

_ENDPOINT = re.compile(r"stem|stride\d+|pooled|logits|value|aux\d+")


def endpoints(model: keras.Model) -> list[str]:
    """Names of the model's endpoints, in the order of the graph.

    Args:
        model: A model of the registry, as built, cloned or loaded from a `.keras` file.

    Example:
        >>> import zoo
        >>> zoo.endpoints(zoo.create_model("resnet20"))
        ['stem', 'stride1', 'stride2', 'stride4', 'pooled', 'logits']
    """
    return [layer.name for layer in model.layers if _ENDPOINT.fullmatch(layer.name)]


def features(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """A model that returns the named feature maps as a dict; it shares its weights with `model`.

    Args:
        model: A model of the registry, as built, cloned or loaded from a `.keras` file.
        names: Endpoints, e.g. `["stride8", "stride16"]`; `zoo.endpoints(model)` lists them. Names of other layers
            of the model are taken as well.

    Returns:
        A model with the input of `model` and the output `{name: tensor}`.

    Raises:
        ValueError: `names` is empty or holds a name that the model does not have.

    Example:
        >>> import zoo
        >>> body = zoo.features(zoo.create_model("resnet20"), ["stride2", "stride4"])
        >>> {name: tensor.shape for name, tensor in body.output.items()}
        {'stride2': (None, 16, 16, 32), 'stride4': (None, 8, 8, 64)}
    """
    if isinstance(names, str) or not names:
        raise ValueError(f"names must be a list of endpoints, with at least one. Received: {names!r}")
    known = {layer.name: layer for layer in model.layers}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"{model.name!r} has no endpoint {', '.join(map(repr, unknown))}. Endpoints: {', '.join(endpoints(model))}"
        )
    return keras.Model(model.input, {name: known[name].output for name in names}, name=f"{model.name}_features")


def count_params(model: keras.Model) -> tuple[int, int]:
    """Number of trainable parameters whatever is frozen now, and of other state (batch-norm statistics and the like).

    The first is what papers and torchvision call the number of parameters; Keras's `count_params` is the sum.
    """
    leaves = list(model._flatten_layers(include_self=False, recursive=True))
    trainable = {id(v): math.prod(v.shape) for layer in leaves for v in layer._trainable_variables}
    state = {id(v): math.prod(v.shape) for v in model.weights if id(v) not in trainable}
    return sum(trainable.values()), sum(state.values())


def count_macs(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> int:
    """Multiply-accumulates of all convolutions and dense layers for one example.

    Counts one for each product of an input with a weight, at batch 1: biases, batch norm, pooling and activations
    are not counted. That is the definition behind torchvision's `_ops`. Grouped, depthwise, separable, dilated and
    transposed convolutions are right, also inside nested models; a shared layer counts as often as it is called.

    Args:
        model: A functional model with one input.
        input_shape: Shape of the input without the batch; needed where the model's own is not fixed.

    Returns:
        The count. Half of what is called FLOPs by those who count additions.

    Raises:
        ValueError: The size of the input is not known.

    Example:
        >>> import zoo
        >>> zoo.count_macs(zoo.create_model("resnet18"))
        1814073344
    """
    return sum(row.macs for row in layer_table(model, input_shape))


@dataclass(frozen=True)
class LayerRow:
    """One call of a layer.

    Attributes:
        name: Name of the layer.
        kind: Its class.
        output_shape: Shape of its output, batch 1 in front.
        params: Number of its weights, trained or not.
        macs: Multiply-accumulates, as `count_macs` counts them.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    macs: int


def layer_table(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> list[LayerRow]:
    """All layers in the order of the graph, nested models unfolded.

    Args:
        model: A functional model with one input.
        input_shape: Shape of the input without the batch; needed where the model's own is not fixed.

    Raises:
        ValueError: The size of the input is not known.
    """
    shape = tuple(input_shape or model.inputs[0].shape[1:])
    if None in shape:
        raise ValueError(
            f"The size of the input must be known. Received: shape {shape}. Give input_shape, e.g. (224, 224, 3)."
        )
    return [
        LayerRow(
            layer.name,
            type(layer).__name__,
            tuple(output.shape),
            layer.count_params() if isinstance(layer, layers.Layer) else 0,
            _macs(layer, inputs, output),
        )
        for layer, inputs, output in _calls(model, shape)
    ]


@dataclass(frozen=True)
class ReceptiveField:
    """What one position of a feature map sees of the input.

    Attributes:
        size: Extent in input pixels for each spatial axis, padding included; None where it is the whole input.
        stride: Input pixels between neighbouring positions for each spatial axis; None likewise.
    """

    size: tuple[int, ...] | None
    stride: tuple[int, ...] | None


def receptive_field(model: keras.Model, endpoint: str) -> ReceptiveField:
    """Size and stride of the receptive field of a layer's output.

    A feature map that is multiplied by a gate of height and width 1, as in squeeze and excitation, keeps its field:
    the gate sees the whole input, but only scales what stands at each position.

    Args:
        model: A functional model with one input.
        endpoint: An endpoint of the model, or the name of any of its layers.

    Returns:
        The field; both attributes are None behind global pooling and flattening, which see everything.

    Raises:
        ValueError: There is no such layer, or a layer on the way is of a kind whose field is not known.

    Example:
        >>> import zoo
        >>> zoo.receptive_field(zoo.create_model("resnet50"), "stride32")
        ReceptiveField(size=(427, 427), stride=(32, 32))
    """
    if endpoint not in {layer.name for layer in model.layers}:
        raise ValueError(f"{model.name!r} has no layer {endpoint!r}. Endpoints: {', '.join(endpoints(model))}")
    axes = max(len(model.inputs[0].shape) - 2, 1)  # text has no channels before its embedding
    fields: dict[int, ReceptiveField] = {id(model.inputs[0]): ReceptiveField((1,) * axes, (1,) * axes)}
    for node in nodes(model):
        if node.is_input:
            continue
        incoming = _without_gates(node, fields)
        merged = _merged([fields[id(tensor)] for tensor in incoming])
        outgoing = _seen_by(node.operation, merged, incoming[0], node.outputs[0])
        fields.update((id(tensor), outgoing) for tensor in node.outputs)
        if node.operation.name == endpoint:
            return outgoing
    raise ValueError(f"{endpoint!r} is the input of {model.name!r}; it sees itself.")


def nodes(model: keras.Model) -> list[Any]:
    """The calls of the model's graph, inputs first. Keras has no public way to ask for them."""
    return [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]


def _calls(model: keras.Model, shape: tuple[int, ...]) -> Iterator[tuple[Any, Any, Any]]:
    """(layer, input, output) of each call, as symbolic tensors at batch 1 and the given input shape."""
    source = model.inputs[0]
    tensors = {id(source): keras.KerasTensor((1, *shape), dtype=source.dtype)}
    for node in nodes(model):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(tensors)
        inputs = [tensors[id(tensor)] for tensor in node.input_tensors]
        output = node.operation.compute_output_spec(*args, **kwargs)
        outputs = keras.tree.flatten(output)
        tensors.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
        if isinstance(node.operation, keras.Model) and hasattr(node.operation, "_nodes_by_depth"):
            yield from _calls(node.operation, inputs[0].shape[1:])
        else:
            yield node.operation, inputs[0], outputs[0]


def _macs(layer: Any, x: keras.KerasTensor, y: keras.KerasTensor) -> int:
    if hasattr(layer, "count_macs"):
        return layer.count_macs(y.shape)
    if isinstance(layer, layers.Dense):
        return math.prod(y.shape[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)):
        return math.prod(_sizes(layer, x)) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return math.prod(_sizes(layer, y)) * kernels
    if isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return math.prod(_sizes(layer, y)) * math.prod(layer.kernel.shape)
    return 0


def _sizes(layer: Any, x: keras.KerasTensor) -> tuple[int, ...]:
    return x.shape[2:] if layer.data_format == "channels_first" else x.shape[1:-1]


_GLOBAL = (
    layers.Flatten,
    *(getattr(layers, f"Global{kind}Pooling{axes}D") for kind in ("Average", "Max") for axes in (1, 2, 3)),
)
_BORDERS = tuple(getattr(layers, f"{kind}{axes}D") for kind in ("ZeroPadding", "Cropping") for axes in (1, 2, 3))
_UPSAMPLING = tuple(
    getattr(layers, name.format(axes)) for name in ("Conv{}DTranspose", "UpSampling{}D") for axes in (1, 2, 3)
)


def _without_gates(node: Any, fields: dict[int, ReceptiveField]) -> list[keras.KerasTensor]:
    """The inputs of a call; those of a product without what only scales: one value for all positions."""
    if not isinstance(node.operation, layers.Multiply):
        return node.input_tensors
    return [
        tensor for tensor in node.input_tensors if fields[id(tensor)].size is not None or set(tensor.shape[1:-1]) != {1}
    ] or node.input_tensors


def _merged(fields: list[ReceptiveField]) -> ReceptiveField:
    """What a sum, product or concatenation of several feature maps sees."""
    sizes = [field.size for field in fields]
    if any(size is None for size in sizes):
        return ReceptiveField(None, None)
    return ReceptiveField(tuple(max(axis) for axis in zip(*sizes, strict=True)), fields[0].stride)


def _seen_by(layer: Any, field: ReceptiveField, x: keras.KerasTensor, y: keras.KerasTensor) -> ReceptiveField:
    if field.size is None or field.stride is None or isinstance(layer, _GLOBAL):
        return ReceptiveField(None, None)
    if isinstance(layer, _UPSAMPLING):
        raise ValueError(f"The receptive field behind {layer.name!r}, which makes maps larger, is not uniform.")
    if isinstance(layer, (keras.Model, layers.Resizing)):
        raise ValueError(f"What {layer.name!r} ({type(layer).__name__}) sees of its input is not known.")
    axes = len(field.size)
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if isinstance(layer, layers.Permute) and tuple(layer.dims) == (1, 3, 2) and x.shape[3] == 1 and axes == 2:
        # All bands of a frame become its channels.
        (frames, bands), (frame, band) = field.size, field.stride
        return ReceptiveField((frames, bands + (x.shape[2] - 1) * band), (frame, x.shape[2] * band))
    if kernel is None:
        if x.shape == y.shape[:-1]:  # an embedding
            return field
        resized = x.shape[1:-1] != y.shape[1:-1] and not isinstance(layer, _BORDERS)
        if resized or len(x.shape) != len(y.shape):
            raise ValueError(f"What {layer.name!r} ({type(layer).__name__}) sees of its input is not known.")
        return field
    kernel = _per_axis(kernel, axes)
    strides = _per_axis(getattr(layer, "strides", 1), axes)
    dilation = _per_axis(getattr(layer, "dilation_rate", 1), axes)
    pairs = zip(field.size, kernel, dilation, field.stride, strict=True)
    return ReceptiveField(
        tuple(size + (taps - 1) * spacing * step for size, taps, spacing, step in pairs),
        tuple(step * own for step, own in zip(field.stride, strides, strict=True)),
    )


def _per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


class Parts(NamedTuple):
    """A model as a builder made it, and where in its graph the backbone begins and ends.

    Attributes:
        model: The whole.
        start: What the backbone starts from.
        features: The last feature map.
        outputs: What the model gives: a tensor, or a dict of several.
        classes: Number of classes of its head.
    """

    model: keras.Model
    start: keras.KerasTensor
    features: keras.KerasTensor
    outputs: Any
    classes: int

    def layers(self) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
        """The layers with weights, those of the backbone and those of the head."""
        body = _layers_between(self.start, [self.features])
        known = {id(layer) for layer in body}
        every = _layers_between(self.start, keras.tree.flatten(self.outputs))
        return body, [layer for layer in every if id(layer) not in known]


def _layers_between(start: keras.KerasTensor, outputs: Sequence[keras.KerasTensor]) -> list[keras.layers.Layer]:
    """The layers with weights that make `outputs` of `start`, from the end to the beginning."""
    layers_found: dict[int, keras.layers.Layer] = {}
    waiting, seen = list(outputs), {id(start)}
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, node, _ = tensor._keras_history
        if getattr(operation, "weights", None):
            layers_found[id(operation)] = operation
        waiting.extend(operation._inbound_nodes[node].input_tensors)
    return list(layers_found.values())
