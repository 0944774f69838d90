"""The network of rows: any layers in any order."""

import itertools

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn


def kinds(model):
    return [layer.name for layer in model.layers if layer.name.startswith(("layer", "hidden"))]


@undrawn()
def test_rows_are_layers_in_their_order():
    rows = (("batch_norm",), ("strided_conv", 4, 5), ("average_pool",), ("conv", 6, 1), ("max_pool",))
    model = zoo.create_model("plain_cnn", rows=rows, activation="tanh", hidden_layers=(7, 5), dropout=0.1)
    assert kinds(model) == [
        "layer1_bn", "layer2_conv_pad", "layer2_conv", "layer2_tanh", "layer3_pool", "layer4_conv", "layer4_tanh",
        "layer5_pool", "hidden1", "hidden1_tanh", "hidden1_dropout", "hidden2", "hidden2_tanh", "hidden2_dropout",
    ]  # fmt: skip
    assert list(zoo.endpoints(model)) == ["stride1", "stride2", "stride4", "stride8", "logits"]


@undrawn()
def test_every_order_of_layers_fits_every_picture():
    for rows in itertools.product([("conv", 2, 3), ("strided_conv", 2, 3), ("max_pool",), ("batch_norm",)], repeat=3):
        model = zoo.create_model("plain_cnn", rows=rows, input_shape=(5, 3, 1), classes=2, hidden_layers=(), pool=True)
        assert model.output_shape == (None, 2)
    keras.utils.clear_session()


@undrawn()
def test_without_hidden_layers_the_dropout_is_before_the_classifier():
    model = zoo.create_model("plain_cnn", hidden_layers=(), dropout=0.5, pool=True)
    assert model.layers[-3].name == "head_dropout"


def test_rows_may_come_from_json():
    lists = zoo.create_model("plain_cnn", rows=[["conv", 3, 3], ["max_pool"]], hidden_layers=[4])
    tuples = zoo.create_model("plain_cnn", rows=(("conv", 3, 3), ("max_pool",)), hidden_layers=(4,))
    assert [np.shape(weight) for weight in lists.get_weights()] == [np.shape(weight) for weight in tuples.get_weights()]


@pytest.mark.parametrize(
    "row", [("dense", 3), ("conv", 3), ("conv", 3, 2), ("conv", 0, 3), ("max_pool", 2), ("conv", 3.0, 3)]
)
@undrawn()
def test_other_rows_are_refused(row):
    with pytest.raises(ValueError, match=r"Each of rows must be .* Received: \("):
        zoo.create_model("plain_cnn", rows=(row,))
