"""The network of Clark and Storkey, the first convolutional network that beat GNU Go consistently.

Clark, Storkey, "Teaching Deep Convolutional Neural Networks to Play Go", 2014, https://arxiv.org/abs/1412.3409: section
4, the best network. Input: 19x19 with 8 planes (`zoo.data.go.encoder("clark8")`): chains by colour with one, two, three
or more liberties, the ko, and the board. Published: 41.1 % of the moves of professional games, 44.4 % of KGS's.

Differences from the paper:
- The plane of ones says where the board is, as a plane of zeros with a frame of ones does in the paper.
- Weights are tied by the symmetries of the board with `tied=True` alone: filters are then their own mirror images, and
  the dense layer has one weight for pairs of points that mirror each other, so that a turned board has the turned
  answer. By default `zoo.data.go` turns and mirrors examples instead.
- Weights start from He's normal distribution; the dense layer from Glorot's uniform one.
"""

from collections.abc import Sequence

import keras

from zoo.layers import (
    SymmetricBoardDense,
    SymmetricConv2D,
    check_board,
    check_moves,
    conv,
    endpoint,
    flatten,
    full_precision,
    logits,
    relu,
)
from zoo.registry import Card, Paper, Result, register


def clark_storkey(x: keras.KerasTensor, *, hidden: Sequence[tuple[int, int]], tied: bool = False) -> keras.KerasTensor:
    """Convolutions with a bias and ReLU.

    Args:
        x: Planes (batch, height, width, channels) of a board of 5 to 25 rows and columns.
        hidden: For each layer the number of filters and their size.
        tied: Whether weights that the eight symmetries of the board map to each other are one.

    Returns:
        Feature map (batch, height, width, filters of the last layer).
    """
    check_board(x)
    for number, (filters, kernel_size) in enumerate(hidden, 1):
        name = f"conv{number}"
        if tied:
            x = SymmetricConv2D(filters, kernel_size, name=name)(x)
        else:
            x = conv(x, filters, kernel_size, use_bias=True, name=name)
        x = relu(x, name=f"conv{number}_relu")
        if number == 1:
            x = endpoint(x, "stem")
    return endpoint(x, "stride1")


def dense_policy_head(x: keras.KerasTensor, classes: int, *, tied: bool = False) -> keras.KerasTensor:
    """A dense layer from the whole feature map to each point."""
    check_moves(x, classes, passes=0)
    if tied:
        return SymmetricBoardDense(dtype=full_precision(), name="logits")(x)
    return logits(flatten(x), classes)


register(
    Card(
        name="go_clark_storkey",
        family="clark_storkey",
        modality="board",
        summary="Policy network with seven wide convolutions and a dense layer",
        paper=Paper(
            title="Teaching Deep Convolutional Neural Networks to Play Go",
            year=2014,
            url="https://arxiv.org/abs/1412.3409",
        ),
        input_shape=(19, 19, 8),
        min_size=5,
        value_range=(0.0, 1.0),
        classes=361,
        num_params=4_599_273,
        num_state=0,
        num_macs=158_782_240,
        endpoints=("stem", "stride1", "logits"),
        results=(Result(dataset="GoGoD", top1=41.1, protocol="test set of professional games", source="abstract"),),
    ),
    clark_storkey,
    dense_policy_head,
    hidden=((64, 7), (64, 5), (64, 5), (48, 5), (48, 5), (32, 5), (32, 5)),
)
