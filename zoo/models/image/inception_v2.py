"""Inception v2, better known as BN-Inception: the first network with batch norm.

Ioffe, Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", 2015,
https://arxiv.org/abs/1502.03167: figure 5. Input: colour pictures, 224x224.

Differences from the paper:
- The default is the form of the weights published for Caffe: an ordinary first convolution, average pooling that counts
  the zeros beyond the border, max-pooling whose last window may reach over it. Their convolutions have biases, which
  the batch norm behind them takes up, so there are none here. `variant="paper"` has the paper's separable first
  convolution with depth multiplier 8.
- Figure 5 prints 576 channels behind 4c and 4d; the filters that it lists make 608, and so do the published weights.
- Kernels start from He's normal distribution; the paper does not say.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import (
    average_pool,
    batch_norm,
    conv,
    dilated_strides,
    endpoint,
    he_normal,
    max_pool,
    pooled_head,
    relu,
)
from zoo.registry import Card, Paper, Result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-5, 0.9
# What the paper's appendix says of the first convolution.
DEPTH_MULTIPLIER = 8

# Figure 5: filters of 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, projection of the pooling; its kind. Without
# 1x1 and projection the module strides.
MODULES = {
    "3a": (64, 64, 64, 64, 96, 32, "average"),
    "3b": (64, 64, 96, 64, 96, 64, "average"),
    "3c": (0, 128, 160, 64, 96, 0, "max"),
    "4a": (224, 64, 96, 96, 128, 128, "average"),
    "4b": (192, 96, 128, 96, 128, 128, "average"),
    "4c": (160, 128, 160, 128, 160, 128, "average"),
    "4d": (96, 128, 192, 160, 192, 128, "average"),
    "4e": (0, 128, 192, 192, 256, 0, "max"),
    "5a": (352, 192, 320, 160, 224, 128, "average"),
    "5b": (352, 192, 320, 192, 224, 128, "max"),
}

Variant = Literal["published", "paper"]
Stem = Literal["imagenet", "cifar"]


def inception_v2(
    x: keras.KerasTensor,
    *,
    variant: Variant = "published",
    stem: Stem = "imagenet",
    output_stride: int | None = None,
) -> keras.KerasTensor:
    """Three convolutions, then ten inception modules, two of which stride.

    Args:
        x: Pictures (batch, height, width, channels).
        variant: "published" for an ordinary first convolution, "paper" for a separable one.
        stem: "imagenet" for 7x7 with stride 2 and two max-poolings before the first module, "cifar" for 3x3 without a
            stride and without these: small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, height / stride, width / stride, 1024).

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    is_small = stem == "cifar"
    stride = 1 if is_small else 2
    x = endpoint(_first_conv(x, variant, 3 if is_small else 7, stride), "stem")
    x = x if is_small else max_pool(x, 3, strides=2, padding="ceil", name="pool1")
    x = _conv(x, 64, 1, name="conv2_reduce")
    x = _conv(x, 192, 3, name="conv2")
    if not is_small:
        x, stride = max_pool(endpoint(x, "stride4"), 3, strides=2, padding="ceil", name="pool2"), 8
    plan = iter(dilated_strides([2, 2], stem_stride=stride, output_stride=output_stride))
    dilation = 1
    for name, filters in MODULES.items():
        if filters[0]:
            x = _inception(x, filters, dilation, name=f"inception{name}")
            continue
        step, next_dilation, next_stride = next(plan)
        x = endpoint(x, f"stride{stride}") if step > 1 else x
        x = _reduction(x, filters, step, dilation, name=f"inception{name}")
        stride, dilation = next_stride, next_dilation
    return endpoint(x, f"stride{stride}")


def _first_conv(x, variant, kernel_size, strides):
    if variant == "published":
        return _conv(x, 64, kernel_size, strides=strides, name="conv1")
    if strides > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, data_format="channels_last", name="conv1_pad")(x)
    x = layers.SeparableConv2D(
        64,
        kernel_size,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        depth_multiplier=DEPTH_MULTIPLIER,
        use_bias=False,
        # Nothing stands between the two: the first keeps the scale, the second is followed by ReLU. An output sees one
        # channel; Keras counts those of all that a channel becomes.
        depthwise_initializer=keras.initializers.VarianceScaling(DEPTH_MULTIPLIER, "fan_out", "untruncated_normal"),
        pointwise_initializer=he_normal(),
        data_format="channels_last",
        name="conv1_conv",
    )(x)
    return _bn_relu(x, "conv1")


def _inception(x, filters, dilation, *, name):
    """Figure 2 of GoogLeNet's paper with two 3x3 in place of the 5x5."""
    direct, reduce_3x3, filters_3x3, reduce_double, filters_double, projection, kind = filters
    if kind == "average":
        options = {"count_include_pad": True, "dilation_rate": dilation}
        pooled = average_pool(x, 3, padding="same", name=f"{name}_pool", **options)
    else:
        pooled = max_pool(x, 3, padding="same", dilation_rate=dilation, name=f"{name}_pool")
    branches = [
        _conv(x, direct, 1, name=f"{name}_1x1"),
        _branch(x, (reduce_3x3, filters_3x3), 1, dilation, name=f"{name}_3x3"),
        _branch(x, (reduce_double, filters_double, filters_double), 1, dilation, name=f"{name}_double_3x3"),
        _conv(pooled, projection, 1, name=f"{name}_pool_proj"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _reduction(x, filters, strides, dilation, *, name):
    """A module that strides: 3x3, double 3x3, and max-pooling as it is."""
    _, reduce_3x3, filters_3x3, reduce_double, filters_double, *_ = filters
    # On maps of odd size Caffe's pooling has one position less than the convolutions; zeros make up for it. What is
    # pooled is not negative.
    padded = layers.ZeroPadding2D(((0, 2 * dilation),) * 2, data_format="channels_last", name=f"{name}_pool_pad")(x)
    branches = [
        _branch(x, (reduce_3x3, filters_3x3), strides, dilation, name=f"{name}_3x3"),
        _branch(x, (reduce_double, filters_double, filters_double), strides, dilation, name=f"{name}_double_3x3"),
        max_pool(padded, 3, strides=strides, dilation_rate=dilation, name=f"{name}_pool"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _branch(x, filters, strides, dilation, *, name):
    """1x1, then 3x3 once or twice, the last of which strides."""
    x = _conv(x, filters[0], 1, name=f"{name}_reduce")
    for number, width in enumerate(filters[1:], 1):
        is_last = number == len(filters) - 1
        layer = f"{name}_{number}" if len(filters) > 2 else name
        x = _conv(x, width, 3, strides=strides if is_last else 1, dilation=dilation, name=layer)
    return x


def _conv(x, filters, kernel_size, *, strides=1, dilation=1, name):
    x = conv(x, filters, kernel_size, strides=strides, dilation_rate=dilation, name=f"{name}_conv")
    return _bn_relu(x, name)


def _bn_relu(x, name):
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return relu(x, name=f"{name}_relu")


register(
    Card(
        name="inception_v2",
        family="inception_v2",
        modality="image",
        summary="Inception v2 or BN-Inception, ten inception modules with batch norm",
        paper=Paper(
            title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
            year=2015,
            url="https://arxiv.org/abs/1502.03167",
        ),
        input_shape=(224, 224, 3),
        min_size=7,
        value_range=(-1.0, 1.0),
        classes=1000,
        num_params=11_285_224,
        num_state=20_032,
        num_macs=2_032_600_064,
        endpoints=("stem", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
        results=(
            Result(
                dataset="ImageNet-1k",
                top1=74.8,
                top5=92.18,
                protocol="validation set, one crop of 224",
                source="figure 4",
            ),
        ),
    ),
    inception_v2,
    pooled_head,
)
