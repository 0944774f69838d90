"""Networks for speech, in the terms of their papers."""

import keras
import numpy as np
import pytest

import zoo
from zoo.layers import LimitedWeightSharing, SubSpectralNormalization


def rounded(name, unit):
    return round(zoo.model_card(name).num_params / unit, 1)


def random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("name", "params", "multiplies"),
    [("cnn_trad_fpool3", 244.2, 9.7), ("cnn_one_fpool3", 53.8, 0.5), ("cnn_one_fstride4", 122.2, 0.5)],
)
def test_keyword_cnn_has_the_weights_and_multiplies_of_its_tables(name, params, multiplies):
    weights = sum(int(np.prod(v.shape)) for v in zoo.create_model(name).trainable_variables if len(v.shape) > 1)
    assert round(weights / 1e3, 1) == params
    assert round(zoo.model_card(name).num_macs / 1e6, 1) == multiplies


def test_trad_fpool3_layer_by_layer():
    model = zoo.create_model("cnn_trad_fpool3")
    names = ("conv1", "conv2", "linear", "hidden1", "logits")
    weights = [int(np.prod(model.get_layer(name).kernel.shape)) for name in names]
    assert weights == [10_240, 163_840, 65_536, 4_096, 512]
    assert model.get_layer("linear").activation.__name__ == "linear"


@pytest.mark.parametrize(("name", "thousands"), [("res8", 110), ("res15", 238), ("res26", 438), ("res8_narrow", 19.9),
                                                 ("res15_narrow", 42.6), ("res26_narrow", 78.4)])  # fmt: skip
def test_speech_resnet_has_the_parameters_of_tables_1_and_2(name, thousands):
    assert zoo.model_card(name).num_params / 1e3 == pytest.approx(thousands, abs=0.5 if thousands > 100 else 0.05)


def test_res15_doubles_the_spacing_every_three_layers():
    model = zoo.create_model("res15_narrow", include_top=False)
    spacing = [model.get_layer(f"conv{index}").dilation_rate[0] for index in range(1, 14)]
    assert spacing == [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16]
    # "125x131" in table 1 counts the receptive field of the last convolution, of 3x3 taps 16 apart.
    assert zoo.receptive_field(model, "bn13").size == (3 + 2 * (3 * 15 + 16),) * 2


def test_speech_resnet_adds_before_batch_norm_that_has_no_parameters():
    model = zoo.create_model("res8", include_top=False)
    names = [layer.name for layer in model.layers]
    assert names.index("add2") == names.index("bn2") - 1
    assert not any(layer.trainable_weights for layer in model.layers if layer.name.startswith("bn"))


@pytest.mark.parametrize(("name", "millions"), [("ds_cnn_s", 2.66), ("ds_cnn_m", 9.8), ("ds_cnn_l", 28.3)])
def test_ds_cnn_has_the_costs_of_table_9(name, millions):
    assert zoo.model_card(name).num_macs / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(("name", "shape"), [("ds_cnn_s", (25, 5)), ("ds_cnn_m", (13, 5)), ("ds_cnn_l", (13, 5))])
def test_ds_cnn_strides(name, shape):
    assert zoo.create_model(name, include_top=False, input_shape=(49, 10, 1)).output_shape[1:3] == shape


def test_ds_cnn_has_the_parameters_of_its_folded_form():
    model = zoo.create_model("ds_cnn_s")
    convolutions = [
        layer for layer in model.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    ]
    folded = sum(layer.count_params() + layer.output.shape[-1] for layer in convolutions)
    assert folded + model.get_layer("logits").count_params() == 22_604


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("bc_resnet_1", 2.5),
        ("bc_resnet_1_5", 4.6),
        ("bc_resnet_2", 7.3),
        ("bc_resnet_3", 14.5),
        ("bc_resnet_6", 50.3),
        ("bc_resnet_8", 85.9),
    ],
)
def test_bc_resnet_has_the_costs_of_its_code(name, macs):
    assert zoo.model_card(name).num_macs / 1e6 == pytest.approx(macs, abs=0.05)


def test_bc_resnet_halves_frequency_three_times_and_time_never():
    model = zoo.create_model("bc_resnet_1")
    shapes = [
        model.get_layer(name).output.shape[1:3]
        for name in ("stem", "stage2_block1_relu", "stage3_block1_relu", "stride1")
    ]
    assert shapes == [(101, 20), (101, 10), (101, 5), (101, 5)]
    with pytest.raises(ValueError, match="divides the bands into 5 groups"):
        zoo.create_model("bc_resnet_1", input_shape=(101, 64, 1))


def test_sub_spectral_norm_is_batch_norm_of_each_group():
    layer = SubSpectralNormalization(2, epsilon=1e-3)
    x = random((4, 3, 6, 2))
    normal = layer(x, training=True).numpy()
    for part in (slice(0, 3), slice(3, 6)):
        group = x[:, :, part]
        expected = (group - group.mean((0, 1, 2))) / np.sqrt(group.var((0, 1, 2)) + 1e-3)
        np.testing.assert_allclose(normal[:, :, part], expected, atol=1e-5)
    assert layer.gamma.shape == (4,)


def test_limited_weight_sharing_is_a_convolution_of_each_section():
    layer = LimitedWeightSharing(4, (3, 2), pool_size=3, pool_strides=2, activation="relu")
    x = random((2, 5, 9, 2))
    actual = layer(x).numpy()
    assert actual.shape == (2, 3, 3, 4)
    for section, kernel in enumerate(layer.kernels):
        part = x[:, :, 2 * section : 2 * section + 4]
        moved = keras.ops.relu(keras.ops.conv(part, kernel, padding="valid"))
        np.testing.assert_allclose(actual[:, :, section], np.max(moved, axis=2), atol=1e-5)
    assert layer.count_macs((1, 3, 3, 4)) == 3 * 3 * 3 * (3 * 2 * 2 * 4)


def test_limited_weight_sharing_with_equal_kernels_is_full_weight_sharing():
    limited = zoo.create_model("abdel_hamid_lws", include_top=False, input_shape=(15, 40, 3))
    conv = keras.layers.Conv2D(80, (15, 8), activation="sigmoid")
    x = random((2, 15, 40, 3))
    expected = keras.layers.MaxPooling2D((1, 6), (1, 2))(conv(x))
    layer = limited.get_layer("sections")
    kernel, bias = conv.get_weights()
    layer.set_weights([kernel] * 14 + [bias] * 14)
    np.testing.assert_allclose(limited(x), expected, atol=1e-5)


def test_limited_weight_sharing_refuses_too_few_bands():
    with pytest.raises(ValueError, match="needs at least 15 frames and 13 bands. Received: "):
        zoo.create_model("abdel_hamid_lws", input_shape=(15, 12, 3))


def test_matchboxnet_convolves_time_with_bands_as_channels():
    model = zoo.create_model("matchboxnet_3x2x64")
    taps = [layer.kernel_size for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert taps == [(11, 1), (13, 1), (13, 1), (15, 1), (15, 1), (17, 1), (17, 1), (29, 1)]
    field = zoo.receptive_field(model, "stem")
    assert (field.size, field.stride) == ((11, 64), (1, 64))
    # Table 1: 77K and 93K parameters.
    assert [rounded(name, 1e3) for name in ("matchboxnet_3x1x64", "matchboxnet_3x2x64")] == [77.2, 92.8]


def test_spectrograms_keep_their_bands():
    with pytest.raises(ValueError, match="numbers of bands and maps must be given, at least 1"):
        zoo.create_model("ds_cnn_s", input_shape=(49, None, 1))
    assert zoo.create_model("ds_cnn_s", include_top=False).input_shape == (None, None, 10, 1)
