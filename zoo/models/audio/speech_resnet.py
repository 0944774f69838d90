"""Residual networks that spot spoken keywords.

Tang, Lin, "Deep Residual Learning for Small-Footprint Keyword Spotting", 2018, https://arxiv.org/abs/1710.10361: figure
2, tables 1 and 2. Input: 101 frames of 40 mel-frequency cepstral coefficients. Published: test accuracy on 12 classes
of Speech Commands, version 1.

Differences from the paper:
- None in the graph; weights start from He's normal distribution.
"""

import keras
from keras import layers

from zoo.layers import conv, endpoint, pooled_head, relu
from zoo.registry import Card, Paper, Result, register

# PyTorch's, with which the paper's code was run.
EPSILON, MOMENTUM = 1e-5, 0.9


def speech_resnet(
    x: keras.KerasTensor, *, convolutions: int, filters: int, pool_size: tuple[int, int] | None, dilated: bool
) -> keras.KerasTensor:
    """A convolution, perhaps pooling, and convolutions with a shortcut over every two.

    Args:
        x: Coefficients (batch, frames, bands, maps).
        convolutions: Number of convolutions after the first.
        filters: Number of filters of each.
        pool_size: Frames and bands that are averaged after the first; None for no pooling.
        dilated: Whether the spacing of the taps doubles every three convolutions.

    Returns:
        Feature map (batch, new frames, new bands, filters).
    """
    x = endpoint(relu(conv(x, filters, 3, name="stem_conv"), name="stem_relu"), "stem")
    stride = 1
    if pool_size is not None:
        x = layers.AveragePooling2D(pool_size, data_format="channels_last", name="stem_pool")(x)
        stride = pool_size[0]
    shortcut = x
    for index in range(1, convolutions + 1):
        spacing = 2 ** ((index - 1) // 3) if dilated else 1
        x = conv(x, filters, 3, dilation_rate=spacing, name=f"conv{index}")
        x = relu(x, name=f"relu{index}")
        if index % 2 == 0:
            x = shortcut = layers.Add(name=f"add{index}")([x, shortcut])
        x = _norm(x, name=f"bn{index}")
    return endpoint(x, f"stride{stride}")


def _norm(x, *, name):
    """Batch norm without scale and offset."""
    return layers.BatchNormalization(axis=-1, epsilon=EPSILON, momentum=MOMENTUM, center=False, scale=False, name=name)(
        x
    )


# Table 1 and 2. name: convolutions, filters, pooling, dilated, parameters, statistics, MACs, accuracy
_ROWS = {
    "res8": (6, 45, (4, 3), False, 110_307, 540, 37_175_490, 94.1),
    "res15": (13, 45, None, True, 237_882, 1_170, 958_813_740, 95.8),
    "res26": (24, 45, (2, 2), False, 438_357, 2_160, 439_036_740, 95.2),
    "res8_narrow": (6, 19, (4, 3), False, 19_905, 228, 7_026_618, 90.1),
    "res15_narrow": (13, 19, None, True, 42_648, 494, 171_328_548, 94.0),
    "res26_narrow": (24, 19, (2, 2), False, 78_387, 912, 78_667_068, 93.3),
}

for _name, (_convolutions, _filters, _pool, _dilated, _params, _state, _macs, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="speech_resnet",
            modality="audio",
            summary=f"Residual network for keywords, {_convolutions + 2} layers of {_filters} filters",
            paper=Paper(
                title="Deep Residual Learning for Small-Footprint Keyword Spotting",
                year=2018,
                url="https://arxiv.org/abs/1710.10361",
            ),
            input_shape=(101, 40, 1),
            min_size=_pool[0] if _pool else 1,
            value_range=(-3.0, 3.0),
            classes=12,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", f"stride{_pool[0]}" if _pool else "stride1", "pooled", "logits"),
            results=(
                Result(dataset="Speech Commands v1", top1=_top1, protocol="test set, 12 classes", source="table 2"),
            ),
        ),
        speech_resnet,
        pooled_head,
        convolutions=_convolutions,
        filters=_filters,
        pool_size=_pool,
        dilated=_dilated,
    )
