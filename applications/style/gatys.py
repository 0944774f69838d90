"""A picture in the manner of another, by optimising its pixels.

Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", 2016: the feature maps of a picture
are brought near those of the content, their Gram matrices near those of the style, by L-BFGS.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
import tensorflow as tf
from PIL import Image

from applications.style import losses
from applications.style.body import Body
from applications.style.config import Transfer
from zoo import files

STATE = "state.npz"

# Told how many iterations are done, and the loss.
Progress = Callable[[int, float], None]


def _silent(done: int, loss: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Painting:
    """What was painted.

    Attributes:
        picture: (height, width, 3) uint8.
        history: The whole loss at the beginning and after each iteration.
        parts: "content", "style" and "variation" at the end, before their weights.
    """

    picture: np.ndarray
    history: tuple[float, ...]
    parts: dict[str, float]


class Objective:
    """The loss of a picture and its gradient.

    Args:
        content: (height, width, 3), 0 to 255.
        style: (height, width, 3), 0 to 255; sizes may differ.
        body: Whose maps are compared.
        weights: `Transfer` or `FeedForward`: the weights of the parts.
    """

    def __init__(self, content: np.ndarray, style: np.ndarray, body: Body, weights: Any) -> None:
        self.shape = content.shape
        self._body, self._weights, self._dtype = body, weights, body.maps.inputs[0].dtype
        self._content = {name: maps for name, maps in self._maps(content).items() if name in body.content}
        self._style = style_grams(style, body)
        self._call = tf.function(self._compute)

    def _maps(self, picture: np.ndarray) -> dict[str, tf.Tensor]:
        return self._body(tf.constant(picture[None], self._dtype))

    def _parts(self, picture: tf.Tensor) -> dict[str, tf.Tensor]:
        found = self._body(picture)
        return {
            "content": losses.content_loss(found, self._content)[0],
            "style": losses.style_loss(found, self._style)[0],
            "variation": losses.total_variation(picture)[0],
        }

    def _compute(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            loss = losses.weighted(self._parts(255 * tf.reshape(pixels, (1, *self.shape))), self._weights)
        return loss, tape.gradient(loss, pixels)

    def __call__(self, pixels: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient of flat pixels of 0 to 1, in double precision as SciPy wants it."""
        loss, gradient = self._call(tf.constant(pixels, self._dtype))
        return float(loss), gradient.numpy().astype(np.float64)

    def parts(self, pixels: np.ndarray) -> dict[str, float]:
        """The parts of the loss, before their weights."""
        picture = tf.constant(255 * pixels.reshape(1, *self.shape), self._dtype)
        return {name: float(value) for name, value in self._parts(picture).items()}


def style_grams(style: np.ndarray, body: Body) -> dict[str, tf.Tensor]:
    """Gram matrices of a style, (1, channels, channels) by layer."""
    maps = body(tf.constant(style[None], body.maps.inputs[0].dtype))
    return {name: losses.gram(maps[name]) for name in body.style}


def paint(
    content: np.ndarray,
    style: np.ndarray,
    body: Body,
    config: Transfer,
    *,
    folder: Path | None = None,
    progress: Progress = _silent,
) -> Painting:
    """Optimise a picture.

    Args:
        content: What is shown, (height, width, 3) uint8.
        style: In which manner, (height, width, 3) uint8.
        body: Whose maps are compared.
        config: Weights, solver, start.
        folder: Where the state is kept after each `config.restart` iterations; a state that is there goes on. None for
            nowhere.
        progress: Told of each iteration.
    """
    objective = Objective(content, style, body, config)
    state = _State.begin(objective, content, style, config)
    if folder is not None and (folder / STATE).is_file():
        state = _State.read(folder / STATE)
    solve = _lbfgs if config.solver == "lbfgs" else _adam
    while state.done < config.iterations:
        solve(objective, state, min(config.restart, config.iterations - state.done), config, progress)
        if folder is not None:
            state.write(folder / STATE)
    found = np.rint(255 * state.pixels.reshape(content.shape)).astype(np.uint8)
    return Painting(found, tuple(state.history), objective.parts(state.pixels))


@dataclass
class _State:
    """What an optimisation goes on from: pixels, moments of Adam, losses, and the iterations that are done."""

    pixels: np.ndarray
    moments: np.ndarray
    history: list[float]
    done: int = 0

    @classmethod
    def begin(cls, objective: Objective, content: np.ndarray, style: np.ndarray, config: Transfer) -> "_State":
        if config.start == "noise":
            begun = np.random.default_rng(config.seed).uniform(0.3, 0.7, content.shape)
        elif config.start == "style":
            image = Image.fromarray(style).resize((content.shape[1], content.shape[0]), Image.Resampling.BILINEAR)
            begun = np.asarray(image) / 255
        else:
            begun = content / 255
        pixels = begun.astype(np.float64).ravel()
        return cls(pixels, np.zeros((2, len(pixels))), [objective(pixels)[0]])

    @classmethod
    def read(cls, path: Path) -> "_State":
        with np.load(path, allow_pickle=False) as kept:
            return cls(kept["pixels"], kept["moments"], kept["history"].tolist(), int(kept["done"]))

    def write(self, path: Path) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, pixels=self.pixels, moments=self.moments, history=self.history, done=self.done)
        files.write_atomic(path, buffer.getvalue())


def _lbfgs(objective: Objective, state: _State, count: int, config: Transfer, progress: Progress) -> None:
    """Some iterations of L-BFGS-B, whose bounds are black and white."""

    def told(intermediate_result: Any) -> None:
        state.history.append(float(intermediate_result.fun))
        progress(len(state.history) - 1, state.history[-1])

    found = scipy.optimize.minimize(
        objective, state.pixels, jac=True, method="L-BFGS-B", bounds=scipy.optimize.Bounds(0.0, 1.0), callback=told,
        options={"maxiter": count, "maxfun": 20 * count, "ftol": 0.0, "gtol": 0.0},
    )  # fmt: skip
    state.pixels = found.x
    # It also ends where single precision shows no way down any more: then there is nothing left to be done.
    state.done = state.done + count if found.nit >= count else config.iterations


def _adam(objective: Objective, state: _State, count: int, config: Transfer, progress: Progress) -> None:
    """Some iterations of Adam, pixels cut to black and white after each."""
    first, second, least = 0.9, 0.999, 1e-8
    mean, square = state.moments
    _, slope = objective(state.pixels)
    for number in range(state.done + 1, state.done + count + 1):
        mean += (1 - first) * (slope - mean)
        square += (1 - second) * (slope**2 - square)
        step = (mean / (1 - first**number)) / (np.sqrt(square / (1 - second**number)) + least)
        state.pixels = np.clip(state.pixels - config.learning_rate * step, 0, 1)
        loss, slope = objective(state.pixels)
        state.history.append(loss)
        progress(number, state.history[-1])
    state.done += count
