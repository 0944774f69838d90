"""Residual networks, for ImageNet and for CIFAR.

- He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512.03385: table 1
  (ImageNet) and section 4.2 (CIFAR-10).
- Xie, Girshick, Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural Networks", 2016,
  https://arxiv.org/abs/1611.05431: table 1 (ResNeXt).
- Zagoruyko, Komodakis, "Wide Residual Networks", 2016, https://arxiv.org/abs/1605.07146: table 8 (WRN-50-2).

Input: colour pictures, 224x224 for ImageNet and 32x32 for CIFAR.

Differences from the papers:
- Where a bottleneck halves the resolution, its 3x3 convolution strides, as in the networks that published weights
  belong to; under `variant="paper"` the 1x1 before it does. Parameters are the same, the cost is not.
- Dense layers start from Glorot's uniform distribution; the papers do not say.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import keras
from keras import layers

from zoo.layers import (
    batch_norm,
    conv,
    endpoint,
    max_pool,
    pooled_head,
    relu,
    residual_stages,
    stem_conv,
    stochastic_depth,
)
from zoo.registry import TIMM, Card, Paper, cifar10_result, imagenet_result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-5, 0.9

Stem = Literal["imagenet", "cifar"]
Shortcut = Literal["projection", "zero_padding"]
Variant = Literal["published", "paper"]
Block = Callable[..., keras.KerasTensor]


def resnet(
    x: keras.KerasTensor,
    *,
    block: Block,
    blocks: tuple[int, ...],
    filters: tuple[int, ...],
    stem_filters: int,
    stem: Stem = "imagenet",
    shortcut: Shortcut = "projection",
    variant: Variant = "published",
    output_stride: int | None = None,
    drop_path: float = 0.0,
) -> keras.KerasTensor:
    """The residual network of 2015: each block ends in an addition and a ReLU.

    Args:
        x: Pictures (batch, height, width, channels).
        block: `_basic` or `_bottleneck`.
        blocks: Number of blocks of each stage.
        filters: Number of output channels of each stage.
        stem_filters: Number of filters of the first convolution.
        stem: "imagenet" for 7x7 with stride 2 and max-pooling, "cifar" for 3x3 without a stride: small pictures.
        shortcut: What a shortcut does where the shape changes: "projection" by a 1x1 convolution (option B of the
            paper) or "zero_padding" of the new channels, without parameters (option A).
        variant: "published" strides in a bottleneck's 3x3 convolution as published weights do, "paper" in the 1x1
            before it.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.
        drop_path: Stochastic depth: the rate at which the last block is dropped in training; it rises linearly from
            block to block. 0 to 1.

    Returns:
        Feature map (batch, height / stride, width / stride, filters[-1]).
    """
    x, stride = stem_conv(x, stem_filters, stem)
    x = _bn_relu(x, "stem_bn", "stem_relu")
    x = endpoint(x, "stem")
    if stem == "imagenet":
        x = max_pool(x, 3, strides=2, padding="zeros", name="stem_pool")
        stride *= 2
    x, stride = residual_stages(
        x,
        block,
        blocks=blocks,
        filters=filters,
        stem_stride=stride,
        output_stride=output_stride,
        drop_path=drop_path,
        shortcut=shortcut,
        variant=variant,
    )
    return endpoint(x, f"stride{stride}")


def _basic(x, filters, *, strides, dilations, drop_rate, shortcut, variant, name):
    """Figure 5 left: 3x3, 3x3. `dilations` are those of the two convolutions; `variant` makes no difference here."""
    y = conv(x, filters, 3, strides=strides, dilation_rate=dilations[0], name=f"{name}_conv1")
    y = _bn_relu(y, f"{name}_bn1", f"{name}_relu1")
    y = conv(y, filters, 3, dilation_rate=dilations[1], name=f"{name}_conv2")
    y = batch_norm(y, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn2")
    return _add_relu(x, y, filters, strides, drop_rate, shortcut, name)


def _bottleneck(x, filters, *, strides, dilations, drop_rate, shortcut, variant, name, groups=1, group_width=64):
    """Figure 5 right: 1x1 to a quarter of the channels, 3x3, 1x1 back.

    ResNeXt splits the 3x3 convolution into groups, wide networks give it more channels: `group_width` is the number of
    channels of a group in the first stage.
    """
    # What strides is the last to have the dilation of the stage before.
    first, second, dilation = (strides, 1, dilations[1]) if variant == "paper" else (1, strides, dilations[0])
    inner = filters // 4 * groups * group_width // 64
    y = conv(x, inner, 1, strides=first, name=f"{name}_conv1")
    y = _bn_relu(y, f"{name}_bn1", f"{name}_relu1")
    y = conv(y, inner, 3, strides=second, dilation_rate=dilation, groups=groups, name=f"{name}_conv2")
    y = _bn_relu(y, f"{name}_bn2", f"{name}_relu2")
    y = conv(y, filters, 1, name=f"{name}_conv3")
    y = batch_norm(y, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn3")
    return _add_relu(x, y, filters, strides, drop_rate, shortcut, name)


def _add_relu(x, y, filters, strides, drop_rate, shortcut, name):
    if shortcut == "zero_padding":
        x = _zero_padded(x, filters, strides, name)
    elif strides > 1 or x.shape[-1] != filters:
        x = conv(x, filters, 1, strides=strides, name=f"{name}_shortcut_conv")
        x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_shortcut_bn")
    y = stochastic_depth(y, drop_rate, name=f"{name}_drop_path")
    return relu(layers.Add(name=f"{name}_add")([x, y]), name=f"{name}_relu")


def _zero_padded(x, filters, strides, name):
    """Option A: every `strides`-th position, and zeros in the channels that are new."""
    if strides > 1:
        x = layers.AveragePooling2D(1, strides, data_format="channels_last", name=f"{name}_shortcut_stride")(x)
    if missing := filters - x.shape[-1]:
        # "channels_first" makes the layer pad its last two axes, which here are the width and the channels.
        padding = ((0, 0), (0, missing))
        x = layers.ZeroPadding2D(padding, data_format="channels_first", name=f"{name}_shortcut_pad")(x)
    return x


def _bn_relu(x, bn_name, relu_name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=bn_name), name=relu_name)


_DEEP = Paper(title="Deep Residual Learning for Image Recognition", year=2015, url="https://arxiv.org/abs/1512.03385")
_NEXT = Paper(
    title="Aggregated Residual Transformations for Deep Neural Networks",
    year=2016,
    url="https://arxiv.org/abs/1611.05431",
)
_WIDE = Paper(title="Wide Residual Networks", year=2016, url="https://arxiv.org/abs/1605.07146")


_imagenet, _cifar10, _timm = imagenet_result, cifar10_result, partial(imagenet_result, source=TIMM)

_32x4, _32x8 = partial(_bottleneck, groups=32, group_width=4), partial(_bottleneck, groups=32, group_width=8)
_64x4, _8x64 = partial(_bottleneck, groups=64, group_width=4), partial(_bottleneck, groups=8, group_width=64)
_16x64 = partial(_bottleneck, groups=16, group_width=64)
_twice = partial(_bottleneck, group_width=128)

# Table 1 of 2015 and what followed from it; for CIFAR section 4.2 of 2015 and table 4 of 2016.
# name: paper, block, blocks of each stage, parameters, batch-norm statistics, multiply-accumulates, published
_ROWS = {
    "resnet18": (_DEEP, _basic, (2, 2, 2, 2), 11_689_512, 9_600, 1_814_073_344, _imagenet(69.758, 89.078)),
    "resnet34": (_DEEP, _basic, (3, 4, 6, 3), 21_797_672, 17_024, 3_663_761_408, _imagenet(73.314, 91.42)),
    "resnet10": (_DEEP, _basic, (1, 1, 1, 1), 5_418_792, 5_760, 889_229_312, None),
    "resnet14": (_DEEP, _bottleneck, (1, 1, 1, 1), 10_064_936, 19_328, 1_468_792_832, None),
    "resnet26": (_DEEP, _bottleneck, (2, 2, 2, 2), 15_995_176, 30_848, 2_342_256_640, _timm(75.298, 92.578)),
    "resnet50": (_DEEP, _bottleneck, (3, 4, 6, 3), 25_557_032, 53_120, 4_089_184_256, _imagenet(76.13, 92.862)),
    "resnet101": (_DEEP, _bottleneck, (3, 4, 23, 3), 44_549_160, 105_344, 7_801_405_440, _imagenet(77.374, 93.546)),
    "resnet152": (_DEEP, _bottleneck, (3, 8, 36, 3), 60_192_808, 151_424, 11_513_626_624, _imagenet(78.312, 94.046)),
    "resnext50_32x4d": (_NEXT, _32x4, (3, 4, 6, 3), 25_028_904, 68_224, 4_230_479_872, _imagenet(77.618, 93.698)),
    "resnext101_32x8d": (_NEXT, _32x8, (3, 4, 23, 3), 88_791_336, 202_880, 16_414_015_488, _imagenet(79.312, 94.526)),
    "resnext101_32x4d": (
        _NEXT, _32x4, (3, 4, 23, 3), 44_177_704, 137_856, 7_969_996_800, _imagenet(78.8, 94.4, source="table 4"),
    ),
    "resnext101_64x4d": (_NEXT, _64x4, (3, 4, 23, 3), 83_455_272, 202_880, 15_460_270_080, _imagenet(83.246, 96.454)),
    "wide_resnet50_2": (_WIDE, _twice, (3, 4, 6, 3), 68_883_240, 68_224, 11_398_021_120, _imagenet(78.468, 94.086)),
    "wide_resnet101_2": (_WIDE, _twice, (3, 4, 23, 3), 126_886_696, 137_856, 22_753_050_624, _imagenet(78.848, 94.284)),
    "resnet20": (_DEEP, _basic, (3,) * 3, 269_722, 1_376, 40_551_040, _cifar10(91.25, 6)),
    "resnet32": (_DEEP, _basic, (5,) * 3, 464_154, 2_272, 68_862_592, _cifar10(92.49, 6)),
    "resnet44": (_DEEP, _basic, (7,) * 3, 658_586, 3_168, 97_174_144, _cifar10(92.83, 6)),
    "resnet56": (_DEEP, _basic, (9,) * 3, 853_018, 4_064, 125_485_696, _cifar10(93.03, 6)),
    "resnet110": (_DEEP, _basic, (18,) * 3, 1_727_962, 8_096, 252_887_680, _cifar10(93.57, 6)),
    "resnet164": (_DEEP, _bottleneck, (18,) * 3, 1_704_154, 25_120, 247_646_720, _cifar10(94.07, 4)),
    "resnet1202": (_DEEP, _basic, (200,) * 3, 19_421_274, 89_632, 2_829_238_912, _cifar10(92.07, 6)),
    "resnext29_8x64d": (_NEXT, _8x64, (3,) * 3, 34_426_698, 57_472, 5_387_266_048, _cifar10(96.35, 7)),
    "resnext29_16x64d": (_NEXT, _16x64, (3,) * 3, 68_155_210, 100_480, 10_688_866_304, _cifar10(96.42, 7)),
}  # fmt: skip

_NOTES = {
    "resnet1202": "Keras walks a graph by recursion. Building the model raises Python's limit for that; before a "
    "`.keras` file of it is loaded in a new process, call sys.setrecursionlimit(20_000).",
}

_KINDS = {
    _DEEP: "Residual network",
    _NEXT: "Residual network with grouped convolutions",
    _WIDE: "Residual network with twice the channels inside its bottlenecks",
}

for _name, (_paper, _block, _blocks, _params, _state, _macs, _published) in _ROWS.items():
    _is_cifar = len(_blocks) == 3
    _strides = ("stride1", "stride2", "stride4") if _is_cifar else ("stride4", "stride8", "stride16", "stride32")
    _base = 16 if _is_cifar and _paper is _DEEP else 64
    _expansion = 1 if _block is _basic else 4
    _row = {"block": _block, "blocks": _blocks, "stem_filters": _base}
    _row["filters"] = tuple(_base * _expansion * 2**stage for stage in range(len(_blocks)))
    if _is_cifar:
        _row["stem"] = "cifar"
        if _block is _basic:
            _row["shortcut"] = "zero_padding"
    register(
        Card(
            name=_name,
            family="resnet",
            modality="image",
            summary=f"{_KINDS[_paper]}, {sum(_blocks) * (2 if _expansion == 1 else 3) + 2} layers"
            + (", for CIFAR" if _is_cifar else ""),
            paper=_paper,
            input_shape=(32, 32, 3) if _is_cifar else (224, 224, 3),
            min_size=1,
            value_range=(-1.0, 1.0),
            classes=10 if _is_cifar else 1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", *_strides, "pooled", "logits"),
            results=(_published,) if _published else (),
            note=_NOTES.get(_name, ""),
        ),
        resnet,
        pooled_head,
        **_row,
    )
