"""What keras.applications calls the layers of the networks that we have too: a function for each family.

Each takes the layers of a file of weights with the shape of their kernel, and the model; it gives the name of our layer
for each that it knows. Files of Keras 2 have slashes in some names where Keras 3 has an underscore, and older names of
the last layer. Layers without a name of their own (`conv2d_17`) are numbered in the order in which the builder makes
them: branch by branch.
"""

import re

import keras

from zoo.weights.torch_names import Names, Shapes, natural

_LAST = ("predictions", "probs", "fc1000", "Logits", "logits", "conv_preds")


def vgg(modules: Shapes, model: keras.Model) -> Names:
    """VGG16 and VGG19."""
    names = {"fc1": "fc6", "fc2": "fc7", **dict.fromkeys(_LAST, "logits")}
    for name in modules:
        if match := re.fullmatch(r"block(\d)_conv(\d)", name):
            names[name] = f"stage{match[1]}_conv{match[2]}"
    return names


def resnet(modules: Shapes, model: keras.Model) -> Names:
    """ResNet50, 101 and 152."""
    names = {"conv1_conv": "stem_conv", "conv1_bn": "stem_bn", **dict.fromkeys(_LAST, "logits")}
    for name in modules:
        if match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", name):
            part = f"shortcut_{match[4]}" if match[3] == "0" else f"{match[4]}{match[3]}"
            names[name] = f"stage{int(match[1]) - 1}_block{match[2]}_{part}"
    return names


def densenet(modules: Shapes, model: keras.Model) -> Names:
    """DenseNet121, 169 and 201."""
    parts = {"0_bn": "bn1", "1_conv": "conv1", "1_bn": "bn2", "2_conv": "conv2"}
    names = {"bn": "final_bn", **dict.fromkeys(_LAST, "logits")}
    for name in modules:
        plain = name.replace("/", "_")
        if plain in ("conv1_conv", "conv1_bn"):
            names[name] = plain.replace("conv1", "stem")
        elif match := re.fullmatch(r"conv(\d)_block(\d+)_(\d_(?:conv|bn))", plain):
            names[name] = f"stage{int(match[1]) - 1}_layer{match[2]}_{parts[match[3]]}"
        elif match := re.fullmatch(r"pool(\d)_(conv|bn)", plain):
            names[name] = f"transition{int(match[1]) - 1}_{match[2]}"
    return names


def mobilenet(modules: Shapes, model: keras.Model) -> Names:
    """The first version."""
    names = {"conv1": "stem_conv", "conv1_bn": "stem_bn", **dict.fromkeys(_LAST, "logits")}
    for name in modules:
        if match := re.fullmatch(r"conv_(dw|pw)_(\d+)(_bn)?", name):
            part = "depthwise" if match[1] == "dw" else "pointwise"
            names[name] = f"block{match[2]}_{part}{match[3] or '_conv'}"
    return names


def mobilenet_v2_v3(modules: Shapes, model: keras.Model) -> Names:
    """The first block has no number; the third version starts counting its convolutions at the first one."""
    stem = {"conv1": "stem_conv", "bn_conv1": "stem_bn", "conv": "stem_conv", "conv_bn": "stem_bn"}
    end = {"conv_1": "final_conv", "conv_1_bn": "final_bn", "conv_2": "hidden"}
    parts = {"squeeze_excite_conv": "squeeze_conv1", "squeeze_excite_conv_1": "squeeze_conv2"}
    names = dict.fromkeys(_LAST, "logits")
    for name in modules:
        plain = name.replace("/BatchNorm", "_bn").replace("/", "_").lower()
        if plain in stem or plain in end:
            names[name] = {**stem, **end}[plain]
        elif match := re.fullmatch(r"(?:expanded_conv|block)_(?:(\d+)_)?(.+)", plain):
            part = match[2]
            bare = part.removesuffix("_bn")
            ours = parts.get(part) or (f"{bare}_bn" if part != bare else f"{part}_conv")
            names[name] = f"block{int(match[1] or 0) + 1}_{ours}"
    return names


def inception(modules: Shapes, model: keras.Model) -> Names:
    """Inception v3 and Inception-ResNet v2."""
    names = dict.fromkeys(_LAST, "logits")
    for name in modules:
        if match := re.fullmatch(r"(block\d+_\d+)_conv", name):
            names[name] = f"{match[1]}_up_conv"
        elif match := re.fullmatch(r"conv_7b(_bn)?", name):
            names[name] = f"conv7b{match[1] or '_conv'}"
    ours = [layer for layer in _built(model) if layer.name not in names.values() and not layer.name.startswith("aux")]
    for theirs, kind in (("conv2d", "conv"), ("batch_normalization", "bn")):
        numbered = [name for name in modules if re.fullmatch(rf"{theirs}(_\d+)?", name)]
        layers = [layer.name for layer in ours if layer.name.endswith(f"_{kind}")]
        names.update(zip(sorted(numbered, key=natural), layers, strict=False))
    return names


def _built(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers in the order in which a builder makes them: each branch whole, one after the other as they are joined."""
    order, seen = [], set()
    pending = [(node.operation, False) for node in model._nodes_by_depth[0]]
    while pending:
        layer, is_done = pending.pop()
        if is_done:
            order.append(layer)
        elif layer.name not in seen:
            seen.add(layer.name)
            before = [tensor._keras_history.operation for tensor in layer._inbound_nodes[0].input_tensors]
            pending += [(layer, True), *[(source, False) for source in reversed(before)]]
    return order
