"""What networks on boards share: a bias for each point, and the mask of legal moves."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

# The range of Go boards that the networks take.
SMALLEST_BOARD, LARGEST_BOARD = 5, 25

# Far below every logit, yet far from the limits of float32.
_FORBIDDEN = -1e9


@keras.saving.register_keras_serializable("zoo")
class PositionBias(layers.Layer):
    """Adds a bias of its own to each place: to each point of a vector, or to each channel of each position.

    Input and output (batch, ...), the same shape, all of it known.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if None in input_shape[1:]:
            raise ValueError(
                f"A bias for each position needs a fixed size. Received shape {tuple(input_shape)}. "
                "Give input_shape in full."
            )
        self.bias = self.add_weight(name="bias", shape=input_shape[1:], initializer="zeros")

    def call(self, x: Any) -> Any:
        return x + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@keras.saving.register_keras_serializable("zoo")
class LegalMask(layers.Layer):
    """Makes the logits of illegal moves so low that softmax gives them nothing.

    Args:
        planes: Numbers of the input planes of which one is not 0 where a move is legal.

    Inputs: logits (batch, points) or (batch, points + 1) with the pass last, which stays; planes (batch, height, width,
    channels). Output as the logits.
    """

    def __init__(self, planes: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planes = tuple(planes)

    def build(self, input_shape: Any) -> None:
        channels = input_shape[1][-1]
        if not self.planes or not all(0 <= plane < channels for plane in self.planes):
            raise ValueError(
                f"legal_planes are numbers of input planes, 0 to {channels - 1}. Received: legal_planes={self.planes}"
            )

    def call(self, inputs: Any) -> Any:
        logits, planes = inputs
        legal = ops.any(ops.stack([planes[..., index] for index in self.planes], axis=-1) != 0, axis=-1)
        legal = ops.reshape(legal, (-1, planes.shape[1] * planes.shape[2]))
        if logits.shape[-1] > legal.shape[-1]:
            legal = ops.concatenate([legal, ops.ones_like(legal[:, :1])], axis=-1)
        return ops.where(legal, logits, ops.cast(_FORBIDDEN, logits.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "planes": self.planes}


def check_board(x: keras.KerasTensor) -> None:
    """Refuse boards that Go is not played on.

    Raises:
        ValueError: Height or width is not from 5 to 25.
    """
    if any(size is not None and not SMALLEST_BOARD <= size <= LARGEST_BOARD for size in x.shape[1:-1]):
        raise ValueError(
            f"Boards have {SMALLEST_BOARD} to {LARGEST_BOARD} rows and columns. Received: input of shape "
            f"{tuple(x.shape[1:])}"
        )


def check_moves(x: keras.KerasTensor, classes: int, *, passes: int) -> None:
    """Refuse a number of classes that is not the number of moves on the board of a feature map.

    Args:
        x: Feature map (batch, height, width, channels).
        classes: Number of classes.
        passes: 1 where a pass is a class of its own, behind the points; else 0.

    Raises:
        ValueError: The numbers differ, or the size of the board is not known.
    """
    height, width = x.shape[1:3]
    if height is None or width is None:
        raise ValueError(
            f"The head needs a fixed board. Received a feature map of shape {tuple(x.shape)}. Give input_shape in "
            "full, or include_top=False."
        )
    if classes != height * width + passes:
        what = "points and the pass" if passes else "points"
        raise ValueError(
            f"classes must be {height * width + passes}, the {what} of a board of {height}x{width}, or left out. "
            f"Received: classes={classes}"
        )
