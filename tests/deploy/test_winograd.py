"""Convolutions by tiles are the convolutions that they stand for, in whatever they stand."""

from fractions import Fraction

import keras
import numpy as np
import pytest
from deploy.networks import needs, pictures, with_statistics
from keras import layers

from zoo.deploy import engines, fold, winograd
from zoo.deploy.differences import relative_difference

# Of the sums themselves, and of tiles, in float32.
SUMS, TILES = 1e-5, 3e-5


@pytest.fixture(autouse=True)
def _needs_openvino():
    needs("openvino")


def converted(model, batch_size):
    """A network for OpenVINO, for batches of one size."""
    engine, shape = engines.ENGINES["openvino"], tuple(model.input_shape[1:])
    found = engine.convert(engine.graph(fold(model), shape))
    found.reshape([batch_size, *shape])
    return found


def kinds(model):
    return [node.get_type_name() for node in model.get_ordered_ops()]


def answers(model, x):
    import openvino

    request = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(value) for value in request([x]).values()]


def proven(model, batch_size=2):
    """How many convolutions became tiles, when Keras and OpenVINO's own convolutions have answered alike."""
    x = pictures(batch_size, tuple(model.input_shape[1:]))
    plain, tiles = converted(model, batch_size), converted(model, batch_size)
    count = winograd.accelerate(tiles)
    assert kinds(plain).count("Convolution") - kinds(tiles).count("Convolution") == count
    expected = [np.asarray(value) for value in keras.tree.flatten(model(x, training=False))]
    for found, tolerance in ((plain, SUMS), (tiles, TILES)):
        assert relative_difference(answers(found, x), expected) < tolerance
    return count


def convolution(filters=96, size=3, **arguments):
    return layers.Conv2D(filters, size, **{"padding": "same", "bias_initializer": "random_normal", **arguments})


def test_the_matrices_are_exact():
    kernel = [[Fraction(value).limit_denominator(24) for value in row] for row in winograd._KERNEL]
    np.testing.assert_array_equal(np.array(kernel, "float64"), winograd._KERNEL)
    for tap in range(3):
        for place in range(6):
            patch = winograd._INPUT[:, place].tolist()
            products = [row[tap] * number for row, number in zip(kernel, patch, strict=True)]
            found = [sum(a * b for a, b in zip(row, products, strict=True)) for row in winograd._OUTPUT.tolist()]
            # Output i takes input i + tap by that tap.
            assert found == [int(place == i + tap) for i in range(4)]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("height", "width"), [(24, 24), (25, 31), (23, 26)])
def test_convolutions_of_all_sizes(height, width, padding):
    inputs = keras.Input((height, width, 64))
    assert proven(keras.Model(inputs, convolution(128, padding=padding)(inputs)), 3) == 1


def test_biases_and_activations_go_along():
    inputs = keras.Input((24, 24, 96))
    x = convolution(use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = convolution(use_bias=False)(x)
    x = layers.Activation("relu")(convolution(activation="tanh")(x))
    model = with_statistics(keras.Model(inputs, x))
    assert proven(model) == 3
    tiles = converted(model, 2)
    winograd.accelerate(tiles)
    # There and back once for all three, and not between them but for tanh.
    assert kinds(tiles).count("Transpose") <= 2 + kinds(converted(model, 2)).count("Transpose")


def test_branches_and_sums():
    inputs = keras.Input((24, 24, 96))
    x = convolution(activation="relu")(inputs)
    y = convolution(activation="relu")(x)
    y = layers.Add()([convolution()(y), x])
    scale = layers.Dense(96, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, scale])
    z = layers.Concatenate()([layers.MaxPooling2D()(y), convolution(32, 1, strides=2)(x)])
    deep = layers.GlobalAveragePooling2D()(convolution(activation="relu")(z))
    assert proven(keras.Model(inputs, [y, deep, x]), 8) == 4


def test_one_convolution_called_twice():
    inputs, shared = keras.Input((24, 24, 96)), convolution(activation="relu")
    assert proven(keras.Model(inputs, shared(shared(inputs)))) == 2


@pytest.mark.parametrize(
    "arguments",
    [{"strides": 2}, {"dilation_rate": 2}, {"groups": 2}, {"size": 1}, {"size": 5}, {"size": (3, 5)}, {"filters": 4}],
    ids=str,
)
def test_others_stay(arguments):
    inputs = keras.Input((32, 32, 128))
    assert proven(keras.Model(inputs, convolution(**arguments)(inputs))) == 0


def test_few_tiles_of_many_channels_stay():
    inputs = keras.Input((7, 7, 256))
    model = keras.Model(inputs, convolution(256)(inputs))
    assert proven(model, 1) == 0
    assert proven(model, 16) == 1


def test_the_engine_uses_them_in_float32_alone(monkeypatch):
    found = []
    accelerate = winograd.accelerate
    monkeypatch.setattr(winograd, "accelerate", lambda model: found.append(accelerate(model)))
    monkeypatch.setattr(engines.platform, "machine", lambda: "x86_64")
    inputs = keras.Input((24, 24, 96))
    model = keras.Model(inputs, convolution()(inputs))
    x = pictures(2, (24, 24, 96))
    for precision in engines.PRECISIONS:
        assert relative_difference([engines.compile(model, "openvino", precision, 2)(x)], [model(x)]) < 0.03
    assert found == [1]
    monkeypatch.setattr(engines.platform, "machine", lambda: "aarch64")
    engines.compile(model, "openvino", "float32", 2)
    assert found == [1]
