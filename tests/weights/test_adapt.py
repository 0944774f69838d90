import keras
import numpy as np
import pytest
from keras import layers

import zoo
from zoo.weights import Preprocessing, first_convolution, input_channels


@pytest.fixture
def kernel():
    return np.random.default_rng(0).normal(size=(7, 7, 3, 8)).astype("float32")


def test_one_channel_is_the_sum(kernel):
    adapted = input_channels(kernel, 1)
    np.testing.assert_allclose(adapted[:, :, 0], kernel[:, :, 0] + kernel[:, :, 1] + kernel[:, :, 2], rtol=1e-5)
    assert adapted.shape == (7, 7, 1, 8)
    assert adapted.dtype == "float32"


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_more_channels_repeat_in_turn(kernel, channels):
    adapted = input_channels(kernel, channels)
    assert adapted.shape == (7, 7, channels, 8)
    for channel in range(channels):
        np.testing.assert_allclose(adapted[:, :, channel], kernel[:, :, channel % 3] * 3 / channels, rtol=1e-6)


@pytest.mark.parametrize("channels", [6, 9])
def test_equal_inputs_give_sums_of_the_old_size(kernel, channels):
    np.testing.assert_allclose(input_channels(kernel, channels).sum(axis=2), kernel.sum(axis=2), rtol=1e-4, atol=1e-5)


def test_the_same_number_changes_nothing(kernel):
    assert input_channels(kernel, 3) is kernel
    before = kernel.copy()
    input_channels(kernel, 1)
    input_channels(kernel, 4)
    np.testing.assert_array_equal(kernel, before)


def test_halves_are_summed_in_full_precision(kernel):
    halves = np.full((1, 1, 3, 1), 0.1, "float16")
    halves[0, 0, 1] = 1000
    adapted = input_channels(halves, 1)
    assert adapted.dtype == "float16"
    assert adapted == np.float16(halves.astype("float32").sum())


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((3,), 1, r"kernel must have the shape \(…, input channels, filters\). Received: shape \(3,\)"),
        ((3, 3, 0, 8), 1, "kernel must have the shape"),
        ((3, 3, 3, 8), 0, "channels must be a whole number, at least 1. Received: channels=0"),
        ((3, 3, 3, 8), True, "channels must be a whole number"),
        ((3, 3, 3, 8), 1.0, "channels must be a whole number"),
    ],
)
def test_illegal_arguments(shape, channels, message):
    with pytest.raises(ValueError, match=message):
        input_channels(np.zeros(shape), channels)


def adapted(model, channels, build):
    """`model` with another number of input channels, all its other weights carried over."""
    other = build(channels)
    conv = first_convolution(other)
    for old, new in zip(model.weights, other.weights, strict=True):
        new.assign(input_channels(old.numpy(), channels) if new is conv.kernel else old)
    return other


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v3_small", "googlenet"])
def test_a_grey_network_answers_as_the_colour_network_does(name):
    def build(channels):
        return zoo.create_model(name, input_shape=(64, 64, channels), classes=5)

    model = build(3)
    grey = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 1)).astype("float32")
    actual = adapted(model, 1, build)(grey, training=False)
    np.testing.assert_allclose(actual, model(np.repeat(grey, 3, axis=-1), training=False), atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in zoo.list_models(modality="image") if zoo.model_card(name).num_params < 1e6]
)
def test_every_network_has_a_first_convolution(name):
    model = zoo.create_model(name)
    conv = first_convolution(model)
    assert conv is next(layer for layer in model.layers if layer.weights)
    assert conv.kernel.shape[-2] == zoo.model_card(name).input_shape[-1]


def test_layers_without_weights_may_stand_before_it():
    pixels = keras.Input((64, 64, 3), dtype="uint8")
    scaled = keras.Sequential([layers.Rescaling(1 / 255), layers.ZeroPadding2D(2)])(Preprocessing().layer()(pixels))
    model = zoo.create_model("resnet18", input_tensor=scaled)
    assert first_convolution(model).name == "stem_conv"
    inner = zoo.create_model("resnet20", input_shape=(32, 32, 3))
    nested = keras.Model(x := keras.Input((32, 32, 3)), layers.Dense(2)(inner(layers.Activation("relu")(x))))
    assert first_convolution(nested) is first_convolution(inner)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda x: layers.Flatten()(x), "must reach one layer with weights first. Received: none"),
        (
            lambda x: layers.Add()([layers.Conv2D(4, 3, name="a")(x), layers.Conv2D(4, 3, name="b")(x)]),
            "must reach one layer with weights first. Received: '[ab]', '[ab]'",
        ),
        (lambda x: layers.BatchNormalization(name="bn")(x), "Received: 'bn', a BatchNormalization; its weights"),
        (lambda x: layers.DepthwiseConv2D(3, name="dw")(x), "Received: 'dw', a DepthwiseConv2D; its weights"),
        (lambda x: layers.Conv2D(6, 3, groups=3, name="g")(x), "Received: 'g', a Conv2D with groups; its weights"),
    ],
)
def test_what_cannot_be_adapted(graph, message):
    x = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=message):
        first_convolution(keras.Model(x, graph(x)))


def test_a_model_without_a_graph():
    class Own(keras.Model):
        pass

    with pytest.raises(ValueError, match="The model must be functional, so that its graph is known. Received: Own"):
        first_convolution(Own())
