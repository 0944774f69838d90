"""MobileNet, the first: depthwise separable convolutions and nothing else.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
https://arxiv.org/abs/1704.04861: table 1, widths in table 6. Input: colour pictures, 224x224.

Differences from the paper:
- The last depthwise convolution does not stride: table 1 says that it does, and that the resolution stays.
- Where the paper is silent the form is that of the published weights for TensorFlow: ReLU cut off at 6, batch norm's
  constants, zeros at the bottom and right alone where a depthwise convolution strides.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import batch_norm, conv, depthwise_conv, dilated_strides, endpoint, he_normal, pooled_head
from zoo.registry import Card, Paper, imagenet_result, register

# The values of the published weights.
EPSILON, MOMENTUM = 1e-3, 0.99

# Table 1: filters and strides of the blocks; the first convolution has 32 filters.
STEM_FILTERS = 32
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))

Stem = Literal["imagenet", "cifar"]


def mobilenet(
    x: keras.KerasTensor,
    *,
    alpha: float = 1.0,
    stem: Stem = "imagenet",
    output_stride: int | None = None,
) -> keras.KerasTensor:
    """A convolution, then 13 blocks of a depthwise and a pointwise convolution.

    Args:
        x: Pictures (batch, height, width, channels).
        alpha: Width multiplier: factor on the number of filters of every layer, rounded down.
        stem: "imagenet" halves the resolution in the first convolution and in the second block, "cifar" in neither:
            small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, height / stride, width / stride, 1024 alpha).

    Raises:
        ValueError: `alpha` leaves a layer without filters, or `output_stride` is none of the network's own strides.
    """
    if int(alpha * STEM_FILTERS) < 1:
        raise ValueError(f"alpha must be at least {1 / STEM_FILTERS}, one filter. Received: alpha={alpha!r}")
    strides = [stride for _, stride in BLOCKS]
    stem_stride = 2
    if stem == "cifar":
        stem_stride = strides[strides.index(2)] = 1
    x = layers.Conv2D(
        int(alpha * STEM_FILTERS),
        3,
        strides=stem_stride,
        padding="same",
        use_bias=False,
        kernel_initializer=he_normal(),
        data_format="channels_last",
        name="stem_conv",
    )(x)
    x = endpoint(_bn_relu6(x, "stem"), "stem")
    plan = dilated_strides(strides, stem_stride=stem_stride, output_stride=output_stride)
    stride, dilation = stem_stride, 1
    for index, (filters, _) in enumerate(BLOCKS):
        step, next_dilation, next_stride = plan[index]
        if step > 1:
            x = endpoint(x, f"stride{stride}")
        # A convolution that strides, or would, looks to the bottom and right alone.
        padding = (0, 1) if step > 1 else (0, 2 * dilation) if strides[index] > 1 else None
        x = _separable(x, int(alpha * filters), step, dilation, padding, name=f"block{index + 1}")
        stride, dilation = next_stride, next_dilation
    return endpoint(x, f"stride{stride}")


def _separable(x, filters, strides, dilation, padding, *, name):
    """Figure 3 right: 3x3 depthwise, then 1x1, each followed by batch norm and ReLU."""
    x = depthwise_conv(x, 3, strides=strides, dilation_rate=dilation, padding=padding, name=f"{name}_depthwise_conv")
    x = _bn_relu6(x, f"{name}_depthwise")
    x = conv(x, filters, 1, name=f"{name}_pointwise_conv")
    return _bn_relu6(x, f"{name}_pointwise")


def _bn_relu6(x, name):
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return layers.Activation("relu6", name=f"{name}_relu")(x)


_PAPER = Paper(
    title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    year=2017,
    url="https://arxiv.org/abs/1704.04861",
)

_SLIM, _TIMM = "tensorflow/models, slim, mobilenet_v1", "timm 1.0, results-imagenet.csv"

# Widths of the paper's table 6, with accuracies of the weights that its authors published; 1.25 is timm's.
# name: width multiplier, parameters, batch-norm statistics, MACs, top-1, top-5, their source
_ROWS = {
    "mobilenet": (1.0, 4_231_976, 21_888, 568_740_352, 70.9, 89.9, _SLIM),
    "mobilenet_125": (1.25, 6_270_840, 27_360, 879_516_800, 76.92, 93.232, _TIMM),
    "mobilenet_075": (0.75, 2_585_560, 16_416, 325_400_448, 68.4, 88.2, _SLIM),
    "mobilenet_050": (0.5, 1_331_592, 10_944, 149_497_088, 63.3, 84.9, _SLIM),
    "mobilenet_025": (0.25, 470_072, 5_472, 41_030_272, 49.8, 74.2, _SLIM),
}

for _name, (_alpha, _params, _state, _macs, _top1, _top5, _source) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="mobilenet",
            modality="image",
            summary=f"MobileNet of width {_alpha:g}: depthwise separable convolutions",
            paper=_PAPER,
            input_shape=(224, 224, 3),
            min_size=31,
            value_range=(-1.0, 1.0),
            classes=1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride2", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
            results=(imagenet_result(_top1, _top5, source=_source),),
        ),
        mobilenet,
        pooled_head,
        alpha=_alpha,
    )
