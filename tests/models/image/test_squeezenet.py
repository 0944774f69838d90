"""SqueezeNet in the terms of its paper."""

import keras
import pytest

import zoo
from zoo.drawing import undrawn

# Table 1: squeeze 1x1, expand 1x1, expand 3x3 of fire modules 2 to 9.
TABLE_1 = [(16, 64, 64), (16, 64, 64), (32, 128, 128), (32, 128, 128), (48, 192, 192), (48, 192, 192), (64, 256, 256),
           (64, 256, 256)]  # fmt: skip


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
@undrawn()
def test_fire_modules_have_the_widths_of_table_1(name):
    model = zoo.create_model(name)
    parts = ("squeeze", "expand1x1", "expand3x3")
    for number, widths in enumerate(TABLE_1, 2):
        layers = [model.get_layer(f"fire{number}_{part}") for part in parts]
        assert tuple(layer.filters for layer in layers) == widths
        assert [layer.kernel_size for layer in layers] == [(1, 1), (1, 1), (3, 3)]
        # Section 3: the squeeze ratio is 0.125, half of the filters are 3x3.
        assert widths[0] / (widths[1] + widths[2]) == 0.125


@pytest.mark.parametrize(
    ("name", "first", "pools"),
    [("squeezenet1_0", (96, (7, 7)), [(1, 54), (4, 27), (8, 13)]),
     ("squeezenet1_1", (64, (3, 3)), [(1, 55), (3, 27), (5, 13)])],
)  # fmt: skip
@undrawn()
def test_versions_differ_in_the_first_convolution_and_in_where_they_pool(name, first, pools):
    model = zoo.create_model(name)
    layer = model.get_layer("conv1")
    assert (layer.filters, layer.kernel_size) == first
    assert [(n, model.get_layer(f"pool{n}").output.shape[1]) for n, _ in pools] == pools


@pytest.mark.parametrize(
    ("bypass", "added", "projected"),
    [(None, [], []), ("simple", [3, 5, 7, 9], []), ("complex", [2, 3, 4, 5, 6, 7, 8, 9], [2, 4, 6, 8])],
)
@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
@undrawn()
def test_bypasses_stand_where_figure_2_has_them(name, bypass, added, projected):
    model = zoo.create_model(name, bypass=bypass)
    names = {layer.name for layer in model.layers}
    assert [number for number in range(2, 10) if f"fire{number}_add" in names] == added
    assert [number for number in range(2, 10) if f"fire{number}_bypass" in names] == projected


@undrawn()
def test_simple_bypass_costs_no_parameter_and_is_the_only_legal_other_word():
    assert zoo.count_params(zoo.create_model("squeezenet1_0", bypass="simple")) == (1_248_424, 0)
    projections = sum(before * after + after for before, after in [(96, 128), (128, 256), (256, 384), (384, 512)])
    assert zoo.count_params(zoo.create_model("squeezenet1_0", bypass="complex")) == (1_248_424 + projections, 0)
    with pytest.raises(ValueError, match="bypass must be None or 'simple' or 'complex'. Received: bypass='full'"):
        zoo.create_model("squeezenet1_0", bypass="full")


@undrawn()
def test_logits_are_means_of_a_convolution_and_any_size_goes():
    model = zoo.create_model("squeezenet1_1", input_shape=(None, None, 3), classes=7)
    assert not any(isinstance(layer, keras.layers.Dense) for layer in model.layers)
    assert model.get_layer("logits").input.shape == (None, None, None, 7)
    assert model.get_layer("head_dropout").rate == 0.5


@undrawn()
def test_cifar_stem_keeps_the_resolution():
    model = zoo.create_model("squeezenet1_1", stem="cifar", input_shape=(8, 8, 1), classes=10)
    assert zoo.endpoints(model) == ["stem", "stride1", "stride2", "stride4", "logits"]
    assert model.get_layer("stride1").output.shape[1:3] == (8, 8)
