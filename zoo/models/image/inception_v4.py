"""Inception v4: one form for all modules of a stage.

Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
2016, https://arxiv.org/abs/1602.07261: figures 3 to 9. Input: colour pictures, 299x299.

Differences from the paper:
- None in the graph; the authors' published weights, which timm has, are of this form.
- Kernels start from He's normal distribution; the paper does not say.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import average_pool, branch, conv_bn_relu, dilated_strides, endpoint, max_pool, pooled_head
from zoo.registry import TIMM, Card, Paper, imagenet_result, register

MODULES_A = ("5b", "5c", "5d", "5e")
MODULES_B = ("6b", "6c", "6d", "6e", "6f", "6g", "6h")
MODULES_C = ("7b", "7c", "7d")

ROW_7, COLUMN_7, ROW_3, COLUMN_3 = (1, 7), (7, 1), (1, 3), (3, 1)

Stem = Literal["imagenet", "cifar"]


def inception_v4(
    x: keras.KerasTensor, *, stem: Stem = "imagenet", output_stride: int | None = None
) -> keras.KerasTensor:
    """A stem of eleven convolutions, then 14 inception modules and two reductions.

    Args:
        x: Pictures (batch, height, width, channels).
        stem: "imagenet" halves the resolution three times before the first module, "cifar" never, with padding: small
            pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, about height / stride, about width / stride, 1536).

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    x, stride = _stem(x, stem)
    plan = dilated_strides([2, 2], stem_stride=stride, output_stride=output_stride)
    for name in MODULES_A:
        x = _module_a(x, name=f"mixed{name}")
    (step, dilation, next_stride), last = plan
    x = endpoint(x, f"stride{stride}") if step > 1 else x
    x, stride = _reduction_a(x, step, name="mixed6a"), next_stride
    for name in MODULES_B:
        x = _module_b(x, dilation, name=f"mixed{name}")
    step, last_dilation, next_stride = last
    x = endpoint(x, f"stride{stride}") if step > 1 else x
    x, stride = _reduction_b(x, step, dilation, name="mixed7a"), next_stride
    for name in MODULES_C:
        x = _module_c(x, last_dilation, name=f"mixed{name}")
    return endpoint(x, f"stride{stride}")


def _stem(x, stem):
    """Figure 3; the feature map and its stride."""
    is_small = stem == "cifar"
    strides = 1 if is_small else 2
    padding: Literal["same", "valid"] = "same" if is_small else "valid"
    x = conv_bn_relu(x, 32, 3, strides=strides, padding=padding, name="conv1a")
    x = conv_bn_relu(x, 32, 3, padding=padding, name="conv2a")
    x = endpoint(conv_bn_relu(x, 64, 3, name="conv2b"), "stem")
    pooled = max_pool(x, 3, strides=strides, padding=padding, name="mixed3a_pool")
    convolved = conv_bn_relu(x, 96, 3, strides=strides, padding=padding, name="mixed3a_3x3")
    x = layers.Concatenate(name="mixed3a_concat")([pooled, convolved])
    short = conv_bn_relu(x, 64, 1, name="mixed4a_3x3_1")
    short = conv_bn_relu(short, 96, 3, padding=padding, name="mixed4a_3x3_2")
    long = branch(x, (64, 1), (64, ROW_7), (64, COLUMN_7), name="mixed4a_7x7")
    long = conv_bn_relu(long, 96, 3, padding=padding, name="mixed4a_7x7_4")
    x = layers.Concatenate(name="mixed4a_concat")([short, long])
    x = x if is_small else endpoint(x, "stride4")
    convolved = conv_bn_relu(x, 192, 3, strides=strides, padding=padding, name="mixed5a_3x3")
    pooled = max_pool(x, 3, strides=strides, padding=padding, name="mixed5a_pool")
    return layers.Concatenate(name="mixed5a_concat")([convolved, pooled]), 1 if is_small else 8


def _module_a(x, *, name):
    """Figure 4."""
    branches = [
        branch(x, (96, 1), name=f"{name}_1x1"),
        branch(x, (64, 1), (96, 3), name=f"{name}_3x3"),
        branch(x, (64, 1), (96, 3), (96, 3), name=f"{name}_3x3dbl"),
        _pooled(x, 96, 1, name),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _module_b(x, dilation_rate, *, name):
    """Figure 5."""
    double = ((192, 1), (192, COLUMN_7), (224, ROW_7), (224, COLUMN_7), (256, ROW_7))
    branches = [
        branch(x, (384, 1), name=f"{name}_1x1"),
        branch(x, (192, 1), (224, ROW_7), (256, COLUMN_7), dilation_rate=dilation_rate, name=f"{name}_7x7"),
        branch(x, *double, dilation_rate=dilation_rate, name=f"{name}_7x7dbl"),
        _pooled(x, 128, dilation_rate, name),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _module_c(x, dilation_rate, *, name):
    """Figure 6: the last convolution of two branches is a row and a column side by side."""
    options = {"dilation_rate": dilation_rate}
    threes = branch(x, (384, 1), name=f"{name}_3x3_1")
    double = branch(x, (384, 1), (448, COLUMN_3), (512, ROW_3), name=f"{name}_3x3dbl", **options)
    branches = [
        branch(x, (256, 1), name=f"{name}_1x1"),
        conv_bn_relu(threes, 256, ROW_3, name=f"{name}_3x3_2a", **options),
        conv_bn_relu(threes, 256, COLUMN_3, name=f"{name}_3x3_2b", **options),
        conv_bn_relu(double, 256, ROW_3, name=f"{name}_3x3dbl_4a", **options),
        conv_bn_relu(double, 256, COLUMN_3, name=f"{name}_3x3dbl_4b", **options),
        _pooled(x, 256, dilation_rate, name),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _pooled(x, filters, dilation_rate, name):
    x = average_pool(x, 3, padding="same", dilation_rate=dilation_rate, name=f"{name}_pool")
    return conv_bn_relu(x, filters, 1, name=f"{name}_pool_proj")


def _reduction_a(x, strides, *, name):
    """Figure 7, with the numbers of table 1: k, l, m, n = 192, 224, 256, 384."""
    branches = [
        branch(x, (384, 3), reduction=strides, name=f"{name}_3x3"),
        branch(x, (192, 1), (224, 3), (256, 3), reduction=strides, name=f"{name}_3x3dbl"),
        max_pool(x, 3, strides=strides, name=f"{name}_pool"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _reduction_b(x, strides, dilation_rate, *, name):
    """Figure 8."""
    options = {"reduction": strides, "dilation_rate": dilation_rate}
    branches = [
        branch(x, (192, 1), (192, 3), name=f"{name}_3x3", **options),
        branch(x, (256, 1), (256, ROW_7), (320, COLUMN_7), (320, 3), name=f"{name}_7x7x3", **options),
        max_pool(x, 3, strides=strides, dilation_rate=dilation_rate, name=f"{name}_pool"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def inception_v4_head(x: keras.KerasTensor, classes: int, *, dropout: float = 0.2) -> keras.KerasTensor:
    """Global average pooling, dropout (the paper keeps 0.8), dense.

    Args:
        x: Feature map (batch, height, width, channels) of any size.
        classes: Number of classes.
        dropout: Fraction of the pooled features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    return pooled_head(x, classes, dropout=dropout)


register(
    Card(
        name="inception_v4",
        family="inception_v4",
        modality="image",
        summary="Inception v4, fourteen modules of three forms",
        paper=Paper(
            title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
            year=2016,
            url="https://arxiv.org/abs/1602.07261",
        ),
        input_shape=(299, 299, 3),
        min_size=75,
        value_range=(-1.0, 1.0),
        classes=1000,
        num_params=42_679_816,
        num_state=63_168,
        num_macs=12_253_974_624,
        endpoints=("stem", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
        results=(imagenet_result(80.144, 94.982, size=299, source=TIMM),),
    ),
    inception_v4,
    inception_v4_head,
)
