"""What a search is told is checked before anything is read."""

import dataclasses
import fnmatch
import json

import pytest

import tuning
import zoo
from tuning.plan import Plan
from zoo.training.recipe_book import RECIPES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tuner": "evolution"}, "tuner must be 'random', .* Received: tuner='evolution'"),
        ({"objective": "accurcy"}, "objective must be 'val_accuracy'"),
        ({"limits": {"macs": 0}}, "limits are numbers above 0 for 'params', 'macs' or 'latency_ms'"),
        ({"limits": {"flops": 1}}, "limits are numbers above 0"),
        ({"pareto": "macs"}, "pareto must be 'params', 'macs' or 'latency_ms', and needs tuner='tpe'"),
        ({"factor": 1}, "factor must be at least 2"),
        ({"seed": -1}, "seed must be from 0"),
        ({"settings": {"epoch": 3}}, "There is no setting epoch. There are: .*epochs"),
        ({"settings": {"seed": 3}}, "Each trial has a seed of its own"),
        ({"settings": {"epochs": 0}}, "epochs must be at least 1"),
        ({"settings": {"lr": 0.1}}, "learning_rate: searched by the space 'all' and set for all trials"),
        ({"settings": {"knobs": {"dropout": 0.1}}}, "dropout: searched by the space"),
        ({"model": "simple_cn"}, "Did you mean simple_cnn"),
        ({"recipe": "resnet_cifr"}, "Did you mean resnet_cifar"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Plan(**{"model": "simple_cnn", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"finalists": -1}, "finalists must be at least 0"),
        ({"finalists": 2, "folds": 1}, "folds must be at least 2"),
        ({"budget": 0}, "budget must be above 0 seconds"),
        ({"data": "digit"}, "digit"),
    ],
)
def test_bad_arguments_of_a_search_leave_no_folder(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        tuning.search("simple_cnn", out=tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_a_plan_survives_its_file():
    plan = Plan(model="resnet20", limits={"macs": 1e7}, seed=3, settings={"epochs": 9, "wd": 0.1}, space="model")
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.settings == {"epochs": 9, "weight_decay": 0.1}


def test_the_first_trial_is_what_is_trained_without_a_search():
    from zoo import runs

    plan = Plan(model="simple_cnn", seed=4)
    settings = plan.training(plan.declared().values)
    assert settings.seed == 4
    bare = runs.Settings(model="simple_cnn", seed=4, knobs=settings.knobs)
    assert settings == bare


def test_a_recipe_is_where_trials_start():
    plan = Plan(model="resnet20", recipe="resnet_cifar", space="model", settings={"epochs": 10})
    settings = plan.training({})
    assert settings.schedule == "multi_step"
    assert settings.epochs == 10


def changed_by(plan):
    """In what the first trial differs from the recipe: knobs of the network that it names, at their defaults."""
    first, base = plan.training(plan.declared().values), plan.base
    names = {item.name for item in dataclasses.fields(first)} - {"recipe", "seed", "knobs"}
    return {name: getattr(first, name) for name in names if getattr(first, name) != getattr(base, name)}


def test_a_search_about_a_recipe_begins_with_it():
    """All recipes: paper schedules, optimizers and rates that no space has are choices of their own."""
    for recipe in RECIPES:
        wanted = recipe.models[0] if recipe.models else "simple_cnn"
        model = next(name for name in zoo.list_models() if fnmatch.fnmatch(name, wanted))
        if "drop_path" in recipe.hyperparameters.knobs:
            model = "resnet50"
        plan = Plan(model=model, recipe=recipe.name)
        assert changed_by(plan) == {}, recipe.name
        knobs = plan.training({}).knobs
        assert {name: knobs[name] for name in plan.base.knobs} == plan.base.knobs


def test_what_a_recipe_opens_is_a_choice_beside_those_of_the_space():
    plan = Plan(model="resnet20", recipe="resnet_cifar", space="training")
    drawn = plan.training({"schedule": "cosine", "warmup_epochs": 1.0, "optimizer": "adam"})
    assert (drawn.schedule, drawn.schedule_options, drawn.optimizer) == ("cosine", {}, "adam")
    assert plan.training({"schedule": "recipe"}).schedule_options == plan.base.schedule_options
    assert plan.training({"optimizer": "momentum"}).learning_rate == plan.base.learning_rate
    strange = Plan(model="simple_cnn", recipe="rsb_a3", space="training")
    rate = next(item for item in strange.declared().space if item.name == "learning_rate_recipe")
    assert (rate.min_value, rate.max_value) == (pytest.approx(0.0008), pytest.approx(0.08))
    assert strange.training({}).optimizer == "lamb"
    assert strange.training({"optimizer": "adamw"}).coupled_decay is False
