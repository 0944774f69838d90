"""Maps have the properties that their papers state, and equal what is known where it is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import ndimage

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
    assert max(bottom - top, right - left) <= zoo.receptive_field(network_model(inputs, x), "conv2").size[0]


def network_model(inputs, x):
    return keras.Model(inputs, x)


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


def scenes(count, seed):
    """Digits somewhere on textures; the box of each."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(seed)
    half = slice(0, 1200) if seed == 0 else slice(1200, None)
    images, labels = digits.images[half] / 16, digits.target[half]
    x, y, boxes = np.empty((count, 32, 32, 1), "float32"), np.empty(count, int), np.empty((count, 2), int)
    for number in range(count):
        chosen = rng.integers(len(images))
        texture = ndimage.gaussian_filter(rng.normal(size=(32, 32)), rng.uniform(0.5, 2))
        scene = 0.35 + 0.12 * texture / texture.std()
        row, column = rng.integers(0, 21, 2)
        digit = ndimage.zoom(images[chosen], 1.5, order=1)
        scene[row : row + 12, column : column + 12] = np.maximum(scene[row : row + 12, column : column + 12], digit)
        x[number, ..., 0], y[number], boxes[number] = scene, labels[chosen], (row, column)
    return x, y, boxes


@pytest.mark.slow
def test_the_pointing_game_and_what_depends_on_learning():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 1))
    x = inputs
    for filters, strides in ((16, 1), (32, 2), (48, 2), (64, 1)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*scenes(4000, 0)[:2], batch_size=64, epochs=8, verbose=0)
    x, y, boxes = scenes(200, 1)
    network = Network(model)
    right = network.scores(x).argmax(1) == y
    assert right.mean() > 0.75

    def hits(points):
        inside = (points >= boxes - 2) & (points < boxes + 14)  # a map has a pixel for 4 x 4 of the picture
        return float(inside.all(1)[right].mean())

    cams = [
        attribution.enlarged(attribution.grad_cam(network, one, label), (32, 32))
        for one, label in zip(x, y, strict=True)
    ]
    points = np.array([np.unravel_index(cam.argmax(), cam.shape) for cam in cams])
    centre = hits(np.full((len(x), 2), 16))
    assert hits(points) > 0.85 > centre + 0.2

    # Adebayo et al.: with the last layers lost, maps that say why change; those of guided backpropagation do not.
    found = {"gradient": [], "Grad-CAM": [], "guided": []}
    for one, label in zip(x[:8], y[:8], strict=True):
        methods = {
            "gradient": lambda: attribution.gradients(network, one[None], label)[0],  # noqa: B023
            "Grad-CAM": lambda: attribution.grad_cam(network, one, label),  # noqa: B023
            "guided": lambda: attribution.guided_backpropagation(network, one, label),  # noqa: B023
        }
        for name, values in randomisation.cascade(network, methods, stages=5).items():
            found[name].append(values[1:3])
    means = {name: float(np.mean(values)) for name, values in found.items()}
    assert means["guided"] > 0.6
    assert means["gradient"] < means["guided"] - 0.2
    assert means["Grad-CAM"] < means["guided"] - 0.2
