"""Densely connected networks for ImageNet and for CIFAR.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", 2016,
https://arxiv.org/abs/1608.06993: table 1 (ImageNet), section 4.2 and table 2 (CIFAR). Input: colour pictures, 224x224
for ImageNet and 32x32 for CIFAR.

Differences from the paper:
- The first convolution of the ImageNet forms is followed by batch norm and ReLU before it is pooled, as in the networks
  that published weights belong to.
- Dense layers start from Glorot's uniform distribution; the paper does not say.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import keras
from keras import layers

from zoo.layers import average_pool, batch_norm, conv, dilated_strides, endpoint, max_pool, pooled_head, relu
from zoo.registry import Card, Paper, cifar10_result, imagenet_result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-5, 0.9
# Section 3, "Bottleneck layers": each 1x1 convolution gives 4k feature maps.
BOTTLENECK_WIDTH = 4

Stem = Literal["imagenet", "cifar"]
Layer = Callable[..., keras.KerasTensor]


def densenet(
    x: keras.KerasTensor,
    *,
    block: Layer,
    blocks: tuple[int, ...],
    stem_filters: int,
    growth_rate: int = 32,
    compression: float = 0.5,
    stem: Stem = "imagenet",
    output_stride: int | None = None,
    drop_rate: float = 0.0,
) -> keras.KerasTensor:
    """Dense blocks, in which each layer sees the feature maps of all layers before it, with transitions between them.

    Args:
        x: Pictures (batch, height, width, channels).
        block: The layer that dense blocks repeat: `_basic` or `_bottleneck`.
        blocks: Number of layers of each dense block.
        stem_filters: Number of filters of the first convolution.
        growth_rate: Number of feature maps that each layer adds, k in the paper.
        compression: Fraction of the feature maps that a transition keeps, theta in the paper; above 0, at most 1.
        stem: "imagenet" for 7x7 with stride 2 and max-pooling, "cifar" for 3x3 without a stride: small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.
        drop_rate: Dropout behind every convolution but the first, 0 to 1; the paper has 0.2 where it trains on CIFAR
            without augmentation.

    Returns:
        Feature map (batch, height / stride, width / stride, channels), after the last batch norm and ReLU.

    Raises:
        ValueError: `compression` is out of its range, or `output_stride` is none of the network's own strides.
    """
    if not 0 < compression <= 1:
        raise ValueError(f"compression must be above 0 and at most 1. Received: compression={compression!r}")
    x, stride = _stem(x, stem_filters, stem)
    plan = iter(dilated_strides([2] * (len(blocks) - 1), stem_stride=stride, output_stride=output_stride))
    dilation = 1
    for stage, num_layers in enumerate(blocks, 1):
        if stage > 1:
            step, next_dilation, next_stride = next(plan)
            filters = math.floor(compression * x.shape[-1])
            x = _bn_relu_conv(x, filters, 1, drop_rate, name=f"transition{stage - 1}")
            x = endpoint(x, f"stride{stride}") if step > 1 else x
            x = average_pool(x, 2, strides=step, dilation_rate=dilation, name=f"transition{stage - 1}_pool")
            stride, dilation = next_stride, next_dilation
        for index in range(1, num_layers + 1):
            name = f"stage{stage}_layer{index}"
            x = layers.Concatenate(name=f"{name}_concat")([x, block(x, growth_rate, dilation, drop_rate, name=name)])
    x = _bn_relu(x, "final_bn", "final_relu")
    return endpoint(x, f"stride{stride}")


def _stem(x, filters, stem):
    """What the first dense block starts from, and its stride."""
    if stem == "cifar":
        return endpoint(conv(x, filters, 3, name="stem_conv"), "stem"), 1
    x = conv(x, filters, 7, strides=2, name="stem_conv")
    x = endpoint(_bn_relu(x, "stem_bn", "stem_relu"), "stem")
    return max_pool(x, 3, strides=2, padding="zeros", name="stem_pool"), 4


def _basic(x, growth_rate, dilation, drop_rate, *, name):
    """One 3x3 convolution."""
    return _bn_relu_conv(x, growth_rate, 3, drop_rate, dilation=dilation, name=name)


def _bottleneck(x, growth_rate, dilation, drop_rate, *, name):
    """1x1 to four times the growth rate, then 3x3."""
    x = _bn_relu_conv(x, BOTTLENECK_WIDTH * growth_rate, 1, drop_rate, name=name, suffix="1")
    return _bn_relu_conv(x, growth_rate, 3, drop_rate, dilation=dilation, name=name, suffix="2")


def _bn_relu_conv(x, filters, kernel_size, drop_rate, *, dilation=1, name, suffix=""):
    """The composite function of section 3."""
    x = _bn_relu(x, f"{name}_bn{suffix}", f"{name}_relu{suffix}")
    x = conv(x, filters, kernel_size, dilation_rate=dilation, name=f"{name}_conv{suffix}")
    return layers.Dropout(drop_rate, name=f"{name}_dropout{suffix}")(x) if drop_rate else x


def _bn_relu(x, bn_name, relu_name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=bn_name), name=relu_name)


_PAPER = Paper(title="Densely Connected Convolutional Networks", year=2016, url="https://arxiv.org/abs/1608.06993")

_imagenet, _cifar10 = imagenet_result, partial(cifar10_result, table=2)

# Tables 1 and 2 of the paper; 161 is the wide one of its published code.
# name: layer, blocks, growth rate, filters of the stem, parameters, batch-norm statistics, MACs, published
_ROWS = {
    "densenet121": (_bottleneck, (6, 12, 24, 16), 32, 64, 7_978_856, 83_648, 2_834_161_664, _imagenet(74.434, 91.972)),
    "densenet161": (_bottleneck, (6, 12, 36, 24), 48, 96, 28_681_000, 219_936, 7_727_907_072, _imagenet(77.138, 93.56)),
    "densenet169": (_bottleneck, (6, 12, 32, 32), 32, 64, 14_149_480, 158_400, 3_359_843_328, _imagenet(75.6, 92.806)),
    "densenet201": (_bottleneck, (6, 12, 48, 32), 32, 64, 20_013_928, 229_056, 4_291_365_888, _imagenet(76.896, 93.37)),
    "densenet264": (
        _bottleneck, (6, 12, 64, 48), 32, 64, 33_337_704, 398_528, 5_751_653_376,
        _imagenet(77.85, 93.88, source="table 3"),
    ),
    "densenet40_k12": (_basic, (12,) * 3, 12, 16, 1_019_722, 18_096, 264_812_928, _cifar10(94.76)),
    "densenet100_k12": (_basic, (32,) * 3, 12, 16, 6_979_642, 117_216, 1_769_516_448, _cifar10(95.90)),
    "densenet100_k24": (_basic, (32,) * 3, 24, 16, 27_249_082, 231_264, 6_889_347_744, _cifar10(96.26)),
    "densenet_bc100_k12": (_bottleneck, (16,) * 3, 12, 24, 769_162, 23_988, 287_929_692, _cifar10(95.49)),
    "densenet_bc190_k40": (_bottleneck, (31,) * 3, 40, 80, 25_624_430, 256_960, 9_301_945_740, _cifar10(96.54)),
    "densenet_bc250_k24": (_bottleneck, (41,) * 3, 24, 48, 15_324_406, 257_976, 5_418_785_724, _cifar10(96.38)),
}  # fmt: skip

for _name, (_layer, _blocks, _growth, _stem_filters, _params, _state, _macs, _published) in _ROWS.items():
    _is_cifar = len(_blocks) == 3
    _strides = ("stride1", "stride2", "stride4") if _is_cifar else ("stride4", "stride8", "stride16", "stride32")
    _row = {"block": _layer, "blocks": _blocks, "growth_rate": _growth, "stem_filters": _stem_filters}
    if _is_cifar:
        _row["stem"] = "cifar"
    if _layer is _basic:
        _row["compression"] = 1.0
    _depth = _name.removeprefix("densenet").removeprefix("_bc").split("_")[0]
    register(
        Card(
            name=_name,
            family="densenet",
            modality="image",
            summary=f"Densely connected network of {_depth} layers, growth rate {_growth}"
            + (", without bottlenecks and compression" if _layer is _basic else "")
            + (", for CIFAR" if _is_cifar else ""),
            paper=_PAPER,
            input_shape=(32, 32, 3) if _is_cifar else (224, 224, 3),
            min_size=4 if _is_cifar else 29,
            value_range=(-1.0, 1.0),
            classes=10 if _is_cifar else 1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", *_strides, "pooled", "logits"),
            results=(_published,),
        ),
        densenet,
        pooled_head,
        **_row,
    )
