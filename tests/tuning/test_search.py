"""A search from end to end: folder, leaderboard, recipe, going on, refusals, failures."""

import csv
import dataclasses
import gc
import io
import json
import re
import shutil

import keras
import pytest
import rich.console

import tuning
import zoo
from tuning import records, searching
from tuning import trials as trials_module
from tuning.plan import Plan
from zoo import cli, files, runs, training


def quiet():
    return rich.console.Console(file=io.StringIO())


def test_the_folder_is_complete(searched):
    names = {path.name for path in searched.folder.iterdir()}
    assert {"search.json", "trials.jsonl", "oracle.json", "leaderboard.csv", "best.json", "report.html"} <= names
    assert {"trial_0000", "trial_0001"} <= names
    assert not (searched.folder / "trial_0000" / "run" / "report.html").exists()


def test_the_leaderboard_has_a_row_for_every_trial(searched):
    rows = list(csv.DictReader((searched.folder / "leaderboard.csv").read_text().splitlines()))
    assert sorted(row["trial"] for row in rows) == ["0000", "0001"]
    assert float(rows[0]["score"]) == searched.best.score
    assert rows[0]["optimizer"]
    assert float(rows[0]["macs"]) > 1000
    assert int(rows[0]["epochs"]) == 2


def test_no_trial_sees_the_test_split(searched):
    result = json.loads((searched.folder / "trial_0000" / "run" / "result.json").read_text())
    assert "evaluation" not in result


@pytest.mark.slow
def test_the_best_recipe_reproduces_the_score_of_the_trial(searched, tmp_path):
    best = searched.best
    settings = runs.Settings.from_recipe(searched.recipe, model=best.model, seed=best.seed)
    run = runs.train(settings, tmp_path / "run")
    assert run.result()["best"]["val_accuracy"] == best.score
    assert run.result()["best"]["val_loss"] == best.metrics["val_loss"]
    assert run.result()["evaluation"]["examples"] == 359


@pytest.mark.slow
def test_the_command_trains_the_best_trial_again_with_what_was_set_for_all(tmp_path):
    options = {"space": "model", "trials": 1, "epochs": 1, "fold": (1, 3)}
    found = tuning.search("simple_cnn", out=tmp_path / "a", console=quiet(), **options)
    _, *line, _ = found.command()
    assert cli.main([*line, str(tmp_path / "run")]) == 0
    run = runs.open_run(tmp_path / "run")
    assert run.config["data"]["num_examples"]["validation"] == 479
    assert run.result()["best"]["val_loss"] == found.best.metrics["val_loss"]
    assert run.result()["best"]["val_accuracy"] == found.best.score


def test_the_command_has_an_option_for_each_setting_that_is_no_hyper_parameter(tmp_path):
    settings = {"weights": "runs/b", "decoder": "scaled", "on_bad": "skip", "target": 0.9, "max_minutes": 5.0,
                "split_seed": 2}  # fmt: skip
    logged(tmp_path / "a", Plan(model="simple_cnn", space="model", settings={**settings, "patience": 3}), values={})
    told = vars(cli._parser().parse_args(tuning.open_search(tmp_path / "a").command()[1:]))
    assert {name: told[name] for name in settings} == settings
    assert "patience" not in told
    logged(tmp_path / "b", Plan(model="simple_cnn", space="model", settings={"on_bad": "raise"}), values={})
    assert "--on-bad" not in tuning.open_search(tmp_path / "b").command()


def test_a_finished_search_is_extended_and_runs_no_trial_again(searched, options, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(searched.folder, folder)
    before = searched.trials
    more = tuning.search("simple_cnn", out=folder, trials=3, console=quiet(), **options)
    assert more.trials[:2] == before
    assert [trial.id for trial in more.trials] == ["0000", "0001", "0002"]


def test_another_configuration_is_refused_with_the_differences(searched, options):
    with pytest.raises(ValueError, match=r"holds another search.*seed 5, 6; settings\.patience 3, 4"):
        tuning.search("simple_cnn", out=searched.folder, trials=2, **{**options, "seed": 6, "patience": 4})


def test_data_that_has_changed_is_refused(searched, options, monkeypatch):
    load = searching.datasets.load
    monkeypatch.setattr(
        searching.datasets, "load", lambda *args, **named: dataclasses.replace(load(*args, **named), fingerprint="new")
    )
    with pytest.raises(ValueError, match=r"holds another search.*\(there, now\): fingerprint \"\w{64}\", \"new\"$"):
        tuning.search("simple_cnn", out=searched.folder, trials=2, **options)


def test_a_recipe_that_has_changed_is_refused(tmp_path):
    recipe = tmp_path / "mine.json"
    options = {"recipe": str(recipe), "space": "model"}
    files.write_json(recipe, {"name": "mine", "summary": "Mine", "hyperparameters": {"learning_rate": 0.01}})
    config = {**Plan(model="simple_cnn", **options).to_json(), "fingerprint": zoo.data.load("digits").fingerprint}
    (tmp_path / "a").mkdir()
    files.write_json(tmp_path / "a" / records.CONFIG, config)
    files.write_json(recipe, {"name": "mine", "summary": "Mine", "hyperparameters": {"learning_rate": 0.02}})
    with pytest.raises(ValueError, match=r"holds another search.*\(there, now\): base\.learning_rate 0\.01, 0\.02$"):
        tuning.search("simple_cnn", out=tmp_path / "a", **options)


def test_a_search_of_an_earlier_version_can_be_read_and_not_gone_on_with(searched, options, tmp_path):
    shutil.copytree(searched.folder, tmp_path / "a")
    config = {name: value for name, value in searched.config.items() if name not in ("base", "fingerprint")}
    files.write_json(tmp_path / "a" / records.CONFIG, config)
    assert tuning.open_search(tmp_path / "a").best == searched.best
    with pytest.raises(ValueError, match="holds a search of an earlier version.* Choose another folder, or delete it"):
        tuning.search("simple_cnn", out=tmp_path / "a", trials=2, **options)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ValueError, match="holds other files"):
        tuning.search("simple_cnn", out=tmp_path)


def test_two_searches_in_one_folder_are_refused(searched, options):
    from tuning.searching import _alone
    from zoo.training import RunInUse

    with _alone(searched.folder), pytest.raises(RunInUse, match="Another process searches in"):
        tuning.search("simple_cnn", out=searched.folder, trials=2, **options)


def test_a_folder_that_is_no_search_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is no search: it has no search\.json"):
        tuning.open_search(tmp_path)


def bad_rates(hp):
    """A space in which all but the default diverge."""
    return {"learning_rate": hp.Choice("learning_rate", [0.003, 1e30, 2e30]), "optimizer": "sgd"}


def test_a_trial_whose_loss_is_not_finite_fails_with_its_reason_and_the_search_goes_on(tmp_path):
    console = quiet()
    options = {"space": f"{__name__}:bad_rates", "tuner": "grid", "trials": 3, "epochs": 1}
    found = tuning.search("simple_cnn", out=tmp_path / "a", console=console, **options)
    assert [trial.status for trial in found.trials] == ["COMPLETED", "FAILED", "FAILED"]
    assert re.search("not finite|never finite|nan", found.trials[1].message)
    assert "Failed" in (found.folder / "report.html").read_text()
    assert (found.folder / "trial_0001" / "error.txt").read_text().startswith("Traceback")
    assert found.trials[1].message in console.file.getvalue()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("12 GB"), "out of memory: 12 GB"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
    ],
)
def test_an_error_fails_the_trial_alone(error, reason, tmp_path, monkeypatch):
    def train(*args, **kwargs):
        raise error

    monkeypatch.setattr(trials_module.runs, "train", train)
    plan = Plan(model="simple_cnn")
    found = trials_module.outcome(plan, {}, 3, folder=tmp_path / "trial_0003", root=tmp_path / "trial_0003")
    assert (found["status"], found["message"], found["seed"]) == ("FAILED", reason, 3)


def test_a_full_disk_ends_the_search(tmp_path, monkeypatch):
    def train(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trials_module.runs, "train", train)
    plan = Plan(model="simple_cnn")
    with pytest.raises(OSError, match="No space left"):
        trials_module.outcome(plan, {}, 3, folder=tmp_path / "trial_0003", root=tmp_path / "trial_0003")


def test_the_collector_is_as_before_when_trials_have_ended():
    before = gc.get_freeze_count()
    with trials_module.imports_set_aside():
        there = gc.get_freeze_count()
        assert there > before + 100_000
        with trials_module.imports_set_aside():
            assert gc.get_freeze_count() <= there
        assert gc.get_freeze_count() > before + 100_000
    assert gc.get_freeze_count() == before == 0


def test_a_network_above_a_ceiling_is_not_trained(tmp_path):
    plan = Plan(model="simple_cnn", limits={"params": 1000, "latency_ms": 1e6})
    found = trials_module.outcome(plan, {}, 0, folder=tmp_path / "trial_0000", root=tmp_path / "trial_0000")
    assert found["message"] == "TooCostly: params 137,660 is above the ceiling of 1,000; it was not trained."
    assert not (tmp_path / "trial_0000" / "run").exists()


def test_a_network_is_timed_where_a_ceiling_asks_for_it():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    assert 0 < trials_module._latency(model) < 1000


@pytest.mark.slow
def test_a_rung_goes_on_where_the_one_below_has_ended(tmp_path):
    options = {"space": "model", "tuner": "successive_halving", "trials": 3, "epochs": 3, "seed": 2}
    found = tuning.search("simple_cnn", out=tmp_path / "a", console=quiet(), **options)
    first, last = found.trials[0], found.trials[-1]
    assert [trial.id for trial in found.trials][:3] == ["0000", "0001", "0002"]
    assert (first.epochs, last.epochs, last.root in ("0000", "0001", "0002")) == (1, 3, True)
    # As if there had been no pause: the same run in one go.
    settings = runs.Settings.from_recipe(found.recipe, model="simple_cnn", seed=found.best.seed)
    run = runs.train(settings, tmp_path / "one", test=False)
    assert run.result()["best"]["val_loss"] == found.best.metrics["val_loss"]


def test_the_pareto_front_is_of_those_that_no_other_beats(tmp_path):
    (tmp_path / "a").mkdir()
    plan = Plan(model="simple_cnn")
    files.write_json(tmp_path / "a" / records.CONFIG, plan.to_json())
    log = records.Log(tmp_path / "a")
    points = [(0.9, 100), (0.8, 100), (0.95, 300), (0.85, 200), (0.97, 900), (0.97, 800)]
    for number, (score, macs) in enumerate(points):
        log.append("ended", trial=f"{number:04d}", values={}, status="COMPLETED", score=score, costs={"macs": macs},
                   metrics={"val_accuracy": score})  # fmt: skip
    front = tuning.open_search(tmp_path / "a").pareto()
    assert [(trial.score, trial.costs["macs"]) for trial in front] == [(0.9, 100), (0.95, 300), (0.97, 800)]
    with pytest.raises(ValueError, match="cost must be"):
        tuning.open_search(tmp_path / "a").pareto("flops")


def logged(folder, plan, **facts):
    """A search with one completed trial."""
    folder.mkdir()
    files.write_json(folder / records.CONFIG, plan.to_json())
    records.Log(folder).append("ended", trial="0003-1", **{"status": "COMPLETED", "score": 0.9, "seed": 3,
                                                           "metrics": {}, "model": "simple_cnn", **facts})  # fmt: skip
    found = tuning.open_search(folder)
    records.write_recipe(found)
    return training.read_recipe(found.recipe).hyperparameters


def test_the_recipe_of_a_rung_has_its_epochs_in_the_course_of_the_whole_training(tmp_path):
    plan = Plan(model="simple_cnn", tuner="hyperband", trials=9, settings={"epochs": 9})
    settings = {"epochs": 9, "schedule": "cosine", "warmup_epochs": 1.0}
    cut = logged(tmp_path / "a", plan, values={}, epochs=3, rule="epochs", settings=settings)
    whole = training.Hyperparameters(**settings)
    assert cut.epochs == 3
    steps = range(0, 30, 4)
    rates = [float(whole.make_schedule(10)(step)) for step in steps]
    assert [float(cut.make_schedule(10)(step)) for step in steps] == rates
    patient = logged(tmp_path / "b", plan, values={}, epochs=5, rule="Patience", settings=settings)
    assert patient == whole
    warming = logged(tmp_path / "c", plan, values={}, epochs=1, rule="epochs", settings=settings)
    assert warming == whole
