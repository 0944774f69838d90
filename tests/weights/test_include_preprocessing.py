"""Preprocessing inside the model: raw pictures in, and the answers are those behind `zoo.preprocessor`."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

import zoo
from zoo import runs
from zoo.weights import Preprocessing, save

AS_TRAINED = {"weights": "timm.a1", "classifier_activation": None}


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), "uint8")


def scaled(preprocessing):
    """The same without resizing."""
    return dataclasses.replace(preprocessing, resize_size=None, crop_size=None)


def assert_close(actual, expected):
    """Equal but for rounding: scale and offset are one step here and several there."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_pixels_of_the_right_size(warm, pictures):
    size = {"input_shape": (96, 96, 3)}
    plain = zoo.create_model("resnet18", **AS_TRAINED, **size)
    model = zoo.models.resnet18(**AS_TRAINED, **size, include_preprocessing=True)
    assert model.input_shape == plain.input_shape
    expected = plain(scaled(zoo.preprocessor("resnet18", "timm.a1"))(pictures), training=False)
    for form in (pictures, pictures.astype("float32"), pictures.astype("float64")):
        before = form.copy()
        assert_close(model(form, training=False), expected)
        np.testing.assert_array_equal(form, before)
    assert_close(model.predict(pictures, verbose=0), expected)


def test_pictures_of_any_size(warm):
    preprocessing = zoo.preprocessor("resnet18", "timm.a1")
    plain = zoo.create_model("resnet18", **AS_TRAINED, input_shape=(*preprocessing.size, 3))
    model = zoo.create_model("resnet18", **AS_TRAINED, include_preprocessing="resize")
    assert model.input_shape == (None, None, None, 3)
    for size in ((300, 400), (500, 250), (100, 120)):
        pictures = np.random.default_rng(1).integers(0, 256, (1, *size, 3), "uint8")
        expected = plain(preprocessing(pictures), training=False)
        for form in (pictures, pictures.astype("float32")):
            assert_close(model(form, training=False), expected)


def test_without_the_head(warm, pictures):
    body = {"weights": "timm.a1", "include_top": False, "pooling": "avg"}
    expected = zoo.create_model("resnet18", **body)(scaled(zoo.preprocessor("resnet18", "timm.a1"))(pictures))
    model = zoo.create_model("resnet18", **body, include_preprocessing=True)
    assert_close(model(pictures), expected)


def test_grey_pictures(warm):
    grey = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), "uint8")
    shape = {"input_shape": (64, 64, 1)}
    plain = zoo.create_model("resnet18", **AS_TRAINED, **shape)
    model = zoo.create_model("resnet18", **AS_TRAINED, **shape, include_preprocessing=True)
    expected = plain(scaled(zoo.preprocessor("resnet18", "timm.a1").grey())(grey), training=False)
    assert_close(model(grey, training=False), expected)


@pytest.mark.parametrize("kind", [True, "resize"])
def test_saved_and_loaded(warm, pictures, tmp_path, kind):
    model = zoo.create_model("resnet18", weights="timm.a1", include_preprocessing=kind, include_top=False)
    expected = model(pictures, training=False)
    model.save(tmp_path / "model.keras")
    for other in (keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(other(pictures, training=False), expected)


@pytest.mark.slow
def test_a_saved_model_is_loaded_in_a_new_process(tmp_path):
    zoo.create_model("resnet20", include_preprocessing=True).save(tmp_path / "model.keras")
    script = "import sys, keras, zoo.weights; print(keras.models.load_model(sys.argv[1]).layers[1].name)"
    command = [sys.executable, "-c", script, str(tmp_path / "model.keras")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "preprocessing\n"


@pytest.mark.parametrize(("name", "channels"), [("resnet20", 3), ("lenet5", 1)])
def test_without_weights_pixels_get_the_range_of_the_card(name, channels):
    model = zoo.create_model(name, include_preprocessing=True)
    low, high = zoo.model_card(name).value_range
    layer = model.get_layer("preprocessing")
    pixels = np.stack([np.full((32, 32, channels), value, "float32") for value in (0, 255)])
    expected = np.stack([np.full((32, 32, channels), value, "float32") for value in (low, high)])
    np.testing.assert_allclose(layer(pixels), expected, atol=1e-6)


def test_the_scale_of_another_tag_and_a_layer():
    model = zoo.create_model("vgg16", include_preprocessing="keras", include_top=False)
    layer = model.get_layer("preprocessing")
    assert layer.preprocessing == zoo.preprocessor("vgg16", "keras")
    np.testing.assert_allclose(layer(np.zeros((1, 1, 1, 3))).numpy()[0, 0, 0], (-103.939, -116.779, -123.68))
    own = Preprocessing(resize_size=40, crop_size=32).layer(resize=True, name="mine")
    model = zoo.create_model("resnet20", include_preprocessing=own)
    assert model.input_shape == (None, None, None, 3)
    assert model.layers[1] is own
    assert own.output.shape == (None, 32, 32, 3)


def test_stored_weights_know_where_they_came_from(warm, tmp_path):
    folder = warm / "weights" / "resnet18" / "timm.a1"
    model = zoo.create_model("resnet18", weights=folder, include_preprocessing=True)
    assert model.get_layer("preprocessing").preprocessing == zoo.preprocessor("resnet18", "timm.a1")
    save(model, tmp_path / "mine")
    with pytest.raises(ValueError, match=r"mine does not say what preprocessing its weights were trained for. In incl"):
        zoo.create_model("resnet18", weights=tmp_path / "mine", include_preprocessing=True)
    again = zoo.create_model("resnet18", weights=tmp_path / "mine", include_preprocessing="timm.a1")
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_else_a_model_can_do(pictures):
    """Endpoints, freezing and counting see the backbone; halves begin behind the preprocessing."""
    keras.config.set_dtype_policy("mixed_float16")
    model = zoo.create_model("resnet18", include_preprocessing=True, input_shape=(96, 96, 3))
    assert model.get_layer("preprocessing").compute_dtype == "float32"
    assert zoo.endpoints(model) == zoo.endpoints(zoo.create_model("resnet18"))
    assert zoo.features(model, ["stride32"])(pictures)["stride32"].shape == (2, 3, 3, 512)
    assert zoo.freeze(model).num_batch_norms == 20
    assert zoo.count_macs(model) == zoo.count_macs(zoo.create_model("resnet18", input_shape=(96, 96, 3)))


@pytest.mark.parametrize(("arguments", "message"), [
    ({"include_preprocessing": 1}, r'must be True, False, "resize", the tag of published weights, or a layer. Rec'),
    ({"include_preprocessing": "timm.zz"}, "'resnet18' has no published weights 'timm.zz'. Published weights: torchvi"),
    ({"include_preprocessing": "resize"}, "Without weights nothing says what preprocessing resnet18 shall include"),
    ({"include_preprocessing": True, "input_shape": (64, 64, 13)}, "pictures of 1 or 3 channels. Received: 13 channel"),
])  # fmt: skip
def test_illegal_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.create_model("resnet18", **arguments)


def test_what_the_preprocessing_gives_must_be_large_enough():
    small = Preprocessing(crop_size=30).layer(resize=True)
    with pytest.raises(
        ValueError, match=r"inception_v3 needs an input of at least \(75, 75, 3\). Received: \(30, 30, 3"
    ):
        zoo.create_model("inception_v3", include_preprocessing=small, include_top=False)


@pytest.mark.slow
def test_a_training_that_begins_with_weights_shows_pictures_as_they_saw_them(warm, tmp_path):
    form = {
        "model": "resnet18",
        "image_size": (32, 32),
        "batch_size": 256,
        "learning_rate": 1e-4,
        "augment": "",
        "data": "digits?per_class=20",
    }
    first = runs.train(runs.Settings(weights="timm", epochs=1, **form), tmp_path / "first")
    assert first.config["model"]["arguments"]["include_preprocessing"] == "timm.a1"
    assert first.config["data"]["value_range"] == [0, 255]
    (layer,) = (layer for layer in first.model.layers if isinstance(layer, zoo.weights.PreprocessingLayer))
    assert layer.preprocessing == zoo.preprocessor("resnet18", "timm.a1").grey()
    pictures, _ = next(iter(first.pipeline("test").epoch()))
    assert (pictures.numpy().min(), pictures.numpy().max()) == (0, 255)
    # Opened again without the weights that it began with.
    assert runs.open_run(first.folder).evaluate("test") == first.result()["evaluation"]
    second = runs.train(runs.Settings(weights=str(first.folder / "best"), epochs=1, **form), tmp_path / "second")
    assert second.config["model"] == first.config["model"]
    assert second.config["data"]["value_range"] == [0, 255]
    # Those that somebody saved say nothing: pictures are scaled as the card says.
    saved = zoo.create_model("resnet20", input_shape=(8, 8, 1))
    zoo.weights.save(saved, tmp_path / "saved")
    third = runs.train(runs.Settings(model="resnet20", weights=str(tmp_path / "saved"), epochs=1), tmp_path / "third")
    assert third.config["data"]["value_range"] == list(zoo.model_card("resnet20").value_range)
