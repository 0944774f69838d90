"""Weights files of torchvision and timm: their names to our layers, their layout to Keras's.

Such a file names each tensor by module and parameter, `layer1.0.conv1.weight`. For each family a function says which
layer of ours a module is; all else is the same for all: kernels change from (out, in, rows, columns) to Keras's
order, dense layers behind a flattened map from channels first to channels last, and the variance of a batch norm
makes up for an epsilon that differs from our layer's.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import safetensors

from zoo.weights import store
from zoo.weights.store import Stored, refuse_mismatch, refuse_non_finite

Source = Literal["torchvision", "timm"]
Shapes = Mapping[str, tuple[int, ...]]
Names = dict[str, str]

_PARAMETERS = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}
_DTYPES = ("F64", "F32", "F16")


def load(
    model: keras.Model, weights: Stored | str | os.PathLike, source: Source | None = None
) -> keras.Model:  # fmt: skip
    """Fill a model with weights from a file.

    Args:
        model: A built model; with a source, of a family that the source has, with or without its head.
        weights: With `source=None` what `zoo.weights.save` wrote. Else a safetensors file with the names of that
            source's state dict, as timm publishes them; nothing in it is unpickled. Its shapes are compared with
            the model's before data is read.
        source: Whose names the file has: "torchvision", "timm", or None for our own.

    Returns:
        The same model.

    Raises:
        FileNotFoundError: There is no file at the path.
        ValueError: The file is no safetensors file, names and shapes do not fit the model (both sides are shown),
            a value is not finite, or the source has no network of the model's family. The model is then unchanged.

    Example:
        >>> import tempfile, zoo
        >>> model = zoo.create_model("lenet5")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stored = zoo.weights.save(model, folder)
        ...     zoo.weights.load(model, stored).name
        'lenet5'
    """
    if source is None:
        return store.load(model, weights)
    if source not in get_args(Source):
        legal = " or ".join(repr(name) for name in get_args(Source))
        raise ValueError(f"source must be {legal}, or None for our own files. Received: source={source!r}")
    if isinstance(weights, Stored):
        raise ValueError("What zoo.weights.save wrote has our names: load it with source=None.")
    rename, epsilon = _family(model, source)
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file at {path}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            if odd := [key for key, item in slices.items()
                       if item.get_dtype() not in _DTYPES and not key.endswith("num_batches_tracked")]:  # fmt: skip
                raise ValueError(f"{path}: not floating-point: {store.some(odd)}.")
            shapes = {key: tuple(item.get_shape()) for key, item in slices.items()}
            values = _converted(path, model, shapes, file.get_tensor, rename, epsilon)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one: {error}.") from None
    for variable, value in values:
        variable.assign(value)
    return model


def _converted(
    path: Path,
    model: keras.Model,
    shapes: Shapes,
    read: Callable[[str], np.ndarray],
    rename: Callable[[Shapes, keras.Model], Names],
    epsilon: float | None,
) -> list[tuple[Any, np.ndarray]]:
    """Each variable of the model with its value from the file; shapes are compared before anything is read."""
    kept = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    modules = {key.rpartition(".")[0]: () for key in kept}
    names = rename({module: kept.get(f"{module}.weight", ()) for module in sorted(modules, key=_natural)}, model)
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    variables = {f"{layer.name}/{item.name}": (layer, item) for layer in layers.values() for item in layer.weights}
    keys: Names = {}
    found: dict[str, tuple[int, ...]] = {}
    has_head = "logits" in layers or "conv10" in layers
    for key, shape in kept.items():
        module, _, parameter = key.rpartition(".")
        name = names.get(module, module)
        if name.startswith("aux") and not any(layer.startswith("aux") for layer in layers):
            continue  # an auxiliary classifier that this model was built without
        if name in _HEADS and not has_head:
            continue
        layer = layers.get(name)
        kinds = ("depthwise_kernel", *_PARAMETERS[parameter]) if parameter == "weight" else _PARAMETERS.get(parameter)
        ours = next((f"{name}/{kind}" for kind in kinds or () if f"{name}/{kind}" in variables), key)
        keys[ours] = key
        found[ours] = _layout(layer, np.broadcast_to(np.float32(0), shape)).shape if ours != key else shape
    wanted = {name: tuple(item.shape) for name, (_, item) in variables.items()}
    refuse_mismatch(path, model, found, wanted)
    values = []
    for name, (layer, variable) in variables.items():
        value = read(keys[name])
        refuse_non_finite(keys[name], value)
        if variable.name == "moving_variance" and epsilon is not None:
            value = value + np.float32(epsilon - layer.epsilon)
        values.append((variable, np.ascontiguousarray(_layout(layer, value))))
    return values


_HEADS = ("fc6", "fc7", "hidden", "logits", "conv10")


def _layout(layer: Any, value: np.ndarray) -> np.ndarray:
    """A tensor of PyTorch's in the layout of a layer of Keras's; one that does not fit stays as it is."""
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


def _family(model: keras.Model, source: str) -> tuple[Callable[[Shapes, keras.Model], Names], float | None]:
    """The function that names the modules of that source for this network, and the source's epsilon if it differs."""
    names = {layer.name for layer in model.layers}
    for marker, sources in _FAMILIES.items():
        if marker in names and source in sources:
            return sources[source]
    raise ValueError(
        f"There is no mapping from the names of {source} to the layers of {model.name!r}. "
        f"Its families: {', '.join(sorted(name for name, item in _FAMILY_NAMES.items() if source in item))}."
    )


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _in_order(modules: Shapes, model: keras.Model, pattern: str, rank: int) -> Names:
    """Modules of a plain chain, `features.3`, to the layers that `pattern` finds, both in natural order."""
    theirs = [name for name, shape in modules.items() if name.startswith("features.") and len(shape) == rank]
    ours = sorted((layer.name for layer in model.layers if re.fullmatch(pattern, layer.name)), key=_natural)
    return dict(zip(theirs, ours, strict=False))


def _alexnet(modules: Shapes, model: keras.Model) -> Names:
    head = {"classifier.1": "fc6", "classifier.4": "fc7", "classifier.6": "logits"}
    return {**_in_order(modules, model, r"conv\d", 4), **head}


def _vgg(modules: Shapes, model: keras.Model) -> Names:
    return {
        **_in_order(modules, model, r"stage\d_conv\d", 4),
        **_in_order(modules, model, r"stage\d_bn\d", 1),
        "classifier.0": "fc6",
        "classifier.3": "fc7",
        "classifier.6": "logits",
        "pre_logits.fc1": "fc6",
        "pre_logits.fc2": "fc7",
        "head.fc": "logits",
    }


def _squeezenet(modules: Shapes, model: keras.Model) -> Names:
    fires = list(dict.fromkeys(name.rpartition(".")[0] for name in modules if name.count(".") == 2))
    names = {"features.0": "conv1", "classifier.1": "conv10"}
    for number, fire in enumerate(fires, 2):
        names.update({f"{fire}.{part}": f"fire{number}_{part}" for part in ("squeeze", "expand1x1", "expand3x3")})
    return names


def _resnet(modules: Shapes, model: keras.Model) -> Names:
    names = {"conv1": "stem_conv", "bn1": "stem_bn", "fc": "logits", "stem.conv": "stem_conv", "norm": "final_bn",
             "head.fc": "logits"}  # fmt: skip
    shortcut = {"downsample.0": "shortcut_conv", "downsample.1": "shortcut_bn", "downsample.conv": "shortcut_conv"}
    for name in modules:
        if match := re.fullmatch(r"(?:layer(\d)|stages\.(\d)\.blocks)\.(\d+)\.(.+)", name):
            stage = match[1] or int(match[2]) + 1
            layer = shortcut.get(match[4], match[4].replace("norm", "bn"))
            names[name] = f"stage{stage}_block{int(match[3]) + 1}_{layer}"
    return names


def _densenet(modules: Shapes, model: keras.Model) -> Names:
    names = {"features.conv0": "stem_conv", "features.norm0": "stem_bn", "features.norm5": "final_bn",
             "classifier": "logits"}  # fmt: skip
    for name in modules:
        if match := re.fullmatch(r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)(\d)", name):
            names[name] = f"stage{match[1]}_layer{match[2]}_{match[3].replace('norm', 'bn')}{match[4]}"
        elif match := re.fullmatch(r"features\.transition(\d)\.(norm|conv)", name):
            names[name] = f"transition{match[1]}_{match[2].replace('norm', 'bn')}"
    return names


def _googlenet(modules: Shapes, model: keras.Model) -> Names:
    branches = {"branch1": "1x1", "branch2.0": "3x3_reduce", "branch2.1": "3x3", "branch3.0": "5x5_reduce",
                "branch3.1": "5x5", "branch4.1": "pool_proj"}  # fmt: skip
    names = {"fc": "logits", "aux1.fc1": "aux1_hidden", "aux1.fc2": "aux1", "aux2.fc1": "aux2_hidden",
             "aux2.fc2": "aux2"}  # fmt: skip
    for name in modules:
        if name not in names:
            unit, _, kind = name.rpartition(".")
            module, _, branch = unit.partition(".")
            names[name] = f"{module}_{branches[branch]}_{kind}" if branch in branches else f"{module}_{kind}"
    return names


def _inception_v3(modules: Shapes, model: keras.Model) -> Names:
    names = {"fc": "logits", "AuxLogits.fc": "aux1"}
    for name in modules:
        if match := re.fullmatch(r"Conv2d_(\d[ab])_\dx\d\.(conv|bn)", name):
            names[name] = f"conv{match[1]}_{match[2]}"
        elif match := re.fullmatch(r"Mixed_(\d[a-e])\.branch_?(\w+)\.(conv|bn)", name):
            branch = "pool_proj" if match[2] == "pool" else match[2]
            names[name] = f"mixed{match[1]}_{branch}_{match[3]}"
        elif name.startswith("AuxLogits.conv"):
            names[name] = name.replace("AuxLogits.conv", "aux1_conv").replace(".", "_")
    return names


def _mobilenet_torchvision(modules: Shapes, model: keras.Model) -> Names:
    blocks: dict[str, list[str]] = {}
    for name in modules:
        if match := re.fullmatch(r"(features\.\d+)\..+", name):
            blocks.setdefault(match[1], []).append(name)
    names = {"classifier.1": "logits", "classifier.0": "hidden", "classifier.3": "logits"}
    for number, parts in enumerate(blocks.values()):
        part = "expand"
        for name in parts:
            shape = modules[name]
            if number in (0, len(blocks) - 1):
                role = "stem" if number == 0 else "final"
                names[name] = f"{role}_{'conv' if len(shape) == 4 else 'bn'}"
            elif name.endswith(("fc1", "fc2")):
                names[name] = f"block{number}_squeeze_conv{name[-1]}"
            elif len(shape) == 4:
                part = "depthwise" if shape[1] == 1 else "project" if part == "depthwise" else "expand"
                names[name] = f"block{number}_{part}_conv"
            else:
                names[name] = f"block{number}_{part}_bn"
    return names


def _mobilenet_timm(modules: Shapes, model: keras.Model) -> Names:
    has_hidden = not any(name == "bn2" for name in modules)
    names = {"conv_stem": "stem_conv", "bn1": "stem_bn", "bn2": "final_bn", "classifier": "logits",
             "conv_head": "hidden" if has_hidden else "final_conv"}  # fmt: skip
    separable = {"conv_dw": "depthwise_conv", "bn1": "depthwise_bn", "conv_pw": "project_conv", "bn2": "project_bn"}
    inverted = {"conv_pw": "expand_conv", "bn1": "expand_bn", "conv_dw": "depthwise_conv", "bn2": "depthwise_bn",
                "conv_pwl": "project_conv", "bn3": "project_bn"}  # fmt: skip
    squeeze = {"se.conv_reduce": "squeeze_conv1", "se.conv_expand": "squeeze_conv2"}
    blocks = sorted({".".join(name.split(".")[:3]) for name in modules if name.startswith("blocks.")}, key=_natural)
    for number, block in enumerate(blocks, 1):
        if f"{block}.conv" in modules:
            names.update({f"{block}.conv": "final_conv", f"{block}.bn1": "final_bn"})
            continue
        parts = {**squeeze, **(inverted if f"{block}.conv_pwl" in modules else separable)}
        names.update({f"{block}.{theirs}": f"block{number}_{ours}" for theirs, ours in parts.items()})
    return names


# A layer that only this family has, and who publishes it; the epsilon where it is not that of our batch norm.
_FAMILIES: dict[str, dict[str, tuple[Callable[[Shapes, keras.Model], Names], float | None]]] = {
    "fire2_squeeze": {"torchvision": (_squeezenet, None)},
    "stage1_layer1_conv1": {"torchvision": (_densenet, None), "timm": (_densenet, None)},
    "inception3a_1x1_conv": {"torchvision": (_googlenet, None)},
    "mixed5b_5x5_1_conv": {"torchvision": (_inception_v3, None), "timm": (_inception_v3, None)},
    "stage1_block1_conv1": {"torchvision": (_resnet, None), "timm": (_resnet, None)},
    "block1_project_conv": {"torchvision": (_mobilenet_torchvision, None), "timm": (_mobilenet_timm, 1e-5)},
    "stage1_conv1": {"torchvision": (_vgg, None), "timm": (_vgg, None)},
    "conv5": {"torchvision": (_alexnet, None)},
}
_FAMILY_NAMES = {
    "AlexNet": ("torchvision",),
    "VGG": ("torchvision", "timm"),
    "SqueezeNet": ("torchvision",),
    "ResNet": ("torchvision", "timm"),
    "DenseNet": ("torchvision", "timm"),
    "GoogLeNet": ("torchvision",),
    "Inception v3": ("torchvision", "timm"),
    "MobileNet v2 and v3": ("torchvision", "timm"),
}
