"""Which trials there are: a function of seed, number and what has ended; and all of it from the log."""

import json
import os

import pytest

from tuning import crashes, oracles
from tuning.oracles import make_oracle, trial_folder
from tuning.plan import Plan
from tuning.records import Log, open_search
from zoo import files


def written(folder, **options):
    """A plan and its folder, as a search begins."""
    folder.mkdir(exist_ok=True)
    plan = Plan(model="simple_cnn", **{"settings": {"epochs": 9}, **options})
    files.write_json(folder / "search.json", plan.to_json())
    return plan


def end(oracle, trial, score=None, **facts):
    """End a trial as a tuner does: what came of it stands in a file."""
    outcome = {"status": "COMPLETED", "score": score, "metrics": {"val_accuracy": score, "val_loss": 1 - score},
               "epochs": 1, "best_epoch": 1, "message": "all epochs"} if score is not None else {
                   "status": "FAILED", "message": "no luck"}  # fmt: skip
    files.write_json(trial_folder(oracle.folder, trial.trial_id) / "outcome.json", {**outcome, **facts})
    oracle.end_trial(trial)


def score_of(values):
    """A score that depends on the configuration alone."""
    text = json.dumps({name: value for name, value in values.items() if not name.startswith("tuner/")}, sort_keys=True)
    return sum(map(ord, text)) % 997 / 997


def run(oracle, tuners=1, stop_after=None):
    """Serve tuners that end their trials by turns, until there is no more; returns all trials with their scores."""
    found, busy = {}, {}
    while stop_after is None or len(found) < stop_after:
        for index in range(tuners):
            name = f"tuner{index}"
            if name not in busy:
                trial = oracle.create_trial(name)
                if trial.status == "RUNNING":
                    busy[name] = trial
        if not busy:
            break
        name = sorted(busy)[len(found) % len(busy)]
        trial = busy.pop(name)
        values = trial.hyperparameters.values
        end(oracle, trial, score_of(values))
        assert trial.trial_id not in found
        found[trial.trial_id] = (values, score_of(values))
    return found


@pytest.mark.parametrize("tuner", ["random", "grid", "hyperband", "successive_halving"])
def test_the_number_of_workers_changes_no_trial(tuner, tmp_path):
    found = []
    for tuners in (1, 3):
        plan = written(tmp_path / str(tuners), tuner=tuner, seed=7)
        found.append(run(make_oracle(plan, tmp_path / str(tuners), trials=7, budget=None, workers=tuners), tuners))
    assert found[0] == found[1]
    assert len(found[0]) >= 7


@pytest.mark.parametrize(
    "tuner", ["random", "grid", pytest.param("bayesian", marks=pytest.mark.slow), "hyperband", "successive_halving"]
)
def test_an_oracle_is_rebuilt_from_its_log_alone(tuner, tmp_path):
    plan = written(tmp_path / "a", tuner=tuner, seed=7)
    # A Bayesian search learns from the eleventh trial on.
    trials = 12 if tuner == "bayesian" else 6
    whole = run(make_oracle(plan, tmp_path / "a", trials=trials, budget=None))
    written(tmp_path / "b", tuner=tuner, seed=7)
    pieces = {}
    while True:
        oracle = make_oracle(plan, tmp_path / "b", trials=trials, budget=None)
        new = run(oracle, stop_after=2)
        assert not set(new) & set(pieces)
        pieces |= new
        if not new:
            break
        (tmp_path / "b" / "oracle.json").unlink()
    assert pieces == whole


def test_the_first_trial_has_the_defaults_and_a_draw_depends_on_seed_and_number(tmp_path):
    plan = written(tmp_path, seed=1)
    oracle = make_oracle(plan, tmp_path, trials=5, budget=None)
    assert oracle.values(0) == plan.declared().values
    third = oracle.values(3)
    assert third != oracle.values(2)
    assert make_oracle(plan, tmp_path, trials=5, budget=None).values(3) == third
    other = Plan(model="simple_cnn", seed=2, settings={"epochs": 9})
    assert make_oracle(other, tmp_path, trials=5, budget=None).values(3) != third


def test_a_trial_under_way_goes_back_to_its_tuner_and_to_no_other(tmp_path):
    plan = written(tmp_path)
    oracle = make_oracle(plan, tmp_path, trials=5, budget=None, workers=2)
    first, second = (oracle.create_trial(f"tuner{index}") for index in (0, 1))
    again = make_oracle(plan, tmp_path, trials=5, budget=None, workers=2)
    assert again.create_trial("tuner1").trial_id == second.trial_id
    assert again.create_trial("tuner0").trial_id == first.trial_id
    alone = make_oracle(plan, tmp_path, trials=5, budget=None, workers=1)
    assert alone.create_trial("tuner0").trial_id == first.trial_id
    end(alone, first, 0.5)
    assert alone.create_trial("tuner0").trial_id == second.trial_id


def test_an_end_that_is_told_twice_is_noted_once(tmp_path):
    oracle = make_oracle(written(tmp_path), tmp_path, trials=5, budget=None)
    trial = oracle.create_trial("tuner0")
    end(oracle, trial, 0.5)
    oracle.end_trial(trial)
    assert [item.id for item in open_search(tmp_path).trials] == ["0000"]


def test_a_line_that_was_cut_off_is_mended(tmp_path):
    plan = written(tmp_path)
    run(make_oracle(plan, tmp_path, trials=3, budget=None), stop_after=2)
    with open(tmp_path / "trials.jsonl", "a") as log:
        log.write('{"event": "ended", "trial": "00')
    assert len(open_search(tmp_path).trials) == 2
    assert len(run(make_oracle(plan, tmp_path, trials=3, budget=None))) == 1
    assert len(open_search(tmp_path).trials) == 3


def test_a_damaged_line_is_named(tmp_path):
    plan = written(tmp_path)
    run(make_oracle(plan, tmp_path, trials=1, budget=None))
    path = tmp_path / "trials.jsonl"
    path.write_text("not JSON\n" + path.read_text())
    with pytest.raises(ValueError, match=r"trials\.jsonl is damaged in line 1"):
        make_oracle(plan, tmp_path, trials=3, budget=None)


def test_a_truncated_state_of_keras_tuner_is_of_no_matter(tmp_path):
    plan = written(tmp_path)
    run(make_oracle(plan, tmp_path, trials=3, budget=None), stop_after=2)
    os.truncate(tmp_path / "oracle.json", 10)
    assert set(run(make_oracle(plan, tmp_path, trials=3, budget=None))) == {"0002"}
    assert json.loads((tmp_path / "oracle.json").read_text())["end_order"] == ["0000", "0001", "0002"]


def test_a_grid_is_extended(tmp_path):
    plan = written(tmp_path, tuner="grid", space="model")
    first = run(make_oracle(plan, tmp_path, trials=6, budget=None))
    more = run(make_oracle(plan, tmp_path, trials=8, budget=None))
    assert (sorted(first), sorted(more)) == ([f"{n:04d}" for n in range(6)], ["0006", "0007"])
    values = [values for values, _ in [*first.values(), *more.values()]]
    assert len({json.dumps(item) for item in values}) == 8


def test_a_grid_ends_with_its_last_combination(tmp_path):
    plan = Plan(model="lenet5", tuner="grid", space="model", settings={"epochs": 9})
    oracle = make_oracle(plan, tmp_path, trials=100, budget=None)
    found = run(oracle)
    assert [values for values, _ in found.values()] == [{"variant": "paper"}, {"variant": "modern"}]
    assert oracle.halted == "the space has no new configuration after 2"


@pytest.mark.parametrize("tuners", [1, 3])
def test_a_random_search_ends_with_the_last_configuration_and_says_so(tuners, tmp_path):
    plan = Plan(model="lenet5", space="model", settings={"epochs": 9})
    oracle = make_oracle(plan, tmp_path, trials=100, budget=None, workers=tuners)
    assert set(run(oracle, tuners)) == {"0000", "0001"}
    assert oracle.halted == "the space has no new configuration after 2"


@pytest.mark.parametrize("tuners", [1, 3])
@pytest.mark.parametrize("tuner", ["hyperband", "successive_halving"])
def test_the_best_of_a_space_with_few_configurations_is_trained_to_its_end(tuner, tuners, tmp_path):
    plan = Plan(model="lenet5", tuner=tuner, space="model", trials=30, settings={"epochs": 9})
    oracle = make_oracle(plan, tmp_path, trials=30, budget=None, workers=tuners)
    found = run(oracle, tuners)
    epochs = {name: values["tuner/epochs"] for name, (values, _) in found.items()}
    best = max(("0000", "0001"), key=lambda name: found[name][1])
    assert epochs == {"0000": 1, "0001": 1, f"{best}-1": 3, f"{best}-2": 9}
    again = make_oracle(plan, tmp_path, trials=30, budget=None, workers=tuners)
    assert again.create_trial("tuner0").status == "STOPPED"
    assert oracle.halted == again.halted == "the space has no new configuration after 2"


def test_a_trial_that_kills_its_process_again_and_again_fails(tmp_path):
    plan = written(tmp_path)
    for _ in range(crashes.MOST_CRASHES):
        oracle = make_oracle(plan, tmp_path, trials=3, budget=None)
        assert oracle.create_trial("tuner0").trial_id == "0000"
        oracle.crashed("tuner0", "signal 11")
    oracle = make_oracle(plan, tmp_path, trials=3, budget=None)
    assert oracle.create_trial("tuner0").trial_id == "0001"
    assert "the process crashed 3 times in this trial" in oracle.ended["0000"].message


def test_a_trial_with_progress_between_its_deaths_goes_on(tmp_path):
    plan = written(tmp_path)
    run_folder = trial_folder(tmp_path, "0000") / "run"
    for _ in range(2 * crashes.MOST_CRASHES):
        oracle = make_oracle(plan, tmp_path, trials=3, budget=None)
        assert oracle.create_trial("tuner0").trial_id == "0000"
        oracle.crashed("tuner0", "signal 11")
        run_folder.mkdir(exist_ok=True)
        with open(run_folder / "metrics.jsonl", "a") as metrics:
            metrics.write("{}\n")


def test_failed_trials_do_not_end_a_search_that_has_others(tmp_path):
    plan = written(tmp_path)
    oracle = make_oracle(plan, tmp_path, trials=40, budget=None)
    end(oracle, oracle.create_trial("tuner0"), 0.5)
    for _ in range(20):
        end(oracle, oracle.create_trial("tuner0"))
    assert oracle.create_trial("tuner0").status == "RUNNING"


def test_a_search_in_which_everything_fails_ends(tmp_path):
    oracle = make_oracle(written(tmp_path), tmp_path, trials=40, budget=None)
    for _ in range(oracles.MOST_FAILURES):
        end(oracle, oracle.create_trial("tuner0"))
    assert oracle.create_trial("tuner0").status == "STOPPED"
    assert oracle.halted == "all of the first 10 trials failed, the last by: no luck"


def test_the_budget_counts_all_sessions(tmp_path):
    plan = written(tmp_path)
    log = Log(tmp_path)
    for begin, last in ((100.0, 130.0), (1000.0, 1020.0)):
        for event, moment in (("session", begin), ("begun", last)):
            facts = {"trial": "0000", "tuner": "tuner0", "values": {}, "epochs": 0} if event == "begun" else {}
            files.append_line(log.path, {"event": event, "time": moment, **facts})
    assert log.seconds() == 50
    oracle = make_oracle(plan, tmp_path, trials=3, budget=50)
    assert oracle.create_trial("tuner0").trial_id == "0000"  # what is under way is ended
    end(oracle, oracle.create_trial("tuner0"), 0.5)
    assert oracle.create_trial("tuner0").status == "STOPPED"
    assert oracle.halted == "the budget of 50 s is spent"


@pytest.mark.parametrize(("epochs", "trials"), [(1, 1), (27, 30), (150, 30), (9, 100), (100, 2), (81, 7)])
@pytest.mark.parametrize("only_first", [False, True])
def test_brackets_share_out_all_configurations(epochs, trials, only_first):
    found = oracles.brackets(epochs, trials, only_first=only_first)
    assert [number for bracket in found for number in bracket.numbers] == list(range(trials))
    for bracket in found:
        assert bracket.epochs[-1] == epochs
        assert bracket.epochs == sorted(set(bracket.epochs))
    assert len(found) == 1 or not only_first


def test_the_best_of_a_rung_go_on_and_failed_ones_do_not(tmp_path):
    plan = written(tmp_path, tuner="successive_halving")
    oracle = make_oracle(plan, tmp_path, trials=9, budget=None)
    for number in range(9):
        trial = oracle.create_trial("tuner0")
        assert trial.hyperparameters.values["tuner/epochs"] == 1
        if number == 4:
            end(oracle, trial)
        else:
            end(oracle, trial, number / 10)
    promoted = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        values = trial.hyperparameters.values
        promoted.append(
            (trial.trial_id, values["tuner/trial_id"], values["tuner/initial_epoch"], values["tuner/epochs"])
        )
        end(oracle, trial, 0.5)
    assert promoted == [("0008-1", "0008", 1, 3), ("0007-1", "0007", 1, 3), ("0006-1", "0006", 1, 3),
                        ("0006-2", "0006", 3, 9)]  # fmt: skip


def test_a_rung_that_failed_whole_ends_its_bracket(tmp_path):
    plan = written(tmp_path, tuner="successive_halving", settings={"epochs": 3})
    oracle = make_oracle(plan, tmp_path, trials=3, budget=None)
    for _ in range(3):
        end(oracle, oracle.create_trial("tuner0"))
    assert oracle.create_trial("tuner0").status == "STOPPED"


def test_a_tuner_may_end_after_some_trials(tmp_path, monkeypatch):
    from tuning.tuner import Tuner

    def instead(self, trial):
        outcome = {"status": "FAILED", "message": "no luck"}
        files.write_json(trial_folder(tmp_path, trial.trial_id) / "outcome.json", outcome)
        return outcome

    monkeypatch.setattr(Tuner, "run_trial", instead)
    plan = written(tmp_path)
    tuner = Tuner(plan, tmp_path, make_oracle(plan, tmp_path, trials=3, budget=None))
    assert not tuner.search(most=2)
    assert len(tuner.oracle.ended) == 2
    assert tuner.search(most=2)
    assert len(tuner.oracle.ended) == 3
