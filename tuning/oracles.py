"""keras-tuner's oracles, made to survive: what decides which trial comes next.

An oracle of keras-tuner writes its state in place and loses a search with a half-written file. Here each start and each
end of a trial is a line of the log first (`tuning.records.Log`), the oracle is rebuilt from the log, and its own files
are whole or not there. What a trial is depends on its number and, where a tuner learns, on the ended trials: a draw is
a function of (seed, number), so that neither a restart nor the number of workers changes it.
"""

import dataclasses
import itertools
import json
import math
import threading
import time
import warnings
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial as TunerTrial
from sklearn.exceptions import ConvergenceWarning

from tuning import spaces
from tuning.crashes import Crashes
from tuning.plan import Plan
from tuning.records import BRACKET, COMPLETED, EPOCHS, FAILED, INITIAL_EPOCH, ROOT, RUNG, Log, Trial, ranked, sign
from tuning.trials import OUTCOME, epochs_done
from zoo import files

_FIELDS = {item.name for item in dataclasses.fields(Trial)}

RUNNING, IDLE, STOPPED = "RUNNING", "IDLE", "STOPPED"

# When all of the first trials fail, the search is set up wrongly.
MOST_FAILURES = 10
# Random trials of a Bayesian search, before it learns.
MOST_INITIAL_POINTS = 10


def trial_folder(folder: Path, trial_id: str) -> Path:
    """The folder of a trial, as keras-tuner names it."""
    return folder / f"trial_{trial_id}"


class Surviving(keras_tuner.Oracle):
    """What all oracles of this package share. See the module.

    Args:
        plan: The search.
        folder: Its folder.
        trials: Number of configurations to try.
        budget: Seconds after which no trial is begun any more, those of earlier sessions included; None for no limit.
        workers: Number of tuners, named tuner0, tuner1, …
        options: More arguments of keras-tuner's oracle.
    """

    plan: Plan

    def __init__(
        self, plan: Plan, folder: Path, *, trials: int, budget: float | None, workers: int = 1, **options: Any
    ) -> None:
        objective = keras_tuner.Objective(plan.objective, "max" if sign(plan.objective) > 0 else "min")
        super().__init__(objective=objective, hyperparameters=plan.declared(), seed=plan.seed + 1, **options)
        self.plan, self.folder, self.max_trials, self.budget, self.workers = plan, folder, trials, budget, workers
        self.verbose = 0
        self.halted: str | None = None
        self.log = Log(folder)
        self.ended: dict[str, Trial] = {}
        self._began = time.monotonic()
        self._earlier = 0.0
        self._crashes = Crashes()
        self._owners: dict[str, str] = {}
        self._mutex = threading.RLock()
        self._set_project_dir(str(folder.parent), folder.name)

    # What keras-tuner's tuners and its gRPC server call.

    def create_trial(self, tuner_id: str) -> TunerTrial:
        """The trial that a tuner is to train next; its status is "IDLE" when it has to wait, "STOPPED" at the end."""
        with self._mutex:
            trial = self._unfinished(tuner_id)
            if trial is None:
                status, trial_id, values = self._next()
                trial = self._trial(trial_id, values, status)
                if status != RUNNING:
                    return trial
            root = trial_folder(self.folder, trial.trial_id.partition("-")[0])
            self.log.append(
                "begun", trial=trial.trial_id, tuner=tuner_id, epochs=epochs_done(root),
                values=trial.hyperparameters.values,
            )  # fmt: skip
            self._begin(trial, tuner_id)
            trial_folder(self.folder, trial.trial_id).mkdir(exist_ok=True)
            self._save_trial(trial)
            self.save()
            return trial

    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> TunerTrial:
        """Nothing: what came of a trial stands in its folder when it ends."""
        return self.trials[trial_id]

    def end_trial(self, trial: TunerTrial) -> None:
        """Note what came of a trial; said twice, by a tuner whose first call was cut off, it is noted once."""
        with self._mutex:
            if trial.trial_id in self.ended:
                return
            path = trial_folder(self.folder, trial.trial_id) / OUTCOME
            self._note_end(trial.trial_id, json.loads(path.read_text(encoding="utf-8")))

    def save(self) -> None:
        """Write `oracle.json`, whole or not at all."""
        files.write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial: TunerTrial) -> None:
        files.write_json(trial_folder(self.folder, trial.trial_id) / "trial.json", trial.get_state())

    def reload(self) -> None:
        """Build everything again from the log."""
        with self._mutex:
            self.log.mend()
            self._earlier = self.log.seconds()
            for line in self.log.lines():
                if line["event"] == "begun":
                    trial = self.trials.get(line["trial"]) or self._trial(line["trial"], line["values"], RUNNING)
                    self._begin(trial, line["tuner"])
                elif line["event"] == "crashed":
                    self._crashes.count(line["trial"], line["epochs"])
                elif line["event"] == "ended":
                    self._end(line["trial"], line)

    def session(self, **facts: Any) -> None:
        """Note that a session begins."""
        self.log.append("session", workers=self.workers, **facts)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time that the search has taken in all sessions."""
        return self._earlier + time.monotonic() - self._began

    # What the oracles of this package differ in.

    def _propose(self) -> tuple[str, str, Mapping[str, Any]]:
        """Status, name and values of the next new trial."""
        number = len(self.trials)
        if number >= (self.max_trials or math.inf):
            return STOPPED, "", {}
        values = self.values(number)
        if values is None:
            self.halted = _exhausted(number)
            return STOPPED, "", {}
        return RUNNING, f"{number:04d}", values

    def values(self, number: int) -> dict[str, Any] | None:
        """Values of a configuration by its number: the first has the defaults; None where the space is exhausted."""
        if number == 0:
            return self.plan.declared().values
        self._seed_state = int(np.random.SeedSequence([self.plan.seed, number]).generate_state(1, np.uint64)[0])
        found = self.populate_space(f"{number:04d}")
        return found["values"] if found["status"] == RUNNING else None

    # The rest.

    def _next(self) -> tuple[str, str, Mapping[str, Any]]:
        if self.halted is None and self.budget is not None and self.seconds >= self.budget:
            self.halted = f"the budget of {self.budget:g} s is spent"
        if self.halted is None:
            self.halted = all_failed(self.ended.values())
        return (STOPPED, "", {}) if self.halted else self._propose()

    def _unfinished(self, tuner_id: str) -> TunerTrial | None:
        """The trial that the tuner has, or one of a tuner that there is no more."""
        live = {f"tuner{index}" for index in range(self.workers)}
        for trial_id, owner in list(self._owners.items()):
            if owner != tuner_id and owner in live:
                continue
            if outcome := self._crashes.outcome(trial_id):
                self._note_end(trial_id, outcome)
                continue
            return self.trials[trial_id]
        return None

    def crashed(self, tuner_id: str, how: str) -> None:
        """A tuner's process has crashed in its trial, or was killed for its memory, which this notes and counts."""
        with self._mutex:
            for trial_id, owner in self._owners.items():
                if owner == tuner_id:
                    epochs = epochs_done(trial_folder(self.folder, trial_id.partition("-")[0]))
                    self.log.append("crashed", trial=trial_id, tuner=tuner_id, epochs=epochs, how=how)
                    self._crashes.count(trial_id, epochs)

    def epochs_under_way(self, tuner_id: str) -> int:
        """Epochs that the trial of a tuner has behind it, 0 where there is none."""
        names = [trial_id for trial_id, owner in list(self._owners.items()) if owner == tuner_id]
        return max((epochs_done(trial_folder(self.folder, name.partition("-")[0])) for name in names), default=0)

    def _trial(self, trial_id: str, values: Mapping[str, Any], status: str) -> TunerTrial:
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = dict(values)
        return TunerTrial(hyperparameters=hyperparameters, trial_id=trial_id, status=status)

    def _begin(self, trial: TunerTrial, tuner_id: str) -> None:
        if trial.trial_id not in self.trials:
            self.trials[trial.trial_id] = trial
            self.start_order.append(trial.trial_id)
            self._tried_so_far.add(self._compute_values_hash(trial.hyperparameters.values))
        self.ongoing_trials[tuner_id] = trial
        self._owners[trial.trial_id] = tuner_id

    def _note_end(self, trial_id: str, outcome: Mapping[str, Any]) -> None:
        values = self.trials[trial_id].hyperparameters.values
        self.log.append("ended", trial=trial_id, values=values, **outcome)
        self._end(trial_id, outcome)
        self._save_trial(self.trials[trial_id])
        self.save()

    def _end(self, trial_id: str, outcome: Mapping[str, Any]) -> None:
        trial = self.trials[trial_id]
        trial.status, trial.message = outcome["status"], outcome.get("message", "")
        if trial.status == COMPLETED:
            for name, value in outcome["metrics"].items():
                trial.metrics.register(name, direction="max" if sign(name) > 0 else "min")
                trial.metrics.update(name, value, step=outcome["best_epoch"])
            trial.score, trial.best_step = outcome["score"], outcome["best_epoch"]
        facts = {name: value for name, value in outcome.items() if name in _FIELDS and name != "values"}
        self.ended[trial_id] = Trial(id=trial_id, values=trial.hyperparameters.values, **facts)
        self.end_order.append(trial_id)
        owner = self._owners.pop(trial_id, None)
        if owner is not None:
            self.ongoing_trials.pop(owner, None)


class RandomOracle(Surviving, keras_tuner.oracles.RandomSearchOracle):
    """Random search: the first trial has the defaults."""


class GridOracle(Surviving):
    """Grid search: all combinations in order, which do not depend on one another, so that a grid may be extended."""

    def values(self, number: int) -> dict[str, Any] | None:
        return next(itertools.islice(spaces.grid(self.plan.declared()), number, None), None)


class BayesianOracle(Surviving, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process over all ended trials, after some random ones.

    keras-tuner would draw three for each hyper-parameter, which few searches have the time for.
    """

    def __init__(self, plan: Plan, folder: Path, **options: Any) -> None:
        dimensions = len(plan.declared().space)
        super().__init__(plan, folder, num_initial_points=min(MOST_INITIAL_POINTS, 3 * dimensions), **options)

    def values(self, number: int) -> dict[str, Any] | None:
        self._random_state = np.random.RandomState([self.plan.seed % 2**32, number])
        with warnings.catch_warnings():
            # Of a length scale at its bound: with the few trials of a search the process often has none to find.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = super().values(number)
        # The optimum may be a point that is known already; a second trial there would tell little.
        if found is not None and self._duplicate(found):
            return self._random_values()
        return found


class RungsOracle(Surviving):
    """Hyperband (Li et al. 2018, https://jmlr.org/papers/v18/16-558.html) and successive halving, its first bracket.

    The configurations are divided among the brackets as in the paper. A rung is decided when all of its trials have
    ended, so that the same ones go on whatever the order; meanwhile tuners begin the next bracket. Where the space has
    fewer configurations than that, the brackets have those that there are.
    """

    _why_fewer: str | None = None

    def _propose(self) -> tuple[str, str, Mapping[str, Any]]:
        for bracket in self.brackets:
            for rung in range(1, len(bracket.epochs)):
                for trial_id in self._promoted(bracket, rung):
                    name = f"{trial_id.partition('-')[0]}-{rung}"
                    if name not in self.trials:
                        values = dict(self.trials[trial_id].hyperparameters.values)
                        root = trial_id.partition("-")[0]
                        return RUNNING, name, {**values, **bracket.facts(rung), ROOT: root}
            for number in bracket.numbers:
                if f"{number:04d}" not in self.trials:
                    drawn = self.values(number)
                    if drawn is None:
                        self._cut(number)
                        return self._propose()
                    return RUNNING, f"{number:04d}", {**drawn, **bracket.facts(0)}
        if self._owners:
            return IDLE, "", {}
        self.halted = self._why_fewer
        return STOPPED, "", {}

    def _cut(self, count: int) -> None:
        """Leave only so many configurations in the brackets: the space has no more."""
        self._why_fewer = _exhausted(count)
        for bracket in self.brackets:
            bracket.numbers = [number for number in bracket.numbers if number < count]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Random values; keras-tuner's name for it."""
        values = self._random_values()
        return {"status": STOPPED if values is None else RUNNING, "values": values}

    def _compute_values_hash(self, values: Mapping[str, Any]) -> str:
        return super()._compute_values_hash({k: v for k, v in values.items() if not k.startswith("tuner/")})

    def _promoted(self, bracket: "_Bracket", rung: int) -> list[str]:
        """The trials of the rung below that go on, none before all of them have ended."""
        if rung == 1:
            below = [f"{number:04d}" for number in bracket.numbers]
        else:
            below = [f"{name.partition('-')[0]}-{rung - 1}" for name in self._promoted(bracket, rung - 1)]
        if not below or any(name not in self.ended for name in below):
            return []
        places = max(1, len(below) // self.plan.factor)
        return [trial.id for trial in ranked([self.ended[name] for name in below], self.plan.objective)[:places]]

    @cached_property
    def brackets(self) -> list["_Bracket"]:
        """All brackets, the most aggressive first."""
        assert self.max_trials is not None
        return brackets(
            self.plan.base.epochs, self.max_trials, factor=self.plan.factor, only_first=self.plan.tuner != "hyperband"
        )


class _Bracket:
    """Configurations that compete, and the epochs that they have after each rung."""

    def __init__(self, number: int, numbers: Iterable[int], epochs: list[int]) -> None:
        self.number, self.numbers, self.epochs = number, list(numbers), epochs

    def facts(self, rung: int) -> dict[str, int]:
        """What a trial of keras-tuner says about its rung."""
        initial = self.epochs[rung - 1] if rung else 0
        return {EPOCHS: self.epochs[rung], INITIAL_EPOCH: initial, BRACKET: self.number, RUNG: rung}


def brackets(epochs: int, trials: int, *, factor: int = 3, only_first: bool = False) -> list[_Bracket]:
    """Hyperband's brackets for a number of configurations.

    Bracket s begins with 1 / factor**s of the epochs. The paper gives it (s_max + 1) / (s + 1) * factor**s
    configurations; these numbers are scaled to `trials`.

    Args:
        epochs: Epochs of a training that goes all the way.
        trials: Number of configurations, at least 1.
        factor: Of how many trials of a rung one goes on, at least 2.
        only_first: Whether there is only the most aggressive bracket: successive halving.

    Returns:
        The brackets, the most aggressive first; none is empty.

    Example:
        >>> from tuning.oracles import brackets
        >>> [(len(bracket.numbers), bracket.epochs) for bracket in brackets(27, 30)]
        [(17, [1, 3, 9, 27]), (7, [3, 9, 27]), (4, [9, 27]), (2, [27])]
    """
    most = 0
    while factor ** (most + 1) <= min(epochs, trials):
        most += 1
    levels = [most] if only_first else range(most, -1, -1)
    shares = {level: (most + 1) / (level + 1) * factor**level for level in levels}
    total = sum(shares.values())
    ends = [round(trials * part / total) for part in itertools.accumulate(shares.values())]
    found, first = [], 0
    for level, end in zip(shares, ends, strict=True):
        if end > first:
            rungs = [math.ceil(epochs / factor ** (level - rung)) for rung in range(level + 1)]
            found.append(_Bracket(level, range(first, end), rungs))
        first = end
    return found


def all_failed(ended: Collection[Trial]) -> str | None:
    """Why a search ends of which all trials so far, and enough of them, have failed; else None."""
    failed = [trial for trial in ended if trial.status == FAILED]
    if len(failed) < len(ended) or len(failed) < MOST_FAILURES:
        return None
    return f"all of the first {MOST_FAILURES} trials failed, the last by: {failed[-1].message}"


def _exhausted(count: int) -> str:
    return f"the space has no new configuration after {count}"


ORACLES: dict[str, type[Surviving]] = {
    "random": RandomOracle,
    "grid": GridOracle,
    "bayesian": BayesianOracle,
    "hyperband": RungsOracle,
    "successive_halving": RungsOracle,
}


def make_oracle(plan: Plan, folder: Path, **options: Any) -> Surviving:
    """The oracle of a plan, as far as its log says."""
    oracle = ORACLES[plan.tuner](plan, folder, **options)
    oracle.reload()
    return oracle
