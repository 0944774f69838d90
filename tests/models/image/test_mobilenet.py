"""MobileNet, the first three, in the terms of their papers."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn
from zoo.layers import rounded_width

V1, V2 = zoo.list_models(family="mobilenet"), zoo.list_models(family="mobilenet_v2")
V3 = zoo.list_models(family="mobilenet_v3")


def widths(model, ending):
    return [layer.output.shape[-1] for layer in model.layers if layer.name.endswith(ending)]


def of_kind(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("width", "rounded"),
    # The nearest multiple of 8; 11 would lose 27 % by 8, 17.9 by 16 loses just over 10 %, 17.7 just under.
    [(3, 8), (11, 16), (11.2, 16), (12, 16), (16, 16), (17.7, 16), (17.9, 24), (22.4, 24), (44.8, 48), (1792, 1792)],
)
def test_widths_are_rounded_to_multiples_of_8_and_lose_10_percent_at_most(width, rounded):
    assert rounded_width(width) == rounded
    assert rounded >= 0.9 * width


@pytest.mark.parametrize("name", V1)
@undrawn()
def test_v1_alternates_depthwise_and_pointwise_convolutions(name):
    model = zoo.create_model(name, include_top=False)
    assert len(of_kind(model, keras.layers.DepthwiseConv2D)) == 13
    alpha = {"mobilenet": 1.0}.get(name) or int(name[-3:]) / 100
    table_1 = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    assert widths(model, "_pointwise_conv") == [int(alpha * width) for width in table_1]
    assert model.get_layer("stem_conv").filters == int(alpha * 32)


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [("mobilenet", 569, 4.2), ("mobilenet_075", 325, 2.6), ("mobilenet_050", 149, 1.3), ("mobilenet_025", 41, 0.5)],
)
def test_v1_has_the_costs_of_table_6(name, macs, params):
    card = zoo.model_card(name)
    assert round(card.num_macs / 1e6) == pytest.approx(macs, abs=0.5)
    assert round(card.num_params / 1e6, 1) == params


@undrawn()
def test_v1_pads_where_it_strides_at_the_bottom_and_right_alone():
    model = zoo.create_model("mobilenet")
    padded = of_kind(model, keras.layers.ZeroPadding2D)
    assert [layer.name for layer in padded] == [f"block{i}_depthwise_conv_pad" for i in (2, 4, 6, 12)]
    assert {layer.padding for layer in padded} == {((0, 1), (0, 1))}
    assert model.get_layer("stem_conv").padding == "same"


@pytest.mark.parametrize("name", V2)
@undrawn()
def test_v2_expands_six_times_and_adds_where_the_shape_stays(name):
    model = zoo.create_model(name, include_top=False)
    assert "block1_expand_conv" not in {layer.name for layer in model.layers}
    for index in range(2, 18):
        layer = model.get_layer(f"block{index}_expand_conv")
        assert layer.filters == 6 * layer.input.shape[-1]
    added = [int(layer.name[5:-4]) for layer in of_kind(model, keras.layers.Add)]
    assert {3, 5, 6, 8, 9, 10, 12, 13, 15, 16} <= set(added)
    assert not {1, 2, 4, 7, 14} & set(added)


@undrawn()
def test_v2_has_the_widths_of_table_2():
    expected = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320]
    assert widths(zoo.create_model("mobilenet_v2"), "_project_conv") == expected
    assert zoo.create_model("mobilenet_v2_140").get_layer("final_conv").filters == 1792
    assert zoo.create_model("mobilenet_v2_035").get_layer("final_conv").filters == 1280


@undrawn()
def test_v2_bottlenecks_are_linear():
    model = zoo.create_model("mobilenet_v2")
    followers = {
        type(node.operation).__name__
        for layer in model.layers
        if layer.name.endswith("_project_bn")
        for node in layer._outbound_nodes
    }
    assert "Activation" not in followers


@undrawn()
def test_v3_squeezes_and_switches_activations_as_in_tables_1_and_2():
    large, small = zoo.create_model("mobilenet_v3_large"), zoo.create_model("mobilenet_v3_small")
    blocks = lambda model: [int(i.name[5:].split("_")[0]) for i in of_kind(model, keras.layers.Multiply)]  # noqa: E731
    assert blocks(large) == [4, 5, 6, 11, 12, 13, 14, 15]
    assert blocks(small) == [1, 4, 5, 6, 7, 8, 9, 10, 11]
    # A quarter of the expanded channels, rounded: 72 -> 24, 120 -> 32, 480 -> 120, 672 -> 168, 960 -> 240.
    assert widths(large, "_squeeze_conv1") == [24, 32, 32, 120, 168, 168, 240, 240]
    activation = lambda model, i: model.get_layer(f"block{i}_depthwise_act").activation.__name__  # noqa: E731
    assert [activation(large, i) for i in (6, 7)] == ["relu", "hard_silu"]
    assert [activation(small, i) for i in (3, 4)] == ["relu", "hard_silu"]


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "mobilenet_v3_small"])
@undrawn()
def test_minimal_v3_has_no_gates_no_hard_swish_and_3x3_kernels_alone(name):
    full, minimal = zoo.create_model(name), zoo.create_model(f"{name}_minimal")
    assert widths(minimal, "_conv") == widths(full, "_conv")
    assert not of_kind(minimal, keras.layers.Multiply)
    assert {layer.kernel_size for layer in of_kind(minimal, keras.layers.DepthwiseConv2D)} == {(3, 3)}
    assert {layer.kernel_size for layer in of_kind(full, keras.layers.DepthwiseConv2D)} == {(3, 3), (5, 5)}
    names = {layer.activation.__name__ for layer in of_kind(minimal, keras.layers.Activation)}
    assert names == {"relu", "softmax"}


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "mobilenet_v3_large_minimal"])
def test_dilation_gives_the_same_values_at_more_positions(name):
    """Without gates, whose means are taken over more positions; batch-norm statistics as in training."""
    arguments = {"input_shape": (96, 64, 3), "include_top": False}
    plain = zoo.create_model(name, **arguments)
    inputs = np.random.default_rng(0).uniform(-1, 1, (2, 96, 64, 3)).astype("float32")
    expected = plain(inputs).numpy()
    for output_stride in (16, 8):
        dilated = zoo.create_model(name, output_stride=output_stride, **arguments)
        dilated.set_weights(plain.get_weights())
        step = 32 // output_stride
        actual = dilated(inputs).numpy()
        assert actual.shape[1:3] == (96 // output_stride, 64 // output_stride)
        np.testing.assert_allclose(actual[:, ::step, ::step], expected, atol=2e-5 * np.abs(expected).max())
        assert zoo.endpoints(dilated)[-1] == f"stride{output_stride}"


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
@undrawn()
def test_cifar_stem_keeps_the_resolution(name):
    model = zoo.create_model(name, stem="cifar", input_shape=(32, 32, 3), classes=10)
    assert zoo.endpoints(model) == ["stem", "stride1", "stride2", "stride4", "stride8", "pooled", "logits"]
    assert model.get_layer("stride8").output.shape[1:3] == (4, 4)
    assert zoo.receptive_field(model, "stride8").stride == (8, 8)


@pytest.mark.parametrize(("name", "blocks"), [("mobilenet_v2", 17), ("mobilenet_v3_large", 15)])
@undrawn()
def test_drop_path_rises_linearly_over_the_residual_blocks(name, blocks):
    model = zoo.create_model(name, drop_path=0.2)
    rates = {
        int(layer.name[5:].split("_")[0]): layer.rate for layer in model.layers if layer.name.endswith("_drop_path")
    }
    assert len(rates) == len(of_kind(model, keras.layers.Add))
    for index, rate in rates.items():
        assert rate == pytest.approx(0.2 * index / blocks)
    assert not any(layer.name.endswith("_drop_path") for layer in zoo.create_model(name).layers)


@pytest.mark.parametrize(("name", "constants"), [("mobilenet", (1e-3, 0.99)), ("mobilenet_v2", (1e-5, 0.9)),
                                                 ("mobilenet_v3_small", (1e-3, 0.99))])  # fmt: skip
@undrawn()
def test_batch_norm_has_the_constants_of_the_published_weights(name, constants):
    layers = of_kind(zoo.create_model(name), keras.layers.BatchNormalization)
    assert {(layer.epsilon, layer.momentum) for layer in layers} == {constants}


def test_head_of_v3_has_a_hidden_layer_behind_the_pooling():
    for name, units in [("mobilenet_v3_large", 1280), ("mobilenet_v3_small", 1024)]:
        model = zoo.create_model(name)
        names = [layer.name for layer in model.layers]
        assert names[-6:] == ["pooled", "hidden", "hidden_act", "head_dropout", "logits", "predictions"]
        assert model.get_layer("hidden").units == units
    assert "head_dropout" not in [layer.name for layer in zoo.create_model(name, dropout=0.0).layers]


@pytest.mark.parametrize(("name", "alpha"), [("mobilenet", 0.01), ("mobilenet_v2", 0)])
@undrawn()
def test_illegal_widths_are_refused(name, alpha):
    with pytest.raises(ValueError, match=rf"alpha must be .* Received: alpha={alpha}"):
        zoo.create_model(name, alpha=alpha)


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "mobilenet_v3_large_minimal"])
def test_fresh_depthwise_kernels_keep_the_scale(name):
    model = zoo.create_model(name)
    for layer in of_kind(model, keras.layers.DepthwiseConv2D):
        # Variance 2 / (kernel height * kernel width).
        assert np.std(layer.kernel) == pytest.approx(np.sqrt(2 / 9), rel=0.25)
