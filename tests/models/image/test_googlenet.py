"""GoogLeNet in the terms of its paper."""

import keras
import numpy as np
import pytest

import zoo
from zoo.drawing import undrawn

# Table 1: filters of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj; the sum of the four branches is the output.
TABLE_1 = {
    "3a": ((64, 96, 128, 16, 32, 32), 256),
    "3b": ((128, 128, 192, 32, 96, 64), 480),
    "4a": ((192, 96, 208, 16, 48, 64), 512),
    "4b": ((160, 112, 224, 24, 64, 64), 512),
    "4c": ((128, 128, 256, 24, 64, 64), 512),
    "4d": ((112, 144, 288, 32, 64, 64), 528),
    "4e": ((256, 160, 320, 32, 128, 128), 832),
    "5a": ((256, 160, 320, 32, 128, 128), 832),
    "5b": ((384, 192, 384, 48, 128, 128), 1024),
}
BRANCHES = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")


@pytest.mark.parametrize("variant", ["published", "paper"])
@undrawn()
def test_branches_have_the_widths_of_table_1(variant):
    model = zoo.create_model("googlenet", variant=variant)
    for name, (filters, width) in TABLE_1.items():
        layers = [model.get_layer(f"inception{name}_{branch}_conv") for branch in BRANCHES]
        assert tuple(layer.filters for layer in layers) == filters
        assert model.get_layer(f"inception{name}_concat").output.shape[-1] == width
        third = 5 if variant == "paper" else 3
        assert [layer.kernel_size[0] for layer in layers] == [1, 1, 3, 1, third, 1]


@undrawn()
def test_paper_normalises_responses_and_has_biases_in_place_of_batch_norm():
    model = zoo.create_model("googlenet", variant="paper")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("LocalResponseNormalization") == 2
    assert "BatchNormalization" not in kinds
    assert all(layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    published = zoo.create_model("googlenet")
    assert not any(layer.use_bias for layer in published.layers if isinstance(layer, keras.layers.Conv2D))
    for layer in published.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-3, 0.9)


@pytest.mark.parametrize(
    ("arguments", "params"),
    # Torchvision's counts; those of Caffe's bvlc_googlenet, without and with its auxiliary classifiers.
    [({}, 6_624_904), ({"aux": True}, 13_004_888), ({"variant": "paper"}, 6_998_552),
     ({"variant": "paper", "aux": True}, 13_378_280)],
)  # fmt: skip
@undrawn()
def test_number_of_parameters(arguments, params):
    assert zoo.count_params(zoo.create_model("googlenet", **arguments))[0] == params


@pytest.mark.parametrize("variant", ["published", "paper"])
@undrawn()
def test_resolutions_are_those_of_table_1(variant):
    model = zoo.create_model("googlenet", variant=variant)
    sizes = {name: model.get_layer(name).output.shape[1] for name in zoo.endpoints(model) if "stride" in name}
    assert sizes == {"stride4": 56, "stride8": 28, "stride16": 14, "stride32": 7}


@pytest.mark.parametrize(("variant", "smallest"), [("published", 15), ("paper", 31)])
def test_pooling_reaches_over_the_border(variant, smallest):
    body = zoo.create_model("googlenet", variant=variant, include_top=False, input_shape=(smallest, smallest, 3))
    assert body.output_shape == (None, 1, 1, 1024)
    with pytest.raises(ValueError):  # noqa: PT011  (Keras or the builder)
        zoo.create_model("googlenet", variant=variant, input_shape=(smallest - 1, smallest, 3))
    model = zoo.create_model("googlenet", input_shape=(42, 40, 3))
    inputs = np.random.default_rng(0).normal(size=(1, 42, 40, 3)).astype("float32")
    before, after = keras.Model(model.input, [model.get_layer(name).output for name in ("stem", "pool1")])(inputs)
    before = before.numpy()
    expected = [[before[0, i : i + 3, j : j + 3].max(axis=(0, 1)) for j in range(0, 19, 2)] for i in range(0, 20, 2)]
    np.testing.assert_array_equal(after[0], expected)


@pytest.mark.parametrize("variant", ["published", "paper"])
def test_auxiliary_classifiers_are_named_outputs_on_demand(variant):
    model = zoo.create_model("googlenet", aux=True, variant=variant, classes=7)
    assert {name: value.shape for name, value in model.output.items()} == dict.fromkeys(
        ("predictions", "aux1", "aux2"), (None, 7)
    )
    assert model.get_layer("aux1_pool").input is model.get_layer("inception4a_concat").output
    assert model.get_layer("aux2_pool").input is model.get_layer("inception4d_concat").output
    assert model.get_layer("aux1_conv").output.shape[1:] == (4, 4, 128)
    assert set(zoo.endpoints(model)) == {*zoo.model_card("googlenet").endpoints, "aux1", "aux2"}


@undrawn()
def test_auxiliary_classifiers_need_a_fixed_size():
    assert zoo.create_model("googlenet", input_shape=(None, None, 3)).output_shape == (None, 1000)
    with pytest.raises(ValueError, match=r"auxiliary classifiers need a fixed input size. Received .*aux=False"):
        zoo.create_model("googlenet", aux=True, input_shape=(None, None, 3))


@undrawn()
def test_dropout_is_that_of_the_variant_unless_given():
    rate = lambda name, **knobs: zoo.create_model("googlenet", **knobs).get_layer(name).rate  # noqa: E731
    assert rate("head_dropout") == 0.2
    assert rate("head_dropout", variant="paper") == 0.4
    assert rate("head_dropout", dropout=0.1) == 0.1
    assert rate("aux1_dropout", aux=True) == 0.7


@undrawn()
def test_cifar_stem_keeps_the_resolution():
    model = zoo.create_model("googlenet", stem="cifar", input_shape=(8, 8, 3), classes=10)
    assert zoo.endpoints(model) == ["stem", "stride1", "stride2", "stride4", "pooled", "logits"]
    assert model.get_layer("stride4").output.shape[1:3] == (2, 2)
