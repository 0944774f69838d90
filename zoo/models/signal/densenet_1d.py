"""A densely connected network along one axis, for signals.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", 2016,
https://arxiv.org/abs/1608.06993: sections 3 and 4.2, DenseNet-BC. Input: one or more channels, normalised, of any
length.

Differences from the paper:
- One axis: windows of 3x3 pixels become 3 samples, transitions halve the number of samples.
- Three dense blocks of 6 layers, growth rate 12: the paper's DenseNet-BC of 40 layers; its smallest one in table 2 has
  100.
"""

import math

import keras
from keras import layers

from zoo.layers import batch_norm, conv_1d, endpoint, pooled_head, relu
from zoo.registry import Card, Paper, register

EPSILON, MOMENTUM = 1e-5, 0.9
# Section 3, "Bottleneck layers": each convolution of one tap gives 4k feature maps.
BOTTLENECK_WIDTH = 4


def densenet_1d(
    x: keras.KerasTensor,
    *,
    blocks: tuple[int, ...] = (6, 6, 6),
    growth_rate: int = 12,
    compression: float = 0.5,
    drop_rate: float = 0.0,
) -> keras.KerasTensor:
    """Dense blocks, in which each layer sees the feature maps of all layers before it, with transitions between them.

    Args:
        x: Signals (batch, samples, channels).
        blocks: Number of layers of each dense block.
        growth_rate: Number of feature maps that each layer adds, k in the paper; the first convolution has 2k.
        compression: Fraction of the feature maps that a transition keeps, theta in the paper; above 0, at most 1.
        drop_rate: Dropout behind every convolution but the first, 0 to 1.

    Returns:
        Feature map (batch, samples / 2 ** (blocks - 1), channels), after the last batch norm and ReLU.

    Raises:
        ValueError: `compression` is out of its range.
    """
    if not 0 < compression <= 1:
        raise ValueError(f"compression must be above 0 and at most 1. Received: compression={compression!r}")
    x = endpoint(conv_1d(x, 2 * growth_rate, 3, use_bias=False, name="stem_conv"), "stem")
    for stage, num_layers in enumerate(blocks, 1):
        if stage > 1:
            name = f"transition{stage - 1}"
            x = _bn_relu_conv(x, math.floor(compression * x.shape[-1]), 1, drop_rate, name=name)
            x = endpoint(x, f"stride{2 ** (stage - 2)}")
            x = layers.AveragePooling1D(2, 2, padding="same", data_format="channels_last", name=f"{name}_pool")(x)
        for index in range(1, num_layers + 1):
            name = f"stage{stage}_layer{index}"
            y = _bn_relu_conv(x, BOTTLENECK_WIDTH * growth_rate, 1, drop_rate, name=name, suffix="1")
            y = _bn_relu_conv(y, growth_rate, 3, drop_rate, name=name, suffix="2")
            x = layers.Concatenate(name=f"{name}_concat")([x, y])
    return endpoint(_bn_relu(x, "final_bn", "final_relu"), f"stride{2 ** (len(blocks) - 1)}")


def _bn_relu_conv(x, filters, kernel_size, drop_rate, *, name, suffix=""):
    """The composite function of section 3."""
    x = _bn_relu(x, f"{name}_bn{suffix}", f"{name}_relu{suffix}")
    x = conv_1d(x, filters, kernel_size, use_bias=False, name=f"{name}_conv{suffix}")
    return layers.Dropout(drop_rate, name=f"{name}_dropout{suffix}")(x) if drop_rate else x


def _bn_relu(x, bn_name, relu_name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=bn_name), name=relu_name)


register(
    Card(
        name="densenet_1d",
        family="densenet_1d",
        modality="signal",
        summary="Densely connected network along one axis, 40 layers, growth rate 12, for time series",
        paper=Paper(
            title="Densely Connected Convolutional Networks", year=2016, url="https://arxiv.org/abs/1608.06993"
        ),
        input_shape=(128, 1),
        min_size=1,
        value_range=(-3.0, 3.0),
        classes=3,
        num_params=112_407,
        num_state=5_088,
        num_macs=7_640_460,
        endpoints=("stem", "stride1", "stride2", "stride4", "pooled", "logits"),
        note="The paper gives the blocks; the size is this zoo's own.",
    ),
    densenet_1d,
    pooled_head,
)
