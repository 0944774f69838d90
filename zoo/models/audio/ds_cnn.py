"""Depthwise separable networks that spot spoken keywords on microcontrollers.

Zhang, Suda, Lai, Chandra, "Hello Edge: Keyword Spotting on Microcontrollers", 2017, https://arxiv.org/abs/1711.07128:
table 9 and the commands of its code. Input: 49 frames of 10 mel-frequency cepstral coefficients (40 ms each, every 20
ms). Published: test accuracy on 12 classes of Speech Commands, version 1, table 9.

Differences from the paper:
- Convolutions have no bias and batch norm has no scale but an offset, as its code has it: the offsets are what the
  biases are after folding, so that the parameters here are those of the folded network.
"""

import keras
from keras import layers

from zoo.layers import endpoint, he_normal, pooled_head, relu
from zoo.registry import Card, Paper, Result, register

# Those of the paper's code.
EPSILON, MOMENTUM = 1e-3, 0.96


def ds_cnn(
    x: keras.KerasTensor, *, filters: int, stem_strides: tuple[int, int], block_strides: tuple[int, ...]
) -> keras.KerasTensor:
    """A convolution of 10x4, then blocks of a depthwise and a pointwise convolution.

    Args:
        x: Coefficients (batch, frames, bands, maps).
        filters: Number of filters of every layer.
        stem_strides: Stride of the first convolution along time and frequency.
        block_strides: Stride of each block, in both directions.

    Returns:
        Feature map (batch, new frames, new bands, filters).
    """
    x = layers.Conv2D(
        filters,
        (10, 4),
        strides=stem_strides,
        padding="same",
        use_bias=False,
        kernel_initializer=he_normal(),
        data_format="channels_last",
        name="stem_conv",
    )(x)
    x = _bn_relu(x, "stem")
    stride = stem_strides[0]
    x = endpoint(x, "stem")
    for index, step in enumerate(block_strides, 1):
        name = f"block{index}"
        x = layers.DepthwiseConv2D(
            3,
            strides=step,
            padding="same",
            use_bias=False,
            depthwise_initializer=he_normal(depthwise=True),
            data_format="channels_last",
            name=f"{name}_depthwise_conv",
        )(x)
        x = _bn_relu(x, f"{name}_depthwise")
        x = layers.Conv2D(
            filters,
            1,
            use_bias=False,
            kernel_initializer=he_normal(),
            data_format="channels_last",
            name=f"{name}_pointwise_conv",
        )(x)
        x = _bn_relu(x, f"{name}_pointwise")
        stride *= step
    return endpoint(x, f"stride{stride}")


def _bn_relu(x, name):
    x = layers.BatchNormalization(axis=-1, epsilon=EPSILON, momentum=MOMENTUM, scale=False, name=f"{name}_bn")(x)
    return relu(x, name=f"{name}_relu")


# name: filters, strides of the first convolution, of the blocks, parameters, statistics, MACs, accuracy
_ROWS = {
    "ds_cnn_s": (64, (2, 2), (1, 1, 1, 1), 22_604, 1_152, 2_656_768, 94.4),
    "ds_cnn_m": (172, (2, 1), (2, 1, 1, 1), 135_032, 3_096, 9_816_384, 94.9),
    "ds_cnn_l": (276, (2, 1), (2, 1, 1, 1, 1), 410_700, 6_072, 28_327_812, 95.4),
}

for _name, (_filters, _stem, _blocks, _params, _state, _macs, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="ds_cnn",
            modality="audio",
            summary=f"Depthwise separable network for keywords, {_filters} filters, {len(_blocks)} blocks",
            paper=Paper(
                title="Hello Edge: Keyword Spotting on Microcontrollers",
                year=2017,
                url="https://arxiv.org/abs/1711.07128",
            ),
            input_shape=(49, 10, 1),
            min_size=1,
            value_range=(-3.0, 3.0),
            classes=12,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride2" if _name == "ds_cnn_s" else "stride4", "pooled", "logits"),
            results=(
                Result(dataset="Speech Commands v1", top1=_top1, protocol="test set, 12 classes", source="table 9"),
            ),
        ),
        ds_cnn,
        pooled_head,
        filters=_filters,
        stem_strides=_stem,
        block_strides=_blocks,
    )
