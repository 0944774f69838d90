"""The 313 colours that a classifier of colours chooses from, and how a colour is said in them.

Zhang, Isola, Efros, "Colorful Image Colorization", 2016, https://arxiv.org/abs/1603.08511, section 2.

The paper takes the points of a grid of 10 in the plane of a and b that are "in gamut", and counts 313. Only 229 points
are the colour of something that a screen shows. 309 are corners of a square of the grid that the gamut enters: with
those every colour lies between four points, and that is what is computed here. The list that the authors publish holds
these 309 and four more, which lie 11 to 13 outside along an axis (`_FURTHER`): no rule was found that gives these and
no others, so that they are written down. Where the four count, at the outermost red and magenta, hardly any photograph
has a colour. The order, by a and then by b, is that of the list too.
"""

import functools

import numpy as np
import tensorflow as tf

from applications.colorize.lab import rgb_to_lab

GRID = 10
NUM_BINS = 313

# Corners that the authors' list has besides those of squares that the gamut enters.
_FURTHER = ((40, 90), (100, -90), (100, -10), (100, 0))

# Of the soft encoding: how many colours share a pixel, and the width of the Gaussian by which.
NEIGHBOURS, SIGMA = 5, 5.0


@functools.cache
def corners() -> np.ndarray:
    """The corners of all squares of the grid that the gamut of sRGB enters, (309, 2), by a and then by b.

    Lightness is looked along: each line through the gamut leaves it through a face of the cube of colours, so that the
    colours of the six faces, at 8 bits, suffice.
    """
    levels = np.linspace(0, 1, 256)
    plane = np.stack(np.meshgrid(levels, levels, indexing="ij"), axis=-1).reshape(-1, 2)
    faces = np.concatenate([np.insert(plane, axis, side, axis=1) for axis in range(3) for side in (0.0, 1.0)])
    squares = set(map(tuple, np.floor(rgb_to_lab(faces).numpy()[:, 1:] / GRID).astype(int).tolist()))
    return GRID * np.array(sorted({(a + i, b + j) for a, b in squares for i in (0, 1) for j in (0, 1)}))


@functools.cache
def bins() -> np.ndarray:
    """The 313 colours (a, b), float32, in the order of the published list.

    Example:
        >>> from applications.colorize.gamut import bins
        >>> bins().shape, bins()[0].tolist()
        ((313, 2), [-90.0, 50.0])
    """
    found = np.unique(np.concatenate([corners(), np.array(_FURTHER)]), axis=0).astype(np.float32)
    found.setflags(write=False)
    return found


def nearest(ab: tf.Tensor, count: int = NEIGHBOURS, sigma: float = SIGMA) -> tuple[tf.Tensor, tf.Tensor]:
    """The soft encoding: the nearest colours of each pixel, and its share in each.

    Args:
        ab: (…, 2) float32.
        count: How many colours share a pixel.
        sigma: Width of the Gaussian of the distance by which they share it.

    Returns:
        Numbers of the colours (…, count) int32, the nearest first, and shares (…, count) that sum to 1.
    """
    points = tf.constant(bins())
    # The square of the pixel's own length is the same for all points, and is added to the few that are kept.
    closeness, numbers = tf.math.top_k(
        2 * tf.matmul(tf.reshape(ab, (-1, 2)), points, transpose_b=True) - tf.reduce_sum(points**2, axis=1), count
    )
    shape = tf.concat([tf.shape(ab)[:-1], [count]], axis=0)
    # Shares are those of the distances, as what is left out cancels.
    shares = tf.nn.softmax(closeness / (2 * sigma**2))
    return tf.reshape(numbers, shape), tf.reshape(shares, shape)


def encode(ab: tf.Tensor, count: int = NEIGHBOURS, sigma: float = SIGMA) -> tf.Tensor:
    """The soft encoding as a distribution over all 313 colours, (…, 313)."""
    numbers, shares = nearest(ab, count, sigma)
    return tf.reduce_sum(tf.one_hot(numbers, NUM_BINS) * shares[..., None], axis=-2)


def annealed_mean(logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """The colour of a distribution: the mean of its power 1/T, made to sum to 1 again.

    Args:
        logits: (…, 313).
        temperature: T: 1 gives the mean, 0 the most probable colour, what lies between a compromise; the paper's is
            0.38.

    Returns:
        (…, 2), a and b.

    Raises:
        ValueError: The temperature is negative.
    """
    if temperature < 0:
        raise ValueError(f"temperature must be 0 or more. Received: temperature={temperature}")
    if temperature == 0:
        return tf.gather(tf.constant(bins()), tf.argmax(logits, axis=-1))
    chance = tf.nn.softmax(logits / temperature)
    return tf.linalg.matvec(tf.constant(bins()), chance, transpose_a=True)


def smoothed(counts: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    """How probable each colour is, from how often it was seen, blurred by a Gaussian in the plane of a and b.

    Args:
        counts: (313,), 0 or more, not all 0.
        sigma: Width of the Gaussian; the paper's is 5.

    Returns:
        (313,), which sum to 1.
    """
    points = bins().astype(np.float64)
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    kernel = np.exp(-squares / (2 * sigma**2))
    # Each colour gives all that it has away, also at the border.
    found = (kernel / kernel.sum(axis=1, keepdims=True)).T @ np.asarray(counts, np.float64)
    return found / found.sum()


def rebalancing(prior: np.ndarray, mixing: float = 0.5) -> np.ndarray:
    """Weights of the colours in the loss, by which rare ones count more.

    Args:
        prior: (313,), which sum to 1.
        mixing: The paper's lambda: the part of a uniform distribution that the prior is mixed with; 1 gives equal
            weights.

    Returns:
        (313,), whose mean over the prior is 1.

    Raises:
        ValueError: The mixing is not above 0 and up to 1.
    """
    if not 0 < mixing <= 1:
        raise ValueError(f"mixing must be above 0 and at most 1. Received: mixing={mixing}")
    weights = 1 / ((1 - mixing) * prior + mixing / len(prior))
    return weights / np.sum(prior * weights)
