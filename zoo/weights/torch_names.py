"""What torchvision and timm call the layers of the networks that we have too: a function for each family.

Each takes the modules of a state dict with the shape of their weight, and the model; it gives the name of our layer for
each module that it knows. Modules of parts that a model was built without are named all the same.
"""

import re
from collections.abc import Mapping

import keras

Shapes = Mapping[str, tuple[int, ...]]
Names = dict[str, str]


def natural(name: str) -> list[tuple[int, str]]:
    """A key to sort names by, with the numbers in them as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def alexnet(modules: Shapes, model: keras.Model) -> Names:
    """torchvision's, numbered through with activations and poolings."""
    return {
        "features.0": "conv1",
        "features.3": "conv2",
        "features.6": "conv3",
        "features.8": "conv4",
        "features.10": "conv5",
        "classifier.1": "fc6",
        "classifier.4": "fc7",
        "classifier.6": "logits",
    }


def vgg(modules: Shapes, model: keras.Model) -> Names:
    """Their layers are numbered through, poolings and activations too."""
    names = {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "logits", "pre_logits.fc1": "fc6",
             "pre_logits.fc2": "fc7", "head.fc": "logits"}  # fmt: skip
    layers = {layer.name for layer in model.layers}
    number = 0
    for stage in range(1, 6):
        depth = sum(name.startswith(f"stage{stage}_conv") for name in layers)
        for position in range(1, depth + 1):
            names[f"features.{number}"] = f"stage{stage}_conv{position}"
            if f"stage{stage}_bn{position}" in layers:
                names[f"features.{number + 1}"] = f"stage{stage}_bn{position}"
                number += 1
            number += 2
        number += 1
    return names


def squeezenet(modules: Shapes, model: keras.Model) -> Names:
    """torchvision's: fire modules in the order that they stand in."""
    fires = list(dict.fromkeys(name.rpartition(".")[0] for name in modules if name.count(".") == 2))
    names = {"features.0": "conv1", "classifier.1": "conv10"}
    for number, fire in enumerate(fires, 2):
        names.update({f"{fire}.{part}": f"fire{number}_{part}" for part in ("squeeze", "expand1x1", "expand3x3")})
    return names


def resnet(modules: Shapes, model: keras.Model) -> Names:
    """torchvision's and timm's, also those of timm's networks with pre-activation."""
    names = {"conv1": "stem_conv", "bn1": "stem_bn", "fc": "logits", "stem.conv": "stem_conv", "norm": "final_bn",
             "head.fc": "logits"}  # fmt: skip
    shortcut = {"downsample.0": "shortcut_conv", "downsample.1": "shortcut_bn", "downsample.conv": "shortcut_conv"}
    for name in modules:
        if match := re.fullmatch(r"(?:layer(\d)|stages\.(\d)\.blocks)\.(\d+)\.(.+)", name):
            stage = match[1] or int(match[2]) + 1
            layer = shortcut.get(match[4], match[4].replace("norm", "bn"))
            names[name] = f"stage{stage}_block{int(match[3]) + 1}_{layer}"
    return names


def densenet(modules: Shapes, model: keras.Model) -> Names:
    """torchvision's and timm's; torchvision's files of 2017 write `norm.1` for `norm1`."""
    names = {"features.conv0": "stem_conv", "features.norm0": "stem_bn", "features.norm5": "final_bn",
             "classifier": "logits"}  # fmt: skip
    for name in modules:
        if match := re.fullmatch(r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?(\d)", name):
            names[name] = f"stage{match[1]}_layer{match[2]}_{match[3].replace('norm', 'bn')}{match[4]}"
        elif match := re.fullmatch(r"features\.transition(\d)\.(norm|conv)", name):
            names[name] = f"transition{match[1]}_{match[2].replace('norm', 'bn')}"
    return names


def googlenet(modules: Shapes, model: keras.Model) -> Names:
    """torchvision's."""
    branches = {"branch1": "1x1", "branch2.0": "3x3_reduce", "branch2.1": "3x3", "branch3.0": "5x5_reduce",
                "branch3.1": "5x5", "branch4.1": "pool_proj"}  # fmt: skip
    names = {"fc": "logits", "aux1.fc1": "aux1_hidden", "aux1.fc2": "aux1", "aux2.fc1": "aux2_hidden",
             "aux2.fc2": "aux2"}  # fmt: skip
    for name in modules:
        if name not in names:
            unit, _, kind = name.rpartition(".")
            module, _, branch = unit.partition(".")
            if kind in ("conv", "bn") and branch in branches:
                names[name] = f"{module}_{branches[branch]}_{kind}"
            elif kind in ("conv", "bn") and branch in ("", "conv"):
                names[name] = f"{module}_{kind}"
    return names


def inception_v3(modules: Shapes, model: keras.Model) -> Names:
    """torchvision's and timm's."""
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


def mobilenet_torchvision(modules: Shapes, model: keras.Model) -> Names:
    """Versions 2 and 3 of torchvision: what a convolution does is seen by its shape and place."""
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


def mobilenet_timm(modules: Shapes, model: keras.Model) -> Names:
    """Versions 2 and 3 of timm."""
    has_hidden = not any(name == "bn2" for name in modules)
    names = {"conv_stem": "stem_conv", "bn1": "stem_bn", "bn2": "final_bn", "classifier": "logits",
             "conv_head": "hidden" if has_hidden else "final_conv"}  # fmt: skip
    separable = {"conv_dw": "depthwise_conv", "bn1": "depthwise_bn", "conv_pw": "project_conv", "bn2": "project_bn"}
    inverted = {"conv_pw": "expand_conv", "bn1": "expand_bn", "conv_dw": "depthwise_conv", "bn2": "depthwise_bn",
                "conv_pwl": "project_conv", "bn3": "project_bn"}  # fmt: skip
    squeeze = {"se.conv_reduce": "squeeze_conv1", "se.conv_expand": "squeeze_conv2"}
    blocks = sorted({".".join(name.split(".")[:3]) for name in modules if name.startswith("blocks.")}, key=natural)
    for number, block in enumerate(blocks, 1):
        if f"{block}.conv" in modules:
            names.update({f"{block}.conv": "final_conv", f"{block}.bn1": "final_bn"})
            continue
        parts = {**squeeze, **(inverted if f"{block}.conv_pwl" in modules else separable)}
        names.update({f"{block}.{theirs}": f"block{number}_{ours}" for theirs, ours in parts.items()})
    return names


def inception_v4(modules: Shapes, model: keras.Model) -> Names:
    """`features.3` and on are the modules of the paper's figures, one after the other."""
    whole = {number: f"conv{name}" for number, name in enumerate(("1a", "2a", "2b"))}
    found = {match[0] for layer in model.layers if (match := re.match(r"mixed\d[a-h]", layer.name))}
    whole.update(enumerate(sorted(found), 3))
    a = {"branch0": "1x1", "branch1": "3x3", "branch2": "3x3dbl", "branch3": "pool_proj"}
    b = {"branch0": "1x1", "branch1": "7x7", "branch2": "7x7dbl", "branch3": "pool_proj"}
    c = {"branch0": "1x1", "branch1_0": "3x3_1", "branch1_1a": "3x3_2a", "branch1_1b": "3x3_2b",
         "branch2_0": "3x3dbl_1", "branch2_1": "3x3dbl_2", "branch2_2": "3x3dbl_3", "branch2_3a": "3x3dbl_4a",
         "branch2_3b": "3x3dbl_4b", "branch3": "pool_proj"}  # fmt: skip
    special = {
        "mixed3a": {"conv": "3x3"},
        "mixed4a": {"branch0": "3x3", "branch1": "7x7"},
        "mixed5a": {"conv": "3x3"},
        "mixed6a": {"branch0": "3x3", "branch1": "3x3dbl"},
        "mixed7a": {"branch0": "3x3", "branch1": "7x7x3"},
    }
    names = {"last_linear": "logits"}
    for name in modules:
        if match := re.fullmatch(r"features\.(\d+)\.(?:(\w+)\.)?(?:(\d)\.)?(conv|bn)", name):
            ours, part, kind = whole.get(int(match[1])), match[2], match[4]
            if ours is None or part is None:
                names[name] = f"{ours}_{kind}"
                continue
            form = {"5": a, "6": b, "7": c}.get(ours[5], {})
            branches = special.get(ours, form)
            if part in branches:
                names[name] = f"{ours}_{_numbered(branches[part], match[3])}_{kind}"
    return names


def inception_resnet_v2(modules: Shapes, model: keras.Model) -> Names:
    """timm's; `repeat` holds the blocks of a stage, `block8` the one that is not scaled."""
    units = {"repeat": "block35", "repeat_1": "block17", "repeat_2": "block8"}
    first = {"branch0": "1x1", "branch1": "5x5", "branch2": "3x3dbl", "branch3": "pool_proj"}
    layers = {layer.name for layer in model.layers}
    names = {"classif": "logits", "block8.conv2d": "block8_10_up_conv"}
    for name in modules:
        if match := re.fullmatch(r"conv2d_(\d[ab])\.(conv|bn)", name):
            names[name] = f"conv{match[1]}_{match[2]}"
        elif match := re.fullmatch(r"(repeat(?:_\d)?)\.(\d+)\.conv2d", name):
            names[name] = f"{units[match[1]]}_{int(match[2]) + 1}_up_conv"
        elif match := re.fullmatch(r"mixed_5b\.(branch\d)\.(?:(\d)\.)?(conv|bn)", name):
            names[name] = f"mixed5b_{_numbered(first[match[1]], match[2])}_{match[3]}"
        elif match := re.fullmatch(r"(.+)\.branch(\d)\.(?:(\d)\.)?(conv|bn)", name):
            unit, _, number = match[1].partition(".")
            ours = f"{units[unit]}_{int(number) + 1}" if number and unit in units else {
                "block8": "block8_10"}.get(unit, unit.replace("mixed_", "mixed"))  # fmt: skip
            branch = _numbered(f"branch{int(match[2]) + 1}", match[3])
            names[name] = f"{ours}_{branch}_{match[4]}"
    return {theirs: ours for theirs, ours in names.items() if ours in layers or ours == "logits"}


def _numbered(branch: str, number: str | None) -> str:
    """Ours count from 1; the projection behind a pooling, which is theirs at place 0, has no number."""
    return branch if number is None or branch == "pool_proj" else f"{branch}_{int(number) + 1}"
