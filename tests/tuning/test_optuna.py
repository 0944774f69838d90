"""Optuna behind the same search."""

import io
import types

import pytest
import rich.console

pytest.importorskip("optuna")

import tuning
from tuning import crashes, spaces, with_optuna


@pytest.mark.slow
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


def searched(folder, monkeypatch, outcome, trials):
    """A session of a search whose trials are what a function of their number says."""
    from tuning import trials as trials_module
    from tuning.plan import Plan
    from zoo import files

    def instead(plan, values, number, *, folder, **options):
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / trials_module.OUTCOME, outcome(number))

    monkeypatch.setattr(trials_module, "outcome", instead)
    plan = Plan(model="simple_cnn", tuner="tpe", space="model", settings={"epochs": 9})
    files.write_json(folder / "search.json", plan.to_json())
    return with_optuna.run(
        plan, folder, trials=trials, budget=None, workers=1, devices="auto", on_end=lambda: None
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_search_by_optuna_in_which_everything_fails_ends(tmp_path, monkeypatch):
    halted = searched(tmp_path, monkeypatch, lambda number: {"status": "FAILED", "message": "no luck"}, trials=40)
    assert halted == "all of the first 10 trials failed, the last by: no luck"
    assert len(tuning.open_search(tmp_path).trials) == 10


class CrashError(BaseException):
    pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_trial_of_optuna_that_crashes_again_and_again_fails(tmp_path, monkeypatch):
    def outcome(number):
        if number == 0:
            raise CrashError
        metrics = {"val_accuracy": 0.5}
        return {"status": "COMPLETED", "score": 0.5, "metrics": metrics, "epochs": 9, "rule": "epochs"}

    for _ in range(crashes.MOST_CRASHES):
        with pytest.raises(CrashError):
            searched(tmp_path, monkeypatch, outcome, trials=2)
        (tmp_path / crashes.CRASH).write_text("Fatal Python error: Segmentation fault\n\nCurrent thread")
    searched(tmp_path, monkeypatch, outcome, trials=2)
    found = tuning.open_search(tmp_path)
    assert [trial.status for trial in found.trials] == ["FAILED", "COMPLETED"]
    assert found.trials[0].message == "the process crashed 3 times in this trial, each time after 0 epochs"
    events = [(line["trial"], line["how"]) for line in found.log.lines() if line["event"] == "crashed"]
    assert events == [("0000", "Fatal Python error: Segmentation fault")] * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_verdict_holds_when_its_epoch_is_repeated(tmp_path):
    """A kill between verdict and checkpoint: the next session trains the epoch once more."""
    import optuna

    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path / 'optuna.db'}", direction="maximize",
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )  # fmt: skip

    def stopped_at(trial, scores):
        """The epoch after which a session ends that trains on to the end of its scores."""
        model = types.SimpleNamespace(stop_training=False)
        pruning = with_optuna.Pruning(optuna.Trial(study, trial._trial_id), "val_accuracy")
        pruning.set_model(model)
        for epoch, score in scores.items():
            pruning.on_epoch_end(epoch - 1, {"val_accuracy": score})
            if model.stop_training:
                return epoch
        return None

    for trial in [study.ask() for _ in range(3)]:
        assert stopped_at(trial, {1: 0.9, 2: 0.9}) is None
    bad = study.ask()
    assert stopped_at(bad, {1: 0.1, 2: 0.1}) == 1
    assert stopped_at(bad, {1: 0.1, 2: 0.1}) == 1


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
