"""AlexNet, the network that won ImageNet's challenge of 2012.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks: figure 2 and section
3; and Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
https://arxiv.org/abs/1404.5997: footnote 1, the one-tower form. Input: colour pictures, 224x224.

Differences from the papers:
- The default is the form of torchvision's weights: the one tower of 2014 with 256 filters in its fourth convolution in
  place of 384, symmetric padding of the first convolution, dropout before the dense layers.
- `variant="paper"` is the network of 2012. The paper says 224x224, its sizes need 227x227: give
  `input_shape=(227, 227, 3)` for it.
- The last feature map is averaged to 6x6 before the dense layers, which any other input size needs; at the sizes above
  there is nothing to average.
- Kernels start from He's normal distribution, biases at 0. The paper's constant deviation of 0.01 shrinks activations
  from layer to layer; its biases of 1 made up for that.
"""

from typing import Any, Literal

import keras
from keras import layers

from zoo.layers import (
    LocalResponseNormalization,
    adaptive_average_pool,
    conv,
    dilated_strides,
    endpoint,
    flatten,
    he_normal,
    logits,
    max_pool,
    relu,
)
from zoo.registry import Card, Paper, imagenet_result, register

# Section 3.3: k = 2, n = 5, alpha = 1e-4 on the sum, beta = 0.75.
NORMALISATION: dict[str, Any] = {"depth_radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}

# Filters, kernel size and groups of the five convolutions. The paper's groups are its two GPUs.
CONVOLUTIONS = {
    "published": ((64, 11, 1), (192, 5, 1), (384, 3, 1), (256, 3, 1), (256, 3, 1)),
    "paper": ((96, 11, 1), (256, 5, 2), (384, 3, 1), (384, 3, 2), (256, 3, 2)),
}
# Overlapping 3x3 max-pooling with stride 2 (section 3.4) follows these.
POOLED = (1, 2, 5)
# Height and width that the last max-pooling of the unpadded form still finds 3x3 in.
SMALLEST_OF_PAPER = 67

Variant = Literal["published", "paper"]
Stem = Literal["imagenet", "cifar"]


def alexnet(
    x: keras.KerasTensor,
    *,
    variant: Variant = "published",
    stem: Stem = "imagenet",
    output_stride: int | None = None,
) -> keras.KerasTensor:
    """Five convolutions and three max-poolings.

    Args:
        x: Pictures (batch, height, width, channels).
        variant: "published" for the one tower of torchvision's weights, "paper" for two halves that exchange features
            in the third convolution, with local response normalisation.
        stem: "imagenet" for 11x11 with stride 4 and max-pooling, "cifar" for 5x5 without either: small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, height / stride, width / stride, 256).

    Raises:
        ValueError: `output_stride` is none of the network's own strides, or the pictures are too small for the paper's
            form.
    """
    if variant == "paper" and stem == "imagenet" and output_stride is None:
        _check_size(x)
    pooled = [number for number in POOLED if stem == "imagenet" or number > 1]
    stride = 4 if stem == "imagenet" else 1
    plan = iter(dilated_strides([2] * len(pooled), stem_stride=stride, output_stride=output_stride))
    dilation = 1
    for number, (filters, kernel_size, groups) in enumerate(CONVOLUTIONS[variant], 1):
        if number == 1:
            x = _first_conv(x, filters, variant, stem)
        else:
            x = conv(x, filters, kernel_size, dilation_rate=dilation, groups=groups, use_bias=True,
                     name=f"conv{number}")  # fmt: skip
        x = relu(x, name=f"relu{number}")
        if variant == "paper" and number < 3:
            x = LocalResponseNormalization(**NORMALISATION, name=f"norm{number}")(x)
        if number in pooled:
            step, next_dilation, next_stride = next(plan)
            if step > 1:
                x = endpoint(x, f"stride{stride}")
            x = max_pool(x, 3, strides=step, dilation_rate=dilation, name=f"pool{number}")
            stride, dilation = next_stride, next_dilation
    return endpoint(x, f"stride{stride}")


def _check_size(x):
    """Without padding in front of the first convolution, 63 pixels end as none."""
    if any(size is not None and size < SMALLEST_OF_PAPER for size in x.shape[1:3]):
        raise ValueError(
            f'variant="paper" needs pictures of at least {SMALLEST_OF_PAPER}x{SMALLEST_OF_PAPER}, or stem="cifar". '
            f"Received: {tuple(x.shape[1:3])}"
        )


def _first_conv(x, filters, variant, stem):
    if stem == "cifar":
        return conv(x, filters, 5, use_bias=True, name="conv1")
    if variant == "published":
        x = layers.ZeroPadding2D(2, data_format="channels_last", name="conv1_pad")(x)
    return layers.Conv2D(
        filters, 11, strides=4, kernel_initializer=he_normal(), data_format="channels_last", name="conv1"
    )(x)


def alexnet_head(
    x: keras.KerasTensor, classes: int, *, dropout: float = 0.5, hidden_units: int = 4096
) -> keras.KerasTensor:
    """Two hidden dense layers and the classifier.

    Args:
        x: Feature map (batch, height, width, channels) of a known size; it is averaged to 6x6.
        classes: Number of classes.
        dropout: Fraction of the inputs of both hidden layers that is dropped in training, 0 to 1.
        hidden_units: Number of units of each hidden layer.

    Returns:
        Logits (batch, classes).

    Raises:
        ValueError: The size of the feature map is not known.
    """
    x = flatten(adaptive_average_pool(x, 6, name="head_pool"))
    for name in ("fc6", "fc7"):
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x
        x = layers.Dense(hidden_units, kernel_initializer=he_normal(), name=name)(x)
        x = relu(x, name=f"{name}_relu")
    return logits(x, classes)


register(
    Card(
        name="alexnet",
        family="alexnet",
        modality="image",
        summary="AlexNet, five convolutions and three dense layers",
        paper=Paper(
            title="ImageNet Classification with Deep Convolutional Neural Networks",
            year=2012,
            url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
        ),
        input_shape=(224, 224, 3),
        min_size=63,
        value_range=(-1.0, 1.0),
        classes=1000,
        num_params=61_100_840,
        num_state=0,
        num_macs=714_188_480,
        endpoints=("stride4", "stride8", "stride16", "stride32", "logits"),
        results=(imagenet_result(56.522, 79.066),),
        note='The one-tower form of 2014; variant="paper" with input_shape=(227, 227, 3) is the network of 2012.',
    ),
    alexnet,
    alexnet_head,
)
