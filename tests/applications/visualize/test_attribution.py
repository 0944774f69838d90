"""Maps have the properties that their papers state, and equal what is known where it is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import zoo
from applications.visualize import attribution, randomisation
from applications.visualize.network import Network


def pictures(count, shape, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, *shape)).astype("float32")


def linear(weights):
    inputs = keras.Input(weights.shape)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(inputs)))
    model.layers[-1].set_weights([np.stack([weights.ravel(), 0 * weights.ravel()], 1), np.array([0.3, 0], "float32")])
    return Network(model)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return Network(zoo.create_model("resnet20", input_shape=(16, 16, 3)))


def test_a_linear_model_is_explained_exactly():
    weights = np.random.default_rng(3).normal(size=(6, 5, 2)).astype("float32")
    network, x = linear(weights), pictures(1, (6, 5, 2))[0]
    np.testing.assert_allclose(attribution.saliency(network, x, 0), np.abs(weights).max(-1), rtol=1e-5)
    np.testing.assert_allclose(attribution.smooth_gradient(network, x, 0, samples=3), weights, rtol=1e-5)
    along = attribution.integrated_gradients(network, x, 0, baseline=0.5, steps=2)
    np.testing.assert_allclose(along, weights * (x - 0.5), rtol=1e-4, atol=1e-5)
    falls = attribution.occlusion(network, x, 0, size=1, step=1, fill=0.25)
    np.testing.assert_allclose(falls, (weights * (x - 0.25)).sum(-1), rtol=1e-3, atol=1e-5)


def test_squares_cover_every_pixel_and_the_falls_are_averaged():
    weights = np.ones((7, 7, 1), "float32")
    falls = attribution.occlusion(linear(weights), np.ones((7, 7, 1), "float32"), 0, size=3, step=2, fill=0)
    np.testing.assert_allclose(falls, 9, rtol=1e-5)


def test_the_way_back_is_the_adjoint_of_the_way_there():
    """<Ax, y> = <x, A'y>, where A is convolution, a choice of places (the switches), and convolution."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((9, 9, 2))
    x = layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False)(inputs)
    pooled = layers.MaxPooling2D(2, name="pool")(x)
    last = layers.Conv2D(3, 2, use_bias=False, name="last")(pooled)
    first = keras.Model(inputs, x)
    network = Network(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(last))))
    here, other = pictures(2, (9, 9, 2))
    _, switches = tf.nn.max_pool_with_argmax(first(here[None]), 2, 2, "VALID", include_batch_in_index=True)
    chosen = tf.gather(tf.reshape(first(other[None]), [-1]), switches)
    there = network.find("last").layer(tf.cast(chosen, tf.float32))
    y = np.random.default_rng(2).normal(size=there.shape).astype("float32")
    source = tf.constant(here[None])
    with tf.GradientTape() as tape:
        tape.watch(source)
        values = network.run(source, take=["last"], rule="deconvnet").taken["last"]
    back = tape.gradient(values, source, output_gradients=tf.constant(y))
    assert float(tf.reduce_sum(there * y)) == pytest.approx(float(tf.reduce_sum(other * back)), rel=1e-4)


def test_a_projection_is_zeiler_and_fergus_deconvnet():
    """Unpool by the switches, rectify, convolve by the transposed filter: built here from other operations."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((12, 12, 1))
    conv1 = layers.Conv2D(6, 3, activation="relu")
    conv2 = layers.Conv2D(4, 2, activation="relu", name="conv2")
    pool = layers.MaxPooling2D(2)
    x = conv2(pool(conv1(inputs)))
    network = Network(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    picture = pictures(1, (12, 12, 1))
    found = attribution.project(network, picture[0], "conv2")

    first = conv1(picture)
    pooled, switches = tf.nn.max_pool_with_argmax(first, 2, 2, "VALID")
    second = conv2(pooled).numpy()
    only = np.zeros_like(second)
    place = np.unravel_index(second.argmax(), second.shape)
    only[place] = second[place]
    signal = tf.nn.conv2d_transpose(tf.nn.relu(only), conv2.kernel, pooled.shape, 1, "VALID")
    unpooled = tf.scatter_nd(tf.reshape(switches, [-1, 1]), tf.reshape(signal, [-1]), [tf.size(first)])
    rectified = tf.nn.relu(tf.reshape(tf.cast(unpooled, tf.float32), first.shape))
    expected = tf.nn.conv2d_transpose(rectified, conv1.kernel, picture.shape, 1, "VALID")
    assert (*found.place, found.channel) == tuple(int(index) for index in place[1:])
    np.testing.assert_allclose(found.picture, expected[0], rtol=1e-4, atol=1e-5)
    top, bottom, left, right = found.seen
    assert max(bottom - top, right - left) <= zoo.receptive_field(keras.Model(inputs, x), "conv2").size[0]


def test_guided_is_plain_where_all_units_are_on_and_slopes_positive():
    inputs = keras.Input((5, 5, 1))
    x = layers.Conv2D(3, 3, activation="relu", kernel_initializer="ones", bias_initializer="ones")(inputs)
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(layers.Flatten()(x)))
    network, x = Network(model), pictures(1, (5, 5, 1))
    for rule in ("guided", "deconvnet"):
        np.testing.assert_allclose(
            attribution.gradients(network, x, 0, rule), attribution.gradients(network, x, 0), rtol=1e-5
        )


def test_integrated_gradients_are_complete(network):
    x = pictures(1, (16, 16, 3))[0]
    found = attribution.integrated_gradients(network, x, 2, steps=64)
    scores = network.scores(np.stack([x, np.zeros_like(x)]))[:, 2]
    assert found.sum() == pytest.approx(scores[0] - scores[1], rel=0.01)


def test_grad_cam_is_cam_for_a_pooled_linear_head(network):
    x = pictures(1, (16, 16, 3))[0]
    values = network.run(x[None], take=["stride4"]).taken["stride4"].numpy()[0]
    weights = network.find("logits").layer.kernel.numpy()[:, 5]
    cam = np.maximum(values @ weights, 0)
    np.testing.assert_allclose(
        attribution.grad_cam(network, x, 5), cam / values[..., 0].size, rtol=1e-3, atol=1e-6
    )  # fmt: skip


def test_grad_cam_plus_plus_is_the_formula_for_a_pooled_linear_head(network):
    """The score is linear in the map, so that derivatives of its exponential are powers of the slope."""
    x = pictures(1, (16, 16, 3))[0]
    values = network.run(x[None], take=["stride4"]).taken["stride4"].numpy()[0].astype("float64")
    slope = network.find("logits").layer.kernel.numpy()[:, 5].astype("float64") / values[..., 0].size
    alpha = slope**2 / (2 * slope**2 + values.sum((0, 1)) * slope**3)
    expected = np.maximum(values @ (values[..., 0].size * alpha * np.maximum(slope, 0)), 0)
    np.testing.assert_allclose(attribution.grad_cam_plus_plus(network, x, 5), expected, rtol=1e-3, atol=1e-6)


def test_maps_of_a_layer_inside_of_a_nested_model():
    keras.utils.set_random_seed(0)
    inner = zoo.create_model("simple_cnn", include_top=False, input_shape=(20, 20, 1))
    outer = keras.Sequential([keras.Input((20, 20, 1)), inner, layers.Flatten(), layers.Dense(3)])
    network, x = Network(outer), pictures(1, (20, 20, 1))[0]
    assert attribution.grad_cam(network, x, 1, "stride2").shape == (7, 7)
    assert attribution.project(network, x, "stride1", 3).channel == 3


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        model = zoo.create_model("simple_cnn", input_shape=(12, 12, 1))
    finally:
        keras.config.set_dtype_policy("float32")
    network, x = Network(model), pictures(1, (12, 12, 1))[0]
    found = attribution.integrated_gradients(network, x, 2)
    scores = network.scores(np.stack([x, 0 * x]))[:, 2]
    assert found.sum() == pytest.approx(scores[0] - scores[1], rel=0.05, abs=2e-3)
    assert attribution.grad_cam(network, x, 2, "stride2").dtype == np.float32
    assert attribution.project(network, x, "stride2").picture.shape == x.shape


def test_what_cannot_be_explained_is_refused(network):
    x = pictures(1, (16, 16, 3))[0]
    with pytest.raises(ValueError, match="target must be a class, 0 to 9. Received: target=10"):
        attribution.saliency(network, x, 10)
    with pytest.raises(ValueError, match="step must be from 1 to size. Received: step=4, size=3"):
        attribution.occlusion(network, x, 0, size=3, step=4, fill=0)
    with pytest.raises(ValueError, match="has channels 0 to 63. Received: channel=64"):
        attribution.project(network, x, "stride4", 64)
    with pytest.raises(ValueError, match=r"'logits' gives no feature map. Received: output of shape \(10,\)"):
        attribution.grad_cam(network, x, 0, "logits")


def test_losing_layers_is_undone_also_after_an_error(network):
    x = pictures(1, (16, 16, 3))
    before = network.scores(x)
    seen = []

    def draw():
        seen.append(network.scores(x))
        return np.arange(16.0).reshape(4, 4)

    found = randomisation.cascade(network, {"fixed": draw}, stages=3)
    assert found == {"fixed": [1.0, 1.0, 1.0, 1.0]}
    assert all(not np.allclose(before, scores) for scores in seen[1:])
    np.testing.assert_array_equal(network.scores(x), before)

    def fail():
        if seen:
            raise ZeroDivisionError
        return np.zeros((2, 2))

    with pytest.raises(ZeroDivisionError):
        randomisation.cascade(network, {"fails": fail})
    np.testing.assert_array_equal(network.scores(x), before)


def test_similarity_is_of_ranks_and_magnitudes():
    map_ = np.random.default_rng(0).normal(size=(8, 8))
    assert randomisation.similarity(map_, -(map_**3)) == pytest.approx(1)
    assert randomisation.similarity(map_, np.ones((8, 8))) == 0
