"""Why a class: maps over the picture of what raised or lowered its score.

A score is what softmax is given, so that one class can be asked for without the others. Pictures are (height, width,
channels) in the range that the network takes; maps are float32.

- `saliency`: Simonyan, Vedaldi, Zisserman 2014, https://arxiv.org/abs/1312.6034
- `smooth_gradient`: Smilkov et al. 2017, https://arxiv.org/abs/1706.03825
- `integrated_gradients`: Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365
- `guided_backpropagation` and `deconvolution`: see `applications.visualize.network`
- `grad_cam`: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391
- `grad_cam_plus_plus`: Chattopadhyay et al. 2018, https://arxiv.org/abs/1710.11063
- `occlusion`: Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from applications.visualize.network import Network, Rule

BATCH_SIZE = 16

# Of what was sent back to the pixels, the part of the strongest value from which on it can be seen.
VISIBLE = 0.05


def gradients(network: Network, pictures: np.ndarray, target: int, rule: Rule = "gradient") -> np.ndarray:
    """Gradient of a class's score by the pixels.

    Args:
        network: The network.
        pictures: (batch, height, width, channels).
        target: Index of the class.
        rule: How rectifiers pass it back.

    Returns:
        As `pictures`.

    Raises:
        ValueError: There is no such class.
    """
    found = []
    for start in range(0, len(pictures), BATCH_SIZE):
        x = tf.convert_to_tensor(pictures[start : start + BATCH_SIZE], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = _score(network.run(x, rule=rule).scores, target)
        found.append(_array(tape.gradient(score, x), x))
    return np.concatenate(found)


def saliency(network: Network, picture: np.ndarray, target: int) -> np.ndarray:
    """How much the score changes with each pixel: the largest gradient of its channels, (height, width), 0 or more."""
    return np.abs(gradients(network, picture[None], target)[0]).max(axis=-1)


def smooth_gradient(
    network: Network, picture: np.ndarray, target: int, *, samples: int = 32, noise: float = 0.15, seed: int = 0
) -> np.ndarray:
    """The gradient, averaged over noisy copies of the picture.

    Args:
        network: The network.
        picture: (height, width, channels).
        target: Index of the class.
        samples: Number of copies.
        noise: Standard deviation, as a part of the range between the picture's lowest and highest value.
        seed: Of the noise.

    Returns:
        (height, width, channels), with its sign.
    """
    deviation = noise * float(picture.max() - picture.min())
    copies = picture + deviation * np.random.default_rng(seed).normal(size=(samples, *picture.shape))
    return gradients(network, copies.astype(np.float32), target).mean(axis=0)


def integrated_gradients(
    network: Network, picture: np.ndarray, target: int, *, baseline: np.ndarray | float = 0.0, steps: int = 32
) -> np.ndarray:
    """What each pixel adds to the score on the way from a baseline to the picture.

    The sum is the difference of the two scores. The integral is taken by Gauss and Legendre's rule.

    Args:
        network: The network.
        picture: (height, width, channels).
        target: Index of the class.
        baseline: A picture that shows nothing, or its value everywhere.
        steps: Points at which the gradient is taken.

    Returns:
        (height, width, channels), with its sign.
    """
    points, weights = np.polynomial.legendre.leggauss(steps)
    along = ((points + 1) / 2).reshape(-1, 1, 1, 1)
    start = np.broadcast_to(np.asarray(baseline, np.float32), picture.shape)
    slopes = gradients(network, (start + along * (picture - start)).astype(np.float32), target)
    return ((picture - start) * np.tensordot(weights / 2, slopes, 1)).astype(np.float32)


def guided_backpropagation(network: Network, picture: np.ndarray, target: int) -> np.ndarray:
    """The gradient without what lowers an active unit; (height, width, channels), with its sign."""
    return gradients(network, picture[None], target, "guided")[0]


def deconvolution(network: Network, picture: np.ndarray, target: int) -> np.ndarray:
    """The class's score, sent back through transposed filters, switches and rectifiers; as the picture."""
    return gradients(network, picture[None], target, "deconvnet")[0]


class Projection(NamedTuple):
    """What made one neuron fire.

    Attributes:
        picture: (height, width, channels), what it was sent back to, with its sign.
        channel: Its channel.
        place: Its row and column in the feature map.
        activation: Its value.
        seen: First and last row, first and last column of the pixels where that can be seen; the last
            ones excluded.
    """

    picture: np.ndarray
    channel: int
    place: tuple[int, int]
    activation: float
    seen: tuple[int, int, int, int]


def project(
    network: Network, picture: np.ndarray, layer: str, channel: int | None = None, rule: Rule = "deconvnet"
) -> Projection:
    """Send the strongest neuron of a channel back to the pixels, all others being set to 0.

    Args:
        network: The network.
        picture: (height, width, channels).
        layer: Path or name of a call that gives a feature map.
        channel: Which channel; None for that of the map's strongest neuron.
        rule: "deconvnet", or "guided" for what only active units pass on.

    Returns:
        What arrives at the pixels.

    Raises:
        ValueError: The layer has no such channel.
    """
    x = tf.convert_to_tensor(picture[None], tf.float32)
    path = network.find(layer).path
    with tf.GradientTape() as tape:
        tape.watch(x)
        values = network.run(x, take=[path], rule=rule, scores=False).taken[path]
    found = values.numpy()[0]
    if channel is not None and not 0 <= channel < found.shape[-1]:
        raise ValueError(f"{path!r} has channels 0 to {found.shape[-1] - 1}. Received: channel={channel}")
    searched = found if channel is None else np.where(np.arange(found.shape[-1]) == channel, found, -np.inf)
    row, column, best = (int(index) for index in np.unravel_index(int(searched.argmax()), found.shape))
    seed = np.zeros((1, *found.shape), found.dtype)
    seed[0, row, column, best] = found[row, column, best]
    sent = _array(tape.gradient(values, x, output_gradients=tf.constant(seed)), x)[0]
    size = np.abs(sent).max(axis=-1)
    touched = np.argwhere(size > VISIBLE * size.max())
    low, high = (touched.min(axis=0), touched.max(axis=0) + 1) if len(touched) else (np.zeros(2), picture.shape[:2])
    seen = (int(low[0]), int(high[0]), int(low[1]), int(high[1]))
    return Projection(sent, best, (row, column), float(found[row, column, best]), seen)


def grad_cam(network: Network, picture: np.ndarray, target: int, layer: str | None = None) -> np.ndarray:
    """Feature maps, weighted by the mean gradient of the class's score.

    Args:
        network: The network.
        picture: (height, width, channels).
        target: Index of the class.
        layer: Path or name of a call that gives a feature map; None for the last one.

    Returns:
        (rows, columns) of that feature map, 0 or more: where evidence for the class lies.
    """
    values, slopes = _maps_and_slopes(network, picture, target, layer)
    return np.maximum(values @ slopes.mean(axis=(0, 1)), 0)


def grad_cam_plus_plus(network: Network, picture: np.ndarray, target: int, layer: str | None = None) -> np.ndarray:
    """As `grad_cam`, with weights that give every instance of the class its part (equations 10 and 11)."""
    values, slopes = _maps_and_slopes(network, picture, target, layer)
    below = 2 * slopes**2 + values.sum(axis=(0, 1)) * slopes**3
    alpha = np.divide(slopes**2, below, out=np.zeros_like(slopes), where=np.abs(below) > 1e-12)
    return np.maximum(values @ (alpha * np.maximum(slopes, 0)).sum(axis=(0, 1)), 0)


def enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (rows, columns) in another size (height, width), smoothly."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def occlusion(
    network: Network, picture: np.ndarray, target: int, *, size: int, step: int, fill: float
) -> np.ndarray:  # fmt: skip
    """How far the score falls when a square is covered.

    Args:
        network: The network.
        picture: (height, width, channels).
        target: Index of the class.
        size: Side of the square in pixels.
        step: Pixels between two squares.
        fill: Value of the cover.

    Returns:
        (height, width): for each pixel the mean fall over the squares that cover it; below 0 where the score rises.

    Raises:
        ValueError: `step` is larger than `size`, so that pixels would be left out.
    """
    if not 1 <= step <= size:
        raise ValueError(f"step must be from 1 to size. Received: step={step}, size={size}")
    height, width = picture.shape[:2]
    corners = [(row, column) for row in _starts(height, size, step) for column in _starts(width, size, step)]
    covered = np.repeat(picture[None], len(corners), axis=0)
    for one, (row, column) in zip(covered, corners, strict=True):
        one[row : row + size, column : column + size] = fill
    whole = _score_of(network, picture[None], target)[0]
    falls = whole - _score_of(network, covered, target)
    total, times = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for fall, (row, column) in zip(falls, corners, strict=True):
        total[row : row + size, column : column + size] += fall
        times[row : row + size, column : column + size] += 1
    return total / times


def _starts(length: int, size: int, step: int) -> list[int]:
    """First pixels of the squares along an axis; the last one ends with the picture."""
    last = max(length - size, 0)
    return sorted({min(start, last) for start in range(0, last + step, step)})


def _maps_and_slopes(
    network: Network, picture: np.ndarray, target: int, layer: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """A feature map (rows, columns, channels) and the gradient of the score by it."""
    path = network.find(layer).path if layer is not None else network.levels[-1].path
    x = tf.convert_to_tensor(picture[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)  # so that all that depends on it is recorded
        done = network.run(x, take=[path])
        score = _score(done.scores, target)
    values = done.taken[path]
    if len(values.shape) != 4:
        raise ValueError(f"{path!r} gives no feature map. Received: output of shape {tuple(values.shape[1:])}")
    slopes = tape.gradient(score, values)
    return np.asarray(values, np.float32)[0], _array(slopes, values)[0]


def _score(scores: tf.Tensor | None, target: int) -> tf.Tensor:
    assert scores is not None
    if not 0 <= target < scores.shape[-1]:
        raise ValueError(f"target must be a class, 0 to {scores.shape[-1] - 1}. Received: target={target}")
    return tf.reduce_sum(tf.cast(scores[:, target], tf.float32))


def _score_of(network: Network, pictures: np.ndarray, target: int) -> np.ndarray:
    return network.scores(pictures)[:, target]


def _array(gradient: tf.Tensor | None, like: tf.Tensor) -> np.ndarray:
    """The gradient; zeros where nothing depends on it."""
    return np.zeros(like.shape, np.float32) if gradient is None else np.asarray(gradient, np.float32)
