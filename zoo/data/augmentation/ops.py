"""Changes of one picture, each equal to what Pillow does to it.

The augmentation policies of the papers were published with Pillow's arithmetic: blends that cut off the fraction,
affine maps in fixed point of 16 bits, lookup tables for each channel. Another rounding is another policy. So every
function here repeats that arithmetic in TensorFlow: integer results are equal, those of the bilinear filter to one
level.

All take a picture, (height, width, channels) uint8 with 1 channel (grey) or 3 (RGB) and a static shape, and a number,
a scalar float64 tensor; those that need no number ignore it. All return a picture of the same shape and type.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

Interpolation = Literal["nearest", "bilinear"]
Op = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Pillow's fixed point: 16 bits of fraction.
_ONE = 1 << 16

# Luma after ITU-R 601 as Pillow computes it, in 65536ths.
_LUMA = (19595.0, 38470.0, 7471.0)


def invert(picture: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """The negative."""
    return 255 - picture


def posterize(picture: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keep only the highest 0 to 8 bits of each value."""
    mask = 256 - tf.bitwise.left_shift(1, 8 - tf.cast(bits, tf.int32))
    return tf.bitwise.bitwise_and(picture, tf.cast(mask, tf.uint8))


def solarize(picture: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Invert all values from the threshold on, 0 to 256."""
    least = tf.math.ceil(threshold)
    bright = picture >= tf.cast(tf.minimum(least, 255), tf.uint8)
    return tf.bitwise.bitwise_xor(
        picture, tf.cast(bright, tf.uint8) * tf.where(least > 255, tf.constant(0, tf.uint8), 255)
    )


def solarize_add(picture: tf.Tensor, addition: tf.Tensor) -> tf.Tensor:
    """Add 0 to 128 to all values below 128."""
    return picture + tf.cast(picture < 128, tf.uint8) * tf.cast(addition, tf.uint8)


def auto_contrast(picture: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Stretch each channel so that its darkest value becomes 0 and its brightest 255."""
    rows = tf.cast(tf.reshape(picture, (picture.shape[0], -1)), tf.float32)
    low = tf.reduce_min(tf.reshape(tf.reduce_min(rows, 0), (-1, picture.shape[2])), 0)
    high = tf.reduce_max(tf.reshape(tf.reduce_max(rows, 0), (-1, picture.shape[2])), 0)
    low, high = tf.cast(low, tf.float64)[:, None], tf.cast(high, tf.float64)[:, None]
    factor = 255 / tf.maximum(high - low, 1)
    values = np.arange(256, dtype=np.float64)
    stretched = tf.clip_by_value(values * factor - low * factor, 0, 255)
    return _look_up(picture, tf.where(high > low, stretched, values))


def equalize(picture: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Spread each channel's histogram evenly."""
    channels = picture.shape[2]
    counts = tf.raw_ops.DenseBincount(
        input=tf.reshape(_places(picture), (-1,)), size=256 * channels, weights=tf.constant([], tf.int32)
    )
    histogram, values = tf.reshape(counts, (channels, 256)), np.arange(256, dtype=np.int32)
    last = tf.reduce_max(tf.where(histogram > 0, values, 0), 1, keepdims=True)
    num_last = tf.gather(histogram, last, batch_dims=1)
    step = (tf.reduce_sum(histogram, 1, keepdims=True) - num_last) // 255
    table = (step // 2 + tf.cumsum(histogram, 1, exclusive=True)) // tf.maximum(step, 1)
    return _look_up(picture, tf.where(step > 0, tf.minimum(table, 255), values))


def brightness(picture: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with black: 0 is black, 1 the picture itself, more is brighter."""
    return _blend(0.0, tf.cast(picture, tf.float32), factor)


def color(picture: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with the grey picture: 0 is grey, 1 the picture itself, more has stronger colours."""
    floats = tf.cast(picture, tf.float32)
    return _blend(_luma(floats, picture.shape[2]), floats, factor)


def contrast(picture: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with the mean grey level: 0 is all one grey, 1 the picture itself, more has harder contrasts."""
    floats = tf.cast(picture, tf.float32)
    total = tf.reduce_sum(tf.cast(_luma(floats, 1), tf.float64))
    mean = tf.floor(total / (picture.shape[0] * picture.shape[1]) + 0.5)
    return _blend(tf.cast(mean, tf.float32), floats, factor)


def sharpness(picture: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend with a smoothed picture: 0 is smooth, 1 the picture itself, more is sharper."""
    floats = tf.cast(picture, tf.float32)
    if min(picture.shape[:2]) < 3:  # the filter leaves the border alone, and there is nothing else
        return picture
    rows = floats[:-2] + floats[1:-1] + floats[2:]
    inner = floats[1:-1, 1:-1]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * inner
    smooth = tf.floor((sums + 6) * (1 / 13) + 1e-3)  # sums are whole: a 13th is far more than any error of rounding
    return _with_inner(picture, _blend(smooth, inner, factor))


def hue(picture: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turn the hue by a part of the circle, -0.5 to 0.5, in Pillow's HSV of 8 bits; grey pictures stay as they are."""
    if picture.shape[2] == 1:
        return picture
    values = tf.cast(picture, tf.float32)
    high, low = tf.reduce_max(values, 2), tf.reduce_min(values, 2)
    spread = high - low
    # Pillow stores each step in float32 and computes between them in float64.
    red, green, blue = tf.unstack((high[..., None] - values) / tf.maximum(spread, 1)[..., None], axis=2)
    wide = [tf.cast(part, tf.float64) for part in (red, green, blue)]
    second, third = (tf.cast(part, tf.float32) for part in (2 + wide[0] - wide[2], 4 + wide[1] - wide[0]))
    sixth = tf.where(red == 0, blue - green, tf.where(green == 0, second, third))
    circle = tf.cast(sixth, tf.float64) / 6 + 1
    angle = tf.cast(tf.cast(tf.cast(circle - tf.floor(circle), tf.float32), tf.float64) * 255, tf.int32)
    angle = (tf.where(spread > 0, angle, 0) + tf.cast(turn * 255, tf.int32)) % 256
    saturation = tf.floor(tf.cast(spread / tf.maximum(high, 1), tf.float64) * 255)
    saturation = tf.cast(tf.cast(saturation / 255, tf.float32), tf.float64)
    place = tf.cast(angle, tf.float64) * 6 / 255
    sector = tf.floor(place)
    part, high = tf.cast(tf.cast(place - sector, tf.float32), tf.float64), tf.cast(high, tf.float64)
    least, falling, rising = (
        tf.floor(high * (1 - saturation * share) + 0.5) for share in (tf.ones_like(part), part, 1 - part)
    )
    turned = [tf.stack(colors, 2) for colors in (
        (high, rising, least), (falling, high, least), (least, high, rising),
        (least, falling, high), (rising, least, high), (high, least, falling),
    )]  # fmt: skip
    result, number = turned[0], (tf.cast(sector, tf.int32) % 6)[..., None]
    for index in range(1, 6):
        result = tf.where(number == index, turned[index], result)
    return tf.cast(result, tf.uint8)


def coefficients(name: str, number: float, height: int, width: int) -> tuple[float, ...]:
    """The map of a geometric operation, as `affine` takes it.

    Args:
        name: "shear_x" or "shear_y" (the number is a factor: each row moves left, each column up, by its distance from
            the corner times it), "translate_x" or "translate_y" (pixels to the left or up), "rotate" (degrees
            counter-clockwise about the middle).
        number: How strongly.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.

    Returns:
        Six numbers.
    """
    if name == "rotate":
        # Pillow cuts sine and cosine off after 15 digits, so that a right angle is one.
        cosine, sine = (round(one(-math.radians(number % 360)), 15) for one in (math.cos, math.sin))
        x, y = width / 2, height / 2
        return cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y
    shear = {"shear_x": (1, number, 0, 0, 1, 0), "shear_y": (1, 0, 0, number, 1, 0)}
    return {**shear, "translate_x": (1, 0, number, 0, 1, 0), "translate_y": (1, 0, 0, 0, 1, number)}[name]


GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def affine(picture: tf.Tensor, numbers: tf.Tensor, interpolation: Interpolation = "nearest") -> tf.Tensor:
    """Fetch each pixel (x, y) from (a x + b y + c, d x + e y + f); from outside comes black.

    Args:
        picture: (height, width, channels) uint8.
        numbers: a to f, (6,) float64, in pixels, for coordinates that count from the corner of the picture.
        interpolation: "nearest" or "bilinear".

    Returns:
        A picture of the same shape.
    """
    return (_affine_nearest if interpolation == "nearest" else _affine_bilinear)(picture, numbers)


def _affine_nearest(picture: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    height, width, channels = picture.shape
    steps = tf.reshape(tf.matmul(tf.reshape(numbers, (2, 3)), [[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]), (6, 1))
    a, b, c, d, e, f = tf.unstack(tf.cast(tf.floor(steps * _ONE + 0.5), tf.int32))
    across, down = np.arange(width, dtype=np.int32), np.arange(height, dtype=np.int32)[:, None]
    x = tf.bitwise.right_shift(across * a + (down * b + c), 16)
    y = tf.bitwise.right_shift(across * d + (down * e + f), 16)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = tf.pad(tf.reshape(picture, (-1, channels)), [[0, 1], [0, 0]])  # the last one is what lies outside
    return tf.gather(pixels, tf.where(inside, y * width + x, height * width))


def _affine_bilinear(picture: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    height, width, channels = picture.shape
    a, b, c, d, e, f = tf.unstack(tf.reshape(numbers, (6, 1)))
    across, down = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    x, y = a * across + (b * down + c), d * across + (e * down + f)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = tf.floor(x - 0.5), tf.floor(y - 0.5)
    right_part = tf.cast(x - 0.5 - left, tf.float32)[..., None]
    lower_part = tf.cast(y - 0.5 - top, tf.float32)[..., None]
    left, top = tf.cast(left, tf.int32), tf.cast(top, tf.int32)
    pixels = tf.cast(tf.reshape(picture, (-1, channels)), tf.float32)

    def row(number: tf.Tensor) -> tf.Tensor:
        begin = tf.clip_by_value(number, 0, height - 1) * width
        first = tf.gather(pixels, begin + tf.clip_by_value(left, 0, width - 1))
        second = tf.gather(pixels, begin + tf.clip_by_value(left + 1, 0, width - 1))
        return first + (second - first) * right_part

    upper, lower = row(top), row(top + 1)
    return tf.cast(tf.where(inside[..., None], upper + (lower - upper) * lower_part, 0), tf.uint8)


def _luma(floats: tf.Tensor, channels: int) -> tf.Tensor:
    """The grey picture in so many equal channels; whole numbers up to 2**24, which float32 holds."""
    if floats.shape[2] == 1:
        return floats
    weights = tf.constant([[weight / _ONE] * channels for weight in _LUMA], tf.float32)
    grey = tf.floor(tf.matmul(tf.reshape(floats, (-1, 3)), weights) + 0.5)
    return tf.reshape(grey, (*floats.shape[:2], channels))


def _blend(base: tf.Tensor | float, floats: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """From `base` towards the picture and beyond, the fraction cut off."""
    mixed = base + tf.cast(factor, tf.float32) * (floats - base)
    return tf.cast(tf.clip_by_value(mixed, 0, 255), tf.uint8)


def _look_up(picture: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Replace values by a table of 256 for each channel."""
    return tf.reshape(tf.gather(tf.reshape(tf.cast(tables, tf.uint8), (-1,)), _places(picture)), picture.shape)


def _places(picture: tf.Tensor) -> tf.Tensor:
    """Where each value lies in a table of 256 for each channel, (height, width * channels) int32."""
    height, width, channels = picture.shape
    # One long row after the other: adding along an axis of three takes several times as long.
    return tf.cast(tf.reshape(picture, (height, -1)), tf.int32) + np.tile(
        256 * np.arange(channels, dtype=np.int32), width
    )


def _with_inner(picture: tf.Tensor, inner: tf.Tensor) -> tf.Tensor:
    """The picture with another inside and its own border of one pixel."""
    middle = tf.concat([picture[1:-1, :1], inner, picture[1:-1, -1:]], 1)
    return tf.concat([picture[:1], middle, picture[-1:]], 0)
