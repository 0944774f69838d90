"""What a picture shows, and in which manner: distances between feature maps.

- Gatys, Ecker, Bethge, "Image Style Transfer Using Convolutional Neural Networks", 2016 (and "A Neural Algorithm of
  Artistic Style", 2015, https://arxiv.org/abs/1508.06576): equations 1 to 7.
- Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016,
  https://arxiv.org/abs/1603.08155: section 3.2.

Differences from the papers: the distances that are minimised are parts of the size of what is wanted, layer by layer.
Gatys rescales the weights of VGG-19 instead, until feature maps have a mean of 1, and Johnson chooses weights by hand;
neither fits another body. Gram matrices are means over places, so that pictures may differ in size.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

# Keeps a distance finite whose target is nothing: a feature map that is off everywhere.
_LEAST = 1e-8


def gram(maps: tf.Tensor) -> tf.Tensor:
    """How feature maps go together, wherever they do.

    Args:
        maps: (batch, height, width, channels).

    Returns:
        (batch, channels, channels): the mean over places of the products of two channels, the paper's G divided by the
        number of places M.
    """
    shape = tf.shape(maps)
    flat = tf.reshape(maps, (shape[0], shape[1] * shape[2], maps.shape[-1]))
    return tf.matmul(flat, flat, transpose_a=True) / tf.cast(shape[1] * shape[2], maps.dtype)


def style_distance(found: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The paper's E of a layer, equation 4: the sum of the squares of the differences, over 4 N² for N channels.

    Args:
        found: Gram matrices (batch, channels, channels).
        wanted: The same of the style.

    Returns:
        (batch,).
    """
    return tf.reduce_sum((found - wanted) ** 2, axis=(1, 2)) / (4.0 * found.shape[-1] ** 2)


def relative(found: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The square of the distance of all but the batch, as a part of the square of the size of what is wanted: (batch,).

    Example:
        >>> import tensorflow as tf
        >>> from applications.style.losses import relative
        >>> relative(tf.constant([[1.0, 2.0]]), tf.constant([[0.0, 2.0]])).numpy().tolist()
        [0.25]
    """
    axes = list(range(1, len(found.shape)))
    return tf.reduce_sum((found - wanted) ** 2, axis=axes) / (tf.reduce_sum(wanted**2, axis=axes) + _LEAST)


def content_loss(found: Mapping[str, tf.Tensor], wanted: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The mean over layers of the relative distance of feature maps, (batch,)."""
    return tf.add_n([relative(found[name], wanted[name]) for name in wanted]) / float(len(wanted))


def style_loss(found: Mapping[str, tf.Tensor], wanted: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The mean over layers of the relative distance of Gram matrices, (batch,).

    Args:
        found: Feature maps by layer, (batch, height, width, channels).
        wanted: Gram matrices of the style by layer.
    """
    return tf.add_n([relative(gram(found[name]), wanted[name]) for name in wanted]) / float(len(wanted))


def total_variation(pictures: tf.Tensor) -> tf.Tensor:
    """The mean difference of neighbouring pixels, (batch,), for pixels of 0 to 255 as a part of 255."""
    down = tf.reduce_mean(tf.abs(pictures[:, 1:] - pictures[:, :-1]), axis=(1, 2, 3))
    across = tf.reduce_mean(tf.abs(pictures[:, :, 1:] - pictures[:, :, :-1]), axis=(1, 2, 3))
    return (down + across) / 255


def weighted(parts: Mapping[str, tf.Tensor], weights: Any) -> tf.Tensor:
    """The sum of "content", "style" and "variation" by `content_weight`, `style_weight` and `variation_weight`."""
    return tf.add_n([getattr(weights, f"{name}_weight") * part for name, part in parts.items()])
