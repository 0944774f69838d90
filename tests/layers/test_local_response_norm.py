import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import LocalResponseNormalization


def test_by_hand():
    # Neighbours of 1, 2, 2 within one channel: squares 1+4, 1+4+4, 4+4.
    layer = LocalResponseNormalization(depth_radius=1, bias=2.0, alpha=0.5, beta=0.75)
    actual = layer(np.array([[[[1.0, 2.0, 2.0]]]], "float32"))
    expected = [1 / (2 + 2.5) ** 0.75, 2 / (2 + 4.5) ** 0.75, 2 / (2 + 4.0) ** 0.75]
    np.testing.assert_allclose(actual[0, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_is_that_of_tensorflow(channels):
    arguments = {"depth_radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}
    inputs = 30 * np.random.default_rng(0).normal(size=(2, 5, 4, channels)).astype("float32")
    expected = tf.nn.local_response_normalization(inputs, **arguments)
    np.testing.assert_allclose(LocalResponseNormalization(**arguments)(inputs), expected, rtol=1e-5)


def test_sum_of_squares_does_not_overflow_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    layer = LocalResponseNormalization(depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75)
    output = layer(np.full((1, 1, 1, 5), 1000.0, "float32"))
    assert output.dtype == "float16"
    np.testing.assert_allclose(output[0, 0, 0, 2], 1000 / (2 + 1e-4 * 5e6) ** 0.75, rtol=1e-3)


def test_is_saved_with_its_constants(tmp_path):
    source = keras.Input((4, 4, 6))
    model = keras.Model(source, LocalResponseNormalization(1, 3.0, 0.1, 0.5)(source))
    model.save(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).normal(size=(1, 4, 4, 6)).astype("float32")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(inputs), model(inputs))
