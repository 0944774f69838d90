"""Weights that a user or a run has saved, for another head or other channels."""

import logging

import numpy as np
import pytest

import zoo
from zoo.weights import input_channels, save


@pytest.fixture(scope="module")
def model():
    made = zoo.create_model("resnet20", classes=5, input_shape=(16, 16, 3))
    for layer in made.layers:  # statistics as a training leaves them, not all 0 and 1
        if "moving" in str([variable.path for variable in layer.weights]):
            layer.moving_mean.assign(np.linspace(-1, 1, layer.moving_mean.shape[0]))
    return made


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "run"
    save(model, folder / "best")
    return folder


def messages(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_other_classes_keep_the_body_and_say_so(model, run, caplog):
    made = zoo.create_model("resnet20", weights=run, classes=3, input_shape=(16, 16, 3))
    assert made.output_shape == (None, 3)
    assert messages(caplog) == [f"{run} with 3 classes: new, to be trained: logits"]
    for old, new in zip(model.weights, made.weights, strict=True):
        if not new.path.startswith("logits"):
            np.testing.assert_array_equal(old.numpy(), new.numpy())
    assert made.get_layer("logits").kernel.numpy().std() > 0.01


def test_the_same_classes_take_everything_from_folder_and_run(model, run, caplog):
    picture = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    for path in (run, run / "best"):
        made = zoo.create_model("resnet20", weights=path, classes=5, input_shape=(16, 16, 3))
        np.testing.assert_array_equal(made(picture), model(picture))
    assert messages(caplog) == []


def test_without_the_head(model, run, caplog):
    made = zoo.create_model("resnet20", weights=run, include_top=False, pooling="avg", input_shape=(16, 16, 3))
    picture = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    pooled = zoo.features(model, ["pooled"])(picture)["pooled"]
    np.testing.assert_allclose(made(picture), pooled, rtol=1e-5, atol=1e-6)
    assert messages(caplog) == []


def test_other_channels_are_adapted(model, run, caplog):
    made = zoo.create_model("resnet20", weights=run, classes=3, input_shape=(16, 16, 1))
    kernel = model.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_allclose(made.get_layer("stem_conv").kernel.numpy(), input_channels(kernel, 1))
    assert messages(caplog)[1] == f"{run} with 1 input channels: adapted: stem_conv"


def test_another_network_is_refused(run):
    with pytest.raises(ValueError, match=r"does not fit the model 'resnet32'[\s\S]*stage3_block5_bn2/gamma"):
        zoo.create_model("resnet32", weights=run, classes=3)
    with pytest.raises(ValueError, match=r"does not fit the model 'resnet32'[\s\S]*stage3_block5_bn2/gamma"):
        zoo.create_model("resnet32", weights=run, include_top=False)


def test_a_damaged_file_is_refused_before_it_is_adapted(model, tmp_path):
    stored = save(model, tmp_path)
    content = bytearray(stored.path.read_bytes())
    content[-3] ^= 1
    stored.path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its SHA-256 is"):
        zoo.create_model("resnet20", weights=tmp_path, classes=3)
