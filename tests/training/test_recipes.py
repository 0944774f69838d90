import json
from dataclasses import fields, replace
from typing import get_args

import keras
import numpy as np
import pytest

import zoo
from zoo import cli, data, training
from zoo.training import Hyperparameters, Recipe
from zoo.training.hyperparameters import NAMES, Optimizer, ScheduleName
from zoo.training.schedules import Constant, Cosine, MultiStep, WarmUp

ALL = training.list_recipes()


def test_the_recipes_of_the_issue_are_there():
    modern = {"classic90", "rsb_a1", "rsb_a2", "rsb_a3", "torchvision_v2", "cifar_fast", "finetune_two_stage"}
    assert modern | {"small_data", "smoke"} <= set(ALL)


@pytest.mark.parametrize("name", zoo.list_models(modality="image"))
def test_every_image_model_has_the_recipe_of_its_paper(name):
    recipe = training.paper_recipe(name)
    card = zoo.model_card(name)
    if name in ("simple_cnn", "plain_cnn"):  # they are of no paper, and have the zoo's own recipe
        return
    assert abs(recipe.source.year - card.paper.year) <= 1
    if recipe.hyperparameters.image_size is not None:
        assert recipe.hyperparameters.image_size == card.input_shape[:2]


# Whose papers do not say enough of how they were trained, or are about pictures; the denoiser is no classifier.
WITHOUT_RECIPE = ("abdel_hamid_*", "cnn_*", "squeezenet_1d", "densenet_1d", "dilated_denoiser")


@pytest.mark.parametrize("modality", ["audio", "text", "signal"])
def test_networks_for_sound_text_and_signals_have_the_recipe_of_their_paper(modality):
    without = {name for pattern in WITHOUT_RECIPE for name in zoo.list_models(pattern)}
    for name in zoo.list_models(modality=modality):
        if name in without:
            with pytest.raises(ValueError, match=f"One recipe must be that of {name}'s paper. Received: none"):
                training.paper_recipe(name)
        else:
            recipe = training.paper_recipe(name)
            assert abs(recipe.source.year - zoo.model_card(name).paper.year) <= 1
            if recipe.published and recipe.published.model == name:
                assert recipe.published.top1 in {result.top1 for result in zoo.model_card(name).results}


def test_patterns_of_models_name_models_that_there_are():
    for name in ALL:
        for pattern in training.recipe(name).models:
            assert zoo.list_models(pattern), (name, pattern)


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_says_where_it_is_from(name):
    recipe = training.recipe(name)
    assert recipe.name == name
    assert recipe.source.url.startswith("http")
    assert recipe.summary
    assert recipe.source.title
    data.Augmentation.parse(recipe.hyperparameters.augment)
    if recipe.published:
        assert 50 < recipe.published.top1 < 100
    for text in recipe.differences:
        assert text.endswith(".")


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_makes_its_optimizer_schedule_and_loss(name):
    hyper = training.recipe(name).hyperparameters
    model = keras.Sequential([
        keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Flatten(),
        keras.layers.Dense(10, activation=hyper.classifier_activation),
    ])  # fmt: skip
    optimizer = hyper.make_optimizer(model, steps_per_epoch=50)
    first = hyper.scaled_rate
    if hyper.warmup_epochs:
        first *= hyper.warmup_start
    elif hyper.schedule == "one_cycle":
        first *= hyper.schedule_options["start"]
    assert float(optimizer.learning_rate) == pytest.approx(first)
    optimizer.apply([keras.ops.ones_like(item) for item in model.trainable_variables], model.trainable_variables)
    labels = np.full((2, 10), 0.1, "float32") if hyper.mixup else np.array([1, 2])
    assert np.isfinite(hyper.make_loss()(labels, model(np.ones((2, 8, 8, 3))))).all()


def test_known_recipes_are_the_published_numbers():
    """The schedule of the paper at the steps that it names."""
    cifar = training.recipe("resnet_cifar").hyperparameters.make_schedule(352)
    assert [float(cifar(step)) for step in (31_000, 33_000, 47_000, 49_000)] == pytest.approx([0.1, 0.01, 0.01, 0.001])
    inception = training.recipe("inception_v3").hyperparameters.make_schedule(100)
    assert [float(inception(step)) for step in (199, 200, 400)] == pytest.approx([0.045, 0.0423, 0.039762])
    goyal = training.recipe("classic90").changed(batch_size=8192).hyperparameters
    assert goyal.scaled_rate == pytest.approx(3.2)
    torchvision = training.recipe("torchvision_v2").hyperparameters.make_schedule(1252)
    assert float(torchvision(0)) == pytest.approx(0.005)
    assert float(torchvision(5 * 1252)) == pytest.approx(0.5)
    assert training.recipe("rsb_a3").hyperparameters.clip_norm == 1.0  # timm's LAMB


def test_times_of_a_schedule_are_those_of_batches_also_where_they_are_accumulated():
    """Keras counts batches, not updates."""
    hyper = Hyperparameters(epochs=4, schedule="cosine", accumulate=2, learning_rate=0.1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = hyper.make_optimizer(model, steps_per_epoch=10)
    for _ in range(20):
        optimizer.apply([keras.ops.ones_like(item) for item in model.trainable_variables], model.trainable_variables)
    assert float(optimizer.learning_rate) == pytest.approx(0.05)


def test_schedules_by_name():
    def made(**options):
        return Hyperparameters(epochs=10, learning_rate=0.2, **options).make_schedule(7)

    assert made() == 0.2
    assert isinstance(made(schedule="cosine"), Cosine)
    assert made(schedule="cosine").duration == 10
    assert made(schedule="cosine", schedule_options={"final": 0.1, "every": "epoch"}).final == 0.1
    assert isinstance(made(schedule="multi_step", schedule_options={"milestones": [3]}), MultiStep)
    warm = made(warmup_epochs=2)
    assert isinstance(warm, WarmUp)
    assert isinstance(warm.schedule, Constant)
    assert made(schedule="cosine", warmup_epochs=2, warmup_shift=True).schedule.duration == 8
    assert made(schedule="cosine", rate_batch_size=64, batch_size=16, accumulate=2).learning_rate == 0.1


def test_more_epochs_stretch_the_schedule():
    recipe = training.recipe("wide_resnet_cifar")
    assert recipe.changed(epochs=20).hyperparameters.schedule_options["milestones"] == [6.0, 12.0, 16.0]
    own = recipe.changed(epochs=20, schedule_options={"milestones": [5]}).hyperparameters
    assert own.schedule_options == {"milestones": [5]}
    assert training.recipe("classic90").changed(epochs=45).hyperparameters.warmup_epochs == 2.5
    assert recipe.hyperparameters.epochs == 200


def test_another_optimizer_or_schedule_drops_the_options():
    recipe = training.recipe("wide_resnet_cifar")
    assert recipe.changed(optimizer="adamw").hyperparameters.optimizer_options == {}
    assert recipe.changed(schedule="cosine").hyperparameters.schedule_options == {}
    assert recipe.changed(schedule="cosine", epochs=20).hyperparameters.schedule_options == {}
    assert recipe.changed(optimizer="adamw", optimizer_options={"beta_1": 0.8}).hyperparameters.optimizer_options == {
        "beta_1": 0.8
    }
    whole_epochs = training.recipe("torchvision_v2").changed(schedule="polynomial", schedule_options={"every": "epoch"})
    assert whole_epochs.hyperparameters.schedule_options == {"every": "epoch"}  # given, though the recipe has it too
    kept = recipe.changed(optimizer_options={"nesterov": False}).hyperparameters
    assert kept.optimizer_options == {"momentum": 0.9, "nesterov": False}


def test_another_optimizer_keeps_the_knobs():
    recipe = training.recipe("rsb_a2")
    assert recipe.changed(optimizer="adamw").hyperparameters.knobs == {"drop_path": 0.05}
    both = recipe.changed(optimizer="adamw", knobs={"dropout": 0.1}).hyperparameters
    assert both.knobs == {"drop_path": 0.05, "dropout": 0.1}


@pytest.mark.parametrize("name", ALL)
def test_the_short_form_keeps_the_ingredients(name):
    recipe = training.recipe(name)
    short, long = recipe.smoke().hyperparameters, recipe.hyperparameters
    assert short.epochs == 2
    assert short.batch_size <= 64
    for kept in (
        "optimizer",
        "loss",
        "augment",
        "mixup",
        "cutmix",
        "decay_on",
        "schedule",
        "label_smoothing",
        "repeats",
        "auxiliary_weight",
    ):
        assert getattr(short, kept) == getattr(long, kept)
    assert (short.train_size is None) == (long.train_size is None)
    assert bool(short.head_epochs) == bool(long.head_epochs)


def test_a_recipe_is_written_and_read(tmp_path):
    for name in ALL:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(training.recipe(name).to_dict()))
        again = training.read_recipe(path)
        assert again.to_dict() == {**training.recipe(name).to_dict(), "models": []}


def test_a_file_starts_from_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "resnet_cifar"\nsummary = "shorter"\n'
        "[hyperparameters]\nepochs = 91\nlr = 0.05\nknobs = {drop_path = 0.1}\n"
    )
    recipe = training.resolve_recipe(str(path), "resnet20")
    assert (recipe.name, recipe.summary) == ("mine", "shorter")
    assert recipe.hyperparameters.learning_rate == 0.05
    assert recipe.hyperparameters.schedule_options["milestones"] == [45.5, 68.0]
    assert recipe.hyperparameters.knobs == {"drop_path": 0.1}
    assert recipe.published is None
    assert recipe.source.url == training.recipe("resnet_cifar").source.url
    (tmp_path / "own.json").write_text('{"hyperparameters": {"epochs": 3}}')
    assert training.read_recipe(tmp_path / "own.json").hyperparameters == Hyperparameters(epochs=3)


def test_recipes_are_registered_once():
    own = replace(training.recipe("smoke"), name="mine_for_the_test")
    training.register_recipe(own)
    try:
        assert training.recipe("mine_for_the_test") is own
        with pytest.raises(ValueError, match="A recipe named 'mine_for_the_test' is registered already"):
            training.register_recipe(own)
    finally:
        del training.register_recipe.__globals__["_registered"]["mine_for_the_test"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "The recipe .*mine.json cannot be read"),
        ('{"lr": 1}', r"may have name, base, .*Received: \['lr'\]"),
        ("[]", "Received: list"),
        (
            '{"base": "resnet_cifer"}',
            "is not usable: There is no recipe named 'resnet_cifer'. Did you mean resnet_cifar",
        ),
        ('{"hyperparameters": {"epoch": 3}}', "There is no hyper-parameter 'epoch'. Did you mean epochs"),
        ('{"hyperparameters": {"epochs": 0}}', "epochs must be at least 1. Received: epochs=0"),
        ('{"source": {"name": "x"}}', "is not usable: .*unexpected keyword"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        training.read_recipe(path)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ValueError, match="There is no recipe named 'rsb_a4'. Did you mean rsb_a"):
        training.recipe("rsb_a4")
    with pytest.raises(ValueError, match="There is no recipe named 'zzz'. There are: lenet5, alexnet"):
        training.recipe("zzz")
    with pytest.raises(ValueError, match="One recipe must be that of efficientnet's paper. Received: none"):
        training.paper_recipe("efficientnet")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "sgdm"}, "optimizer must be 'adamw', 'sgd', .* or 'adadelta'. Received: optimizer='sgdm'"),
        ({"schedule": "linear"}, "schedule must be 'constant', .* or 'one_cycle'. Received: schedule='linear'"),
        ({"loss": "mse"}, "loss must be 'cross_entropy' or 'binary_cross_entropy'. Received: loss='mse'"),
        ({"decay_on": "heads"}, "decay_on must be 'all', 'not_norms' or 'kernels'"),
        ({"mixup": -1}, "mixup must be at least 0. Received: mixup=-1"),
        ({"mix_switch": 2}, "mix_switch must be from 0 to 1. Received: mix_switch=2"),
        ({"layer_decay": 0}, "layer_decay must be above 0"),
        ({"plateau_floor": -1.0}, "plateau_floor must be at least 0. Received: plateau_floor=-1.0"),
        ({"plateau_factor": 1}, "plateau_factor must be above 0 and below 1. Received: plateau_factor=1"),
        ({"repeats": 0}, "repeats must be at least 1"),
        (
            {"epochs": 3, "warmup_epochs": 3},
            "warmup_epochs must be fewer than epochs. Received: warmup_epochs=3",
        ),
        ({"image_size": (3,)}, r"image_size must be a height and a width in pixels. Received: image_size=\(3,\)"),
        ({"target_threshold": 0.2}, 'target_threshold belongs to loss="binary_cross_entropy". Received'),
        ({"optimizer_options": {"mass": 1}}, "optimizer_options do not fit optimizer='adamw': .*'mass'"),
        ({"optimizer_options": {"weight_decay": 1}}, "optimizer_options do not fit .*: it has no 'weight_decay', but "),
        ({"schedule": "cosine", "schedule_options": {"steps": 1}}, "schedule_options do not fit schedule='cosine': "),
        ({"schedule": "multi_step"}, "schedule_options do not fit schedule='multi_step': .*milestones"),
        ({"on_nonfinite": "lower", "warmup_epochs": 1}, '"lower" needs schedule="constant": .*warmup_epochs=1'),
    ],
)
def test_illegal_numbers_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Hyperparameters(**values)


def test_an_unknown_hyperparameter_is_refused():
    with pytest.raises(ValueError, match="There is no hyper-parameter 'learning_rates'. Did you mean learning_rate"):
        training.recipe("smoke").changed(learning_rates=3)


def test_sizes_are_pairs():
    assert Hyperparameters(image_size=32, train_size=[28, 30]).image_size == (32, 32)
    assert Hyperparameters(train_size=[28, 30]).train_size == (28, 30)


def test_the_command_line_names_the_choices_that_there_are():
    assert get_args(Optimizer) == cli.OPTIMIZERS
    assert get_args(ScheduleName) == cli.SCHEDULES


def test_recipes_are_frozen_and_complete():
    recipe = training.recipe("smoke")
    with pytest.raises(AttributeError):
        recipe.name = "other"
    assert {item.name for item in fields(Recipe)} >= {"name", "source", "published", "differences", "hyperparameters"}
    assert set(NAMES) == {item.name for item in fields(Hyperparameters)}
