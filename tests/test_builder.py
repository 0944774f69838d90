import keras
import numpy as np
import pytest

import zoo
from zoo.models import stub


def test_create_model_and_builder_are_the_same():
    one = zoo.create_model("resnet20", classes=3, drop_path=0.2)
    other = zoo.models.resnet20(classes=3, drop_path=0.2)
    assert [layer.name for layer in one.layers[1:]] == [layer.name for layer in other.layers[1:]]


def test_arguments_of_keras_applications_fit_by_position():
    model = zoo.models.resnet20(False, None, None, (16, 16, 3), "max", 7, None, "body")
    assert model.output_shape == (None, 64)
    assert model.name == "body"


def test_pooling_has_no_effect_with_the_head():
    assert zoo.create_model("resnet20", pooling="max").output_shape == (None, 10)


def test_sizes_that_vary():
    assert zoo.create_model("resnet20", input_shape=(None, None, 3)).input_shape == (None, None, None, 3)
    with pytest.raises(ValueError, match="dense head needs a fixed input size"):
        zoo.create_model("simple_cnn", input_shape=(None, None, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, r"classes must be a whole number, at least 1. Received: classes=0"),
        ({"classes": True}, "classes must be a whole number"),
        ({"classes": 2.5}, "classes must be a whole number"),
        ({"pooling": "sum"}, r'pooling must be None, "avg" or "max". Received: pooling=\'sum\''),
        ({"variant": "new"}, r"variant must be 'published' or 'paper'. Received: variant='new'"),
        ({"output_stride": 3}, r"output_stride must be one of 4, 8, 16, 32. Received: output_stride=3"),
        ({"input_shape": (64, 64)}, r"takes inputs of 3 axes, e.g. \(224, 224, 3\). Received: \(64, 64\)"),
        ({"input_shape": (64, 64, None)}, "number of channels must be given"),
        ({"input_shape": (0, 64, 3)}, r"needs an input of at least \(1, 1, 3\). Received: \(0, 64, 3\)"),
        ({"weights": "imagenet"}, r"has no weights 'imagenet'. Did you mean 'default'\? Published weights: torchv"),
        (
            {"weights": "timm.a1x"},
            r"has no weights 'timm.a1x'. Did you mean 'timm.a1', 'timm.a1h', 'timm.ra'",
        ),
        ({"classifier_activation": "sofmax"}, "sofmax"),
        ({"dropout": 1.5}, "1.5"),
        ({"input_tensor": [1, 2]}, "input_tensor must be a Keras tensor. Received: list"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_illegal_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.create_model("resnet50", **arguments)


def test_unknown_knob_names_the_known_ones():
    known = "stem, shortcut, variant, output_stride, drop_path, dropout"
    with pytest.raises(TypeError, match=f"resnet50 has no argument 'dropuot'. Its knobs: {known}. All builders take"):
        zoo.create_model("resnet50", dropuot=0.1)
    with pytest.raises(TypeError, match="resnet50 has no argument 'dropuot'"):
        zoo.models.resnet50(dropuot=0.1)
    with pytest.raises(TypeError, match=r"resnet50\(\): too many positional arguments"):
        zoo.models.resnet50(*range(20))


def test_input_tensor_and_shape_must_agree():
    with pytest.raises(ValueError, match=r"input_shape=\(8, 8, 3\) and input_tensor of shape \(16, 16, 3\) do not"):
        zoo.create_model("resnet20", input_tensor=keras.Input((16, 16, 3)), input_shape=(8, 8, 3))


def test_backbone_of_several_outputs_gives_a_model_of_named_outputs():
    probabilities = zoo.create_model("googlenet", aux=True, classes=5)
    assert list(probabilities.output) == ["predictions", "aux1", "aux2"]
    names = [layer.name for layer in probabilities.layers]
    assert {"predictions", "aux1_predictions", "aux2_predictions"} <= set(names)
    source = keras.Input((64, 64, 3))
    plain = zoo.create_model("googlenet", aux=True, classes=5, classifier_activation=None, input_tensor=source)
    assert {name: value.name for name, value in plain.output.items()} == {
        "predictions": plain.get_layer("logits").output.name,
        "aux1": plain.get_layer("aux1").output.name,
        "aux2": plain.get_layer("aux2").output.name,
    }


def test_outputs_beside_the_features_belong_to_the_head():
    with_aux = zoo.create_model("googlenet", aux=True, include_top=False, pooling="avg")
    assert with_aux.output_shape == (None, 1024)
    assert zoo.count_params(with_aux) == zoo.count_params(zoo.create_model("googlenet", include_top=False))


def test_model_of_named_outputs_is_saved_and_loaded(tmp_path):
    model = zoo.create_model("googlenet", aux=True, classes=5, input_shape=(64, 64, 3))
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    expected = model(inputs, training=False)
    model.save(tmp_path / "model.keras")
    actual = keras.models.load_model(tmp_path / "model.keras")(inputs, training=False)
    for name in ("predictions", "aux1", "aux2"):
        np.testing.assert_array_equal(actual[name], expected[name])


@pytest.mark.parametrize("name", ["densenet121", "mobilenet", "googlenet"])
def test_another_stem_takes_smaller_pictures(name):
    assert zoo.create_model(name, stem="cifar", input_shape=(8, 8, 1), classes=10).input_shape == (None, 8, 8, 1)
    with pytest.raises(ValueError, match="needs an input of at least"):
        zoo.create_model(name, stem="imagenet", input_shape=(8, 8, 1))
    with pytest.raises(ValueError, match="output size would be zero or negative"):
        zoo.create_model(name, stem="cifar", input_shape=(1, 1, 1))


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="networks have their channels last"):
            zoo.create_model("resnet20")
    finally:
        keras.config.set_image_data_format("channels_last")


def test_stub_is_what_the_registry_says():
    assert stub.STUB.read_text(encoding="utf-8") == stub.render(), "run `python -m zoo.models.stub`"


def test_stub_is_valid_and_complete():
    import ast

    functions = [node.name for node in ast.parse(stub.render()).body if isinstance(node, ast.FunctionDef)]
    assert functions == zoo.list_models()
    assert "keras.src" not in stub.render()


@pytest.mark.parametrize("name", ["resnet20", "lenet5"])
def test_the_example_in_the_docstring_runs(name):
    import doctest

    runner = doctest.DocTestRunner()
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(zoo.models, name), name, globs={})
    runner.run(test)
    assert runner.summarize(verbose=False) == doctest.TestResults(failed=0, attempted=2)


@pytest.mark.parametrize(("name", "channels"), [("simple_cnn", 3), ("simple_cnn", 1), ("resnet20", 1), ("resnet20", 3)])
def test_preprocessing_fits_the_channels_whatever_the_card_has(name, channels):
    model = zoo.create_model(name, input_shape=(32, 32, channels), include_preprocessing=True)
    bare = zoo.create_model(name, input_shape=(32, 32, channels))
    bare.set_weights(model.get_weights())
    low, high = zoo.model_card(name).value_range
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, channels)).astype("float32")
    np.testing.assert_allclose(model(pixels), bare(low + pixels / 255 * (high - low)), atol=1e-5)
