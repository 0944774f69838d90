"""Pools of maxima pad themselves where that changes nothing, and nowhere else."""

import keras
import numpy as np
import pytest
from deploy.networks import needs, pictures
from keras import layers

from zoo.deploy import engines


@pytest.fixture(autouse=True)
def _needs_openvino():
    needs("openvino")


def pads(model):
    """How many nodes pad in OpenVINO, when the network has answered as Keras does."""
    engine, shape = engines.ENGINES["openvino"], tuple(model.input_shape[1:])
    x = pictures(2, shape)
    found = engines.compile(model, "openvino", batch_size=2)(x)
    np.testing.assert_allclose(found, model(x, training=False), atol=1e-6)
    nodes = engine.convert(engine.graph(model, shape)).get_ordered_ops()
    return [node.get_type_name() for node in nodes].count("Pad")


def network(before, padding, behind, shape=(9, 12, 3)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, behind(layers.ZeroPadding2D(padding)(before(inputs))))


@pytest.mark.parametrize("padding", [1, ((0, 1), (0, 1)), ((2, 0), (1, 2))], ids=str)
@pytest.mark.parametrize(
    "before",
    [
        layers.ReLU,
        lambda: layers.ReLU(6.0),
        lambda: lambda x: layers.Concatenate()([layers.ReLU()(x), layers.MaxPooling2D(1)(layers.ReLU()(x))]),
    ],
    ids=["relu", "relu6", "concatenated"],
)
def test_zeros_behind_what_is_never_negative_go_into_the_pool(before, padding):
    assert pads(network(before(), padding, layers.MaxPooling2D(3, 2))) == 0


@pytest.mark.parametrize(
    ("before", "padding", "behind"),
    [
        (layers.Identity(), 1, layers.MaxPooling2D(3, 2)),
        (layers.LeakyReLU(), 1, layers.MaxPooling2D(3, 2)),
        (layers.ReLU(), 2, layers.MaxPooling2D(2)),
        (layers.ReLU(), 1, layers.MaxPooling2D(3, padding="same")),
    ],
    ids=["any sign", "leaky", "a window of zeros alone", "padded already"],
)
def test_other_zeros_stay(before, padding, behind):
    assert pads(network(before, padding, behind)) == 1


def test_a_batch_of_zeros_and_other_values_stay():
    from openvino import Model
    from openvino import opset13 as ops

    from zoo.deploy import pools

    for begin, value in (((1, 0, 0, 0), 0), ((0, 0, 1, 1), 1)):
        images = ops.parameter((2, 3, 8, 8), np.float32)
        padded = ops.pad(ops.relu(images), begin, begin, "constant", np.float32(value))
        pooled = ops.max_pool(padded, (2, 2), (1, 1), (0, 0), (0, 0), (3, 3), "floor", "valid")
        assert pools.pad_inside(Model([pooled.output(0)], [images], "network")) == 0
