"""Pictures that are made excite what they shall, stay in their range, and lose what a layer has lost."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

import zoo
from applications.visualize.network import Network
from applications.visualize.synthesis import Waves, dream, invert, maximise


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(2)
    return Network(zoo.create_model("simple_cnn", input_shape=(12, 12, 1)))


def test_waves_start_grey_and_stay_in_range():
    waves = Waves(2, (9, 6, 3), (-1.0, 1.0), seed=1)
    start = waves.pictures().numpy()
    assert start.shape == (2, 9, 6, 3)
    assert np.abs(start).max() < 0.2
    waves.amplitudes.assign(1e4 * waves.amplitudes)
    loud = waves.pictures().numpy()
    assert loud.min() >= -1
    assert loud.max() <= 1
    assert np.ptp(loud) > 1.9


def test_the_wish_of_a_filter_is_its_sign_and_beats_all_data():
    """The brightest answer of a linear filter, among pictures of 0 to 1, is 1 where it is positive and 0 elsewhere."""
    kernel = np.random.default_rng(0).normal(size=(8, 8, 1, 2)).astype("float32")
    inputs = keras.Input((8, 8, 1))
    conv = layers.Conv2D(2, 8, use_bias=False, name="conv")
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(conv(inputs))))
    conv.set_weights([kernel])
    found, excited = maximise(Network(model), "conv", [1, 0], value_range=(0, 1), steps=100, jitter=0)
    data = load_digits().images[..., None] / 16
    for picture, value, channel in zip(found, excited, (1, 0), strict=True):
        weights = kernel[..., channel]
        assert np.mean((picture > 0.5) == (weights > 0)) > 0.95
        assert value == pytest.approx(float((picture * weights).sum()), rel=1e-4)
        assert value > (data * weights).sum((1, 2, 3)).max()
        assert value > 0.9 * np.maximum(weights, 0).sum()


def test_classes_channels_and_units_that_are_off_are_excited(network):
    grey = np.full((1, 12, 12, 1), 0.5, "float32")
    start = network.scores(grey)[0, [3, 1]]
    found, excited = maximise(network, None, [3, 1], value_range=(0, 1), steps=24)
    assert (excited > start).all()
    np.testing.assert_allclose(network.scores(found)[[0, 1], [3, 1]], excited, rtol=1e-3)
    for neuron in (False, True):
        found, excited = maximise(network, "stride2", range(4), value_range=(0, 1), steps=3, neuron=neuron)
        maps = network.run(found, take=["stride2"]).taken["stride2"].numpy()
        each = [one[1, 1, channel] if neuron else one[..., channel].mean() for channel, one in enumerate(maps)]
        np.testing.assert_allclose(excited, each, rtol=1e-4, atol=1e-6)

    inputs = keras.Input((6, 6, 1))
    conv = layers.Conv2D(1, 3, activation="relu", bias_initializer=keras.initializers.Constant(-1.0), name="off")
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(conv(inputs))))
    conv.set_weights([np.eye(3, dtype="float32").reshape(3, 3, 1, 1) - 0.3, np.array([-0.5], "float32")])
    off = Network(model)
    assert not off.run(np.full((1, 6, 6, 1), 0.5, "float32"), take=["off"]).taken["off"].numpy().any()
    assert maximise(off, "off", [0], value_range=(0, 1), steps=60, jitter=0, neuron=True)[1][0] > 0


def test_deeper_layers_have_forgotten_more(network):
    picture = load_digits().images[3][:, :, None].astype("float32") / 16
    picture = np.pad(picture, ((2, 2), (2, 2), (0, 0)))
    found = [invert(network, picture, name, value_range=(0, 1), steps=60) for name in ("stride1", "stride4")]
    assert found[0].pixel_error < found[1].pixel_error
    assert found[0].error < 0.4
    assert all(one.picture.min() >= 0 and one.picture.max() <= 1 for one in found)
    heard = []
    invert(network, picture, "stride1", value_range=(0, 1), steps=2, progress=heard.append)
    assert heard == [0.5, 1.0]


def test_a_dream_raises_what_the_layer_answers(network):
    picture = np.random.default_rng(0).uniform(0.3, 0.6, (12, 12, 1)).astype("float32")
    assert network.fits((8, 9), "stride2")
    assert not network.fits((7, 9), "stride2")  # so that the smallest of the three sizes is left out
    dreamt = dream(network, picture, "stride2", value_range=(0, 1), steps=4)
    assert dreamt.shape == picture.shape
    assert dreamt.min() >= 0
    assert dreamt.max() <= 1
    before, after = (
        float((network.run(x[None], take=["stride2"]).taken["stride2"].numpy() ** 2).mean()) for x in (picture, dreamt)
    )
    assert after > 1.5 * before


def test_channels_and_sizes_that_are_not_there_are_refused(network):
    with pytest.raises(ValueError, match=r"channels must be from 0 to 9. Received: channels=\[10\]"):
        maximise(network, None, [10], value_range=(0, 1))
    open_size = keras.Input((None, None, 1))
    model = keras.Model(open_size, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(open_size))))
    with pytest.raises(
        ValueError, match=r"size of the pictures must be known. Received: input_shape=\(None, None, 1\)"
    ):
        maximise(Network(model), None, [0], value_range=(0, 1))
    assert maximise(Network(model, (8, 8, 1)), None, [0], value_range=(0, 1), steps=1)[0].shape == (1, 8, 8, 1)
