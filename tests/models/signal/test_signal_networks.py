"""Networks for signals, in the terms of their papers."""

import keras
import numpy as np
import pytest

import zoo


def of_kind(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def convolutions(model):
    return [layer for layer in of_kind(model, keras.layers.Conv1D) if "shortcut" not in layer.name]


def test_fcn_has_three_convolutions_of_8_5_and_3_taps():
    model = zoo.create_model("fcn_1d")
    assert [(layer.filters, layer.kernel_size) for layer in convolutions(model)] == [
        (128, (8,)), (256, (5,)), (128, (3,)),
    ]  # fmt: skip
    # 264,962 with two classes is what the code of Fawaz et al. prints as trainable.
    assert zoo.count_params(zoo.create_model("fcn_1d", classes=2))[0] == 264_962


def test_resnet_projects_where_the_channels_change_and_normalises_elsewhere():
    model = zoo.create_model("resnet_1d")
    assert [layer.filters for layer in convolutions(model)] == [64] * 3 + [128] * 6
    names = [layer.name for layer in model.layers if "shortcut" in layer.name]
    assert names == ["block1_shortcut_conv", "block1_shortcut_bn", "block2_shortcut_conv", "block2_shortcut_bn",
                     "block3_shortcut_bn"]  # fmt: skip


def test_inception_time_has_its_bottlenecks_and_two_shortcuts():
    model = zoo.create_model("inception_time")
    names = [layer.name for layer in model.layers]
    # One channel needs no bottleneck; two channels have one.
    assert [f"module{i}_bottleneck_conv" in names for i in range(1, 7)] == [False, True, True, True, True, True]
    assert "module1_bottleneck_conv" in [layer.name for layer in zoo.create_model(
        "inception_time", input_shape=(64, 2)).layers]  # fmt: skip
    assert [name for name in names if name.endswith("_add")] == ["module3_add", "module6_add"]
    # What the code of the paper prints for one channel and three classes, statistics counted.
    assert sum(zoo.count_params(model)) == 422_627


def test_ecg_resnet_has_34_layers_and_answers_every_256_samples():
    model = zoo.create_model("ecg_resnet34", answers="sequence", input_shape=(1024, 1))
    assert len(convolutions(model)) + 1 == 34
    assert model.output_shape == (None, 4, 12)
    widths = [model.get_layer(f"block{index}_1_conv").filters for index in range(1, 17)]
    assert widths == [32] * 4 + [64] * 4 + [128] * 4 + [256] * 4
    strides = [model.get_layer(f"block{index}_1_conv").strides[0] for index in range(1, 17)]
    assert strides == [1, 2] * 8
    assert zoo.count_params(model)[0] == zoo.model_card("ecg_resnet34").num_params


def test_ecg_resnet_shortcut_pads_the_new_channels_with_zeros():
    model = zoo.create_model("ecg_resnet34", include_top=False, input_shape=(64, 1))
    added = zoo.features(model, ["block5_shortcut_pad", "block4_add"])(np.random.default_rng(0).normal(
        size=(1, 64, 1)).astype("float32"))  # fmt: skip
    shortcut = added["block5_shortcut_pad"].numpy()
    np.testing.assert_array_equal(shortcut[..., :32], added["block4_add"])
    assert not shortcut[..., 32:].any()


def test_denoiser_sees_two_seconds_and_the_plain_one_a_fifth():
    doubling = zoo.create_model("dilated_denoiser")
    plain = zoo.create_model("dilated_denoiser", dilation="none")
    assert zoo.receptive_field(doubling, "stride1").size == (1 + 8 * 63,)
    assert zoo.receptive_field(plain, "stride1").size == (1 + 8 * 6,)
    assert zoo.count_params(doubling) == zoo.count_params(plain)


def test_denoiser_without_weights_gives_the_signal_back_and_refuses_other_channels():
    model = zoo.create_model("dilated_denoiser")
    model.get_layer("noise").set_weights([np.zeros((9, 32, 1)), np.zeros(1)])
    signal = np.random.default_rng(0).normal(size=(2, 512, 1)).astype("float32")
    np.testing.assert_array_equal(model(signal), signal)
    with pytest.raises(ValueError, match="gives the channels that it gets, 1. Received: classes=2"):
        zoo.create_model("dilated_denoiser", classes=2)


@pytest.mark.parametrize("name", ["fcn_1d", "resnet_1d", "inception_time"])
def test_momentum_suits_short_trainings(name):
    norms = of_kind(zoo.create_model(name), keras.layers.BatchNormalization)
    assert {layer.momentum for layer in norms} == {0.9}


def test_squeezenet_1d_has_the_papers_eight_fire_modules_a_quarter_as_wide():
    model = zoo.create_model("squeezenet_1d")
    widths = [model.get_layer(f"fire{number}_squeeze").filters for number in range(2, 10)]
    assert widths == [4, 4, 8, 8, 12, 12, 16, 16]
    expanded = [model.get_layer(f"fire{number}_concat").output.shape[-1] for number in range(2, 10)]
    assert expanded == [8 * width for width in widths]
    channels, params = 24, (7 + 1) * 24
    for width in widths:
        params += (channels + 1) * width + (width + 1) * 4 * width + (3 * width + 1) * 4 * width
        channels = 8 * width
    assert zoo.count_params(model) == (params + (channels + 1) * 3, 0)
    # Max-pooling before fire modules 2, 5 and 9.
    lengths = [model.get_layer(f"fire{number}_concat").output.shape[1] for number in range(2, 10)]
    assert lengths == [64] * 3 + [32] * 4 + [16]


def test_squeezenet_1d_of_full_width_has_table_1s_filters_and_refuses_none():
    model = zoo.create_model("squeezenet_1d", width=1.0, bypass="simple")
    assert model.get_layer("fire9_concat").output.shape == (None, 16, 512)
    assert [layer.name for layer in of_kind(model, keras.layers.Add)] == [f"fire{i}_add" for i in (3, 5, 7, 9)]
    with pytest.raises(ValueError, match="width must be above 0. Received: width=0"):
        zoo.create_model("squeezenet_1d", width=0)


def test_densenet_1d_has_40_layers_and_each_sees_all_before_it():
    model = zoo.create_model("densenet_1d")
    assert len(convolutions(model)) + 1 == 40
    seen = [model.get_layer(f"stage1_layer{index}_conv1").input.shape[-1] for index in range(1, 7)]
    assert seen == [24 + 12 * index for index in range(6)]
    assert model.get_layer("transition1_conv").filters == (24 + 6 * 12) // 2
    with pytest.raises(ValueError, match="compression must be above 0 and at most 1. Received: compression=2"):
        zoo.create_model("densenet_1d", compression=2)
