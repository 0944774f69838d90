"""Folded networks answer as before: each kind of layer by itself, and networks of the zoo."""

import keras
import numpy as np
import pytest
from deploy.networks import pictures, two_outputs, with_statistics
from keras import layers
from test_conformance import REPRESENTATIVES, answers, examples, small_model, small_shape

import zoo
from zoo.deploy import fold
from zoo.drawing import undrawn

# One network of each modality, and those whose blocks are of other kinds than theirs.
QUICK = ("resnet20", "ds_cnn_s", "fcn_1d")
SLOW = (
    "go_leela_6x128",
    "densenet_bc100_k12",
    "bc_resnet_1",
    "ecg_resnet34",
    "mobilenet_v2_035",
    "googlenet",
    "kim_cnn_static",
)


def relative(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    return np.abs(found - expected).max() / np.abs(expected).max()


def norms(model):
    return [layer.name for layer in model._flatten_layers() if type(layer) is layers.BatchNormalization]


LINEAR = {
    "conv": lambda **k: layers.Conv2D(6, 3, **k),
    "grouped": lambda **k: layers.Conv2D(8, 3, groups=2, **k),
    "strided": lambda **k: layers.Conv2D(6, 2, strides=2, **k),
    "depthwise": lambda **k: layers.DepthwiseConv2D(3, depth_multiplier=2, **k),
    "dense": lambda **k: layers.Dense(5, **k),
    "separable": lambda **k: layers.SeparableConv2D(6, 3, **k),
    "transposed": lambda **k: layers.Conv2DTranspose(6, 3, **k),
}


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", LINEAR)
def test_batch_norm_behind_a_linear_layer_goes_into_it(kind, use_bias):
    inputs = keras.Input((6, 6, 4))
    x = LINEAR[kind](use_bias=use_bias, bias_initializer="random_normal")(inputs)
    model = with_statistics(keras.Model(inputs, layers.BatchNormalization()(layers.Dropout(0.5)(x))))
    folded = fold(model)
    assert [type(layer).__name__ for layer in folded.layers[1:]] == [type(model.layers[1]).__name__]
    x = pictures(3, (6, 6, 4))
    assert relative(folded(x), model(x)) < 1e-5


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", LINEAR)
def test_a_factor_behind_a_linear_layer_goes_into_it(kind, use_bias):
    inputs = keras.Input((6, 6, 4))
    x = LINEAR[kind](use_bias=use_bias, bias_initializer="random_normal")(inputs)
    x = layers.Rescaling(0.17, offset=0.3)(layers.BatchNormalization()(x))
    model = with_statistics(keras.Model(inputs, layers.Add()([layers.BatchNormalization()(x), x])))
    folded = fold(model)
    assert [type(layer).__name__ for layer in folded.layers[2:]] == ["BatchNormalization", "Add"]
    x = pictures(3, (6, 6, 4))
    assert relative(folded(x), model(x)) < 1e-5


@pytest.mark.parametrize(
    ("activation", "scale"), [("relu", 0.5), (None, [0.5, 1.0, 2.0, 3.0, 4.0, 5.0])], ids=["activation", "six factors"]
)
def test_a_factor_stays_where_it_cannot_go(activation, scale):
    inputs = keras.Input((6, 6, 4))
    model = keras.Model(inputs, layers.Rescaling(scale)(layers.Conv2D(6, 3, activation=activation)(inputs)))
    folded = fold(model)
    assert [type(layer).__name__ for layer in folded.layers] == ["InputLayer", "Conv2D", "Rescaling"]
    x = pictures(3, (6, 6, 4))
    assert relative(folded(x), model(x)) < 1e-5


def test_no_factor_is_left_in_inception_resnet():
    with undrawn():
        model = zoo.create_model("inception_resnet_v2", input_shape=(75, 75, 3))
        folded = fold(model)
    assert sum(type(layer) is layers.Rescaling for layer in model.layers) == 39
    assert not [layer.name for layer in folded.layers if type(layer) in (layers.Rescaling, layers.BatchNormalization)]


@pytest.mark.parametrize("kind", ["conv", "grouped", "strided", "depthwise", "dense"])
def test_batch_norm_before_a_layer_that_pads_nothing_goes_into_it(kind):
    inputs = keras.Input((6, 6, 4))
    x = layers.BatchNormalization()(inputs)
    model = with_statistics(keras.Model(inputs, [LINEAR[kind]()(x), layers.Conv2D(3, 1, padding="same")(x)]))
    folded = fold(model)
    assert not norms(folded)
    x = pictures(3, (6, 6, 4))
    for found, expected in zip(folded(x), model(x), strict=True):
        assert relative(found, expected) < 1e-5


@pytest.mark.parametrize(
    "behind",
    [
        lambda x: layers.Conv2D(3, 3, padding="same")(x),
        lambda x: layers.Conv2D(3, 3)(layers.Activation("relu")(x)),
        lambda x: layers.Add()([layers.Conv2D(4, 1)(x), x]),
        lambda x: layers.SeparableConv2D(3, 1)(x),
    ],
    ids=["padded", "nonlinear", "seen elsewhere", "another kind"],
)
def test_batch_norm_stays_where_it_cannot_go(behind):
    inputs = keras.Input((6, 6, 4))
    model = with_statistics(keras.Model(inputs, behind(layers.BatchNormalization()(inputs))))
    folded = fold(model)
    assert norms(folded) == norms(model)
    x = pictures(3, (6, 6, 4))
    assert relative(folded(x), model(x)) < 1e-6


def test_what_is_seen_before_the_batch_norm_stays():
    inputs = keras.Input((6, 6, 4))
    conv = layers.Conv2D(5, 3)(inputs)
    activated = layers.BatchNormalization()(layers.Conv2D(5, 3, activation="relu")(inputs))
    shared = layers.Conv2D(5, 3)
    twice = [layers.BatchNormalization()(shared(inputs)), layers.BatchNormalization()(shared(layers.ReLU()(inputs)))]
    model = with_statistics(keras.Model(inputs, [conv, layers.BatchNormalization()(conv), activated, *twice]))
    folded = fold(model)
    assert len(norms(folded)) == 4
    x = pictures(3, (6, 6, 4))
    for found, expected in zip(folded(x), model(x), strict=True):
        assert relative(found, expected) < 1e-5


def test_a_network_in_a_network_and_a_sequential_one_are_folded():
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(5, 3), layers.BatchNormalization()])
    inputs = keras.Input((6, 6, 4))
    model = with_statistics(keras.Model(inputs, layers.BatchNormalization()(layers.Dense(3)(inner(inputs)))))
    x = pictures(2, (6, 6, 4))
    for one in (model, inner):
        assert not norms(fold(one))
        assert relative(fold(one)(x), one(x)) < 1e-5


def test_a_dict_of_outputs_keeps_its_keys_and_the_model_stays_as_it_was():
    model, x = two_outputs(), pictures(2)
    before = {name: np.array(value) for name, value in model(x).items()}
    folded = fold(model)
    for variable in folded.variables:
        variable.assign(variable + 1)
    for name, value in model(x).items():
        np.testing.assert_array_equal(value, before[name])
    assert folded.output.keys() == before.keys()


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"fold takes functional models\. Received: 'own', a Own\."):
        fold(Own(name="own"))


def check(name):
    model = with_statistics(small_model(name, classifier_activation=None))
    folded, x = fold(model), examples(name, small_shape(name))
    assert len(folded.layers) < len(model.layers)
    assert relative(answers(folded, x), answers(model, x)) < 1e-5


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_networks_answer_as_before(name):
    check(name)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_every_architecture_answers_as_before(name):
    check(name)
