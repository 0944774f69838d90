"""Pictures that a network would like to see, and pictures that it cannot tell from a given one.

- `maximise`: Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009; the picture is made of waves,
  as Olah et al. 2017 found to work: https://distill.pub/2017/feature-visualization
- `invert`: Mahendran, Vedaldi, "Understanding Deep Image Representations by Inverting Them", 2015,
  https://arxiv.org/abs/1412.0035
- `dream`: Mordvintsev, Olah, Tyka, "Inceptionism", 2015
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from applications.visualize.network import Network, Rule

# Root of the covariance of the colours of ImageNet's pixels, scaled to a largest norm of 1, as Olah et al. publish it:
# with it, red, green and blue of a picture move together as they do in photographs.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_COLOURS_ROOT = (_COLOURS / np.linalg.norm(_COLOURS, axis=0).max()).astype(np.float32)

# From so many steps on, tracing the graph of a step costs less than it saves.
WORTH_TRACING = 8

Progress = Callable[[float], None]


def _silent(part: float) -> None:
    """Tell nobody."""


class Waves:
    """Pictures as sums of waves, each of an amplitude that falls with its frequency as in photographs.

    A step of the optimiser then moves large forms and small ones alike, where steps in pixels make noise.

    Args:
        number: How many pictures.
        shape: (height, width, channels).
        value_range: What black and white are; no pixel leaves it.
        seed: Of the start, which is nearly grey.
    """

    def __init__(
        self, number: int, shape: tuple[int, int, int], value_range: tuple[float, float], seed: int = 0
    ) -> None:  # fmt: skip
        height, width, channels = shape
        self.shape, self.value_range = shape, value_range
        down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
        frequency = np.maximum(np.sqrt(down**2 + across**2), 1 / max(height, width))
        self._scale = tf.constant(np.sqrt(height * width) / frequency / 4, tf.float32)
        draw = np.random.default_rng(seed).normal(0, 0.01, (2, number, channels, height, width // 2 + 1))
        self.amplitudes = tf.Variable(draw.astype(np.float32))

    def pictures(self) -> tf.Tensor:
        """(number, height, width, channels), within the range."""
        height, width, channels = self.shape
        spectrum = tf.complex(self.amplitudes[0] * self._scale, self.amplitudes[1] * self._scale)
        x = tf.transpose(tf.signal.irfft2d(spectrum, [height, width]), (0, 2, 3, 1))
        if channels == 3:
            x = tf.matmul(x, _COLOURS_ROOT, transpose_b=True)
        low, high = self.value_range
        return low + (high - low) * tf.sigmoid(x)


def maximise(
    network: Network,
    layer: str | None,
    channels: Sequence[int],
    *,
    value_range: tuple[float, float],
    neuron: bool = False,
    steps: int = 128,
    learning_rate: float = 0.05,
    jitter: int = 2,
    seed: int = 0,
    progress: Progress = _silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that excite channels, neurons or classes most.

    Args:
        network: The network.
        layer: Path or name of a call that gives a feature map; None for the scores of the classes.
        channels: Which channels or classes: a picture for each.
        value_range: What black and white are.
        neuron: Whether only the neuron in the middle of the map is meant, and not the mean of all.
        steps: Of Adam.
        learning_rate: Of Adam.
        jitter: Most pixels by which the picture is moved before each step, so that fine patterns that fit one place
            alone do not grow.
        seed: Of the start and the moves.
        progress: Told the part that is done, 0 to 1.

    Returns:
        Pictures (number, height, width, channels) in the range, and what they excite, (number,).

    Raises:
        ValueError: There is no such layer or channel.
    """
    path = None if layer is None else network.find(layer).path
    known = network.num_classes if path is None else network.find(path).shape[-1]
    if known is not None and not all(0 <= channel < known for channel in channels):
        raise ValueError(f"channels must be from 0 to {known - 1}. Received: channels={list(channels)}")
    waves = Waves(len(channels), _known(network.input_shape), value_range, seed)
    wanted = tf.constant(list(channels))[:, None]

    def excited(x: tf.Tensor, redirected: bool) -> tf.Tensor:
        rule: Rule = "redirected" if redirected else "gradient"
        if path is None:
            values = network.run(x, rule=rule).scores
        else:
            values = network.run(x, take=[path], rule=rule, scores=False).taken[path]
            if neuron and len(values.shape) == 4:
                values = values[:, values.shape[1] // 2, values.shape[2] // 2]
            values = tf.reduce_mean(values, axis=list(range(1, len(values.shape) - 1)))
        # The first picture is for the first channel, and so on.
        return tf.gather(tf.cast(values, tf.float32), wanted, axis=1, batch_dims=1)

    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build([waves.amplitudes])

    def step(shift: tf.Tensor, redirected: bool) -> tf.Tensor:
        with tf.GradientTape() as tape:
            reached = excited(tf.roll(waves.pictures(), shift, (1, 2)), redirected)
            whole = tf.reduce_sum(reached)
        # Upwards, as the rule for units that are off expects it.
        slope = tape.gradient(whole, waves.amplitudes)
        # Of the same size for each picture and rule, since Adam remembers the largest for a thousand steps.
        size = tf.sqrt(tf.reduce_mean(slope**2, axis=(0, 2, 3, 4), keepdims=True))
        optimizer.apply([-slope / (size + 1e-12)], [waves.amplitudes])
        return tf.reduce_min(reached)

    @functools.cache
    def traced(redirected: bool) -> Callable[[tf.Tensor], tf.Tensor]:
        chosen = functools.partial(step, redirected=redirected)
        if steps < WORTH_TRACING:
            return chosen
        return tf.function(chosen).get_concrete_function(tf.TensorSpec([2], tf.int64))

    rng = np.random.default_rng(seed)
    lowest = math.inf
    for number in range(steps):
        # A unit that is off has no gradient; half of the steps may be spent on switching all of them on.
        redirected = path is not None and lowest <= 0 and number < steps // 2
        lowest = float(traced(redirected)(tf.constant(rng.integers(-jitter, jitter + 1, 2))))
        progress((number + 1) / steps)
    pictures = waves.pictures()
    return pictures.numpy(), excited(pictures, False).numpy()[:, 0]


class Inversion(NamedTuple):
    """A picture that has nearly the same features as another.

    Attributes:
        picture: (height, width, channels).
        error: Square of the distance of the features, as a part of the square of their length.
        pixel_error: The same of the pixels, from their mean.
    """

    picture: np.ndarray
    error: float
    pixel_error: float


def invert(
    network: Network,
    picture: np.ndarray,
    layer: str,
    *,
    value_range: tuple[float, float],
    steps: int = 200,
    learning_rate: float = 0.05,
    smoothness: float = 1e-3,
    seed: int = 0,
    progress: Progress = _silent,
) -> Inversion:
    """A picture from what a layer says of another: what the layer has forgotten is missing or made up.

    Args:
        network: The network.
        picture: (height, width, channels).
        layer: Path or name of a call.
        value_range: What black and white are.
        steps: Of Adam.
        learning_rate: Of Adam.
        smoothness: Weight of the total variation, for pixels of 0 to 1.
        seed: Of the start.
        progress: Told the part that is done, 0 to 1.

    Returns:
        The picture and how near it came.
    """
    path = network.find(layer).path
    wanted = tf.cast(network.run(picture[None], take=[path], scores=False).taken[path], tf.float32)
    length = tf.maximum(tf.reduce_sum(wanted**2), 1e-12)
    waves = Waves(1, picture.shape, value_range, seed)
    spread = value_range[1] - value_range[0]

    def error(x: tf.Tensor) -> tf.Tensor:
        found = network.run(x, take=[path], rule="gradient", scores=False).taken[path]
        return tf.reduce_sum((tf.cast(found, tf.float32) - wanted) ** 2) / length

    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build([waves.amplitudes])

    def step() -> None:
        with tf.GradientTape() as tape:
            x = waves.pictures()
            variation = tf.reduce_mean(tf.image.total_variation(x / spread)) / (x.shape[1] * x.shape[2])
            loss = error(x) + smoothness * variation
        optimizer.apply([tape.gradient(loss, waves.amplitudes)], [waves.amplitudes])

    traced = step if steps < WORTH_TRACING else tf.function(step).get_concrete_function()
    for number in range(steps):
        traced()
        progress((number + 1) / steps)
    found = waves.pictures()
    deviation = picture - picture.mean()
    pixel_error = float(np.sum((found.numpy()[0] - picture) ** 2) / max(float(np.sum(deviation**2)), 1e-12))
    return Inversion(found.numpy()[0], float(error(found)), pixel_error)


def dream(
    network: Network,
    picture: np.ndarray,
    layer: str,
    *,
    value_range: tuple[float, float],
    octaves: int = 3,
    ratio: float = 1.4,
    steps: int = 12,
    rate: float = 0.02,
    jitter: int = 2,
    seed: int = 0,
    progress: Progress = _silent,
) -> np.ndarray:
    """The picture with more of what a layer finds in it, at several sizes.

    Layers behind the one that is named are not run, so that the sizes may be other than the model's own.

    Args:
        network: The network.
        picture: (height, width, channels).
        layer: Path or name of a call that gives a feature map.
        value_range: What black and white are; no pixel leaves it.
        octaves: Number of sizes, the picture's own the last; those that are too small for the layer are left out.
        ratio: Of one size to that before.
        steps: Of gradient ascent at each size.
        rate: Mean change of a pixel in a step, as a part of the range.
        jitter: Most pixels by which the picture is moved before each step.
        seed: Of the moves.
        progress: Told the part that is done, 0 to 1.

    Returns:
        A picture of the same shape.
    """
    path = network.find(layer).path
    low, high = value_range
    rng = np.random.default_rng(seed)
    sides = np.array(picture.shape[:2])
    original = tf.constant(picture[None], tf.float32)
    changed = tf.zeros_like(original)

    def slope(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = tf.cast(network.run(x, take=[path], scores=False).taken[path], tf.float32)
            strength = tf.reduce_mean(values**2)
        return tape.gradient(strength, x)

    sizes = [np.maximum(np.rint(sides / ratio**octave), 1).astype(int) for octave in reversed(range(octaves))]
    sizes = [size for size in sizes if network.fits((int(size[0]), int(size[1])), path)]
    for octave, size in enumerate(sizes):
        base = tf.image.resize(original, size, antialias=True)
        x = base + tf.image.resize(changed, size)
        for number in range(steps):
            shift = rng.integers(-jitter, jitter + 1, 2)
            step = slope(tf.roll(x, shift, (1, 2)))
            step = tf.roll(step, -shift, (1, 2))
            x = x + rate * (high - low) * step / (tf.reduce_mean(tf.abs(step)) + 1e-12)
            x = tf.clip_by_value(x, low, high)
            progress((octave * steps + number + 1) / (len(sizes) * steps))
        changed = x - base
    return (original + changed).numpy()[0]


def _known(shape: tuple[int | None, ...]) -> tuple[int, int, int]:
    if None in shape:
        raise ValueError(f"The size of the pictures must be known. Received: input_shape={shape}. "
                         "Give Network(model, input_shape=…).")  # fmt: skip
    height, width, channels = shape
    return height or 0, width or 0, channels or 0
