"""Inception v2 to v4 and Inception-ResNet in the terms of their papers."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn

# Ioffe and Szegedy, figure 5: 1x1, 3x3 reduce, 3x3, double reduce, double, double, projection; sum of the branches.
# The table prints 576 behind 4c and 4d, where its own filters make 608.
FIGURE_5 = {
    "3a": ((64, 64, 64, 64, 96, 96, 32), 256),
    "3b": ((64, 64, 96, 64, 96, 96, 64), 320),
    "3c": ((0, 128, 160, 64, 96, 96, 0), 576),
    "4a": ((224, 64, 96, 96, 128, 128, 128), 576),
    "4b": ((192, 96, 128, 96, 128, 128, 128), 576),
    "4c": ((160, 128, 160, 128, 160, 160, 128), 608),
    "4d": ((96, 128, 192, 160, 192, 192, 128), 608),
    "4e": ((0, 128, 192, 192, 256, 256, 0), 1056),
    "5a": ((352, 192, 320, 160, 224, 224, 128), 1024),
    "5b": ((352, 192, 320, 192, 224, 224, 128), 1024),
}
BRANCHES = ("1x1", "3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2", "pool_proj")


def widths(model, prefix):
    return {layer.name: layer.output.shape[-1] for layer in model.layers if layer.name.startswith(prefix)}


@undrawn()
def test_branches_of_v2_have_the_widths_of_figure_5():
    model = zoo.create_model("inception_v2")
    layers = {layer.name: layer for layer in model.layers}
    for name, (filters, width) in FIGURE_5.items():
        for branch, expected in zip(BRANCHES, filters, strict=True):
            layer = layers.get(f"inception{name}_{branch}_conv")
            assert (layer.filters if layer else 0) == expected
        assert layers[f"inception{name}_concat"].output.shape[-1] == width
        kind = keras.layers.MaxPooling2D if name in ("3c", "4e", "5b") else keras.layers.AveragePooling2D
        assert isinstance(layers[f"inception{name}_pool"], kind)


@undrawn()
def test_v2_of_the_paper_has_a_separable_first_convolution():
    model = zoo.create_model("inception_v2", variant="paper")
    first = model.get_layer("conv1_conv")
    assert isinstance(first, keras.layers.SeparableConv2D)
    assert (first.depth_multiplier, first.filters, first.kernel_size, first.strides) == (8, 64, (7, 7), (2, 2))
    ordinary = zoo.model_card("inception_v2").num_params - 7 * 7 * 3 * 64
    assert zoo.count_params(model)[0] == ordinary + 7 * 7 * 3 * 8 + 3 * 8 * 64
    assert model.get_layer("stem").output.shape[1:3] == (112, 112)


@pytest.mark.parametrize("size", [(224, 224), (240, 216), (57, 43)])
@undrawn()
def test_branches_of_v2_meet_at_any_size(size):
    body = zoo.create_model("inception_v2", include_top=False, input_shape=(*size, 3))
    assert (
        body.get_layer("inception4e_pool").output.shape[1:3] == body.get_layer("inception4e_3x3_conv").output.shape[1:3]
    )


@undrawn()
def test_modules_of_v3_are_those_of_the_published_weights():
    model = zoo.create_model("inception_v3")
    concats = {name: width for name, width in widths(model, "mixed").items() if name.endswith("_concat")}
    assert concats == {
        **dict.fromkeys(["mixed5b_concat"], 256), **dict.fromkeys(["mixed5c_concat", "mixed5d_concat"], 288),
        **dict.fromkeys([f"mixed6{letter}_concat" for letter in "abcde"], 768),
        "mixed7a_concat": 1280, "mixed7b_concat": 2048, "mixed7c_concat": 2048,
    }  # fmt: skip
    kernels = {
        layer.kernel_size
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name.startswith(("mixed6b", "mixed6e"))
    }
    assert kernels == {(1, 1), (1, 7), (7, 1)}
    # Table 1: 35x35, 17x17, 8x8 positions.
    assert [model.get_layer(f"stride{stride}").output.shape[1] for stride in (8, 16, 32)] == [35, 17, 8]
    assert not any(layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def test_mean_in_v3_counts_zeros_beyond_the_border_unless_told_otherwise():
    counted = zoo.create_model("inception_v3", include_top=False, input_shape=(75, 75, 3))
    plain = zoo.create_model("inception_v3", include_top=False, input_shape=(75, 75, 3), count_include_pad=False)
    plain.set_weights(counted.get_weights())
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, 75, 75, 3)).astype("float32")
    maps = [zoo.features(model, ["mixed5b_pool"])(inputs)["mixed5b_pool"] for model in (counted, plain)]
    np.testing.assert_allclose(maps[0][:, 1:-1, 1:-1], maps[1][:, 1:-1, 1:-1], rtol=1e-5)
    np.testing.assert_allclose(maps[0][:, 0, 0], maps[1][:, 0, 0] * 4 / 9, rtol=1e-5)


def test_auxiliary_classifier_of_v3_is_a_named_output_on_demand():
    model = zoo.create_model("inception_v3", aux=True, classes=7)
    assert {name: value.shape for name, value in model.output.items()} == {"predictions": (None, 7), "aux1": (None, 7)}
    assert model.get_layer("aux1_pool").input is model.get_layer("mixed6e_concat").output
    assert model.get_layer("aux1_conv1_conv").output.shape[1:] == (1, 1, 768)
    assert zoo.count_params(zoo.create_model("inception_v3", aux=True))[0] == 27_161_264
    with pytest.raises(ValueError, match=r"auxiliary classifier needs a feature map of at least 17x17.*aux=False"):
        zoo.create_model("inception_v3", aux=True, input_shape=(224, 224, 3))


@undrawn()
def test_modules_of_v4_are_those_of_its_figures():
    model = zoo.create_model("inception_v4")
    concats = {name: width for name, width in widths(model, "mixed").items() if name.endswith("_concat")}
    assert concats == {
        "mixed3a_concat": 160, "mixed4a_concat": 192, "mixed5a_concat": 384,
        **{f"mixed5{letter}_concat": 384 for letter in "bcde"},
        **{f"mixed6{letter}_concat": 1024 for letter in "abcdefgh"},
        **{f"mixed7{letter}_concat": 1536 for letter in "abcd"},
    }  # fmt: skip
    # Figure 9: 35x35x384, 17x17x1024, 8x8x1536; the dropout keeps 0.8.
    shapes = [model.get_layer(f"stride{stride}").output.shape[1:] for stride in (8, 16, 32)]
    assert shapes == [(35, 35, 384), (17, 17, 1024), (8, 8, 1536)]
    assert model.get_layer("head_dropout").rate == 0.2


@pytest.mark.parametrize(
    ("name", "blocks", "shapes"),
    [
        ("inception_resnet_v1", (5, 10, 5), [(35, 35, 256), (17, 17, 896), (8, 8, 1792)]),
        ("inception_resnet_v2", (10, 20, 10), [(35, 35, 320), (17, 17, 1088), (8, 8, 1536)]),
    ],
)
@undrawn()
def test_residual_blocks_are_those_of_the_paper_or_of_the_published_weights(name, blocks, shapes):
    model = zoo.create_model(name)
    added = [layer.name.split("_")[0] for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert tuple(added.count(kind) for kind in ("block35", "block17", "block8")) == blocks
    assert [model.get_layer(f"stride{stride}").output.shape[1:] for stride in (8, 16, 32)] == shapes
    # Only the convolution before the addition is without batch norm and has a bias.
    biased = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.use_bias}
    assert len(biased) == sum(blocks)
    assert all(name.endswith("_up_conv") for name in biased)


@undrawn()
def test_residuals_are_scaled_and_the_scales_are_a_knob():
    model = zoo.create_model("inception_resnet_v1")
    assert [model.get_layer(f"{kind}_1_scale").scale for kind in ("block35", "block17", "block8")] == [0.17, 0.1, 0.2]
    other = zoo.create_model("inception_resnet_v1", residual_scales=(0.3, 1.0, 0.1))
    names = {layer.name for layer in other.layers}
    assert other.get_layer("block35_5_scale").scale == 0.3
    assert "block17_1_scale" not in names
    second = zoo.create_model("inception_resnet_v2", include_top=False)
    names = {layer.name for layer in second.layers}
    assert {"block8_9_scale", "block8_9_relu", "block8_10_add"} <= names
    assert not {"block8_10_scale", "block8_10_relu"} & names


@undrawn()
def test_stochastic_depth_rises_from_block_to_block():
    model = zoo.create_model("inception_resnet_v1", include_top=False, drop_path=0.2)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_drop_path")]
    np.testing.assert_allclose(sorted(rates), [0.2 * number / 20 for number in range(1, 21)])


@pytest.mark.parametrize("name", ["inception_v2", "inception_v3", "inception_v4", "inception_resnet_v1"])
@undrawn()
def test_cifar_stem_keeps_the_resolution(name):
    model = zoo.create_model(name, stem="cifar", input_shape=(32, 32, 3), classes=10)
    assert zoo.endpoints(model) == ["stem", "stride1", "stride2", "stride4", "pooled", "logits"]
    assert model.get_layer("stride1").output.shape[1:3] == (32, 32)
