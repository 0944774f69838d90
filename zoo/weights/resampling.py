"""Resizing as Pillow does it, in TensorFlow: to the bit for pictures of 8 bits.

Published weights were trained and measured with pictures that Pillow resized: torchvision's and timm's transforms call
it. Its filters are stretched by the factor that a picture shrinks by (antialiasing), its coefficients are whole numbers
of 22 fractional bits, and it rounds to 8 bits twice, after the pass along the rows and after that along the columns
(`src/libImaging/Resample.c`, https://github.com/python-pillow/Pillow). `tf.image.resize` works in floating-point and
differs by a few of 255 levels.

Pillow 13 goes along the columns first where the height loses more than twice as many pixels as the width
(https://github.com/python-pillow/Pillow/pull/9549); so does this file. Older versions never did: their results differ
there by a level or two.

Resizing is separable and linear, so each pass is a product with a sparse matrix of as many rows as the result has
pixels along that axis. What is cut away later is never computed.
"""

import math

import tensorflow as tf

# As Pillow: 32 bits less the 8 of a pixel and 2 for the overshoot of filters with negative lobes.
PRECISION_BITS = 22
# How far each filter reaches to either side, in pixels of the larger grid.
RADIUS = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def resize_window(
    pictures: tf.Tensor,
    size: tuple[tf.Tensor, tf.Tensor],
    start: tuple[tf.Tensor, tf.Tensor],
    count: tuple[tf.Tensor, tf.Tensor],
    *,
    interpolation: str,
    antialias: bool,
) -> tf.Tensor:
    """A window of the resized pictures; nothing else of them is computed.

    Args:
        pictures: (batch, height, width, channels), uint8, or float32 of any range.
        size: Height and width of the whole resized picture, int32 scalars.
        start: First row and column of the window.
        count: Rows and columns of the window.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos".
        antialias: Whether filters are stretched where the picture shrinks; has no meaning for "nearest".

    Returns:
        (batch, rows, columns, channels) of the dtype of `pictures`. uint8 is rounded after each pass, as Pillow
        does; float32 is not rounded, and may overshoot its range with "bicubic" and "lanczos".
    """
    shape = tf.shape(pictures)
    if interpolation == "nearest":
        rows, columns = (_nearest(shape[1 + axis], size[axis], start[axis], count[axis]) for axis in (0, 1))
        return tf.gather(tf.gather(pictures, rows, axis=1), columns, axis=2)
    whole = pictures.dtype == tf.uint8
    with tf.device("CPU:0"):  # where TensorFlow has sparse products of whole numbers
        top, rows = _coefficients(shape[1], size[0], start[0], count[0], interpolation, antialias, whole)
        left, columns = _coefficients(shape[2], size[1], start[1], count[1], interpolation, antialias, whole)
        x = pictures[:, top : top + _width(rows), left : left + _width(columns)]
        overshoots = interpolation != "bilinear"
        lost = shape[1:3] - tf.stack(size)
        return tf.cond(
            (lost[0] > 0) & (lost[0] > 2 * lost[1]),
            lambda: _along_rows(_along_columns(x, rows, overshoots), columns, overshoots),
            lambda: _along_columns(_along_rows(x, columns, overshoots), rows, overshoots),
        )


def _along_rows(x: tf.Tensor, matrix: tf.SparseTensor, overshoots: bool) -> tf.Tensor:
    """Replace the width by weighted sums over it.

    Width and channels in one axis make the move to the front, and back, a plain transposition of a matrix.
    """
    batch, height, width, channels = tf.unstack(tf.shape(x))
    x = tf.transpose(tf.reshape(x, (batch * height, width * channels)))
    x = _product(matrix, tf.reshape(x, (width, channels * batch * height)), overshoots)
    x = tf.transpose(tf.reshape(x, (-1, batch * height)))
    return tf.reshape(x, (batch, height, -1, channels))


def _along_columns(x: tf.Tensor, matrix: tf.SparseTensor, overshoots: bool) -> tf.Tensor:
    """Replace the height by weighted sums over it."""
    batch, height, width, channels = tf.unstack(tf.shape(x))
    x = tf.reshape(tf.transpose(x, (1, 0, 2, 3)), (height, batch * width * channels))
    x = _product(matrix, x, overshoots)
    return tf.transpose(tf.reshape(x, (-1, batch, width, channels)), (1, 0, 2, 3))


def _product(matrix: tf.SparseTensor, x: tf.Tensor, overshoots: bool) -> tf.Tensor:
    """The product with a matrix of 8 bits, rounded to 8 bits, or of floating-point numbers."""
    if x.dtype != tf.uint8:
        return tf.sparse.sparse_dense_matmul(matrix, x)
    x = tf.sparse.sparse_dense_matmul(matrix, tf.cast(x, tf.int32))
    x = tf.bitwise.right_shift(x + (1 << (PRECISION_BITS - 1)), PRECISION_BITS)
    return tf.cast(tf.clip_by_value(x, 0, 255) if overshoots else x, tf.uint8)


def _width(matrix: tf.SparseTensor) -> tf.Tensor:
    return tf.cast(matrix.dense_shape[1], tf.int32)


def _coefficients(
    length: tf.Tensor,
    size: tf.Tensor,
    start: tf.Tensor,
    count: tf.Tensor,
    interpolation: str,
    antialias: bool,
    whole: bool,
) -> tuple[tf.Tensor, tf.SparseTensor]:
    """The first pixel that `count` resized pixels see along one axis, and the matrix (count, pixels) from there on.

    All in float64 and in the order of Pillow's `precompute_coeffs`, so that rounding finds the same whole numbers.
    """
    wide, pixels = tf.cast(size, tf.float64), tf.cast(length, tf.float64)
    scale = pixels / wide
    stretch = tf.maximum(scale, 1.0) if antialias else tf.ones((), tf.float64)
    support = RADIUS[interpolation] * stretch
    centres = (tf.cast(start + tf.range(count), tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centres - support + 0.5, tf.int32), 0)
    last = tf.minimum(tf.cast(centres + support + 0.5, tf.int32), length)
    taps = tf.range(2 * tf.cast(tf.math.ceil(support), tf.int32) + 1)
    indices = first[:, tf.newaxis] + taps
    offsets = (tf.cast(indices, tf.float64) - centres[:, tf.newaxis] + 0.5) * (1.0 / stretch)
    weights = tf.where(indices < last[:, tf.newaxis], _filter(offsets, interpolation), 0.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    if whole:
        weights = tf.cast(weights * (1 << PRECISION_BITS) + 0.5 * tf.sign(weights), tf.int32)
    rows = tf.broadcast_to(tf.range(count)[:, tf.newaxis], tf.shape(indices))
    # Taps behind the border weigh nothing; they must only point somewhere.
    where = tf.stack([rows, tf.minimum(indices, last[-1] - 1) - first[0]], axis=-1)
    return first[0], tf.SparseTensor(
        tf.cast(tf.reshape(where, (-1, 2)), tf.int64),
        tf.reshape(tf.cast(weights, tf.int32 if whole else tf.float32), [-1]),
        tf.cast(tf.stack([count, last[-1] - first[0]]), tf.int64),
    )


def _filter(x: tf.Tensor, interpolation: str) -> tf.Tensor:
    """The weight of a pixel at the distance x."""
    if interpolation == "bilinear":
        return tf.maximum(1.0 - tf.abs(x), 0.0)
    if interpolation == "bicubic":
        # Keys 1981 with a = -1/2.
        a, x = -0.5, tf.abs(x)
        near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
        return tf.where(x < 1.0, near, tf.where(x < 2.0, far, 0.0))
    return tf.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3.0), 0.0)


def _sinc(x: tf.Tensor) -> tf.Tensor:
    angle = x * math.pi
    return tf.where(x == 0.0, tf.ones_like(x), tf.math.divide_no_nan(tf.sin(angle), angle))


def _nearest(length: tf.Tensor, size: tf.Tensor, start: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Indices of the pixels that are taken. Pillow adds the step up; a product would round differently."""
    step = tf.cast(length, tf.float64) / tf.cast(size, tf.float64)
    steps = tf.concat([step[tf.newaxis] * 0.5, tf.fill([start + count - 1], step)], 0)
    return tf.minimum(tf.cast(tf.cumsum(steps), tf.int32)[start:], length - 1)
