"""AlphaGo's networks: which move, and who wins.

Silver et al., "Mastering the game of Go with deep neural networks and tree search", Nature 529, 2016,
https://doi.org/10.1038/nature16961: section "Methods" and extended data tables 2 and 3. Input: 19x19 with 48 planes of
zeros and ones (`zoo.data.go.encoder("alphago48")`), for the value network 49. Published: 57.0 % of the moves of strong
amateurs with 256 filters and the mean over eight symmetries, 55.4 % with the match's 192 without it.

There is no pooling: where a stone lies says as much as what lies around it, and a board that is scaled down is another
board. `go_course` is the same network on what courses draw: one matrix, black 1, white -1, none 0.

Differences from the paper:
- `go_rollout` is the linear softmax of the rollout policy on what a filter of 5x5 sees of the planes; the paper's is on
  109,747 hand-made patterns. Published for these: 24.2 %.
- Weights start from He's normal distribution; the paper does not say.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from zoo.layers import (
    LegalMask,
    PositionBias,
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


def alphago(
    x: keras.KerasTensor,
    *,
    filters: int = 192,
    hidden_layers: int = 12,
    legal_planes: Sequence[int] | None = None,
) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """A 5x5 convolution, then 3x3 ones, each with a bias and ReLU.

    Args:
        x: Planes (batch, height, width, channels) of a board of 5 to 25 rows and columns.
        filters: Number of filters of each hidden layer, k in the paper.
        hidden_layers: Number of hidden layers, at least 1.
        legal_planes: Numbers of the planes of which one is not 0 where a move is legal, such as `range(20, 28)` of
            `alphago48`: illegal moves then get the probability 0. None for no mask.

    Returns:
        Feature map (batch, height, width, filters); with `legal_planes` a dict of it and of the planes.

    Raises:
        ValueError: The board or the number of layers is too small or too large.
    """
    planes = x
    check_board(x)
    if hidden_layers < 1:
        raise ValueError(f"hidden_layers must be at least 1. Received: hidden_layers={hidden_layers}")
    x = _conv_relu(x, filters, 5, "conv1")
    x = endpoint(x, "stem")
    for number in range(2, hidden_layers + 1):
        x = _conv_relu(x, filters, 3, f"conv{number}")
    x = endpoint(x, "stride1")
    return x if legal_planes is None else {"features": x, "planes": planes}


def value_tower(x: keras.KerasTensor, *, filters: int = 192, hidden_layers: int = 12) -> keras.KerasTensor:
    """The policy network's layers before a value, which knows no moves and so no mask.

    Args:
        x: Planes (batch, height, width, channels) of a board of 5 to 25 rows and columns.
        filters: Number of filters of each hidden layer, k in the paper.
        hidden_layers: Number of hidden layers, at least 1.

    Returns:
        Feature map (batch, height, width, filters).

    Raises:
        ValueError: The board or the number of layers is too small or too large.
    """
    return alphago(x, filters=filters, hidden_layers=hidden_layers)


def rollout(
    x: keras.KerasTensor, *, legal_planes: Sequence[int] | None = None
) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """One filter of 5x5: a number for each point that is linear in what lies around it.

    Args:
        x: Planes (batch, height, width, channels) of a board of 5 to 25 rows and columns.
        legal_planes: As for `alphago`.

    Returns:
        Feature map (batch, height, width, 1); with `legal_planes` a dict of it and of the planes.
    """
    check_board(x)
    features = endpoint(conv(x, 1, 5, name="pattern_conv"), "stride1")
    return features if legal_planes is None else {"features": features, "planes": x}


def _conv_relu(x, filters, kernel_size, name):
    x = conv(x, filters, kernel_size, use_bias=True, name=name)
    return relu(x, name=f"{name}_relu")


def policy_head(
    x: keras.KerasTensor | dict[str, keras.KerasTensor], classes: int, *, legal_planes: Sequence[int] | None = None
) -> keras.KerasTensor:
    """One filter of 1x1 and a bias for each point: a logit for each."""
    planes = None
    if isinstance(x, dict):
        x, planes = x["features"], x["planes"]
    check_moves(x, classes, passes=0)
    if x.shape[-1] > 1:
        x = conv(x, 1, 1, name="policy_conv")
    x = flatten(x)
    if planes is None or legal_planes is None:
        return PositionBias(dtype=full_precision(), name="logits")(x)
    x = PositionBias(dtype=full_precision(), name="position_bias")(x)
    return LegalMask(legal_planes, dtype=full_precision(), name="logits")([x, planes])


def value_head(x: keras.KerasTensor, classes: int, *, hidden_units: int = 256) -> dict[str, keras.KerasTensor]:
    """One filter of 1x1, a dense layer, and tanh of one number: 1 where the player to move wins, -1 where he loses.

    Args:
        x: Feature map (batch, height, width, channels).
        classes: 1.
        hidden_units: Number of units of the dense layer.

    Returns:
        A dict of "value", (batch, 1) from -1 to 1.

    Raises:
        ValueError: Another number of classes, or a board whose size is not known.
    """
    if classes != 1:
        raise ValueError(f"A value is one number: classes must be 1, or left out. Received: classes={classes}")
    x = conv(x, 1, 1, use_bias=True, name="value_conv")
    x = relu(x, name="value_relu")
    x = layers.Dense(hidden_units, activation="relu", name="value_hidden")(flatten(x))
    return {"value": layers.Activation("tanh", dtype=full_precision(), name="value")(logits(x, 1))}


_PAPER = Paper(
    title="Mastering the game of Go with deep neural networks and tree search",
    year=2016,
    url="https://doi.org/10.1038/nature16961",
)


def _result(top1: float) -> tuple[Result, ...]:
    protocol = "test set of 1 million moves of 6 to 9 dan, no symmetries"
    return (Result(dataset="KGS", top1=top1, protocol=protocol, source="extended data table 3"),)


# name: summary, planes, values, filters, head, classes, parameters, multiply-accumulates, published
_ROWS: dict[str, tuple[str, int, int, int, Callable[..., Any], int, int, int, tuple[Result, ...]]] = {
    "go_policy_128": ("policy network", 48, 0, 128, policy_head, 361, 1_777_641, 641_043_584, _result(54.6)),
    "go_policy_192": ("policy network of the match", 48, 0, 192, policy_head, 361, 3_882_793, 1_400_726_208,
                      _result(55.4)),
    "go_policy_256": ("policy network", 48, 0, 256, policy_head, 361, 6_798_953, 2_453_182_720, _result(55.9)),
    "go_policy_384": ("policy network", 48, 0, 384, policy_head, 361, 15_064_297, 5_436_417_408, ()),
    "go_course": ("policy network on one matrix of black 1, white -1, none 0", 1, -1, 192, policy_head, 361, 3_657_193,
                  1_319_284_608, ()),
    "go_value": ("value network", 49, 0, 192, value_head, 1, 3_980_162, 1_402_551_680, ()),
}  # fmt: skip

for _name, (_what, _planes, _low, _filters, _head, _classes, _params, _macs, _published) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="alphago",
            modality="board",
            summary=f"AlphaGo's {_what}, {_filters} filters",
            paper=_PAPER,
            input_shape=(19, 19, _planes),
            min_size=5,
            value_range=(_low, 1.0),
            classes=_classes,
            num_params=_params,
            num_state=0,
            num_macs=_macs,
            endpoints=("stem", "stride1", "logits") + (("value",) if _classes == 1 else ()),
            results=_published,
        ),
        value_tower if _head is value_head else alphago,
        _head,
        filters=_filters,
    )

register(
    Card(
        name="go_rollout",
        family="alphago",
        modality="board",
        summary="AlphaGo's rollout policy as one linear filter of 5x5",
        paper=_PAPER,
        input_shape=(19, 19, 48),
        min_size=5,
        value_range=(0.0, 1.0),
        classes=361,
        num_params=1_561,
        num_state=0,
        num_macs=433_200,
        endpoints=("stride1", "logits"),
    ),
    rollout,
    policy_head,
)
