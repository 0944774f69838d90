"""MobileNet v2: inverted residuals with linear bottlenecks.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018,
https://arxiv.org/abs/1801.04381: table 2, widths in section 6.1. Input: colour pictures, 224x224.

Differences from the paper: none known. Padding, dropout and batch norm's constants are those of torchvision's weights.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import batch_norm, conv, dilated_strides, endpoint, inverted_residual, pooled_head, rounded_width
from zoo.registry import Card, Paper, imagenet_result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-5, 0.9

# Table 2: expansion, filters, number of blocks, strides of the first; around them two plain convolutions.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_FILTERS, FINAL_FILTERS = 32, 1280

Stem = Literal["imagenet", "cifar"]


def mobilenet_v2(
    x: keras.KerasTensor,
    *,
    alpha: float = 1.0,
    stem: Stem = "imagenet",
    output_stride: int | None = None,
    drop_path: float = 0.0,
) -> keras.KerasTensor:
    """A convolution, 17 inverted residuals, a pointwise convolution.

    Args:
        x: Pictures (batch, height, width, channels).
        alpha: Width multiplier: factor on the number of filters, rounded to multiples of 8; the last convolution
            does not get narrower than 1280 by it. Above 0.
        stem: "imagenet" halves the resolution in the first convolution and in the second stage, "cifar" in neither:
            small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.
        drop_path: Stochastic depth: the rate at which the last block is dropped in training; it rises linearly from
            block to block. 0 to 1.

    Returns:
        Feature map (batch, height / stride, width / stride, 1280 for an alpha up to 1).

    Raises:
        ValueError: `alpha` is not positive, or `output_stride` is none of the network's own strides.
    """
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0. Received: alpha={alpha!r}")
    blocks = [
        (expansion, rounded_width(alpha * filters), strides if index == 0 else 1)
        for expansion, filters, num_blocks, strides in STAGES
        for index in range(num_blocks)
    ]
    strides = [own for _, _, own in blocks]
    stem_stride = 2
    if stem == "cifar":
        stem_stride = strides[strides.index(2)] = 1
    x = conv(x, rounded_width(alpha * STEM_FILTERS), 3, strides=stem_stride, name="stem_conv")
    x = endpoint(_bn_relu6(x, "stem"), "stem")
    plan = dilated_strides(strides, stem_stride=stem_stride, output_stride=output_stride)
    stride, dilation = stem_stride, 1
    for index, ((expansion, filters, own), (step, next_dilation, next_stride)) in enumerate(
        zip(blocks, plan, strict=True), 1
    ):
        if step > 1:
            x = endpoint(x, f"stride{stride}")
        x = inverted_residual(
            x,
            filters,
            expanded=expansion * x.shape[-1],
            strides=step,
            dilation_rate=dilation,
            residual=own == 1 and filters == x.shape[-1],
            activation="relu6",
            epsilon=EPSILON,
            momentum=MOMENTUM,
            drop_rate=drop_path * index / len(blocks),
            name=f"block{index}",
        )
        stride, dilation = next_stride, next_dilation
    x = conv(x, rounded_width(max(alpha, 1.0) * FINAL_FILTERS), 1, name="final_conv")
    return endpoint(_bn_relu6(x, "final"), f"stride{stride}")


def _bn_relu6(x, name):
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return layers.Activation("relu6", name=f"{name}_relu")(x)


_PAPER = Paper(
    title="MobileNetV2: Inverted Residuals and Linear Bottlenecks", year=2018, url="https://arxiv.org/abs/1801.04381"
)
_TORCHVISION, _TENSORFLOW = "torchvision 0.28, IMAGENET1K_V1", "tensorflow/models, slim, mobilenet_v2"

# name: width multiplier, parameters, batch-norm statistics, MACs, top-1, top-5 and their source
_ROWS = {
    "mobilenet_v2": (1.0, 3_504_872, 34_112, 300_774_272, 71.878, 90.286, _TORCHVISION),
    "mobilenet_v2_140": (1.4, 6_108_776, 47_936, 582_195_824, 75.0, 92.5, _TENSORFLOW),
    "mobilenet_v2_130": (1.3, 5_386_792, 44_256, 509_374_560, 74.4, 92.1, _TENSORFLOW),
    "mobilenet_v2_075": (0.75, 2_636_424, 26_640, 209_069_792, 69.8, 89.6, _TENSORFLOW),
    "mobilenet_v2_050": (0.5, 1_968_680, 18_544, 97_131_840, 65.4, 86.4, _TENSORFLOW),
    "mobilenet_v2_035": (0.35, 1_677_128, 14_080, 59_285_808, 60.3, 82.9, _TENSORFLOW),
}

for _name, (_alpha, _params, _state, _macs, _top1, _top5, _source) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="mobilenet_v2",
            modality="image",
            summary=f"MobileNet v2 of width {_alpha:g}: inverted residuals with linear bottlenecks",
            paper=_PAPER,
            input_shape=(224, 224, 3),
            min_size=1,
            value_range=(-1.0, 1.0),
            classes=1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride2", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
            results=(imagenet_result(_top1, _top5, source=_source),),
        ),
        mobilenet_v2,
        pooled_head,
        alpha=_alpha,
        dropout=0.2,
    )
