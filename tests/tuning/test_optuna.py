"""Optuna behind the same search."""

import io

import pytest
import rich.console

pytest.importorskip("optuna")

import tuning
from tuning import spaces, with_optuna


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_search_by_optuna_goes_on_and_keeps_its_database(tmp_path):
    import optuna

    options = {"out": tmp_path / "a", "space": "model", "tuner": "tpe", "epochs": 1, "seed": 2,
               "console": rich.console.Console(file=io.StringIO())}  # fmt: skip
    first = tuning.search("simple_cnn", trials=1, **options)
    assert [trial.id for trial in first.trials] == ["0000"]
    assert first.trials[0].hyperparameters["filters1"] == 25
    more = tuning.search("simple_cnn", trials=2, **options)
    assert more.trials[0] == first.trials[0]
    assert [trial.id for trial in more.trials] == ["0000", "0001"]
    study = optuna.load_study(study_name="simple_cnn", storage=f"sqlite:///{tmp_path / 'a' / with_optuna.DATABASE}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert study.best_value == more.best.score


def test_only_active_hyper_parameters_are_asked_for():
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    declared = spaces.declared(spaces.space("simple_cnn", "training"))
    for _ in range(20):
        values = with_optuna.suggest(study.ask(), declared)
        assert ("weight_decay" in values) == (values["optimizer"] == "adamw")
        assert ("warmup_epochs" in values) == (values["schedule"] == "cosine")


def test_several_workers_are_refused(tmp_path):
    with pytest.raises(ValueError, match='tuner="tpe" runs in one process'):
        tuning.search("simple_cnn", out=tmp_path / "a", tuner="tpe", workers=2, epochs=1)
