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
