"""Pooling, on maps that are small enough to count by hand, and against SciPy's filters."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from zoo.layers import DilatedPooling2D, adaptive_average_pool, average_pool, max_pool


def pooled(function, values, *args, **kwargs):
    """What a pooling makes of one channel."""
    values = np.asarray(values, "float32")
    inputs = keras.Input((*values.shape, 1))
    model = keras.Model(inputs, function(inputs, *args, name="pool", **kwargs))
    return model(values[None, ..., None]).numpy()[0, ..., 0]


def test_last_window_reaches_over_the_border_in_ceil_mode():
    row = np.tile([[3.0, 1.0, 2.0, 5.0]], (4, 1))
    np.testing.assert_array_equal(pooled(max_pool, row, 3, strides=2)[0], [3])
    np.testing.assert_array_equal(pooled(max_pool, row, 3, strides=2, padding="ceil")[0], [3, 5])
    np.testing.assert_array_equal(pooled(max_pool, row[:, :3], 2, strides=2, padding="ceil")[0], [3, 2])


@pytest.mark.parametrize("size", [(4, 4), (5, 4), (7, 9), (2, 3)])
def test_border_of_ceil_mode_counts_for_nothing_where_values_may_be_negative(size):
    values = -np.random.default_rng(0).uniform(1, 2, size)
    outputs = pooled(max_pool, values, 3, strides=2, padding="ceil", signed=True)
    rows, columns = (range(0, length - 1, 2) for length in size)
    expected = [[values[i : i + 3, j : j + 3].max() for j in columns] for i in rows]
    np.testing.assert_allclose(outputs, expected)


def test_zeros_beyond_the_border_count_in_the_mean_or_do_not():
    ones = np.ones((3, 3))
    np.testing.assert_allclose(pooled(average_pool, ones, 3, padding="same"), ones)
    counted = pooled(average_pool, ones, 3, padding="same", count_include_pad=True)
    np.testing.assert_allclose(counted, np.array([[4, 6, 4], [6, 9, 6], [4, 6, 4]]) / 9)


@pytest.mark.parametrize("dilation", [2, 3])
def test_dilated_pooling_is_that_of_scipy_with_spaced_taps(dilation):
    values = np.random.default_rng(0).normal(size=(11, 9)).astype("float32")
    footprint = np.zeros((2 * dilation + 1,) * 2)
    footprint[::dilation, ::dilation] = 1
    expected = ndimage.maximum_filter(values, footprint=footprint, mode="constant", cval=-np.inf)
    options = {"padding": "same", "dilation_rate": dilation}
    np.testing.assert_array_equal(pooled(max_pool, values, 3, **options), expected)
    inside = slice(dilation, -dilation), slice(dilation, -dilation)
    np.testing.assert_array_equal(pooled(max_pool, values, 3, dilation_rate=dilation), expected[inside])
    total = ndimage.correlate(values.astype("float64"), footprint, mode="constant")
    counts = ndimage.correlate(np.ones_like(values, "float64"), footprint, mode="constant")
    np.testing.assert_allclose(pooled(average_pool, values, 3, **options), total / counts, atol=1e-6)
    np.testing.assert_allclose(pooled(average_pool, values, 3, count_include_pad=True, **options), total / 9, atol=1e-6)


def test_dilated_pooling_of_two_taps_shrinks_by_the_dilation():
    layer = DilatedPooling2D("average", 2, dilation_rate=2)
    assert layer.compute_output_shape((None, None, 7, 5)) == (None, None, 5, 5)
    values = np.arange(5.0)[None, None, :, None].repeat(3, axis=1)
    np.testing.assert_allclose(layer(values)[0, 0, :, 0], [1, 2, 3])
    with pytest.raises(ValueError, match="needs a feature map of at least 3. Received"):
        keras.Sequential([keras.Input((2, 7, 1)), layer])


def test_dilated_pooling_takes_half_precision_and_gradients():
    keras.config.set_dtype_policy("mixed_float16")
    layer = DilatedPooling2D("max", 3, dilation_rate=2, padding="same")
    values = tf.Variable(np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype("float32"))
    with tf.GradientTape() as tape:
        outputs = layer(values)
        total = tf.reduce_sum(tf.cast(outputs, "float32"))
    assert outputs.dtype == tf.float16
    gradient = tape.gradient(total, values)
    assert float(tf.reduce_sum(gradient)) == 50


@pytest.mark.parametrize("size", [(5, 7), (1, 2), (14, 3), (7, 7)])
def test_bins_of_adaptive_pooling_reach_from_floor_to_ceil(size):
    values = np.random.default_rng(0).normal(size=size).astype("float32")
    rows, columns = ([(i * n // 7, -((-(i + 1) * n) // 7)) for i in range(7)] for n in size)
    expected = [[values[a:b, c:d].mean() for c, d in columns] for a, b in rows]
    np.testing.assert_allclose(pooled(adaptive_average_pool, values, 7), expected, atol=1e-6)
    # Keras's own layer fails in a compiled function where the map is smaller than the output.
    inputs = keras.Input((*size, 1))
    model = keras.Model(inputs, adaptive_average_pool(inputs, 7, name="pool"))
    np.testing.assert_allclose(tf.function(model)(values[None, ..., None])[0, ..., 0], expected, atol=1e-6)


def test_adaptive_pooling_leaves_a_map_of_that_size_alone_and_refuses_an_unknown_one():
    inputs = keras.Input((7, 7, 3))
    assert adaptive_average_pool(inputs, 7, name="pool") is inputs
    with pytest.raises(ValueError, match=r"dense head needs a fixed input size. Received .*\(None, None, 7, 3\)"):
        adaptive_average_pool(keras.Input((None, 7, 3)), 7, name="pool")
