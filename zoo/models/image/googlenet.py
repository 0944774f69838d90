"""GoogLeNet, the first network of inception modules.

Szegedy et al., "Going Deeper with Convolutions", 2014, https://arxiv.org/abs/1409.4842: table 1 and figure 3. Input:
colour pictures, 224x224.

Differences from the paper:
- The default is the form of torchvision's weights: batch norm in place of biases and of local response normalisation,
  3x3 kernels in the branch that the paper has 5x5 in (https://github.com/pytorch/vision/issues/906), 2x2 max-pooling
  before the last two modules, auxiliary classifiers that start from 4x4 means at any input size.
- `variant="paper"` is the paper's table; what it leaves open is as in Caffe's `bvlc_googlenet`: the constants of local
  response normalisation, and max-pooling whose last window may reach over the border.
- Both start from He's normal distribution; the paper does not say.
"""

from typing import Any, Literal

import keras
from keras import layers

from zoo.layers import (
    LocalResponseNormalization,
    adaptive_average_pool,
    batch_norm,
    conv,
    dilated_strides,
    endpoint,
    full_precision,
    max_pool,
    pooled_head,
    relu,
)
from zoo.registry import Card, Paper, imagenet_result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-3, 0.9
# Caffe's local_size 5, alpha 1e-4 on the mean, beta 0.75.
NORMALISATION: dict[str, Any] = {"depth_radius": 2, "bias": 1.0, "alpha": 1e-4 / 5, "beta": 0.75}

# Table 1: filters of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection of the pooling.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# Section 5: where the auxiliary classifiers start.
AUXILIARY = {"4a": "aux1", "4d": "aux2"}

Variant = Literal["published", "paper"]
Stem = Literal["imagenet", "cifar"]


def googlenet(
    x: keras.KerasTensor,
    *,
    variant: Variant = "published",
    stem: Stem = "imagenet",
    aux: bool = False,
    output_stride: int | None = None,
) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """Three convolutions, then nine inception modules.

    Args:
        x: Pictures (batch, height, width, channels).
        variant: "published" for torchvision's form with batch norm, "paper" for the paper's with biases, local
            response normalisation and 5x5 kernels; the latter needs pictures of 31x31 at least.
        stem: "imagenet" for 7x7 with stride 2 and two max-poolings before the first module, "cifar" for 3x3 without
            a stride and without these: small pictures.
        aux: Whether the two auxiliary classifiers are built; the model's output is then a dict of `predictions`,
            `aux1` and `aux2`.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, height / stride, width / stride, 1024); with `aux` a dict of it and of the feature maps
        that the auxiliary classifiers start from.

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    is_paper = variant == "paper"
    stride = 2 if stem == "imagenet" else 1
    x = _conv(x, 64, 7 if stem == "imagenet" else 3, variant, strides=stride, name="conv1")
    x = endpoint(x, "stem")
    if stem == "imagenet":
        x, stride = max_pool(x, 3, strides=2, padding="ceil", name="pool1"), 4
    x = LocalResponseNormalization(**NORMALISATION, name="norm1")(x) if is_paper else x
    x = _conv(x, 64, 1, variant, name="conv2")
    x = _conv(x, 192, 3, variant, name="conv3")
    x = LocalResponseNormalization(**NORMALISATION, name="norm2")(x) if is_paper else x
    if stem == "imagenet":
        x = endpoint(x, f"stride{stride}")
        x, stride = max_pool(x, 3, strides=2, padding="ceil", name="pool2"), 8
    plan = iter(dilated_strides([2, 2], stem_stride=stride, output_stride=output_stride))
    dilation, branches = 1, {}
    for name, filters in MODULES.items():
        if name in ("4a", "5a"):
            step, next_dilation, next_stride = next(plan)
            x = endpoint(x, f"stride{stride}") if step > 1 else x
            pool_size = 2 if name == "5a" and not is_paper else 3
            pool = f"pool{int(name[0]) - 1}"
            x = max_pool(x, pool_size, strides=step, padding="ceil", dilation_rate=dilation, name=pool)
            stride, dilation = next_stride, next_dilation
        x = _inception(x, filters, variant, dilation, name=f"inception{name}")
        if name in AUXILIARY:
            branches[AUXILIARY[name]] = x
    x = endpoint(x, f"stride{stride}")
    return {"features": x, **branches} if aux else x


def _inception(x, filters, variant, dilation, *, name):
    """Figure 2b: four branches, concatenated in the order of the table."""
    direct, reduce_3x3, filters_3x3, reduce_5x5, filters_5x5, projection = filters
    branch1 = _conv(x, direct, 1, variant, name=f"{name}_1x1")
    branch2 = _conv(x, reduce_3x3, 1, variant, name=f"{name}_3x3_reduce")
    branch2 = _conv(branch2, filters_3x3, 3, variant, dilation=dilation, name=f"{name}_3x3")
    branch3 = _conv(x, reduce_5x5, 1, variant, name=f"{name}_5x5_reduce")
    branch3 = _conv(
        branch3, filters_5x5, 5 if variant == "paper" else 3, variant, dilation=dilation, name=f"{name}_5x5"
    )
    branch4 = max_pool(x, 3, padding="same", dilation_rate=dilation, name=f"{name}_pool")
    branch4 = _conv(branch4, projection, 1, variant, name=f"{name}_pool_proj")
    return layers.Concatenate(name=f"{name}_concat")([branch1, branch2, branch3, branch4])


def _conv(x, filters, kernel_size, variant, *, strides=1, dilation=1, name):
    """A convolution with ReLU, and with batch norm between them or with a bias."""
    options = {"strides": strides, "dilation_rate": dilation, "use_bias": variant == "paper"}
    x = conv(x, filters, kernel_size, name=f"{name}_conv", **options)
    if variant == "published":
        x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return relu(x, name=f"{name}_relu")


def googlenet_head(
    x: Any, classes: int, *, variant: Variant = "published", dropout: float | None = None, aux_dropout: float = 0.7
) -> Any:
    """Global average pooling, dropout, dense; and the auxiliary classifiers if the backbone has them.

    Args:
        x: Feature map of any size, or the backbone's dict of several.
        classes: Number of classes.
        variant: "published" or "paper".
        dropout: Fraction of the pooled features that is dropped in training, 0 to 1; None for 0.2 as the published
            weights were trained with, and 0.4 in the paper's variant.
        aux_dropout: The same for the hidden units of the auxiliary classifiers.

    Returns:
        Logits (batch, classes), or a dict of them.

    Raises:
        ValueError: Auxiliary classifiers are asked for and the size of the feature maps is not known.
    """
    if dropout is None:
        dropout = 0.4 if variant == "paper" else 0.2
    if not isinstance(x, dict):
        return pooled_head(x, classes, dropout=dropout)
    outputs = {"predictions": pooled_head(x["features"], classes, dropout=dropout)}
    for name in AUXILIARY.values():
        outputs[name] = _auxiliary(x[name], classes, variant, aux_dropout, name=name)
    return outputs


def _auxiliary(x, classes, variant, dropout, *, name):
    """Section 5: means, 128 filters of 1x1, 1024 hidden units; the paper's 5x5 means give 4x4 positions at 224x224."""
    if None in x.shape[1:]:
        raise ValueError(
            "The auxiliary classifiers need a fixed input size. "
            f"Received a feature map of shape {tuple(x.shape)}. Give input_shape in full, or aux=False."
        )
    if variant == "paper":
        x = layers.AveragePooling2D(5, 3, data_format="channels_last", name=f"{name}_pool")(x)
    else:
        x = adaptive_average_pool(x, 4, name=f"{name}_pool")
    x = _conv(x, 128, 1, variant, name=name)
    x = layers.Flatten(data_format="channels_last", name=f"{name}_flatten")(x)
    x = layers.Dense(1024, activation="relu", name=f"{name}_hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return layers.Dense(classes, dtype=full_precision(), name=name)(x)


register(
    Card(
        name="googlenet",
        family="googlenet",
        modality="image",
        summary="GoogLeNet, nine inception modules of four branches each",
        paper=Paper(title="Going Deeper with Convolutions", year=2014, url="https://arxiv.org/abs/1409.4842"),
        input_shape=(224, 224, 3),
        min_size=15,
        value_range=(-1.0, 1.0),
        classes=1000,
        num_params=6_624_904,
        num_state=14_560,
        num_macs=1_498_376_192,
        endpoints=("stem", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
        results=(imagenet_result(69.778, 89.53),),
    ),
    googlenet,
    googlenet_head,
)
