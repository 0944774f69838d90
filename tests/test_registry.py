import dataclasses
from typing import get_args

import pytest
from keras import layers

import zoo
from zoo import registry
from zoo.layers import endpoint, pooled_head


@pytest.fixture
def scratch_registry(monkeypatch):
    """A registry that forgets what a test adds."""
    zoo.list_models()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def tiny(x, *, width: int, depth: int = 1):
    for index in range(depth):
        x = layers.Conv2D(width, 3, padding="same", name=f"conv{index}")(x)
    return endpoint(x, "stride1")


def tiny_card(name="tiny_net", **changes):
    card = dataclasses.replace(
        zoo.model_card("resnet20"), name=name, family="mine", num_params=0, endpoints=("stride1", "pooled", "logits")
    )
    return dataclasses.replace(card, **changes)


def test_names_are_in_natural_order():
    names = zoo.list_models("resnet*")
    assert names.index("resnet18") < names.index("resnet18_v2") < names.index("resnet20") < names.index("resnet101")


def test_filters():
    assert zoo.list_models("lenet*") == ["lenet5"]
    assert zoo.list_models("nothing*") == []
    assert set(zoo.list_models(family="lenet")) == {"lenet5", "simple_cnn"}
    boards = zoo.list_models(modality="board")
    assert "go_policy_192" in boards
    assert all(name.startswith("go_") for name in boards)
    modalities = {modality: zoo.list_models(modality=modality) for modality in get_args(registry.Modality)}
    assert sorted(name for names in modalities.values() for name in names) == sorted(zoo.list_models())
    assert "resnet50" in modalities["image"]
    assert "kim_cnn_rand" in modalities["text"]
    assert zoo.list_models(weights=True) == [n for n in zoo.list_models() if zoo.model_card(n).weights]
    assert zoo.list_models(weights=False) == [n for n in zoo.list_models() if not zoo.model_card(n).weights]


def test_filters_refuse_what_does_not_exist():
    with pytest.raises(ValueError, match="modality must be one of image, audio, text, board, signal"):
        zoo.list_models(modality="smell")
    with pytest.raises(ValueError, match=r"There is no family 'resnext'. Families: .*lenet, .*resnet"):
        zoo.list_models(family="resnext")


def test_unknown_name_lists_close_ones():
    with pytest.raises(ValueError, match=r"There is no model named 'ResNet-50'. Did you mean resnet50"):
        zoo.create_model("ResNet-50")
    with pytest.raises(ValueError, match=r"There is no model named 'zzz'. zoo.list_models\(\) lists all"):
        zoo.model_card("zzz")
    with pytest.raises(AttributeError, match="Did you mean lenet5"):
        _ = zoo.models.lenet


def test_a_package_of_ones_own_registers_a_model(scratch_registry):
    zoo.register(tiny_card(), tiny, pooled_head, width=4, depth=2)
    model = zoo.create_model("tiny_net", classes=3, input_shape=(8, 8, 1))
    assert model.output_shape == (None, 3)
    assert zoo.endpoints(model) == ["stride1", "pooled", "logits"]
    assert len([layer for layer in model.layers if isinstance(layer, layers.Conv2D)]) == 2
    assert zoo.create_model("tiny_net", depth=3).get_layer("conv2").filters == 4
    assert zoo.models.tiny_net(depth=1).name == "tiny_net"


def test_duplicate_name_raises(scratch_registry):
    with pytest.raises(ValueError, match="'resnet50' is registered already, in family 'resnet'"):
        zoo.register(tiny_card("resnet50"), tiny, pooled_head, width=4)


def test_register_refuses_what_does_not_fit(scratch_registry):
    with pytest.raises(TypeError, match=r"takes a zoo\.Card first"):
        zoo.register("tiny_net", tiny, pooled_head)
    with pytest.raises(TypeError, match=r"unknown \['height'\], missing \['width'\]"):
        zoo.register(tiny_card(), tiny, pooled_head, height=4)
    with pytest.raises(ValueError, match="must be a valid Python name"):
        zoo.register(tiny_card("tiny-net"), tiny, pooled_head, width=4)
    with pytest.raises(ValueError, match="modality must be one of"):
        zoo.register(tiny_card(modality="smell"), tiny, pooled_head, width=4)


def test_row_values_are_not_knobs(scratch_registry):
    zoo.register(tiny_card(), tiny, pooled_head, width=4)
    with pytest.raises(TypeError, match=r"tiny_net has no argument 'width'. Its knobs: depth, dropout"):
        zoo.create_model("tiny_net", width=8)


def test_card_is_frozen_and_plain():
    card = zoo.model_card("resnet50")
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"
    assert card.to_dict()["paper"]["year"] == 2015
