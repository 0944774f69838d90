"""AlphaGo Zero's network: residual blocks, and two heads that say which move and who wins.

Silver et al., "Mastering the game of Go without human knowledge", Nature 550, 2017,
https://doi.org/10.1038/nature24270: section "Neural network architecture". Input: 19x19 with 17 planes of zeros and
ones (`zoo.data.go.encoder("alphagozero17")`). Published: 60.4 % of the moves of strong amateurs, trained on them.

`go_leela_*` is the form of Leela Zero (https://github.com/leela-zero/leela-zero): 18 planes, a batch norm without the
scale, which its file format has no place for; networks of blocks x filters.

Differences from the paper: none known. Convolutions have no bias, as batch norm follows; the paper does not say.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import check_board, check_moves, conv, endpoint, full_precision, logits, relu
from zoo.layers import flatten as flattened
from zoo.registry import Card, Paper, Result, register

# Leela Zero's epsilon, which its program adds to the variances of a file; Keras's default momentum is too slow for
# trainings of a few hundred steps.
EPSILON, MOMENTUM = 1e-5, 0.9

Variant = Literal["paper", "leela"]


def alphagozero(
    x: keras.KerasTensor, *, filters: int = 256, blocks: int = 19, variant: Variant = "paper"
) -> keras.KerasTensor:
    """A convolution and residual blocks of two, all 3x3 with batch norm and ReLU.

    Args:
        x: Planes (batch, height, width, channels) of a board of 5 to 25 rows and columns.
        filters: Number of filters of each convolution.
        blocks: Number of residual blocks, at least 1.
        variant: "paper", or "leela" for batch norm without a scale.

    Returns:
        Feature map (batch, height, width, filters).

    Raises:
        ValueError: The board or the number of blocks is too small or too large.
    """
    check_board(x)
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1. Received: blocks={blocks}")
    x = _conv_bn_relu(x, filters, 3, variant, "stem")
    x = endpoint(x, "stem")
    for number in range(1, blocks + 1):
        name = f"block{number}"
        y = _conv_bn_relu(x, filters, 3, variant, f"{name}_1")
        y = conv(y, filters, 3, name=f"{name}_2_conv")
        y = _batch_norm(y, variant, f"{name}_2_bn")
        x = relu(layers.Add(name=f"{name}_add")([x, y]), name=f"{name}_relu")
    return endpoint(x, "stride1")


def _conv_bn_relu(x, filters, kernel_size, variant, name):
    x = conv(x, filters, kernel_size, name=f"{name}_conv")
    return relu(_batch_norm(x, variant, f"{name}_bn"), name=f"{name}_relu")


def _batch_norm(x, variant, name):
    return layers.BatchNormalization(axis=-1, epsilon=EPSILON, momentum=MOMENTUM, scale=variant == "paper", name=name)(
        x
    )


def dual_head(
    x: keras.KerasTensor, classes: int, *, hidden_units: int = 256, variant: Variant = "paper"
) -> dict[str, keras.KerasTensor]:
    """Which move, with the pass, by two filters of 1x1 and a dense layer; who wins, by one filter and two layers.

    Args:
        x: Feature map (batch, height, width, channels).
        classes: Number of points and one for the pass, which is the last.
        hidden_units: Number of units of the value's dense layer.
        variant: "paper" or "leela".

    Returns:
        A dict of the logits "predictions", (batch, classes), and of "value", (batch, 1): 1 where the player to move
        wins, -1 where he loses.

    Raises:
        ValueError: Another number of classes, or a board whose size is not known.
    """
    check_moves(x, classes, passes=1)
    policy = _conv_bn_relu(x, 2, 1, variant, "policy")
    policy = logits(flattened(policy), classes)
    value = _conv_bn_relu(x, 1, 1, variant, "value")
    value = layers.Flatten(data_format="channels_last", name="value_flatten")(value)
    value = layers.Dense(hidden_units, activation="relu", name="value_hidden")(value)
    value = layers.Dense(1, dtype=full_precision(), activation="tanh", name="value")(value)
    return {"predictions": policy, "value": value}


_PAPER = Paper(
    title="Mastering the game of Go without human knowledge", year=2017, url="https://doi.org/10.1038/nature24270"
)
_RESULT = Result(
    dataset="KGS", top1=60.4, protocol="test set of moves of strong amateurs, trained on games of people",
    source="extended data table 2",
)  # fmt: skip

# name: variant, planes, filters, blocks, parameters, batch-norm statistics, multiply-accumulates, published
_ROWS = {
    "go_zero_19": ("paper", 17, 256, 19, 22_827_877, 19_974, 8_105_976_564, (_RESULT,)),
    "go_zero_39": ("paper", 17, 256, 39, 46_441_317, 40_454, 16_623_035_124, ()),
    "go_leela_6x128": ("leela", 18, 128, 6, 2_146_914, 3_334, 646_757_748, ()),
    "go_leela_15x192": ("leela", 18, 192, 15, 10_345_570, 11_910, 3_604_924_596, ()),
    "go_leela_40x256": ("leela", 18, 256, 40, 47_603_554, 41_478, 17_049_719_796, ()),
}

for _name, (_variant, _planes, _filters, _blocks, _params, _state, _macs, _published) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="alphagozero",
            modality="board",
            summary=f"{'AlphaGo' if _variant == 'paper' else 'Leela'} Zero's policy and value network, {_blocks} "
            f"residual blocks of {_filters} filters",
            paper=_PAPER,
            input_shape=(19, 19, _planes),
            min_size=5,
            value_range=(0.0, 1.0),
            classes=362,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride1", "logits", "value"),
            results=_published,
        ),
        alphagozero,
        dual_head,
        filters=_filters,
        blocks=_blocks,
        variant=_variant,
    )
