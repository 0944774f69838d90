"""Networks for sound, text and signals leave Keras: as a SavedModel they are the same functions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.data.audio import FrontEnd, FrontEndLayer


def answers(model, folder, example):
    """What the exported model says."""
    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    return loaded.serve(example)


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("fcn_1d", {}),
        pytest.param("kim_cnn_rand", {"vocabulary": 50, "dimensions": 20, "filters": 8}, marks=pytest.mark.slow),
        pytest.param("dilated_denoiser", {}, marks=pytest.mark.slow),
    ],
)
def test_networks_are_exported(name, knobs, tmp_path):
    model = zoo.create_model(name, **knobs)
    rng = np.random.default_rng(0)
    shape = (3, *model.input_shape[1:])
    is_text = zoo.model_card(name).modality == "text"
    example = rng.integers(0, 50, shape).astype("int32") if is_text else rng.normal(size=shape).astype("f4")
    np.testing.assert_allclose(answers(model, tmp_path, example), model(example, training=False), atol=1e-5)


@pytest.mark.slow
def test_a_network_is_exported_with_its_front_end(tmp_path):
    values = {"coefficients": 10, "frame_seconds": 0.04, "hop_seconds": 0.02}
    sound = keras.Input((16000,))
    model = zoo.create_model("ds_cnn_s", classes=3, input_tensor=FrontEndLayer(**values)(sound))
    clips = 0.1 * np.random.default_rng(0).normal(size=(2, 16000)).astype("f4")
    inner = zoo.create_model("ds_cnn_s", classes=3)
    inner.set_weights(model.get_weights())
    expected = inner(FrontEnd(**values)(clips), training=False)
    np.testing.assert_allclose(answers(model, tmp_path, clips), expected, atol=1e-5)
