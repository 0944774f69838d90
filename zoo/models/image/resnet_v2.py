"""Residual networks with pre-activation, for ImageNet and for CIFAR.

- He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks", 2016, https://arxiv.org/abs/1603.05027: figure 1b
  and the appendix.
- Zagoruyko, Komodakis, "Wide Residual Networks", 2016, https://arxiv.org/abs/1605.07146: table 1 (WRN for CIFAR).

Input: colour pictures, 224x224 for ImageNet and 32x32 for CIFAR.

Differences from the papers:
- Where a bottleneck halves the resolution, its 3x3 convolution strides, as in the networks that published weights
  belong to; under `variant="paper"` the 1x1 before it does. Parameters are the same, the cost is not.
- 18 and 34 layers with pre-activation are not in the paper. Where the first block keeps the channels, there and in
  `resnet110_v2`, its shortcut starts from the input itself; the paper's starts behind the first activation.
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
from zoo.registry import TIMM, Card, Paper, Result, cifar10_result, imagenet_result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-5, 0.9

Stem = Literal["imagenet", "cifar"]
Variant = Literal["published", "paper"]
Block = Callable[..., keras.KerasTensor]


def resnet_v2(
    x: keras.KerasTensor,
    *,
    block: Block,
    blocks: tuple[int, ...],
    filters: tuple[int, ...],
    stem_filters: int,
    stem: Stem = "imagenet",
    variant: Variant = "published",
    output_stride: int | None = None,
    drop_path: float = 0.0,
    block_dropout: float = 0.0,
) -> keras.KerasTensor:
    """The residual network of 2016: batch norm and ReLU come before each convolution, the shortcut stays untouched.

    Args:
        x: Pictures (batch, height, width, channels).
        block: `_preact_basic` or `_preact_bottleneck`.
        blocks: Number of blocks of each stage.
        filters: Number of output channels of each stage.
        stem_filters: Number of filters of the first convolution.
        stem: "imagenet" for 7x7 with stride 2 and max-pooling, "cifar" for 3x3 without a stride: small pictures.
        variant: "published" strides in a bottleneck's 3x3 convolution as published weights do, "paper" in the 1x1
            before it.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.
        drop_path: Stochastic depth: the rate at which the last block is dropped in training; it rises linearly from
            block to block. 0 to 1.
        block_dropout: Fraction of what enters the last convolution of each block that is dropped in training, 0 to 1;
            wide networks for CIFAR have 0.3 in part of their paper's experiments.

    Returns:
        Feature map (batch, height / stride, width / stride, filters[-1]), after the last batch norm and ReLU.
    """
    x, stride = stem_conv(x, stem_filters, stem)
    x = endpoint(x, "stem")
    if stem == "imagenet":
        # What is pooled may be negative, so the border must not be zero. Without a stride "same" pads by minus
        # infinity on all sides alike; taking every second maximum then is the pooling of the published weights.
        x = max_pool(x, 3, padding="same", name="stem_pool")
        x = max_pool(x, 1, strides=2, name="stem_pool_stride")
        stride *= 2
    x, stride = residual_stages(
        x,
        block,
        blocks=blocks,
        filters=filters,
        stem_stride=stride,
        output_stride=output_stride,
        drop_path=drop_path,
        block_dropout=block_dropout,
        variant=variant,
    )
    x = _bn_relu(x, "final_bn", "final_relu")
    return endpoint(x, f"stride{stride}")


def _preact_basic(x, filters, *, strides, dilations, drop_rate, block_dropout, variant, name):
    """3x3, 3x3 with pre-activation; `variant` makes no difference here."""
    preact = _bn_relu(x, f"{name}_bn1", f"{name}_relu1")
    y = conv(preact, filters, 3, strides=strides, dilation_rate=dilations[0], name=f"{name}_conv1")
    y = _bn_relu(y, f"{name}_bn2", f"{name}_relu2")
    y = layers.Dropout(block_dropout, name=f"{name}_dropout")(y) if block_dropout else y
    y = conv(y, filters, 3, dilation_rate=dilations[1], name=f"{name}_conv2")
    return _add(x, preact, y, filters, strides, drop_rate, name)


def _preact_bottleneck(x, filters, *, strides, dilations, drop_rate, block_dropout, variant, name):
    """1x1 to a quarter of the channels, 3x3, 1x1 back, with pre-activation."""
    # What strides is the last to have the dilation of the stage before.
    first, second, dilation = (strides, 1, dilations[1]) if variant == "paper" else (1, strides, dilations[0])
    preact = _bn_relu(x, f"{name}_bn1", f"{name}_relu1")
    y = conv(preact, filters // 4, 1, strides=first, name=f"{name}_conv1")
    y = _bn_relu(y, f"{name}_bn2", f"{name}_relu2")
    y = conv(y, filters // 4, 3, strides=second, dilation_rate=dilation, name=f"{name}_conv2")
    y = _bn_relu(y, f"{name}_bn3", f"{name}_relu3")
    y = layers.Dropout(block_dropout, name=f"{name}_dropout")(y) if block_dropout else y
    y = conv(y, filters, 1, name=f"{name}_conv3")
    return _add(x, preact, y, filters, strides, drop_rate, name)


def _add(x, preact, y, filters, strides, drop_rate, name):
    """A projection starts from the activated input (appendix of the paper), the identity from the input itself."""
    if strides > 1 or x.shape[-1] != filters:
        x = conv(preact, filters, 1, strides=strides, name=f"{name}_shortcut_conv")
    y = stochastic_depth(y, drop_rate, name=f"{name}_drop_path")
    return layers.Add(name=f"{name}_add")([x, y])


def _bn_relu(x, bn_name, relu_name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=bn_name), name=relu_name)


_PRE = Paper(title="Identity Mappings in Deep Residual Networks", year=2016, url="https://arxiv.org/abs/1603.05027")
_WIDE = Paper(title="Wide Residual Networks", year=2016, url="https://arxiv.org/abs/1605.07146")

_timm, _cifar10 = partial(imagenet_result, source=TIMM), partial(cifar10_result, table=4)
_zca = partial(_cifar10, preparation=", after ZCA whitening")
_AT_320 = imagenet_result(79.3, 94.7, size=320, source="table 5")

# name: block, blocks of each stage, parameters, batch-norm statistics, multiply-accumulates, published
_ROWS = {
    "resnet18_v2": (_preact_basic, (2, 2, 2, 2), 11_687_720, 7_808, 1_814_073_344, _timm(73.572, 91.356)),
    "resnet34_v2": (_preact_basic, (3, 4, 6, 3), 21_795_880, 15_232, 3_663_761_408, _timm(77.626, 93.518)),
    "resnet50_v2": (_preact_bottleneck, (3, 4, 6, 3), 25_549_352, 45_440, 4_089_184_256, _timm(80.410, 95.082)),
    "resnet101_v2": (_preact_bottleneck, (3, 4, 23, 3), 44_541_480, 97_664, 7_801_405_440, _timm(82.042, 95.866)),
    "resnet152_v2": (_preact_bottleneck, (3, 8, 36, 3), 60_185_128, 143_744, 11_513_626_624, None),
    "resnet164_v2": (_preact_bottleneck, (18,) * 3, 1_703_258, 24_224, 247_646_720, _cifar10(94.54)),
    "resnet1001_v2": (_preact_bottleneck, (111,) * 3, 10_327_706, 149_216, 1_490_995_712, _cifar10(95.08)),
    "resnet200_v2": (_preact_bottleneck, (3, 24, 36, 3), 64_666_152, 168_320, 15_007_481_856, _AT_320),
    "resnet110_v2": (_preact_basic, (18,) * 3, 1_730_522, 8_096, 253_149_824, _cifar10(93.63)),
}  # fmt: skip

# Table 4 of Zagoruyko and Komodakis: depth, width, parameters, batch-norm statistics, MACs, published
_WIDE_ROWS = {
    "wide_resnet16_8": (16, 8, 10_961_370, 7_200, 1_548_145_664, _zca(95.19)),
    "wide_resnet16_10": (16, 10, 17_116_634, 8_992, 2_412_173_568, _zca(95.44)),
    "wide_resnet22_8": (22, 8, 17_158_106, 10_784, 2_454_115_328, _zca(95.62)),
    "wide_resnet22_10": (22, 10, 26_797_914, 13_472, 3_827_751_168, _zca(95.56)),
    "wide_resnet28_10": (28, 10, 36_479_194, 17_952, 5_243_328_768, _zca(95.83)),
    "wide_resnet28_12": (28, 12, 52_517_850, 21_536, 7_543_905_792, _zca(95.67)),
    "wide_resnet40_1": (40, 1, 563_930, 2_720, 83_280_512, _zca(93.15)),
    "wide_resnet40_2": (40, 2, 2_243_546, 5_408, 327_599_360, _zca(94.67)),
    "wide_resnet40_4": (40, 4, 8_949_210, 10_784, 1_298_582_016, _zca(95.03)),
    "wide_resnet40_8": (40, 8, 35_748_314, 21_536, 5_172_024_320, _zca(95.34)),
}

_NOTES = {
    "resnet1001_v2": "The paper's 10.2M are the 10,178,490 weights of convolutions and dense layer; the scales and "
    "shifts of batch norm are the other 149,216.",
}


def _register(name: str, summary: str, row: dict, params: int, state: int, macs: int, published: Result | None) -> None:
    is_cifar = len(row["blocks"]) == 3
    strides = ("stride1", "stride2", "stride4") if is_cifar else ("stride4", "stride8", "stride16", "stride32")
    if is_cifar:
        row["stem"] = "cifar"
    register(
        Card(
            name=name,
            family="resnet_v2",
            modality="image",
            summary=summary + (", for CIFAR" if is_cifar else ""),
            paper=_WIDE if name.startswith("wide") else _PRE,
            input_shape=(32, 32, 3) if is_cifar else (224, 224, 3),
            min_size=1,
            value_range=(-1.0, 1.0),
            classes=10 if is_cifar else 1000,
            num_params=params,
            num_state=state,
            num_macs=macs,
            endpoints=("stem", *strides, "pooled", "logits"),
            results=(published,) if published else (),
            note=_NOTES.get(name, ""),
        ),
        resnet_v2,
        pooled_head,
        **row,
    )


for _name, (_block, _blocks, _params, _state, _macs, _published) in _ROWS.items():
    _base, _expansion = 16 if len(_blocks) == 3 else 64, 1 if _block is _preact_basic else 4
    _depth = sum(_blocks) * (2 if _expansion == 1 else 3) + 2
    _filters = tuple(_base * _expansion * 2**stage for stage in range(len(_blocks)))
    _row = {"block": _block, "blocks": _blocks, "filters": _filters, "stem_filters": _base}
    _register(_name, f"Residual network with pre-activation, {_depth} layers", _row, _params, _state, _macs, _published)

for _name, (_depth, _width, _params, _state, _macs, _published) in _WIDE_ROWS.items():
    _row = {"block": _preact_basic, "blocks": ((_depth - 4) // 6,) * 3, "stem_filters": 16}
    _row["filters"] = (16 * _width, 32 * _width, 64 * _width)
    _summary = f"Residual network with pre-activation, {_depth} layers of width {_width}"
    _register(_name, _summary, _row, _params, _state, _macs, _published)
