"""The twelve layers of Maddison et al., of which AlphaGo's policy network came.

Maddison, Huang, Sutskever, Silver, "Move Evaluation in Go Using Deep Convolutional Neural Networks", 2014,
https://arxiv.org/abs/1412.6564: section 4, the largest network. Input: 19x19 with 36 planes. Published: 55 % of the
moves of strong amateurs; 97 % of games won against GNU Go; 2.3 million parameters, half a million hidden units.

Every layer has a bias for each filter at each point, which fixes the size of the board.

Differences from the paper:
- One softmax for the player to move; the paper has one for black and one for white, of which the other goes unused.
- Weights start from He's normal distribution; the paper does not say.
"""

import keras

from zoo.layers import PositionBias, check_board, check_moves, conv, endpoint, flatten, full_precision, relu
from zoo.registry import Card, Paper, Result, register


def maddison(x: keras.KerasTensor, *, filters: int = 128, hidden_layers: int = 12) -> keras.KerasTensor:
    """A 5x5 convolution, then 3x3 ones, each with a bias for each position and ReLU.

    Args:
        x: Planes (batch, height, width, channels) of a board of 5 to 25 rows and columns, its size known.
        filters: Number of filters of each hidden layer.
        hidden_layers: Number of hidden layers, at least 1.

    Returns:
        Feature map (batch, height, width, filters).

    Raises:
        ValueError: The size of the board or the number of layers is illegal, or the size is not known.
    """
    check_board(x)
    if hidden_layers < 1:
        raise ValueError(f"hidden_layers must be at least 1. Received: hidden_layers={hidden_layers}")
    for number in range(1, hidden_layers + 1):
        x = conv(x, filters, 5 if number == 1 else 3, name=f"conv{number}")
        x = PositionBias(name=f"conv{number}_bias")(x)
        x = relu(x, name=f"conv{number}_relu")
        if number == 1:
            x = endpoint(x, "stem")
    return endpoint(x, "stride1")


def move_head(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """One filter of 1x1 and a bias for each point."""
    check_moves(x, classes, passes=0)
    x = conv(x, 1, 1, name="policy_conv")
    return PositionBias(dtype=full_precision(), name="logits")(flatten(x))


register(
    Card(
        name="go_maddison",
        family="maddison",
        modality="board",
        summary="Policy network of twelve layers with biases for each position",
        paper=Paper(
            title="Move Evaluation in Go Using Deep Convolutional Neural Networks",
            year=2014,
            url="https://arxiv.org/abs/1412.6564",
        ),
        input_shape=(19, 19, 36),
        min_size=5,
        value_range=(0.0, 1.0),
        classes=361,
        num_params=2_292_201,
        num_state=0,
        num_macs=627_181_184,
        endpoints=("stem", "stride1", "logits"),
        results=(Result(dataset="KGS", top1=55.0, protocol="test set of moves of strong amateurs", source="abstract"),),
    ),
    maddison,
    move_head,
)
