"""Inception v3: large kernels in factors.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer Vision", 2015,
https://arxiv.org/abs/1512.00567: table 1, figures 5 to 8 and 10. Input: colour pictures, 299x299.

Differences from the paper:
- Table 1 leaves open how many filters a branch has; they are those of the authors' published weights, which
  torchvision and keras.applications have too, with 1x1 convolutions in the stem and batch norm in the auxiliary
  classifier.
- Average pooling inside of the modules counts the zeros beyond the border as torchvision and timm do, for the authors'
  weights too. TensorFlow does not: `count_include_pad=False` is the form of keras.applications.
- Kernels start from He's normal distribution; the paper does not say.
"""

from typing import Any, Literal

import keras
from keras import layers

from zoo.layers import (
    average_pool,
    branch,
    conv_bn_relu,
    dilated_strides,
    endpoint,
    full_precision,
    max_pool,
    pooled_head,
)
from zoo.registry import Card, Paper, imagenet_result, register

# Filters behind the pooling of the first three modules; filters inside of the 7x7 branches of the next ones.
POOL_FILTERS = {"5b": 32, "5c": 64, "5d": 64}
FILTERS_7X7 = {"6b": 128, "6c": 160, "6d": 160, "6e": 192}

Stem = Literal["imagenet", "cifar"]


def inception_v3(
    x: keras.KerasTensor,
    *,
    stem: Stem = "imagenet",
    aux: bool = False,
    count_include_pad: bool = True,
    output_stride: int | None = None,
) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """Five convolutions, then eleven inception modules.

    Args:
        x: Pictures (batch, height, width, channels).
        stem: "imagenet" for a stride of 2 and two max-poolings before the first module, "cifar" for neither, with
            padding: small pictures.
        aux: Whether the auxiliary classifier is built; the model's output is then a dict of `predictions` and `aux1`.
        count_include_pad: Whether average pooling counts the zeros beyond the border.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, about height / stride, about width / stride, 2048); with `aux` a dict of it and of the
        feature map that the auxiliary classifier starts from.

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    x, stride = _stem(x, stem)
    plan = dilated_strides([2, 2], stem_stride=stride, output_stride=output_stride)
    for name, filters in POOL_FILTERS.items():
        x = _module_a(x, filters, count_include_pad, name=f"mixed{name}")
    (step, dilation, next_stride), last = plan
    x = endpoint(x, f"stride{stride}") if step > 1 else x
    x, stride = _reduction_a(x, step, name="mixed6a"), next_stride
    for name, filters in FILTERS_7X7.items():
        x = _module_b(x, filters, dilation, count_include_pad, name=f"mixed{name}")
    before, (step, last_dilation, next_stride) = x, last
    x = endpoint(x, f"stride{stride}") if step > 1 else x
    x, stride = _reduction_b(x, step, dilation, name="mixed7a"), next_stride
    for name in ("7b", "7c"):
        x = _module_c(x, last_dilation, count_include_pad, name=f"mixed{name}")
    x = endpoint(x, f"stride{stride}")
    return {"features": x, "aux1": before} if aux else x


def _stem(x, stem):
    """Table 1 up to the first module; the feature map and its stride."""
    is_small = stem == "cifar"
    padding: Literal["same", "valid"] = "same" if is_small else "valid"
    x = conv_bn_relu(x, 32, 3, strides=1 if is_small else 2, padding=padding, name="conv1a")
    x = conv_bn_relu(x, 32, 3, padding=padding, name="conv2a")
    x = endpoint(conv_bn_relu(x, 64, 3, name="conv2b"), "stem")
    x = x if is_small else max_pool(x, 3, strides=2, name="pool1")
    x = conv_bn_relu(x, 80, 1, name="conv3b")
    x = conv_bn_relu(x, 192, 3, padding=padding, name="conv4a")
    if is_small:
        return x, 1
    return max_pool(endpoint(x, "stride4"), 3, strides=2, name="pool2"), 8


def _module_a(x, pool_filters, count_include_pad, *, name):
    """Figure 5, with one 5x5 left."""
    branches = [
        branch(x, (64, 1), name=f"{name}_1x1"),
        branch(x, (48, 1), (64, 5), name=f"{name}_5x5"),
        branch(x, (64, 1), (96, 3), (96, 3), name=f"{name}_3x3dbl"),
        _pooled(x, pool_filters, 1, count_include_pad, name),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _module_b(x, filters, dilation_rate, count_include_pad, *, name):
    """Figure 6, n = 7."""
    row, column = (1, 7), (7, 1)
    double = ((filters, 1), (filters, column), (filters, row), (filters, column), (192, row))
    branches = [
        branch(x, (192, 1), name=f"{name}_1x1"),
        branch(x, (filters, 1), (filters, row), (192, column), dilation_rate=dilation_rate, name=f"{name}_7x7"),
        branch(x, *double, dilation_rate=dilation_rate, name=f"{name}_7x7dbl"),
        _pooled(x, 192, dilation_rate, count_include_pad, name),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _module_c(x, dilation_rate, count_include_pad, *, name):
    """Figure 7: the last convolution of two branches is a row and a column side by side."""
    options = {"dilation_rate": dilation_rate}
    threes = branch(x, (384, 1), name=f"{name}_3x3_1")
    double = branch(x, (448, 1), (384, 3), name=f"{name}_3x3dbl", **options)
    branches = [
        branch(x, (320, 1), name=f"{name}_1x1"),
        conv_bn_relu(threes, 384, (1, 3), name=f"{name}_3x3_2a", **options),
        conv_bn_relu(threes, 384, (3, 1), name=f"{name}_3x3_2b", **options),
        conv_bn_relu(double, 384, (1, 3), name=f"{name}_3x3dbl_3a", **options),
        conv_bn_relu(double, 384, (3, 1), name=f"{name}_3x3dbl_3b", **options),
        _pooled(x, 192, dilation_rate, count_include_pad, name),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _pooled(x, filters, dilation_rate, count_include_pad, name):
    x = average_pool(
        x, 3, padding="same", count_include_pad=count_include_pad, dilation_rate=dilation_rate, name=f"{name}_pool"
    )
    return conv_bn_relu(x, filters, 1, name=f"{name}_pool_proj")


def _reduction_a(x, strides, *, name):
    """Figure 10: convolutions and max-pooling with a stride, side by side."""
    branches = [
        branch(x, (384, 3), reduction=strides, name=f"{name}_3x3"),
        branch(x, (64, 1), (96, 3), (96, 3), reduction=strides, name=f"{name}_3x3dbl"),
        max_pool(x, 3, strides=strides, name=f"{name}_pool"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _reduction_b(x, strides, dilation_rate, *, name):
    """The same with a 7x7 in factors."""
    options = {"reduction": strides, "dilation_rate": dilation_rate}
    branches = [
        branch(x, (192, 1), (320, 3), name=f"{name}_3x3", **options),
        branch(x, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), name=f"{name}_7x7x3", **options),
        max_pool(x, 3, strides=strides, dilation_rate=dilation_rate, name=f"{name}_pool"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def inception_v3_head(x: Any, classes: int, *, dropout: float = 0.5) -> Any:
    """Global average pooling, dropout, dense; and the auxiliary classifier if the backbone has it.

    Args:
        x: Feature map of any size, or the backbone's dict of two.
        classes: Number of classes.
        dropout: Fraction of the pooled features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes), or a dict of them.

    Raises:
        ValueError: The auxiliary classifier is asked for and its feature map is smaller than 17x17.
    """
    if not isinstance(x, dict):
        return pooled_head(x, classes, dropout=dropout)
    return {"predictions": pooled_head(x["features"], classes, dropout=dropout), "aux1": _auxiliary(x["aux1"], classes)}


def _auxiliary(x, classes):
    """Figure 8: means, 128 filters of 1x1, 768 of 5x5, dense."""
    if any(size is not None and size < 17 for size in x.shape[1:3]):
        raise ValueError(
            "The auxiliary classifier needs a feature map of at least 17x17, which a picture of 299x299 gives. "
            f"Received a feature map of shape {tuple(x.shape)}. Give a larger input_shape, or aux=False."
        )
    x = average_pool(x, 5, strides=3, name="aux1_pool")
    x = conv_bn_relu(x, 128, 1, name="aux1_conv0")
    x = conv_bn_relu(x, 768, 5, padding="valid", name="aux1_conv1")
    x = layers.GlobalAveragePooling2D(data_format="channels_last", dtype=full_precision(), name="aux1_pooled")(x)
    return layers.Dense(classes, dtype=full_precision(), name="aux1")(x)


register(
    Card(
        name="inception_v3",
        family="inception_v3",
        modality="image",
        summary="Inception v3, eleven modules with large kernels in factors",
        paper=Paper(
            title="Rethinking the Inception Architecture for Computer Vision",
            year=2015,
            url="https://arxiv.org/abs/1512.00567",
        ),
        input_shape=(299, 299, 3),
        min_size=75,
        value_range=(-1.0, 1.0),
        classes=1000,
        num_params=23_834_568,
        num_state=34_432,
        num_macs=5_713_216_096,
        endpoints=("stem", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
        results=(imagenet_result(77.294, 93.45, size=299),),
    ),
    inception_v3,
    inception_v3_head,
)
