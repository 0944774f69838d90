"""ResNet in the terms of its papers."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn


def projections(model):
    return [
        layer.name.removesuffix("_shortcut_conv") for layer in model.layers if layer.name.endswith("_shortcut_conv")
    ]


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet18", ["stage2_block1", "stage3_block1", "stage4_block1"]),
        ("resnet34", ["stage2_block1", "stage3_block1", "stage4_block1"]),
        ("resnet50", ["stage1_block1", "stage2_block1", "stage3_block1", "stage4_block1"]),
        ("resnet152", ["stage1_block1", "stage2_block1", "stage3_block1", "stage4_block1"]),
        ("resnet18_v2", ["stage2_block1", "stage3_block1", "stage4_block1"]),
        ("resnet50_v2", ["stage1_block1", "stage2_block1", "stage3_block1", "stage4_block1"]),
        ("resnet56", []),
        ("resnet164_v2", ["stage1_block1", "stage2_block1", "stage3_block1"]),
    ],
)
@undrawn()
def test_projections_stand_where_the_shape_changes_and_nowhere_else(name, blocks):
    assert projections(zoo.create_model(name)) == blocks


@pytest.mark.parametrize(("name", "depth", "width"), [("wide_resnet16_8", 16, 8), ("wide_resnet40_2", 40, 2)])
@undrawn()
def test_depth_of_wide_networks_for_cifar_counts_convolutions_with_projections(name, depth, width):
    model = zoo.create_model(name, block_dropout=0.3)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == depth
    assert [model.get_layer(f"stage{stage}_block1_conv1").filters for stage in (1, 2, 3)] == [
        16 * width, 32 * width, 64 * width,
    ]  # fmt: skip
    # Figure 1d: dropout between the two convolutions of a block, behind the ReLU.
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(dropouts) == (depth - 4) // 2
    for layer in dropouts:
        name = layer.name.removesuffix("_dropout")
        assert layer.rate == 0.3
        assert layer.input is model.get_layer(f"{name}_relu2").output
        assert model.get_layer(f"{name}_conv2").input is layer.output


@pytest.mark.parametrize(("name", "cardinality", "width"), [("resnext29_8x64d", 8, 64), ("resnext50_32x4d", 32, 4)])
@undrawn()
def test_cardinality_and_width_are_those_of_the_name(name, cardinality, width):
    model = zoo.create_model(name, include_top=False)
    layer = model.get_layer("stage1_block1_conv2")
    assert (layer.groups, layer.filters) == (cardinality, cardinality * width)
    assert model.get_layer("stage1_block1_conv3").filters == 256


@pytest.mark.parametrize(
    ("depth", "width", "millions"),
    [(40, 1, 0.6), (40, 2, 2.2), (40, 4, 8.9), (40, 8, 35.7), (28, 10, 36.5), (28, 12, 52.5), (22, 8, 17.2),
     (22, 10, 26.8), (16, 8, 11.0), (16, 10, 17.1)],
)  # fmt: skip
def test_wide_networks_have_the_parameters_of_table_4(depth, width, millions):
    assert round(zoo.model_card(f"wide_resnet{depth}_{width}").num_params / 1e6, 1) == millions


@undrawn()
def test_published_weights_stride_in_the_3x3_and_the_paper_in_the_1x1():
    published, paper = zoo.create_model("resnet50"), zoo.create_model("resnet50", variant="paper")
    for stage in (2, 3, 4):
        name = f"stage{stage}_block1_conv"
        assert [published.get_layer(name + str(i)).strides for i in (1, 2, 3)] == [(1, 1), (2, 2), (1, 1)]
        assert [paper.get_layer(name + str(i)).strides for i in (1, 2, 3)] == [(2, 2), (1, 1), (1, 1)]
    assert paper.count_params() == published.count_params()
    # Table 1 of the paper: 3.8 billion multiply-adds for 50 layers, 11.3 for 152.
    assert zoo.count_macs(paper) / 1e9 == pytest.approx(3.86, abs=0.05)
    assert zoo.count_macs(zoo.create_model("resnet152", variant="paper")) / 1e9 == pytest.approx(11.3, abs=0.05)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet20", 0.27), ("resnet32", 0.46), ("resnet44", 0.66), ("resnet56", 0.85), ("resnet110", 1.7),
     ("resnet1202", 19.4), ("resnet164_v2", 1.7), ("resnet110_v2", 1.7),
     ("resnet164", 1.7), ("resnext29_8x64d", 34.4)],
)  # fmt: skip
def test_cifar_networks_have_the_parameters_of_the_papers_tables(name, millions):
    digits = 2 if millions < 1 else 1
    assert round(zoo.model_card(name).num_params / 1e6, digits) == millions


def test_the_papers_count_of_1001_layers_leaves_out_batch_norm():
    card = zoo.model_card("resnet1001_v2")
    scales_and_shifts = card.num_state  # as many as means and variances
    assert round((card.num_params - scales_and_shifts) / 1e6, 1) == 10.2


def test_zero_padding_shortcut_takes_every_second_position_and_adds_zeros():
    model = zoo.create_model("resnet20", input_shape=(9, 6, 3))
    source = model.get_layer("stage1_block3_relu").output
    target = model.get_layer("stage2_block1_shortcut_pad").output
    inputs = np.random.default_rng(0).normal(size=(2, 9, 6, 3)).astype("float32")
    before, after = keras.Model(model.input, [source, target])(inputs)
    np.testing.assert_array_equal(after[..., :16], before[:, ::2, ::2])
    assert not np.any(after[..., 16:])
    assert after.shape == (2, 5, 3, 32)


@undrawn()
def test_projection_shortcut_is_a_knob_of_the_cifar_networks():
    # Option B: 16 x 32 + 32 x 64 weights and two batch norms more.
    model = zoo.create_model("resnet20", shortcut="projection")
    assert zoo.count_params(model)[0] == 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64)


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 75), ("resnet18_v2", 64), ("resnet50", 64), ("resnet50_v2", 75)]
)
def test_dilation_gives_the_same_values_at_more_positions(name, size):
    """With dilation every kernel sees the positions that it saw before, so every second value is the old one."""
    arguments = {"input_shape": (size, size, 3), "include_top": False}
    plain = zoo.create_model(name, **arguments)
    inputs = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    expected = plain(inputs).numpy()
    for output_stride in (16, 8):
        dilated = zoo.create_model(name, output_stride=output_stride, **arguments)
        dilated.set_weights(plain.get_weights())
        step = 32 // output_stride
        actual = dilated(inputs).numpy()
        assert actual.shape[1] == -(-size // output_stride)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual[:, ::step, ::step] / scale, expected / scale, atol=2e-5)
        assert zoo.endpoints(dilated)[-1] == f"stride{output_stride}"


@undrawn()
def test_cifar_stem_keeps_the_resolution():
    model = zoo.create_model("resnet18", stem="cifar", input_shape=(32, 32, 3), classes=10)
    assert zoo.endpoints(model) == ["stem", "stride1", "stride2", "stride4", "stride8", "pooled", "logits"]
    # 11,173,962 is the count of this network that CIFAR code bases state.
    assert zoo.count_params(model)[0] == 11_173_962


@undrawn()
def test_drop_path_rises_linearly_to_its_value():
    model = zoo.create_model("resnet18", drop_path=0.4)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_drop_path")]
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
    assert not any("drop" in layer.name for layer in zoo.create_model("resnet18").layers)


def test_dropout_stands_before_the_dense_layer():
    names = [layer.name for layer in zoo.create_model("resnet18", dropout=0.5).layers]
    assert names[-4:] == ["pooled", "head_dropout", "logits", "predictions"]


@undrawn()
def test_batch_norm_has_the_constants_of_the_published_weights():
    for layer in zoo.create_model("resnet18").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias


def test_preactivated_stem_pools_without_zeros_at_the_border():
    """What is pooled can be negative; the border must not win."""
    model = zoo.create_model("resnet18_v2", input_shape=(32, 32, 3))
    inputs = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    stem, pooled = keras.Model(
        model.input, [model.get_layer("stem").output, model.get_layer("stem_pool_stride").output]
    )(inputs)
    padded = np.pad(stem.numpy()[0], ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = [[padded[i : i + 3, j : j + 3].max(axis=(0, 1)) for j in range(0, 16, 2)] for i in range(0, 16, 2)]
    np.testing.assert_array_equal(pooled[0], expected)


@undrawn()
def test_resnext_and_wide_networks_differ_inside_the_bottleneck():
    widths = {}
    for name in ("resnet50", "resnext50_32x4d", "wide_resnet50_2"):
        model = zoo.create_model(name, include_top=False)
        layer = model.get_layer("stage1_block1_conv2")
        widths[name] = (layer.filters, layer.groups, model.get_layer("stage4_block3_conv2").filters)
        assert model.output_shape[-1] == 2048
    assert widths == {
        "resnet50": (64, 1, 512), "resnext50_32x4d": (128, 32, 1024), "wide_resnet50_2": (128, 1, 1024)
    }  # fmt: skip
