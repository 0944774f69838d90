"""DenseNet in the terms of its paper."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn


def widths(model, pattern):
    return [layer.output.shape[-1] for layer in model.layers if layer.name.endswith(pattern)]


@pytest.mark.parametrize(
    ("name", "growth", "blocks", "stem"),
    [("densenet121", 32, (6, 12, 24, 16), 64), ("densenet161", 48, (6, 12, 36, 24), 96),
     ("densenet_bc100_k12", 12, (16, 16, 16), 24)],
)  # fmt: skip
@undrawn()
def test_each_layer_adds_its_growth_rate_and_a_transition_halves(name, growth, blocks, stem):
    expected, channels = [], stem
    for stage, num_layers in enumerate(blocks):
        if stage:
            channels //= 2
        expected += range(channels + growth, channels + growth * num_layers + 1, growth)
        channels += growth * num_layers
    model = zoo.create_model(name)
    assert widths(model, "_concat") == expected
    assert set(widths(model, "_conv1")) == {4 * growth}
    assert set(widths(model, "_conv2")) == {growth}


@undrawn()
def test_without_compression_a_transition_keeps_all_channels():
    model = zoo.create_model("densenet40_k12")
    assert widths(model, "_concat") == list(range(28, 16 + 36 * 12 + 1, 12))
    assert [model.get_layer(f"transition{i}_conv").filters for i in (1, 2)] == [160, 304]
    assert not widths(model, "_conv1")


@undrawn()
def test_no_convolution_has_a_bias():
    body = zoo.create_model("densenet_bc100_k12", include_top=False)
    assert not any(layer.use_bias for layer in body.layers if isinstance(layer, keras.layers.Conv2D))


@pytest.mark.parametrize(
    ("name", "millions"),
    [("densenet40_k12", 1.0), ("densenet100_k12", 7.0), ("densenet100_k24", 27.2), ("densenet_bc100_k12", 0.8),
     ("densenet_bc190_k40", 25.6), ("densenet_bc250_k24", 15.3)],
)  # fmt: skip
def test_cifar_networks_have_the_parameters_of_table_2(name, millions):
    assert round(zoo.model_card(name).num_params / 1e6, 1) == millions


@undrawn()
def test_growth_rate_and_compression_are_knobs():
    wide = zoo.create_model("densenet100_k12", growth_rate=24)
    assert zoo.count_params(wide)[0] == zoo.model_card("densenet100_k24").num_params
    model = zoo.create_model("densenet_bc100_k12", compression=0.3)
    assert model.get_layer("transition1_conv").filters == int(0.3 * (24 + 16 * 12))
    for compression in (0, 1.5):
        with pytest.raises(ValueError, match=f"compression must be above 0 and at most 1. Received: .*={compression}"):
            zoo.create_model("densenet_bc100_k12", compression=compression)


@undrawn()
def test_dropout_follows_every_convolution_but_the_first():
    model = zoo.create_model("densenet_bc100_k12", drop_rate=0.2)
    dropped = [layer.input.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    convolutions = [layer.output.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert dropped == convolutions[1:]
    plain = zoo.create_model("densenet_bc100_k12")
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)


@undrawn()
def test_cifar_stem_keeps_the_resolution():
    model = zoo.create_model("densenet121", stem="cifar", input_shape=(32, 32, 3), classes=10)
    assert zoo.endpoints(model) == ["stem", "stride1", "stride2", "stride4", "stride8", "pooled", "logits"]
    assert model.get_layer("stride8").output.shape[1:3] == (4, 4)


@undrawn()
def test_batch_norm_has_the_constants_of_the_published_weights():
    for layer in zoo.create_model("densenet121").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)


def test_fresh_network_keeps_the_scale_of_its_activations():
    model = zoo.create_model("densenet_bc100_k12")
    names = ["stem", "stage1_layer16_conv2", "stage2_layer16_conv2", "stage3_layer16_conv2"]
    inputs = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")
    outputs = zoo.features(model, names)(inputs, training=True)
    assert all(0.5 < np.std(outputs[name]) < 3 for name in names)
