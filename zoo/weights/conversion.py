"""Weights files of torchvision, timm and keras.applications: their names to our layers, their layout to ours.

For each family a function says which layer of ours a module of theirs is (`torch_names`, `keras_names`); all else is
the same for all. PyTorch's kernels change from (out, in, rows, columns) to Keras's order, dense layers behind a
flattened map from channels first to channels last. Where an epsilon differs from our batch norm's, the variance
makes up for it; where a convolution of theirs has a bias that ours leaves to the batch norm behind it, the mean does.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np

from zoo.messages import some
from zoo.weights import keras_names, store, torch_names
from zoo.weights.adapt import first_convolution
from zoo.weights.store import Stored, refuse_mismatch, refuse_non_finite
from zoo.weights.tensor_files import Tensor, open_tensors
from zoo.weights.torch_names import Names, Shapes

Source = Literal["torchvision", "timm", "keras"]
InputTransform = tuple[tuple[float, ...], tuple[float, ...]]

_DTYPES = ("float64", "float32", "float16")
_TORCH_PARAMETERS = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}
_HEADS = ("fc6", "fc7", "hidden", "logits", "conv10")


@dataclass(frozen=True)
class _Family:
    """How the files of one source name one family.

    Attributes:
        title: What the family is called in messages.
        markers: Layers that of all our networks only this family has together.
        names: Gives our layer for each module.
        epsilon: That of their batch norm, or None if it is that of ours.
        has_folded_biases: Whether each of their convolutions has a bias, and ours has it in the mean of its batch norm.
        is_unscaled: Whether their batch norm has no scale; ours then is 1.
        obstacle: Says why a model cannot give the same outputs, or None if it does.
    """

    title: str
    markers: tuple[str, ...]
    names: Callable[[Shapes, keras.Model], Names]
    epsilon: float | None = None
    has_folded_biases: bool = False
    is_unscaled: bool = False
    obstacle: Callable[[keras.Model], str | None] = lambda model: None


def load(
    model: keras.Model,
    weights: Stored | str | os.PathLike,
    source: Source | None = None,
    *,
    input_transform: InputTransform | None = None,
) -> keras.Model:
    """Fill a model with weights from a file.

    Args:
        model: A built model; with a source, of a family that the source has, with or without its head.
        weights: With `source=None` what `zoo.weights.save` wrote. Else a file with the names of that source:
            `.safetensors` and `.npz` for all, as timm publishes them; `.h5` for "keras", as keras.applications
            publishes them or Keras 3 writes them. Its shapes are compared with the model's before data is read.
            `.pth` files are for `zoo weights convert`.
        source: Whose names the file has: "torchvision", "timm", "keras", or None for our own.
        input_transform: (scale, offset) for each channel, which the weights expect their inputs times and plus; it
            becomes part of the first convolution, exactly. torchvision's Inception v3 has such weights
            (`Published.input_transform`); its preprocessing must then leave that step out.

    Returns:
        The same model.

    Raises:
        FileNotFoundError: There is no file at the path.
        ValueError: The file is damaged or of another format, names and shapes do not fit the model (both sides are
            shown), a value is not finite, the source has no network of the model's family or one that computes
            something else, or the first convolution pads, so that it cannot take up `input_transform`. The model is
            then unchanged.

    Example:
        >>> import tempfile, zoo
        >>> model = zoo.create_model("lenet5")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stored = zoo.weights.save(model, folder)
        ...     zoo.weights.load(model, stored).name
        'lenet5'
    """
    if source is None:
        if input_transform is not None:
            raise ValueError("input_transform is for files of other sources; our own have it in their weights.")
        return store.load(model, weights)
    if source not in get_args(Source):
        legal = " or ".join(repr(name) for name in get_args(Source))
        raise ValueError(f"source must be {legal}, or None for our own files. Received: source={source!r}")
    if isinstance(weights, Stored):
        raise ValueError("What zoo.weights.save wrote has our names: load it with source=None.")
    family = _family(model, source)
    with open_tensors(weights) as tensors:
        values = _converted(Path(weights), model, tensors, source, family)
    if input_transform is not None:
        _fold_transform(model, values, *input_transform)
    for name, (_, variable) in _variables(model).items():
        variable.assign(values[name])
    return model


def _family(model: keras.Model, source: str) -> _Family:
    names = {layer.name for layer in model.layers}
    for family in _FAMILIES[source]:
        if names.issuperset(family.markers):
            if obstacle := family.obstacle(model):
                raise ValueError(f"The weights of {source} do not give {model.name!r} their outputs: {obstacle}")
            return family
    raise ValueError(
        f"There is no mapping from the names of {source} to the layers of {model.name!r}. "
        f"Its families: {', '.join(family.title for family in _FAMILIES[source])}."
    )


def _variables(model: keras.Model) -> dict[str, tuple[keras.layers.Layer, Any]]:
    """Each variable with its layer, by the names of both: `stem_conv/kernel`."""
    return {f"{layer.name}/{item.name}": (layer, item) for layer in model.layers for item in layer.weights}


def _converted(
    path: Path, model: keras.Model, tensors: Mapping[str, Tensor], source: str, family: _Family
) -> dict[str, np.ndarray]:
    """The value of each variable of the model; dtypes and shapes are looked at before anything is read."""
    variables = _variables(model)
    wanted = {name: tuple(item.shape) for name, (_, item) in variables.items()}
    if family.is_unscaled:
        wanted = {name: shape for name, shape in wanted.items() if not name.endswith("/gamma")}
    biased = {}
    if family.has_folded_biases:
        biased = {f"{layer.name}/bias": layer.name.replace("conv", "bn") for layer, _ in variables.values()
                  if isinstance(layer, keras.layers.Conv2D)}  # fmt: skip
        wanted.update({name: wanted[f"{norm}/moving_mean"] for name, norm in biased.items()})
    keys = _matched(model, tensors, source, family, wanted)
    if odd := [key for key in keys.values() if tensors[key].dtype not in _DTYPES]:
        raise ValueError(f"{path}: not floating-point: {some(odd)}.")
    found = {name: _shape_as_ours(variables.get(name, (None,))[0], tensors[key], source) for name, key in keys.items()}
    refuse_mismatch(path, model, found, wanted)
    values = {}
    for name, key in keys.items():
        value = tensors[key].read()
        refuse_non_finite(key, value)
        values[name] = np.ascontiguousarray(_layout(variables.get(name, (None,))[0], value, source))
    for name, norm in biased.items():
        values[f"{norm}/moving_mean"] = values[f"{norm}/moving_mean"] - values.pop(name)
    for name, (layer, item) in variables.items():
        if name not in values:
            values[name] = np.ones(item.shape, "float32")
        elif family.epsilon is not None and item.name == "moving_variance":
            values[name] = values[name] + np.float32(family.epsilon - layer.epsilon)
    return values


def _matched(
    model: keras.Model, tensors: Mapping[str, Tensor], source: str, family: _Family, wanted: Mapping[str, tuple]
) -> Names:
    """The file's key for each variable; what belongs nowhere stands under its own name.

    What belongs to a head or an auxiliary classifier that the model was built without is left out.
    """
    split = {key: key.removesuffix(":0").rpartition("/" if source == "keras" else ".") for key in tensors}
    split = {key: parts for key, parts in split.items() if parts[2] != "num_batches_tracked"}
    shapes: dict[str, tuple[int, ...]] = {parts[0]: () for parts in split.values()}
    shapes.update({parts[0]: tensors[key].shape for key, parts in split.items() if parts[2] in ("weight", "kernel")})
    names = family.names({module: shapes[module] for module in sorted(shapes, key=torch_names.natural)}, model)
    layers = {layer.name for layer in model.layers}
    has_head = not layers.isdisjoint(("logits", "conv10"))
    has_aux = any(layer.startswith("aux") for layer in layers)
    keys: Names = {}
    for key, (module, _, parameter) in split.items():
        name = names.get(module)
        if name is not None and ((not has_aux and name.startswith("aux")) or (not has_head and name in _HEADS)):
            continue
        kinds = (parameter,) if source == "keras" else _TORCH_PARAMETERS.get(parameter, ())
        ours = next((f"{name}/{kind}" for kind in kinds if f"{name}/{kind}" in wanted), key)
        keys[ours if ours not in keys else key] = key
    return keys


def _shape_as_ours(layer: keras.layers.Layer | None, tensor: Tensor, source: str) -> tuple[int, ...]:
    """The shape that a tensor of the file will have; a view of a single zero has it at no cost."""
    try:
        return _layout(layer, np.broadcast_to(np.float32(0), tensor.shape), source).shape
    except ValueError:  # larger than any memory
        return tensor.shape


def _layout(layer: keras.layers.Layer | None, value: np.ndarray, source: str) -> np.ndarray:
    """A tensor of theirs in the layout of a layer of ours; one that does not fit stays as it is."""
    is_dense = isinstance(layer, keras.layers.Dense)
    if source == "keras":
        return value[0, 0] if is_dense and value.ndim == 4 and value.shape[:2] == (1, 1) else value
    if isinstance(layer, keras.layers.DepthwiseConv2D) and value.ndim == 4:
        return value.transpose(2, 3, 0, 1)
    if isinstance(layer, keras.layers.Conv2D) and value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    if not isinstance(layer, keras.layers.Dense) or value.ndim not in (2, 4):
        return value
    if value.ndim == 2:
        map_shape = _flattened(layer)
        if map_shape is None or value.shape[1] != np.prod(map_shape):
            return value.T
        rows, columns, channels = map_shape
        value = value.reshape(value.shape[0], channels, rows, columns)
    return value.transpose(2, 3, 1, 0).reshape(-1, value.shape[0])


def _flattened(layer: keras.layers.Layer) -> tuple[int, ...] | None:
    """The (rows, columns, channels) that a dense layer sees flattened, or None if it sees a vector."""
    while True:
        tensor = layer._inbound_nodes[0].input_tensors[0]
        layer = tensor._keras_history.operation
        if isinstance(layer, keras.layers.Flatten):
            shape = layer.input.shape[1:]
            return tuple(shape) if len(shape) == 3 else None
        if getattr(layer, "weights", None) or not layer._inbound_nodes[0].input_tensors:
            return None


def _fold_transform(
    model: keras.Model, values: dict[str, np.ndarray], scale: tuple[float, ...], offset: tuple[float, ...]
) -> None:
    """Let the first convolution do what its inputs expect: a factor on its kernel, and a sum that its norm takes up."""
    layer = first_convolution(model)
    before = layer._inbound_nodes[0].input_tensors[0]._keras_history.operation
    norm = layer._outbound_nodes[0].operation
    if layer.padding != "valid" or not isinstance(before, keras.layers.InputLayer) or layer.use_bias or (
        not isinstance(norm, keras.layers.BatchNormalization)
    ):  # fmt: skip
        raise ValueError(
            f"{layer.name!r} of {model.name!r} cannot take up an input_transform: only a convolution without padding "
            "and with batch norm behind it can, as beyond the border there is no offset. Keep it in the preprocessing."
        )
    kernel = values[f"{layer.name}/kernel"].astype("float64")
    if not len(scale) == len(offset) == kernel.shape[2]:
        raise ValueError(f"input_transform needs {kernel.shape[2]} factors and offsets. Received: {scale}, {offset}")
    shift = np.einsum("hwio,i->o", kernel, np.asarray(offset, "float64"))
    values[f"{layer.name}/kernel"] = (kernel * np.asarray(scale, "float64")[:, None]).astype("float32")
    mean = values[f"{norm.name}/moving_mean"].astype("float64")
    values[f"{norm.name}/moving_mean"] = (mean - shift).astype("float32")


def _is_other_resnet(model: keras.Model) -> str | None:
    names = {layer.name for layer in model.layers}
    if "final_bn" in names:
        return ("its networks with pre-activation stride in the last block of a stage and pool over zeros: they are "
                "other networks than ours.")  # fmt: skip
    if "stage2_block1_conv3" in names and model.get_layer("stage2_block1_conv1").strides != (2, 2):
        return 'they stride in the first convolution of a block. Build the model with variant="paper".'
    return None


def _counts_padding(model: keras.Model) -> str | None:
    if any(layer.name == "mixed5b_pool_pad" for layer in model.layers):
        return "its average pooling leaves out what is beyond the border. Build the model with count_include_pad=False."
    return None


def _pads_elsewhere(model: keras.Model) -> str | None:
    sizes = model.inputs[0].shape[1:3]
    if any(size is None or size % 32 != 1 for size in sizes):
        return (
            "it pads maps of an even size at the bottom and right alone. Only where strided layers see odd sizes both "
            f"are equal: build the model with sizes of 32 n + 1, e.g. 225. Received: {tuple(sizes)}"
        )
    return None


_FAMILIES: dict[str, tuple[_Family, ...]] = {
    "torchvision": (
        _Family("SqueezeNet", ("fire2_squeeze",), torch_names.squeezenet),
        _Family("DenseNet", ("stage1_layer1_conv1",), torch_names.densenet),
        _Family("GoogLeNet", ("inception3a_1x1_conv",), torch_names.googlenet),
        _Family("Inception v3", ("mixed5b_5x5_1_conv", "mixed7c_1x1_conv"), torch_names.inception_v3),
        _Family("ResNet", ("stage1_block1_conv1",), torch_names.resnet),
        _Family("MobileNet v2 and v3", ("block1_project_conv",), torch_names.mobilenet_torchvision),
        _Family("VGG", ("stage1_conv1",), torch_names.vgg),
        _Family("AlexNet", ("conv1", "conv5"), torch_names.alexnet),
    ),
    "timm": (
        _Family("DenseNet", ("stage1_layer1_conv1",), torch_names.densenet),
        _Family("Inception-ResNet v2", ("block35_1_up_conv", "mixed5b_1x1_conv"), torch_names.inception_resnet_v2),
        _Family("Inception v4", ("mixed4a_7x7_1_conv",), torch_names.inception_v4),
        _Family("Inception v3", ("mixed5b_5x5_1_conv", "mixed7c_1x1_conv"), torch_names.inception_v3),
        _Family("ResNet", ("stage1_block1_conv1",), torch_names.resnet),
        _Family("MobileNet v2 and v3", ("block1_project_conv",), torch_names.mobilenet_timm, epsilon=1e-5),
        _Family("VGG", ("stage1_conv1",), torch_names.vgg),
    ),
    "keras": (
        _Family("VGG", ("stage1_conv1",), keras_names.vgg),
        _Family("ResNet", ("stage1_block1_conv1",), keras_names.resnet, epsilon=1.001e-5, has_folded_biases=True,
                obstacle=_is_other_resnet),
        _Family("DenseNet", ("stage1_layer1_conv1",), keras_names.densenet, epsilon=1.001e-5),
        _Family("MobileNet", ("block1_pointwise_conv",), keras_names.mobilenet, epsilon=1e-3),
        _Family("MobileNet v2 and v3", ("block1_project_conv",), keras_names.mobilenet_v2_v3, epsilon=1e-3,
                obstacle=_pads_elsewhere),
        _Family("Inception-ResNet v2", ("block35_1_up_conv", "mixed5b_1x1_conv"), keras_names.inception, epsilon=1e-3,
                is_unscaled=True),
        _Family("Inception v3", ("mixed5b_5x5_1_conv", "mixed7c_1x1_conv"), keras_names.inception, epsilon=1e-3,
                is_unscaled=True, obstacle=_counts_padding),
    ),
}  # fmt: skip
