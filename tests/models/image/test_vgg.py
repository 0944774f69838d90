"""VGG in the terms of its paper."""

import keras
import pytest

import zoo
from zoo.drawing import undrawn

# Table 1: convolutions of the five stages.
COLUMNS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2,) * 5, "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
# Table 2 of the paper, in millions.
MILLIONS = {"vgg11": 133, "vgg13": 133, "vgg16": 138, "vgg19": 144}


@pytest.mark.parametrize("name", [*COLUMNS, *(f"{name}_bn" for name in COLUMNS)])
@undrawn()
def test_stages_are_those_of_table_1(name):
    model = zoo.create_model(name, include_top=False)
    for stage, (num_convolutions, filters) in enumerate(
        zip(COLUMNS[name.removesuffix("_bn")], (64, 128, 256, 512, 512), strict=True), 1
    ):
        layers = [layer for layer in model.layers if layer.name.startswith(f"stage{stage}_conv")]
        assert len(layers) == num_convolutions
        assert {(layer.filters, layer.kernel_size, layer.strides) for layer in layers} == {(filters, (3, 3), (1, 1))}
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert norms == (sum(COLUMNS[name.removesuffix("_bn")]) if name.endswith("_bn") else 0)
    assert round(zoo.model_card(name).num_params / 1e6) == MILLIONS[name.removesuffix("_bn")]


@undrawn()
def test_batch_norm_has_the_constants_of_the_published_weights():
    for layer in zoo.create_model("vgg11_bn", include_top=False).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)


@undrawn()
def test_feature_map_is_7x7_at_224_and_averaged_to_that_elsewhere():
    small = {"hidden_units": 8, "classes": 5}
    model = zoo.create_model("vgg11", **small)
    assert model.get_layer("stride32").output.shape[1:] == (7, 7, 512)
    assert "head_pool" not in [layer.name for layer in model.layers]
    other = zoo.create_model("vgg11", input_shape=(96, 320, 3), **small)
    assert other.get_layer("head_pool").output.shape[1:] == (7, 7, 512)
    assert other.count_params() == model.count_params()
    with pytest.raises(ValueError, match="dense head needs a fixed input size"):
        zoo.create_model("vgg11", input_shape=(224, None, 3), **small)


@undrawn()
def test_dropout_follows_both_hidden_layers():
    model = zoo.create_model("vgg11", hidden_units=8)
    assert model.get_layer("fc7").input is model.get_layer("fc6_dropout").output
    assert model.get_layer("logits").input is model.get_layer("fc7_dropout").output
    assert model.get_layer("fc6_dropout").rate == 0.5


def test_cifar_stem_keeps_the_resolution():
    model = zoo.create_model("vgg11", stem="cifar", input_shape=(8, 8, 1), classes=10, hidden_units=64, head_size=1)
    assert zoo.endpoints(model) == ["stride1", "stride2", "stride4", "stride8", "logits"]
    assert model.get_layer("stride8").output.shape[1:] == (1, 1, 512)
    assert model.get_layer("fc6").kernel.shape == (512, 64)
