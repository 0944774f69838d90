"""Leela Zero's weight files, version 1 (https://github.com/leela-zero/leela-zero): our networks in its program.

A file is text: the version, then a line of numbers for each array. A convolution has four: kernel (out, in, height,
width), bias, means and variances of its batch norm; a dense layer has two, kernel (out, in) and bias. The program adds
1e-5 to the variances and has no scale; the shift of a batch norm goes into the bias before it. The program counts rows
from below and has channels first: kernels are written upside down, and dense layers in its order.
"""

import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from zoo.data import DataError
from zoo.files import write_atomic
from zoo.models.board.alphagozero import EPSILON

SIZE, PLANES, HIDDEN_UNITS = 19, 18, 256


def write_leela(model: keras.Model, path: str | os.PathLike) -> None:
    """Write a network of the family `alphagozero`, `variant="leela"`, for 19x19 boards.

    Args:
        model: The network, of any number of blocks and filters.
        path: File to write.

    Raises:
        DataError: The program cannot play with that network.
    """
    _check(model)
    blocks = sum(layer.name.endswith("_add") for layer in model.layers)
    lines = ["1"]
    names = ["stem", *(f"block{number}_{part}" for number in range(1, blocks + 1) for part in (1, 2))]
    for name in names:
        lines += _lines(_convolution(model, name))
    lines += _lines(_convolution(model, "policy"))
    lines += _lines(_dense(model, "logits", channels=2, moves=True))
    lines += _lines(_convolution(model, "value"))
    lines += _lines(_dense(model, "value_hidden", channels=1))
    lines += _lines(_dense(model, "value", channels=None))
    write_atomic(path, "\n".join(lines) + "\n")


def _check(model: keras.Model) -> None:
    names = {layer.name for layer in model.layers}
    wanted = {"stem_conv", "block1_1_conv", "policy_conv", "logits", "value_conv", "value_hidden", "value"}
    if wanted - names:
        raise DataError(f"Leela Zero reads networks of the family alphagozero. Received: {model.name}")
    if model.input_shape[1:] != (SIZE, SIZE, PLANES):
        raise DataError(
            f"Leela Zero plays on {SIZE}x{SIZE} with {PLANES} planes. Received: an input of {model.input_shape[1:]}"
        )
    if model.get_layer("stem_bn").scale:
        raise DataError('Leela Zero has no place for the scale of batch norm. Train with variant="leela" (go_leela_…).')
    if model.get_layer("value_hidden").units != HIDDEN_UNITS:
        raise DataError(
            f"Leela Zero has {HIDDEN_UNITS} hidden units in its value head. Received: "
            f"hidden_units={model.get_layer('value_hidden').units}"
        )


def _array(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable).astype(np.float64)


def _convolution(model: keras.Model, name: str) -> Iterator[np.ndarray]:
    norm = model.get_layer(f"{name}_bn")
    variance = _array(norm.moving_variance)
    yield _array(model.get_layer(f"{name}_conv").kernel)[::-1].transpose(3, 2, 0, 1)
    yield _array(norm.beta) * np.sqrt(variance + EPSILON)
    yield _array(norm.moving_mean)
    yield variance


def _dense(model: keras.Model, name: str, *, channels: int | None, moves: bool = False) -> Iterator[np.ndarray]:
    layer = model.get_layer(name)
    kernel, bias = _array(layer.kernel), _array(layer.bias)
    if channels is not None:
        maps = kernel.reshape(SIZE, SIZE, channels, -1)[::-1]
        kernel = maps.transpose(2, 0, 1, 3).reshape(SIZE * SIZE * channels, -1)
    if moves:
        # The points from the lowest row up, then the pass.
        order = np.append(np.arange(SIZE * SIZE).reshape(SIZE, SIZE)[::-1].ravel(), SIZE * SIZE)
        kernel, bias = kernel[:, order], bias[order]
    yield kernel.T
    yield bias


def _lines(arrays: Iterator[np.ndarray]) -> list[str]:
    # Nine digits are enough to tell any two numbers of float32.
    return [" ".join(f"{value:.9g}" for value in array.ravel()) for array in arrays]
