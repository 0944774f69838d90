"""AlexNet in the terms of its papers."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


@undrawn()
def test_default_is_one_tower():
    model = zoo.create_model("alexnet")
    assert [layer.filters for layer in convolutions(model)] == [64, 192, 384, 256, 256]
    assert [layer.kernel_size[0] for layer in convolutions(model)] == [11, 5, 3, 3, 3]
    assert {layer.groups for layer in convolutions(model)} == {1}
    assert model.get_layer("conv1").strides == (4, 4)


@undrawn()
def test_paper_has_two_towers_that_meet_in_the_third_convolution():
    model = zoo.create_model("alexnet", variant="paper", input_shape=(227, 227, 3))
    assert zoo.count_params(model) == (60_965_224, 0)
    assert [layer.filters for layer in convolutions(model)] == [96, 256, 384, 384, 256]
    assert [layer.groups for layer in convolutions(model)] == [1, 2, 1, 2, 2]
    norms = [layer for layer in model.layers if type(layer).__name__ == "LocalResponseNormalization"]
    assert [layer.input is model.get_layer(f"relu{number}").output for number, layer in enumerate(norms, 1)] == [
        True
    ] * 2
    assert {(layer.depth_radius, layer.bias, layer.alpha, layer.beta) for layer in norms} == {(2, 2.0, 1e-4, 0.75)}


@undrawn()
def test_paper_has_the_sizes_of_its_figure_2_at_227():
    model = zoo.create_model("alexnet", variant="paper", input_shape=(227, 227, 3))
    assert [layer.output.shape[1] for layer in convolutions(model)] == [55, 27, 13, 13, 13]
    assert model.get_layer("stride32").output.shape[1:] == (6, 6, 256)
    assert "head_pool" not in [layer.name for layer in model.layers]


@undrawn()
def test_pooling_overlaps():
    model = zoo.create_model("alexnet")
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert [(layer.name, layer.pool_size, layer.strides) for layer in pools] == [
        (f"pool{number}", (3, 3), (2, 2)) for number in (1, 2, 5)
    ]


@undrawn()
def test_dropout_stands_before_both_hidden_layers():
    model = zoo.create_model("alexnet", dropout=0.4)
    assert [model.get_layer(f"{name}_dropout").rate for name in ("fc6", "fc7")] == [0.4, 0.4]
    assert model.get_layer("fc6").input is model.get_layer("fc6_dropout").output
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in zoo.create_model("alexnet", dropout=0.0).layers)


@undrawn()
def test_head_needs_a_fixed_size_and_the_body_does_not():
    assert zoo.create_model("alexnet", include_top=False).input_shape == (None, None, None, 3)
    with pytest.raises(ValueError, match="dense head needs a fixed input size"):
        zoo.create_model("alexnet", input_shape=(None, None, 3))


def test_cifar_stem_keeps_the_resolution():
    model = zoo.create_model("alexnet", stem="cifar", input_shape=(32, 32, 3), classes=10, hidden_units=64)
    assert zoo.endpoints(model) == ["stride1", "stride2", "stride4", "logits"]
    assert model.get_layer("fc7").units == 64
    assert model(np.zeros((1, 32, 32, 3))).shape == (1, 10)


def test_the_papers_form_needs_four_pixels_more():
    assert zoo.create_model("alexnet", variant="paper", input_shape=(67, 67, 3), classes=3).output_shape == (None, 3)
    with pytest.raises(
        ValueError, match=r'variant="paper" needs pictures of at least 67x67, or stem="cifar". Received'
    ):
        zoo.create_model("alexnet", variant="paper", input_shape=(66, 80, 3))
