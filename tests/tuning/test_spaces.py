"""Spaces begin at the zoo's defaults, and both ends of every range build."""

import dataclasses
import inspect
import itertools
import json

import keras_tuner
import numpy as np
import pytest
from representatives import cheapest

import tuning
import zoo
from tuning import hyper, spaces
from zoo import runs
from zoo.builder import builder
from zoo.drawing import undrawn
from zoo.training.hyperparameters import NAMES

NAMES_OF_MODELS = zoo.list_models()
# Whose papers vary what knobs name; the others search dropout, where they have it, and the training.
WITH_OWN_SPACE = [
    name for name in NAMES_OF_MODELS if zoo.model_card(name).modality == "image" or name.startswith("kim_cnn")
]


def by_family(name):
    card = zoo.model_card(name)
    return card.family, name if name == "simple_cnn" else ""


FAMILIES = cheapest(by_family, WITH_OWN_SPACE)


def plain(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", NAMES_OF_MODELS)
def test_the_defaults_are_those_of_the_zoo(name):
    hp = keras_tuner.HyperParameters()
    found = spaces.space(name, "all")(hp)
    settings = runs.Settings(**found)
    assert dataclasses.replace(settings, knobs={}) == runs.Settings(model=name)
    defaults = {key: item.default for key, item in inspect.signature(builder(name)).parameters.items()}
    assert {key: plain(value) for key, value in settings.knobs.items()} == {
        key: plain(defaults[key]) for key in settings.knobs
    }
    assert settings.knobs or name not in WITH_OWN_SPACE


def bounds(item):
    """The first and the last value; those of a range without steps that keras-tuner gives are drawn at random."""
    if isinstance(item, keras_tuner.engine.hyperparameters.Float) and item.step is None:
        return item.min_value, item.max_value
    values = list(itertools.islice(item.values, 100))
    return values[0], values[-1]


def ends(name, part):
    """For each hyper-parameter of a space its ends, as values that make it active, all others at their defaults."""
    known = spaces.declared(spaces.space(name, part))
    for item in known.space:
        for value in dict.fromkeys(bounds(item)):
            chosen = {condition.name: condition.values[-1] for condition in item.conditions}
            yield f"{item.name}={value}", {**chosen, item.name: value}


def build(name, values):
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    settings = runs.Settings(**spaces.space(name, "model")(hp))
    size = max(zoo.model_card(settings.model).min_size, 32)
    with undrawn():
        shape = (size, size, 3) if zoo.model_card(name).modality == "image" else (size,)
        return zoo.create_model(settings.model, classes=3, input_shape=shape, **settings.knobs)


@pytest.mark.parametrize("name", ["simple_cnn", "squeezenet1_1", "kim_cnn_rand"])
def test_both_ends_of_every_range_build(name):
    default = zoo.count_params(build(name, {}))
    others = [zoo.count_params(build(name, values)) for _, values in ends(name, "model")]
    assert any(count != default for count in others)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_both_ends_of_every_range_build_in_each_family(name):
    """All first values together, and all last ones."""
    known = spaces.declared(spaces.space(name, "model")).space
    for end in (0, 1):
        assert build(name, {item.name: bounds(item)[end] for item in known}).output_shape == (None, 3)


# Of sound, text and signals, the cheapest network of each family with knobs that its space names.
OTHERS = ("abdel_hamid_lws", "cnn_one_fpool3", "dpcnn", "inception_time", "vdcnn9")


@pytest.mark.parametrize("name", OTHERS)
def test_both_ends_of_every_range_build_for_other_modalities(name):
    card = zoo.model_card(name)
    shape = (min(card.input_shape[0], 128), *card.input_shape[1:])
    known = spaces.declared(spaces.space(name, "model")).space
    counts = set()
    for end in (0, 1):
        hp = keras_tuner.HyperParameters()
        hp.values = {item.name: bounds(item)[end] for item in known if item.name != "network"}
        settings = runs.Settings(**spaces.space(name, "model")(hp))
        with undrawn():
            model = zoo.create_model(name, classes=3, input_shape=shape, **settings.knobs)
        assert model.output_shape == (None, 3)
        counts.add(model.count_params())
    assert len(counts) == 2


def test_sound_is_augmented_in_a_search():
    known = {item.name: item for item in spaces.declared(spaces.space("ds_cnn_s", "all")).space}
    assert list(known["network"].values) == ["ds_cnn_s", "ds_cnn_m", "ds_cnn_l"]
    for text in known["augment"].values:
        zoo.data.Augmentation.parse(text)
    assert "augment" not in {item.name for item in spaces.declared(spaces.space("fcn_1d", "all")).space}
    quiet = spaces.declared(spaces.space("ds_cnn_s", "all", preprocessing=False)).space
    assert "augment" not in {item.name for item in quiet}


def test_both_ends_of_every_range_of_the_training_are_settings():
    defaults = {item.name: item.default for item in spaces.declared(spaces.space("simple_cnn", "training")).space}
    default, found, changes = as_text(runs.Settings(model="simple_cnn")), [], set()
    for _, values in ends("simple_cnn", "training"):
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        settings = runs.Settings(**spaces.space("simple_cnn", "training")(hp))
        settings.check_optimizer()
        changed = tuple((name, value) for name, value in values.items() if defaults[name] != value)
        assert (as_text(settings) == default) == (not changed)
        found.append(as_text(settings))
        changes.add(changed)
    assert len(set(found)) == len(changes)
    assert len(found) >= 2 * len(defaults) - 2


def as_text(settings):
    return json.dumps(dataclasses.asdict(settings), sort_keys=True)


def test_every_family_has_a_space_and_every_depth_is_registered():
    assert {zoo.model_card(name).family for name in WITH_OWN_SPACE} <= set(spaces._FAMILIES)
    for names in spaces.DEPTHS:
        assert len({zoo.model_card(name).family for name in names}) == 1
        knobs = [set(inspect.signature(builder(name)).parameters) for name in names]
        assert all(item == knobs[0] for item in knobs)


def test_a_space_names_settings_alone():
    for part in ("model", "training", "all"):
        found = spaces.space("resnet20", part)(keras_tuner.HyperParameters())
        assert set(found) <= {"model", *NAMES}


def test_depth_is_another_network_of_the_family():
    hp = keras_tuner.HyperParameters()
    hp.values["network"] = "resnet56"
    assert spaces.space("resnet20", "model")(hp)["model"] == "resnet56"


def test_choices_open_others():
    known = spaces.declared(spaces.space("simple_cnn", "training"))
    conditions = {item.name: [condition.name for condition in item.conditions] for item in known.space}
    assert conditions["weight_decay"] == ["optimizer"]
    assert conditions["warmup_epochs"] == ["schedule"]
    known = spaces.declared(spaces.space("plain_cnn", "free"))
    conditions = {item.name: [condition.name for condition in item.conditions] for item in known.space}
    assert conditions["layer7_filters"] == ["num_layers", "layer7"]


def test_the_free_space_makes_layers_of_any_number_and_order():
    hp = keras_tuner.HyperParameters()
    hp.values = {"num_layers": 3, "layer1": "batch_norm", "layer2": "average_pool", "layer3": "strided_conv",
                 "layer3_filters": 8, "layer3_kernel_size": 5, "num_hidden": 0, "pool": True}  # fmt: skip
    knobs = spaces.space("plain_cnn", "free")(hp)["knobs"]
    assert knobs["rows"] == (("batch_norm",), ("average_pool",), ("strided_conv", 8, 5))
    kinds = [layer.name for layer in zoo.create_model("plain_cnn", **knobs).layers if layer.name.startswith("layer")]
    assert kinds == ["layer1_bn", "layer2_pool", "layer3_conv_pad", "layer3_conv", "layer3_relu"]


def branching(hp):
    """A space whose hyper-parameter has no scope."""
    if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
        return {"optimizer": "sgd", "learning_rate": hp.Float("rate", 0.01, 0.1)}
    return {"optimizer": "adam"}


def test_a_space_of_ones_own_is_found_by_its_name():
    assert spaces.space("simple_cnn", "json:dumps") is not None
    names = [item.name for item in spaces.declared(branching).space]
    assert names == ["optimizer", "rate"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("al", "space must be 'model', 'training', 'all', 'free' or \"module:function\". Did you mean 'all'?"),
        ("free", "space='free' belongs to plain_cnn"),
        ("no.such:function", '"module:function" must be importable'),
        ("json:decoder", "A space is a function"),
    ],
)
def test_what_is_no_space_is_refused(part, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace("?", r"\?")):
        spaces.space("simple_cnn", part)


def test_an_empty_space_is_refused():
    with pytest.raises(ValueError, match="has no hyper-parameters"):
        spaces.declared(lambda hp: {})


def test_a_grid_leaves_out_what_is_inactive():
    def small(hp):
        hp.Choice("a", ["x", "y"])
        with hp.conditional_scope("a", ["y"]):
            hp.Int("b", 1, 3)
        return {}

    assert list(spaces.grid(spaces.declared(small))) == [
        {"a": "x"}, {"a": "y", "b": 1}, {"a": "y", "b": 2}, {"a": "y", "b": 3}
    ]  # fmt: skip


def test_a_hyper_model_works_with_tuners_of_keras_tuner(tmp_path):
    data = zoo.data.load("digits").pipeline("train", batch_size=400, image_size=(12, 12))
    pictures, labels = (part.numpy() for part in next(iter(data.epoch())))
    tuner = keras_tuner.RandomSearch(
        tuning.hypermodel("simple_cnn", input_shape=(12, 12, 1)), objective="val_accuracy", max_trials=1,
        directory=str(tmp_path), seed=2,
    )  # fmt: skip
    # keras-tuner itself uses names of Python's that have been replaced.
    with pytest.warns(DeprecationWarning, match="currentThread|getName"):
        tuner.search(pictures[:300], labels[:300], epochs=1, validation_data=(pictures[300:], labels[300:]), verbose=0)
    assert {trial.status for trial in tuner.oracle.trials.values()} == {"COMPLETED"}
    assert tuner.get_best_hyperparameters()[0].values["optimizer"] in spaces.OPTIMIZERS


def test_a_hyper_model_refuses_what_is_no_setting():
    with pytest.raises(TypeError, match="learning_speed"):
        tuning.hypermodel("simple_cnn", learning_speed=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patience", 3), ("target", 0.9), ("class_weight", 1.0), ("head_epochs", 1), ("on_nonfinite", "skip"),
        ("augment", "flip"), ("epochs", 9), ("logit_adjustment", 1.0), ("on_bad", "skip"),
    ],
)  # fmt: skip
def test_a_hyper_model_refuses_settings_that_it_does_not_use(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}. Leave it out, or use tuning.search"):
        tuning.hypermodel("simple_cnn", **{name: value})


def misspelt(hp):
    """A space with a name that is no setting."""
    return {"learning_rte": hp.Float("rate", 0.01, 0.1)}


def misspelt_elsewhere(hp):
    """A space that is wrong but for its default."""
    return {"learning_rte": 0.1} if hp.Choice("wrong", [False, True]) else {}


def test_a_hyper_model_refuses_what_a_space_gives_and_it_does_not_use():
    message = "Received: learning_rte. Leave it out of the space"
    with pytest.raises(ValueError, match=message):
        tuning.hypermodel("simple_cnn", f"{__name__}:misspelt")
    network, hp = tuning.hypermodel("simple_cnn", f"{__name__}:misspelt_elsewhere"), keras_tuner.HyperParameters()
    hp.values["wrong"] = True
    with pytest.raises(ValueError, match=message):
        network.build(hp)


def test_a_hyper_model_uses_each_setting_that_a_space_of_the_zoo_gives():
    for name in ("simple_cnn", "ds_cnn_s", "kim_cnn_static", "fcn_1d"):
        space = spaces.space(name, "all", preprocessing=False)
        assert set(space(keras_tuner.HyperParameters())) <= set(hyper._USED)


def test_a_hyper_model_begins_with_the_weights_that_it_is_given(tmp_path):
    model = zoo.create_model("simple_cnn")
    zoo.weights.save(model, tmp_path / "weights")
    again = tuning.hypermodel("simple_cnn", "model", weights=str(tmp_path / "weights")).build(
        keras_tuner.HyperParameters()
    )
    for left, right in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())
