"""Networks that spot spoken keywords by separable convolutions along time.

Majumdar, Ginsburg, "MatchboxNet: 1D Time-Channel Separable Convolutional Neural Network Architecture for Speech
Commands Recognition", Interspeech 2020, https://arxiv.org/abs/2004.08531: figure 1, table 1. Input: 128 frames of 64
mel-frequency cepstral coefficients, which are the channels of the convolutions. Published: test accuracy on 30 classes
of Speech Commands, version 1, table 2.

Differences from the paper:
- The first convolution does not stride, as in the paper's published configuration; table 1 says nothing of it.
- Frequency stays an axis of length 1, so that all networks of sound have inputs of one form.
"""

import keras
from keras import layers

from zoo.layers import batch_norm, conv, endpoint, he_normal, pooled_head, relu
from zoo.registry import Card, Paper, Result, register

EPSILON, MOMENTUM = 1e-3, 0.9

# Table 1: taps of the first convolution, of the three blocks, of the last but one.
FIRST, BLOCKS, LAST = 11, (13, 15, 17), 29
OUTER_FILTERS = 128


def matchboxnet(x: keras.KerasTensor, *, repeats: int, filters: int, dropout: float = 0.1) -> keras.KerasTensor:
    """A convolution, three residual blocks, a dilated convolution, and one of a single tap.

    Args:
        x: Coefficients (batch, frames, bands, 1).
        repeats: Number of convolutions of each block.
        filters: Number of filters of the blocks.
        dropout: Fraction that is dropped behind each convolution of the blocks in training, 0 to 1.

    Returns:
        Feature map (batch, frames, 1, 128).
    """
    x = layers.Permute((1, 3, 2), name="bands_to_channels")(x)
    x = endpoint(_bn_relu(_separable(x, OUTER_FILTERS, FIRST, name="stem"), "stem"), "stem")
    for index, taps in enumerate(BLOCKS, 1):
        x = _block(x, filters, taps, repeats, dropout, name=f"block{index}")
    x = _bn_relu(_separable(x, OUTER_FILTERS, LAST, dilation=2, name="wide"), "wide")
    x = _bn_relu(conv(x, OUTER_FILTERS, 1, name="final_conv"), "final")
    return endpoint(x, "stride1")


def _block(x, filters, taps, repeats, dropout, *, name):
    y = x
    for index in range(1, repeats + 1):
        y = _separable(y, filters, taps, name=f"{name}_{index}")
        y = batch_norm(y, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_{index}_bn")
        if index < repeats:
            y = relu(y, name=f"{name}_{index}_relu")
            y = layers.Dropout(dropout, name=f"{name}_{index}_dropout")(y)
    x = conv(x, filters, 1, name=f"{name}_shortcut_conv")
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_shortcut_bn")
    x = relu(layers.Add(name=f"{name}_add")([x, y]), name=f"{name}_relu")
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)


def _separable(x, filters, taps, *, dilation=1, name):
    """Along time for each channel by itself, then across channels."""
    x = layers.DepthwiseConv2D(
        (taps, 1),
        padding="same",
        dilation_rate=(dilation, 1),
        use_bias=False,
        depthwise_initializer=he_normal(depthwise=True),
        data_format="channels_last",
        name=f"{name}_depthwise_conv",
    )(x)
    return conv(x, filters, 1, name=f"{name}_pointwise_conv")


def _bn_relu(x, name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn"), name=f"{name}_relu")


# Table 2. name: convolutions of a block, filters, parameters, statistics, MACs, accuracy
_ROWS = {
    "matchboxnet_3x1x64": (1, 64, 77_214, 1_536, 9_195_264, 97.21),
    "matchboxnet_3x2x64": (2, 64, 92_766, 1_920, 11_136_768, 97.48),
}

for _name, (_repeats, _filters, _params, _state, _macs, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="matchboxnet",
            modality="audio",
            summary=f"Separable convolutions along time for keywords, 3 blocks of {_repeats}x{_filters}",
            paper=Paper(
                title="MatchboxNet: 1D Time-Channel Separable Convolutional Neural Network Architecture for Speech "
                "Commands Recognition",
                year=2020,
                url="https://arxiv.org/abs/2004.08531",
            ),
            input_shape=(128, 64, 1),
            min_size=1,
            value_range=(-3.0, 3.0),
            classes=30,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride1", "pooled", "logits"),
            results=(
                Result(dataset="Speech Commands v1", top1=_top1, protocol="test set, 30 classes", source="table 2"),
            ),
        ),
        matchboxnet,
        pooled_head,
        repeats=_repeats,
        filters=_filters,
    )
