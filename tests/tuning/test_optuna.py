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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_search_of_two_objectives_learns_which_networks_no_other_beats(tmp_path, monkeypatch):
    """The score grows with the first layer's filters, and the cost with both layers': small second layers win."""
    from tuning import trials as trials_module
    from tuning.plan import Plan
    from zoo import files

    def outcome(plan, values, number, *, folder, callbacks, **options):
        assert callbacks == []
        folder.mkdir(parents=True)
        score, macs = values["filters1"] / 100, 10.0 * values["filters1"] + 1000.0 * values["filters2"]
        facts = {"status": "COMPLETED", "score": score, "costs": {"macs": macs}, "epochs": 9, "rule": "epochs"}
        files.write_json(folder / trials_module.OUTCOME, {**facts, "metrics": {"val_accuracy": score}})

    monkeypatch.setattr(trials_module, "outcome", outcome)
    plan = Plan(model="simple_cnn", tuner="tpe", pareto="macs", space="model", settings={"epochs": 9})
    options = {"budget": None, "workers": 1, "devices": "auto", "on_end": lambda: None}
    files.write_json(tmp_path / "search.json", plan.to_json())
    for trials in (5, 30):
        with_optuna.run(plan, tmp_path, trials=trials, **options)
    found = tuning.open_search(tmp_path)
    assert len(found.trials) == 30
    late = [trial.values["filters2"] for trial in found.trials[10:]]
    assert late.count(16) > 0.4 * len(late), "by chance it would be a fifth"
    front = found.pareto("macs")
    assert {trial.values["filters2"] for trial in front[:-1]} == {16}
    assert [trial.score for trial in front] == sorted({trial.score for trial in front})
