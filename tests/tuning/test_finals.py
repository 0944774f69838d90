"""The final round: the best configurations and the defaults on several folds, and what wins."""

import io
import json
import shutil

import pytest
import rich.console

import tuning
from tuning import finals, records
from tuning import trials as trials_module
from tuning.plan import Plan
from tuning.report import write_report
from zoo import files, runs, training


def logged(folder, scores, tuner="random", failed=()):
    """A search that has ended with these scores."""
    folder.mkdir()
    plan = Plan(model="simple_cnn", tuner=tuner, settings={"epochs": 9}, space="model")
    files.write_json(folder / records.CONFIG, plan.to_json())
    for number, score in enumerate(scores):
        facts = {"score": score, "metrics": {"val_accuracy": score, "val_loss": 1 - score}, "epochs": 3}
        facts |= {"status": "COMPLETED", "rule": "epochs", "settings": {"epochs": 9}, "model": "simple_cnn"}
        if number in failed:
            facts = {"status": "FAILED", "message": "no luck"}
        records.Log(folder).append("ended", trial=f"{number:04d}", values={"filters1": 8}, **facts)
    return plan, tuning.open_search(folder)


def hold(monkeypatch, plan, search, score_of, finalists=2, folds=2):
    """A final round whose trainings have the scores of a function of (number, fold); returns what it trained."""
    trained = []

    def outcome(plan, values, number, *, folder, changes, **options):
        trained.append((number, changes["fold"], changes["seed"]))
        score = score_of(number, changes["fold"][0])
        found = {"status": "FAILED", "score": None, "message": "no luck", "epochs": 1, "seconds": 1.0}
        if score is not None:
            metrics = {"val_accuracy": score, "val_loss": 0.1 + 0.01 * number}
            found |= {"status": "COMPLETED", "score": score, "metrics": metrics}
        folder.mkdir(parents=True)
        files.write_json(folder / trials_module.OUTCOME, found)
        return found

    monkeypatch.setattr(finals.trials, "outcome", outcome)
    finals.run_finals(plan, search, finalists=finalists, folds=folds, devices="auto", on_end=lambda *_: None)
    return trained


def test_the_best_configurations_and_the_defaults_take_part(tmp_path):
    _, search = logged(tmp_path / "a", [0.2, 0.9, 0.5, 0.7, 0.8])
    assert [trial.id for trial in finals.entrants(search, 2)] == ["0000", "0001", "0004"]
    _, grid = logged(tmp_path / "b", [0.2, 0.9, 0.5], tuner="grid")
    assert [trial.id for trial in finals.entrants(grid, 2)] == ["0001", "0002"]
    _, failed = logged(tmp_path / "c", [0.2, 0.9], failed=[0])
    assert [trial.id for trial in finals.entrants(failed, 2)] == ["0001"]


def test_a_configuration_takes_part_once_however_many_rungs_it_has(tmp_path):
    _, search = logged(tmp_path / "a", [0.5, 0.6, 0.7])
    facts = {"status": "COMPLETED", "score": 0.9, "metrics": {"val_accuracy": 0.9, "val_loss": 0.1}}
    search.log.append("ended", trial="0002-1", values={"tuner/epochs": 3}, **facts)
    assert [trial.id for trial in finals.entrants(search, 2)] == ["0000", "0002-1", "0001"]


def test_the_highest_mean_wins_and_its_recipe_is_that_of_the_whole_training(tmp_path, monkeypatch):
    plan, search = logged(tmp_path / "a", [0.2, 0.9, 0.8])
    table = {0: [0.9, 0.7], 1: [1.0, 0.5], 2: [0.8, 0.82]}
    trained = hold(monkeypatch, plan, search, lambda number, fold: table[number][fold])
    assert [(number, fold) for number, fold, _ in trained] == [
        (0, (0, 2)), (1, (0, 2)), (2, (0, 2)), (0, (1, 2)), (1, (1, 2)), (2, (1, 2))
    ]  # fmt: skip
    seeds = {fold: {seed for _, part, seed in trained if part[0] == fold} for fold in (0, 1)}
    assert all(len(found) == 1 for found in seeds.values())
    assert seeds[0] != seeds[1]
    assert [(item.trial.id, item.mean) for item in search.finalists] == [
        ("0002", pytest.approx(0.81)), ("0000", pytest.approx(0.8)), ("0001", pytest.approx(0.75))
    ]  # fmt: skip
    assert search.best.id == "0002"
    records.write_recipe(search)
    recipe = training.read_recipe(search.recipe)
    assert recipe.hyperparameters.epochs == 9
    assert "0.81 in the mean over 2 folds" in recipe.summary
    assert finals.summary(search).startswith("finals, mean val_accuracy over 2 folds: 0002 0.8100 (loss 0.1200), the d")
    page = write_report(search).read_text()
    assert "Final round" in page
    assert "0000, the defaults" in page


def test_defaults_that_are_as_good_are_told_apart_by_the_loss_and_a_failed_one_is_left_out(tmp_path, monkeypatch):
    plan, search = logged(tmp_path / "a", [0.2, 0.9, 0.8])
    hold(monkeypatch, plan, search, lambda number, fold: None if (number, fold) == (2, 1) else 1.0)
    assert [item.trial.id for item in search.finalists] == ["0000", "0001"]
    assert search.best.number == 0


def test_a_round_that_was_cut_off_goes_on_and_one_more_finalist_costs_one_training_a_fold(tmp_path, monkeypatch):
    plan, search = logged(tmp_path / "a", [0.2, 0.9, 0.8])

    def cut_off(number, fold):
        if (number, fold) == (1, 1):
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        hold(monkeypatch, plan, search, cut_off, finalists=1)
    assert search.finalists == []
    assert search.best.id == "0001"
    assert [item[:2] for item in hold(monkeypatch, plan, search, lambda *_: 0.5, finalists=1)] == [(1, (1, 2))]
    assert len(search.finalists) == 2
    assert {item[0] for item in hold(monkeypatch, plan, search, lambda *_: 0.6)} == {2}
    assert search.best.id == "0002"
    assert hold(monkeypatch, plan, search, lambda *_: 0.6) == []


def test_trials_that_end_later_open_the_search_again(tmp_path, monkeypatch):
    plan, search = logged(tmp_path / "a", [0.2, 0.3])
    hold(monkeypatch, plan, search, lambda number, _: 1.0 - number)
    assert search.best.id == "0000"
    search.log.append("ended", trial="0002", values={}, status="COMPLETED", score=0.9, metrics={"val_loss": 0.1})
    assert search.finalists == []
    assert search.best.id == "0002"


@pytest.mark.slow
def test_finals_are_really_trained_on_folds(searched, options, tmp_path):
    shutil.copytree(searched.folder, tmp_path / "a")
    console = rich.console.Console(file=io.StringIO())
    found = tuning.search("simple_cnn", out=tmp_path / "a", trials=2, finalists=1, folds=2, console=console, **options)
    assert found.trials == searched.trials
    assert {item.trial.number for item in found.finalists} == {0, 1}
    assert len(found.finalists[0].scores) == 2
    assert "final of 0000, fold 1  val_accuracy 0." in console.file.getvalue()
    result = found.folder / "finals" / "0000_fold1of2" / "run"
    assert "evaluation" not in json.loads((result / "result.json").read_text())
    run = runs.open_run(result)
    assert run.dataset.num_examples == {"train": 719, "validation": 719, "test": 359}
    assert run.evaluate("validation")["accuracy"] == pytest.approx(
        next(item for item in found.finalists if item.trial.number == 0).scores[1], abs=1e-6
    )


@pytest.mark.parametrize("fold", [(2, 2), (-1, 2), (0, 1)])
def test_an_impossible_fold_is_refused(fold):
    with pytest.raises(
        ValueError, match=r"fold is \(k, n\): part k, from 0 to n - 1, of n >= 2 parts. Received: fold="
    ):
        runs.Settings(model="simple_cnn", fold=fold)
