"""A graph that is run call by call gives what Keras gives, models within models too."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import zoo
from applications.visualize.network import Network


def body(name="body"):
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1.a")(inputs)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(6, 3, padding="same", name="conv2")(x))
    return keras.Model(inputs, layers.ReLU(name="relu2")(x), name=name)


def transfer(inner=None):
    """A body in a model, and that in a sequential one with a head: a usual way to transfer."""
    inner = inner or body()
    inputs = keras.Input((8, 8, 1))
    middle = keras.Model(inputs, inner(layers.Rescaling(0.5)(inputs), training=False), name="middle")
    head = [layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(3, activation="softmax")]
    return keras.Sequential([middle, *head], name="all")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(size=(5, 8, 8, 1)).astype("float32")


def built(model, pictures):
    model(pictures)
    return model


def test_a_nested_model_is_unfolded_where_keras_cannot_cut_it(pictures):
    keras.utils.set_random_seed(0)
    inner = body()
    model = built(transfer(inner), pictures)
    with pytest.raises(ValueError, match="not connected to `inputs`"):
        keras.Model(model.inputs, inner.get_layer("relu2").output)
    network = Network(model)
    assert [call.path for call in network.maps] == [
        f"middle/body/{name}" for name in ("conv1.a", "pool", "conv2", "bn", "relu2")
    ]
    assert network.find("relu2").path == "middle/body/relu2"
    done = network.run(pictures, take=["relu2", "conv1.a"])
    expected = inner.predict(pictures * 0.5, verbose=0)
    np.testing.assert_allclose(done.taken["middle/body/relu2"], expected, atol=1e-6)
    assert done.taken["middle/body/conv1.a"].shape == (5, 8, 8, 4)
    np.testing.assert_allclose(network.probabilities(pictures), model.predict(pictures, verbose=0), atol=1e-6)


def test_scores_are_what_softmax_is_given(pictures):
    network = Network(built(transfer(), pictures))
    odds = np.exp(network.scores(pictures, batch_size=2))
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), network.probabilities(pictures), atol=1e-6)
    head = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2), layers.Softmax()])
    odds = np.exp(Network(head).scores(pictures))
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), head.predict(pictures, verbose=0), atol=1e-6)


def whole_zoo(*default):
    """The networks that are always tried, and others."""
    others = ("mobilenet_v3_small", "squeezenet1_1", "alexnet", "googlenet", "inception_v3")
    return [*default, *(pytest.param(name, marks=pytest.mark.slow) for name in others)]


@pytest.mark.parametrize("name", whole_zoo("simple_cnn", "resnet20"))
def test_networks_of_the_zoo_answer_as_before(name):
    side = max(32, zoo.model_card(name).min_size)
    shape = (28, 28, 1) if name == "simple_cnn" else (side, side, 3)
    model = zoo.create_model(name, input_shape=shape, classes=4)
    x = np.random.default_rng(1).uniform(size=(2, *shape)).astype("float32")
    network = Network(model)
    np.testing.assert_allclose(network.probabilities(x), model(x, training=False), atol=1e-5)
    odds = np.exp(network.scores(x))
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), model(x, training=False), atol=1e-5)
    sides = [call.shape[0] for call in network.levels]
    assert sides == sorted(sides, reverse=True)


def test_a_layer_that_is_called_twice_has_two_paths(pictures):
    inputs = keras.Input((8, 8, 1))
    conv = layers.Conv2D(1, 3, padding="same", name="conv")
    x = layers.Flatten()(conv(conv(inputs)))
    network = Network(keras.Model(inputs, layers.Dense(2)(x)))
    taken = network.run(pictures, take=["conv", "conv:2"]).taken
    np.testing.assert_allclose(taken["conv"], conv(pictures), atol=1e-6)
    np.testing.assert_allclose(taken["conv:2"], conv(conv(pictures)), atol=1e-6)


def test_several_outputs_have_one_that_counts(pictures):
    inputs = keras.Input((8, 8, 1))
    flat = layers.Flatten()(inputs)
    outputs = {"aux1": layers.Dense(2)(flat), "predictions": layers.Dense(3, activation="softmax", name="main")(flat)}
    model = keras.Model(inputs, outputs)
    network = Network(model)
    assert network.num_classes == 3
    np.testing.assert_allclose(network.probabilities(pictures), model(pictures)["predictions"], atol=1e-6)


@pytest.mark.parametrize("kind", ["layer", "activation", "argument", "function", "six"])
def test_backward_rules_differ_in_the_rectifier_alone(kind):
    inputs = keras.Input((1, 4, 1))
    if kind == "argument":
        x = layers.Conv2D(1, 1, activation="relu", kernel_initializer="ones")(inputs)
    elif kind == "function":
        x = ops.relu(inputs)
    else:
        x = {"layer": layers.ReLU(), "activation": layers.Activation("relu"), "six": layers.ReLU(6)}[kind](inputs)
    x = layers.Flatten()(x)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)(x))
    model.layers[-1].set_weights([np.array([[1.0], [-2.0], [3.0], [-4.0]], "float32")])
    network = Network(model)
    assert network.num_rectifiers == 1
    x = tf.constant([[[1.0], [1.0], [-1.0], [-1.0]]])[None]
    found = {}
    for rule in ("gradient", "guided", "deconvnet", "redirected"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            scores = network.run(x, rule=rule).scores
        found[rule] = tape.gradient(scores, x).numpy().ravel().tolist()
        assert float(scores[0, 0]) == -1
    # Slopes behind the rectifier are 1, -2, 3, -4; the first two units are on.
    assert found == {
        "gradient": [1, -2, 0, 0],
        "guided": [1, 0, 0, 0],
        "deconvnet": [1, 0, 3, 0],
        "redirected": [1, -2, 3, 0],
    }
    names = {layer.name: getattr(layer, "activation", None) for layer in model.layers}
    assert not any("rectify" in str(function) for function in names.values())


def test_pictures_of_another_size_run_as_far_as_they_can(pictures):
    network = Network(built(transfer(), pictures))
    larger = np.zeros((1, 20, 12, 1), "float32")
    taken = network.run(larger, take=["relu2"], scores=False).taken
    assert taken["middle/body/relu2"].shape == (1, 10, 6, 6)


def test_what_cannot_be_looked_into_is_refused(pictures):
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"is no functional or sequential model .* Received: Own\. Build it by"):
        Network(Own())
    pair = [keras.Input((4, 4, 1)), keras.Input((4, 4, 1))]
    with pytest.raises(ValueError, match="must have one input, a picture. Received: 2 inputs"):
        Network(keras.Model(pair, layers.Add()(pair)))
    one = pair[0]
    with pytest.raises(ValueError, match="Received: 'a', 'b'"):
        Network(keras.Model(one, {"a": layers.Flatten()(one), "b": layers.Flatten()(one)}))
    with pytest.raises(ValueError, match=r"must give a score for each class, .*Received: shape \(None, 4, 4, 2\)"):
        Network(keras.Model(one, layers.Conv2D(2, 1)(one)))
    signal = keras.Input((8, 1))
    with pytest.raises(ValueError, match=r"must take pictures .* Received: input shape \(8, 1\)"):
        Network(keras.Model(signal, layers.Flatten()(signal)))
    network = Network(built(transfer(), pictures))
    with pytest.raises(ValueError, match=r"no layer 'relu3'.* Levels: middle/body/conv1.a, middle/body/relu2"):
        network.find("relu3")
    with pytest.raises(ValueError, match="rule must be one of .* Received: rule='other'"):
        network.run(pictures, rule="other")
