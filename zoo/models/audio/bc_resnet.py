"""Networks that spot spoken keywords by two-dimensional features and a one-dimensional residual, broadcast back.

Kim, Chang, Lee, Sung, "Broadcasted Residual Learning for Efficient Keyword Spotting", Interspeech 2021,
https://arxiv.org/abs/2106.04140: table 1 and figure 2. Input: 101 frames of 40 log-mel bands. Published: test accuracy
on 12 classes of Speech Commands, version 1, table 2.

Differences from the paper:
- None in the graph of its code; time is here the first axis of a feature map, frequency the second.
"""

import keras
from keras import layers

from zoo.layers import SubSpectralNormalization, batch_norm, conv, endpoint, he_normal, pooled_head, relu
from zoo.registry import Card, Paper, Result, register

# PyTorch's, with which the paper's code was run.
EPSILON, MOMENTUM = 1e-5, 0.9

GROUPS, DROPOUT = 5, 0.1
# Table 1: blocks of each stage, channels over the base width, and which stages halve the frequency axis.
BLOCKS, CHANNELS, HALVING = (2, 2, 4, 4), (1, 1.5, 2, 2.5), (False, True, True, False)
STEM_CHANNELS, HEAD_CHANNELS = 2, 4


def bc_resnet(x: keras.KerasTensor, *, width: int) -> keras.KerasTensor:
    """A convolution, four stages of blocks with a broadcast residual, and two convolutions that end frequency.

    Args:
        x: Log-mel bands (batch, frames, bands, maps); the number of bands is a multiple of 40.
        width: Number of channels of the first stage, 8 times what the paper calls tau.

    Returns:
        Feature map (batch, frames, bands / 8 - 4, 4 width).
    """
    # Frequency is halved here and in two stages, time never.
    x = layers.ZeroPadding2D(2, data_format="channels_last", name="stem_conv_pad")(x)
    x = _conv(x, STEM_CHANNELS * width, 5, strides=(1, 2), name="stem_conv")
    x = endpoint(_bn_relu(x, "stem"), "stem")
    for stage, (count, factor, halves) in enumerate(zip(BLOCKS, CHANNELS, HALVING, strict=True)):
        for index in range(count):
            strides = 2 if halves and index == 0 else 1
            name = f"stage{stage + 1}_block{index + 1}"
            x = _block(x, int(factor * width), strides, transition=index == 0, dilation=2**stage, name=name)
    x = endpoint(x, "stride1")
    x = layers.ZeroPadding2D(((2, 2), (0, 0)), data_format="channels_last", name="head_depthwise_conv_pad")(x)
    x = layers.DepthwiseConv2D(
        5,
        use_bias=False,
        depthwise_initializer=he_normal(depthwise=True),
        data_format="channels_last",
        name="head_depthwise_conv",
    )(x)
    x = conv(x, HEAD_CHANNELS * width, 1, name="head_conv")
    return _bn_relu(x, "head")


def _block(x, filters, strides, *, transition, dilation, name):
    """Figure 2: a depthwise convolution along frequency, and one along time of its mean over all bands."""
    y = x
    if transition:
        y = _bn_relu(conv(y, filters, 1, name=f"{name}_transition_conv"), f"{name}_transition")
    y = _along_frequency(y, filters, strides, name=f"{name}_frequency")
    y = SubSpectralNormalization(GROUPS, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_frequency_bn")(y)
    bands = y.shape[2]
    residual = layers.AveragePooling2D((1, bands), data_format="channels_last", name=f"{name}_mean")(y)
    residual = layers.DepthwiseConv2D(
        (3, 1),
        padding="same",
        dilation_rate=(dilation, 1),
        use_bias=False,
        depthwise_initializer=he_normal(depthwise=True),
        data_format="channels_last",
        name=f"{name}_time_conv",
    )(residual)
    residual = batch_norm(residual, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_time_bn")
    residual = layers.Activation("silu", name=f"{name}_time_swish")(residual)
    residual = conv(residual, filters, 1, name=f"{name}_pointwise_conv")
    residual = layers.SpatialDropout2D(DROPOUT, data_format="channels_last", name=f"{name}_dropout")(residual)
    y = layers.Add(name=f"{name}_broadcast")([y, residual])
    if not transition:
        y = layers.Add(name=f"{name}_add")([x, y])
    return relu(y, name=f"{name}_relu")


def _along_frequency(x, filters, strides, *, name):
    """Three taps along frequency for each channel by itself."""
    if strides == 1:
        return layers.DepthwiseConv2D(
            (1, 3),
            padding="same",
            use_bias=False,
            depthwise_initializer=he_normal(depthwise=True),
            data_format="channels_last",
            name=f"{name}_conv",
        )(x)
    # A stride in one direction alone, which TensorFlow's depthwise convolution does not have.
    x = layers.ZeroPadding2D(((0, 0), (1, 1)), data_format="channels_last", name=f"{name}_conv_pad")(x)
    return _conv(x, filters, (1, 3), strides=(1, strides), groups=filters, name=f"{name}_conv")


def _conv(x, filters, kernel_size, *, strides, groups=1, name):
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        groups=groups,
        use_bias=False,
        kernel_initializer=he_normal(),
        data_format="channels_last",
        name=name,
    )(x)


def _bn_relu(x, name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn"), name=f"{name}_relu")


# Table 1. name: width, tau, parameters, statistics, MACs, accuracy
_ROWS = {
    "bc_resnet_1": (8, 1, 9_232, 2_416, 2_482_156, 96.6),
    "bc_resnet_1_5": (12, 1.5, 17_154, 3_624, 4_607_994, None),
    "bc_resnet_2": (16, 2, 27_284, 4_832, 7_323_672, None),
    "bc_resnet_3": (24, 3, 54_168, 7_248, 14_524_548, 97.6),
    "bc_resnet_6": (48, 6, 187_812, 14_496, 50_283_336, None),
    "bc_resnet_8": (64, 8, 321_068, 19_328, 85_919_328, 98.0),
}

for _name, (_width, _tau, _params, _state, _macs, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="bc_resnet",
            modality="audio",
            summary=f"Broadcasted residual network for keywords, tau {_tau:g}",
            paper=Paper(
                title="Broadcasted Residual Learning for Efficient Keyword Spotting",
                year=2021,
                url="https://arxiv.org/abs/2106.04140",
            ),
            input_shape=(101, 40, 1),
            min_size=1,
            value_range=(-3.0, 3.0),
            classes=12,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride1", "pooled", "logits"),
            results=(
                (Result(dataset="Speech Commands v1", top1=_top1, protocol="test set, 12 classes", source="table 2"),)
                if _top1
                else ()
            ),
        ),
        bc_resnet,
        pooled_head,
        width=_width,
    )
