"""LeNet-5 in the terms of its paper."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn
from zoo.models.image.lenet import C3_TABLE, RadialBasis, TableConv2D, scaled_tanh


@undrawn()
def test_layers_have_the_parameters_that_the_paper_states():
    model = zoo.create_model("lenet5")
    stated = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert {name: model.get_layer(name).count_params() for name in stated} == stated
    assert zoo.count_params(model)[0] == 60_000


def test_connections_are_the_papers():
    """Section II.B counts a connection for each input of each unit, the bias among them."""
    model = zoo.create_model("lenet5")
    positions = {"c1": 28 * 28, "c3": 10 * 10, "c5": 1, "f6": 1}
    connections = {name: model.get_layer(name).count_params() * count for name, count in positions.items()}
    assert connections == {"c1": 122_304, "c3": 151_600, "c5": 48_120, "f6": 10_164}
    subsampling = {"s2": 14 * 14 * 6 * 5, "s4": 5 * 5 * 16 * 5}
    assert subsampling == {"s2": 5_880, "s4": 2_000}
    assert sum(connections.values()) + sum(subsampling.values()) + 840 == 340_908


def test_table_of_connections():
    assert len(C3_TABLE) == 16
    assert sum(map(len, C3_TABLE)) == 60
    assert [sum(source in row for row in C3_TABLE) for source in range(6)] == [10] * 6
    assert all(list(row) == sorted(set(row)) for row in C3_TABLE)


def test_table_convolution_by_hand():
    layer = TableConv2D([[0, 2], [1]], 2)
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 3)).astype("float32")
    layer.build(x.shape)
    kernel, bias = np.random.default_rng(1).normal(size=(2, 2, 3)), np.array([0.5, -1])
    layer.set_weights([kernel, bias])
    expected = np.zeros((2, 3, 2))
    for i in range(2):
        for j in range(3):
            window = x[0, i : i + 2, j : j + 2]
            expected[i, j, 0] = np.sum(window[..., 0] * kernel[..., 0] + window[..., 2] * kernel[..., 1]) + 0.5
            expected[i, j, 1] = np.sum(window[..., 1] * kernel[..., 2]) - 1
    np.testing.assert_allclose(layer(x)[0], expected, rtol=1e-4, atol=1e-5)
    assert layer.compute_output_shape((None, 3, None, 3)) == (None, 2, None, 2)


def test_table_convolution_refuses_a_map_that_is_not_there():
    with pytest.raises(ValueError, match="names a map beyond the input's 2"):
        TableConv2D([[0, 2]], 3).build((None, 8, 8, 2))


def test_full_table_is_a_plain_convolution():
    layer = TableConv2D([range(3)] * 4, 5)
    plain = keras.layers.Conv2D(4, 5)
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 3)).astype("float32")
    layer.build(x.shape)
    plain.build(x.shape)
    kernel = np.random.default_rng(1).normal(size=(5, 5, 3, 4)).astype("float32")
    plain.set_weights([kernel, np.zeros(4)])
    layer.set_weights([kernel.transpose(0, 1, 3, 2).reshape(5, 5, 12), np.zeros(4)])
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-4, atol=1e-4)


def test_squashing_function():
    # Appendix A: f(1) = 1 and f(-1) = -1
    np.testing.assert_allclose(scaled_tanh(np.array([-1.0, 0.0, 1.0], "float32")), [-1, 0, 1], atol=1e-4)


def test_output_is_the_negative_squared_distance_to_the_codes():
    layer = RadialBasis(2)
    layer.build((None, 3))
    assert layer.trainable_variables == []
    assert set(np.unique(layer.codes)) <= {-1.0, 1.0}
    layer.set_weights([np.array([[1, 1, -1], [-1, -1, -1]])])
    np.testing.assert_allclose(layer(np.array([[1.0, 1.0, 0.0]], "float32")), [[-1, -9]])


@undrawn()
def test_modern_variant_is_the_form_of_reimplementations():
    model = zoo.create_model("lenet5", variant="modern")
    assert zoo.count_params(model) == (61_706, 0)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}


def test_initial_weights_are_uniform_within_the_papers_limit():
    model = zoo.create_model("lenet5")
    limits = {"c1": 25, "c5": 400, "f6": 120}
    for name, fan_in in limits.items():
        values = np.asarray(model.get_layer(name).get_weights()[0])
        assert 0.9 * 2.4 / fan_in < np.abs(values).max() <= 2.4 / fan_in
    kernel = model.get_layer("c3").get_weights()[0]
    assert np.abs(kernel[..., -1]).max() <= 2.4 / 150  # the last map sees all six
    assert 2.4 / 90 < np.abs(kernel[..., 0]).max() <= 2.4 / 75  # the first sees three


@undrawn()
def test_simple_cnn_is_the_courses_network():
    model = zoo.create_model("simple_cnn")
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers if "Identity" not in type(layer).__name__]
    assert shapes == [
        (28, 28, 1), (26, 26, 25), (13, 13, 25), (11, 11, 50), (5, 5, 50), (1250,), (100,), (10,), (10,)
    ]  # fmt: skip
    assert zoo.count_params(model)[0] == 250 + 11_300 + 125_100 + 1_010
    assert zoo.create_model("simple_cnn", filters=(8, 16), hidden_units=32).get_layer("hidden").units == 32
