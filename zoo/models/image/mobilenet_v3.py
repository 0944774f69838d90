"""MobileNet v3: searched blocks, squeeze and excitation, hard swish; and the minimal forms without them.

Howard et al., "Searching for MobileNetV3", 2019, https://arxiv.org/abs/1905.02244: tables 1 and 2. Input: colour
pictures, 224x224.

Differences from the paper:
- The layer before the classifier follows the pooling as a dense layer, in place of a 1x1 convolution: the same values.
- Padding, dropout and batch norm's constants are those of torchvision's weights.
- The minimal forms are not in the paper; they were published with its TensorFlow weights for hardware that is slow at
  5x5 kernels, gates and hard swish. Their padding is symmetric here too.
"""

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import layers

from zoo.layers import (
    batch_norm,
    conv,
    dilated_strides,
    endpoint,
    global_pooling,
    inverted_residual,
    logits,
    rounded_width,
)
from zoo.registry import Card, Paper, imagenet_result, register

# The values of the published weights; 0.99 is what PyTorch calls 0.01.
EPSILON, MOMENTUM = 1e-3, 0.99
STEM_FILTERS = 16
HARD_SWISH = "hard_silu"

# Tables 1 and 2: kernel size, expanded channels, filters, squeeze and excitation, activation, strides.
LARGE = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, HARD_SWISH, 2),
    (3, 200, 80, False, HARD_SWISH, 1),
    (3, 184, 80, False, HARD_SWISH, 1),
    (3, 184, 80, False, HARD_SWISH, 1),
    (3, 480, 112, True, HARD_SWISH, 1),
    (3, 672, 112, True, HARD_SWISH, 1),
    (5, 672, 160, True, HARD_SWISH, 2),
    (5, 960, 160, True, HARD_SWISH, 1),
    (5, 960, 160, True, HARD_SWISH, 1),
)
SMALL = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, HARD_SWISH, 2),
    (5, 240, 40, True, HARD_SWISH, 1),
    (5, 240, 40, True, HARD_SWISH, 1),
    (5, 120, 48, True, HARD_SWISH, 1),
    (5, 144, 48, True, HARD_SWISH, 1),
    (5, 288, 96, True, HARD_SWISH, 2),
    (5, 576, 96, True, HARD_SWISH, 1),
    (5, 576, 96, True, HARD_SWISH, 1),
)

Stem = Literal["imagenet", "cifar"]
Block = Callable[..., keras.KerasTensor]


def mobilenet_v3(
    x: keras.KerasTensor,
    *,
    block: Block,
    blocks: tuple[tuple[Any, ...], ...],
    activation: str,
    alpha: float = 1.0,
    stem: Stem = "imagenet",
    output_stride: int | None = None,
    drop_path: float = 0.0,
) -> keras.KerasTensor:
    """A convolution, the searched blocks, a pointwise convolution to six times the width of the last block.

    Args:
        x: Pictures (batch, height, width, channels).
        block: `_searched` or `_minimal`.
        blocks: Rows of the paper's table.
        activation: Name of the activation of the first and last convolution.
        alpha: Width multiplier: factor on the number of filters of each block, rounded to a multiple of 8.
        stem: "imagenet" halves the resolution in the first convolution and in the first block that does, "cifar" in
            neither: small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.
            Squeeze and excitation then takes its means over more positions.
        drop_path: Stochastic depth: the rate at which the last block is dropped in training; it rises linearly from
            block to block. 0 to 1.

    Returns:
        Feature map (batch, height / stride, width / stride, 6 * filters of the last block).
    """
    strides = [own for *_, own in blocks]
    stem_stride = 2
    if stem == "cifar":
        stem_stride = strides[strides.index(2)] = 1
    x = conv(x, STEM_FILTERS, 3, strides=stem_stride, name="stem_conv")
    x = endpoint(_bn_act(x, activation, "stem"), "stem")
    plan = dilated_strides(strides, stem_stride=stem_stride, output_stride=output_stride)
    stride, dilation, own_width = stem_stride, 1, STEM_FILTERS
    for index, (row, (step, next_dilation, next_stride)) in enumerate(zip(blocks, plan, strict=True), 1):
        kernel_size, expanded, filters, squeezes, block_activation, own = row
        if step > 1:
            x = endpoint(x, f"stride{stride}")
        # The factor by which a block expands is that of the table, whatever the width.
        expanded, own_width = rounded_width(x.shape[-1] * expanded / own_width), filters
        x = block(
            x,
            kernel_size,
            expanded,
            rounded_width(alpha * filters),
            squeezes,
            block_activation,
            strides=step,
            dilation_rate=dilation,
            is_strided=own > 1,
            drop_rate=drop_path * index / len(blocks),
            name=f"block{index}",
        )
        stride, dilation = next_stride, next_dilation
    x = conv(x, 6 * x.shape[-1], 1, name="final_conv")
    return endpoint(_bn_act(x, activation, "final"), f"stride{stride}")


def _searched(x, kernel_size, expanded, filters, squeezes, activation, *, is_strided, **options):
    """A row of the paper's table; squeeze and excitation has a quarter of the expanded channels."""
    return inverted_residual(
        x,
        filters,
        expanded=expanded,
        kernel_size=kernel_size,
        residual=not is_strided and filters == x.shape[-1],
        squeezed=rounded_width(expanded / 4) if squeezes else 0,
        activation=activation,
        epsilon=EPSILON,
        momentum=MOMENTUM,
        **options,
    )


def _minimal(x, kernel_size, expanded, filters, squeezes, activation, **options):
    """The widths of the row alone: 3x3, ReLU, no squeeze and excitation."""
    return _searched(x, 3, expanded, filters, False, "relu", **options)


def _bn_act(x, activation, name):
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return layers.Activation(activation, name=f"{name}_act")(x)


def mobilenet_v3_head(
    x: keras.KerasTensor, classes: int, *, hidden_units: int, activation: str, dropout: float = 0.2
) -> keras.KerasTensor:
    """Global average pooling, a hidden dense layer, dropout, dense.

    Args:
        x: Feature map (batch, height, width, channels) of any size.
        classes: Number of classes.
        hidden_units: Width of the hidden layer.
        activation: Name of its activation.
        dropout: Fraction of the hidden units that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    x = layers.Dense(hidden_units, name="hidden")(global_pooling(x, "avg"))
    x = layers.Activation(activation, name="hidden_act")(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return logits(x, classes)


_PAPER = Paper(title="Searching for MobileNetV3", year=2019, url="https://arxiv.org/abs/1905.02244")
_TORCHVISION, _TIMM = "torchvision 0.28, IMAGENET1K_V1", "timm 1.0, results-imagenet.csv"

# name: block, blocks, width, hidden units, activation, parameters, batch-norm statistics, MACs, top-1, top-5, source
_ROWS = {
    "mobilenet_v3_large": (
        _searched, LARGE, 1.0, 1280, HARD_SWISH, 5_483_032, 24_400, 216_589_760, 74.042, 91.34, _TORCHVISION,
    ),
    "mobilenet_v3_small": (
        _searched, SMALL, 1.0, 1024, HARD_SWISH, 2_542_856, 12_112, 56_510_400, 67.668, 87.402, _TORCHVISION,
    ),
    "mobilenet_v3_large_075": (
        _searched, LARGE, 0.75, 1280, HARD_SWISH, 3_993_528, 19_088, 154_560_624, 73.442, 91.332, _TIMM,
    ),
    "mobilenet_v3_small_075": (
        _searched, SMALL, 0.75, 1024, HARD_SWISH, 2_041_872, 9_680, 43_399_344, 65.706, 86.130, _TIMM,
    ),
    "mobilenet_v3_small_050": (
        _searched, SMALL, 0.5, 1024, HARD_SWISH, 1_593_224, 6_496, 24_188_688, 57.918, 80.144, _TIMM,
    ),
    "mobilenet_v3_large_minimal": (
        _minimal, LARGE, 1.0, 1280, "relu", 3_924_288, 24_400, 209_136_704, 72.270, 90.664, _TIMM,
    ),
    "mobilenet_v3_small_minimal": (
        _minimal, SMALL, 1.0, 1024, "relu", 2_044_736, 12_112, 52_288_448, 62.892, 84.270, _TIMM,
    ),
}  # fmt: skip

for _name, (
    _block, _blocks, _alpha, _hidden, _activation, _params, _state, _macs, _top1, _top5, _source,
) in _ROWS.items():  # fmt: skip
    register(
        Card(
            name=_name,
            family="mobilenet_v3",
            modality="image",
            summary=f"MobileNet v3, the {'large' if _blocks is LARGE else 'small'} one"
            + (f", of width {_alpha:g}" if _alpha != 1 else "")
            + (", without squeeze and excitation, hard swish and 5x5 kernels" if _block is _minimal else ""),
            paper=_PAPER,
            input_shape=(224, 224, 3),
            min_size=1,
            value_range=(-1.0, 1.0),
            classes=1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride2", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
            results=(imagenet_result(_top1, _top5, source=_source),),
        ),
        mobilenet_v3,
        mobilenet_v3_head,
        block=_block,
        blocks=_blocks,
        alpha=_alpha,
        hidden_units=_hidden,
        activation=_activation,
    )
