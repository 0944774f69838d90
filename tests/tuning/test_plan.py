"""What a search is told is checked before anything is read."""

import json

import pytest

import tuning
from tuning.plan import Plan


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
