"""SqueezeNet along one axis: fire modules for signals.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size", 2016, https://arxiv.org/abs/1602.07360: figures 1 and 2, table 1. Input: one or more channels,
normalised, of any length.

Differences from the paper:
- One axis: windows of 3x3 pixels become 3 samples, and the first convolution has 7.
- Filters of the first convolution and of the fire modules are a quarter of table 1's (`width`), with its eight modules
  and its places of max-pooling; the first convolution has a stride of 1, and windows end at the border with zeros.
- The logits have no ReLU, as the ends of other networks for signals here.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import conv_1d, endpoint, full_precision, max_pool_1d, relu
from zoo.registry import Card, Paper, register

# Table 1: squeeze filters, filters of each of the two expand convolutions. Fire modules 2 to 9.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
STEM_FILTERS, STEM_KERNEL_SIZE = 96, 7
# Fire modules with max-pooling before them.
POOLED = (2, 5, 9)


def squeezenet_1d(
    x: keras.KerasTensor, *, width: float = 0.25, bypass: Literal[None, "simple"] = None
) -> keras.KerasTensor:
    """A convolution, then eight fire modules.

    Args:
        x: Signals (batch, samples, channels).
        width: Factor on the paper's numbers of filters, above 0; each is rounded up.
        bypass: Figure 2: "simple" adds the input of fire modules 3, 5, 7 and 9 to their output.

    Returns:
        Feature map (batch, samples / 8, 512 width).

    Raises:
        ValueError: `width` is not above 0.
    """
    if not width > 0:
        raise ValueError(f"width must be above 0. Received: width={width!r}")
    x = conv_1d(x, _scaled(STEM_FILTERS, width), STEM_KERNEL_SIZE, name="conv1")
    x = endpoint(relu(x, name="relu1"), "stem")
    stride = 1
    for number, (squeezed, expanded) in enumerate(FIRES, 2):
        if number in POOLED:
            x = endpoint(x, f"stride{stride}") if number > POOLED[0] else x
            x = max_pool_1d(x, 3, strides=2, padding="same", name=f"pool{number - 1}")
            stride *= 2
        y = _fire(x, _scaled(squeezed, width), _scaled(expanded, width), name=f"fire{number}")
        if bypass == "simple" and number % 2:
            y = layers.Add(name=f"fire{number}_add")([x, y])
        x = y
    return endpoint(x, f"stride{stride}")


def _scaled(filters, width):
    return -int(-filters * width // 1)


def _fire(x, squeezed, expanded, *, name):
    """Figure 1: one tap to few channels, then one tap and three side by side."""
    x = relu(conv_1d(x, squeezed, 1, name=f"{name}_squeeze"), name=f"{name}_squeeze_relu")
    ones = relu(conv_1d(x, expanded, 1, name=f"{name}_expand1"), name=f"{name}_expand1_relu")
    threes = relu(conv_1d(x, expanded, 3, name=f"{name}_expand3"), name=f"{name}_expand3_relu")
    return layers.Concatenate(name=f"{name}_concat")([ones, threes])


def squeezenet_1d_head(x: keras.KerasTensor, classes: int, *, dropout: float = 0.5) -> keras.KerasTensor:
    """A convolution of one tap, whose means over all positions are the logits.

    Args:
        x: Feature map (batch, positions, channels) of any length.
        classes: Number of classes.
        dropout: Fraction of the features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    x = layers.Dropout(dropout, name="head_dropout")(x) if dropout else x
    x = conv_1d(x, classes, 1, name="conv10")
    return layers.GlobalAveragePooling1D(data_format="channels_last", dtype=full_precision(), name="logits")(x)


register(
    Card(
        name="squeezenet_1d",
        family="squeezenet_1d",
        modality="signal",
        summary="SqueezeNet along one axis, a quarter as wide, for time series",
        paper=Paper(
            title="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
            year=2016,
            url="https://arxiv.org/abs/1602.07360",
        ),
        input_shape=(128, 1),
        min_size=1,
        value_range=(-3.0, 3.0),
        classes=3,
        num_params=23_155,
        num_state=0,
        num_macs=693_248,
        endpoints=("stem", "stride2", "stride4", "stride8", "logits"),
        note="The paper gives the modules; the size is this zoo's own.",
    ),
    squeezenet_1d,
    squeezenet_1d_head,
)
