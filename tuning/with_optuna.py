"""The second engine: Optuna's tree-structured Parzen estimator, which learns from the trials and prunes bad ones.

Bergstra, Bardenet, Bengio, Kégl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011,
https://papers.nips.cc/paper/4443. Trials are kept in an SQLite database beside the log, which Optuna's own tools read:
`optuna-dashboard sqlite:///SEARCH/optuna.db`. Hyperband's rule decides after each epoch whether a trial goes on. With
two objectives, a score and a cost of the network, the estimator is that of Ozaki et al. 2022,
https://doi.org/10.1613/jair.1.13188, and every trial trains to its end.
"""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import keras_tuner
import optuna

from tuning import crashes, trials
from tuning.oracles import all_failed, trial_folder
from tuning.plan import Plan
from tuning.records import COMPLETED, Log, sign
from tuning.trials import imports_set_aside
from zoo import training

DATABASE = "optuna.db"

# What the database keeps of a pruned trial: the epoch after which it was to end.
PRUNED_AFTER = "pruned_after"


class Pruning(keras.callbacks.Callback):
    """Tells Optuna the objective after each epoch, and ends the training when it says so.

    Optuna moves a trial up a rung as it decides, and asked again about an epoch it lets the trial go on. So its verdict
    is kept, and holds when the epoch is repeated, as after a kill before its checkpoint.
    """

    def __init__(self, trial: optuna.Trial, objective: str) -> None:
        super().__init__()
        self._trial, self._objective = trial, objective
        # What a killed session has told already.
        known = trial.storage.get_trial(trial._trial_id)
        self._told = set(known.intermediate_values)
        self._pruned_after: int | None = known.user_attrs.get(PRUNED_AFTER)

    def get_state(self) -> dict[str, Any]:
        """Nothing: the database remembers."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Nothing, likewise."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch + 1 not in self._told:
            self._trial.report(float((logs or {})[self._objective]), epoch + 1)
        if self._pruned_after is None and self._trial.should_prune():
            self._pruned_after = epoch + 1
            self._trial.set_user_attr(PRUNED_AFTER, self._pruned_after)
        if self._pruned_after is not None and epoch + 1 >= self._pruned_after:
            self.model.stop_training = True


def run(
    plan: Plan,
    folder: Path,
    *,
    trials: int,
    budget: float | None,
    workers: int,
    devices: training.Devices,
    on_end: Callable[[], None],
) -> str | None:
    """Run the trials of a search; returns why it ended early, if it did.

    Raises:
        ValueError: Several workers are asked for.
    """
    if workers > 1:
        raise ValueError(f'tuner="tpe" runs in one process. Leave workers=1. Received: workers={workers}')
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _study(plan, folder)
    log = Log(folder)
    log.mend()
    log.append("session", workers=1)
    with crashes.noted(folder, functools.partial(_note_crash, folder, log)), imports_set_aside():
        return _run_trials(plan, folder, study, log, trials, budget, devices, on_end)


def _run_trials(
    plan: Plan,
    folder: Path,
    study: optuna.Study,
    log: Log,
    trials: int,
    budget: float | None,
    devices: training.Devices,
    on_end: Callable[[], None],
) -> str | None:
    for frozen in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        _run_trial(plan, folder, study, optuna.Trial(study, frozen._trial_id), log, devices)
        on_end()
    while sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)) < trials:
        if budget is not None and log.seconds() >= budget:
            return f"the budget of {budget:g} s is spent"
        if halted := all_failed(log.trials()):
            return halted
        number = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
        # A sampler forgets when a session ends; one for each trial is the same in all sessions.
        study.sampler = optuna.samplers.TPESampler(seed=plan.seed + number)
        _run_trial(plan, folder, study, study.ask(), log, devices)
        on_end()
    return None


def _note_crash(folder: Path, log: Log, how: str) -> None:
    """Note that the last session has crashed in the trial that was under way, if one was."""
    ended = {trial.id for trial in log.trials()}
    begun = [line["trial"] for line in log.lines() if line["event"] == "begun"]
    for name in begun[-1:]:
        if name not in ended:
            epochs = trials.epochs_done(trial_folder(folder, name))
            log.append("crashed", trial=name, tuner="tuner0", epochs=epochs, how=how)


def _crashed_for_good(log: Log, name: str) -> dict[str, Any] | None:
    """What came of a trial that has crashed too often; None for one that may go on."""
    known = crashes.Crashes()
    for line in log.lines():
        if line["event"] == "crashed":
            known.count(line["trial"], line["epochs"])
    return known.outcome(name)


def _study(plan: Plan, folder: Path) -> optuna.Study:
    """The study of the database, which begins with the defaults."""
    directions: list[Literal["minimize", "maximize"]] = ["maximize" if sign(plan.objective) > 0 else "minimize"]
    if plan.pareto:
        directions.append("minimize")
    study = optuna.create_study(
        storage=f"sqlite:///{folder / DATABASE}",
        study_name=plan.model,
        directions=directions,
        pruner=optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=plan.base.epochs, reduction_factor=plan.factor
        ),
        load_if_exists=True,
    )
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(plan.declared().values)
    return study


def _run_trial(
    plan: Plan, folder: Path, study: optuna.Study, trial: optuna.Trial, log: Log, devices: training.Devices
) -> None:
    """Train a trial, or take what a killed session has written of it, and tell log and database."""
    name = f"{trial.number:04d}"
    values = suggest(trial, plan.declared())
    here = trial_folder(folder, name)
    written = here / trials.OUTCOME
    crashed = None if written.is_file() else _crashed_for_good(log, name)
    if crashed is None and not written.is_file():
        log.append("begun", trial=name, tuner="tuner0", values=values, epochs=trials.epochs_done(here))
        # Which of two trials is worse is not known while their costs differ.
        pruning = [] if plan.pareto else [Pruning(trial, plan.objective)]
        trials.outcome(plan, values, trial.number, folder=here, root=here, devices=devices, callbacks=pruning)
    outcome = crashed or json.loads(written.read_text(encoding="utf-8"))
    if name not in {item.id for item in log.trials()}:
        log.append("ended", trial=name, values=values, **outcome)
    if outcome["status"] != COMPLETED:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    elif plan.pareto:
        study.tell(trial, [outcome["score"], outcome["costs"][plan.pareto]])
    elif outcome["epochs"] < plan.base.epochs and outcome["rule"] == "epochs":
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, outcome["score"])


def suggest(trial: optuna.Trial, declared: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Values of a space's active hyper-parameters.

    Args:
        trial: A trial of Optuna.
        declared: The space, as `tuning.spaces.declared` gives it.

    Returns:
        The values by name.
    """
    values: dict[str, Any] = {}
    kinds = keras_tuner.engine.hyperparameters
    for item in declared.space:
        if not all(condition.is_active(values) for condition in item.conditions):
            continue
        name = item.name
        if isinstance(item, kinds.Int | kinds.Float) and item.step is None:
            ask = trial.suggest_int if isinstance(item, kinds.Int) else trial.suggest_float
            values[name] = ask(name, item.min_value, item.max_value, log=item.sampling == "log")
        elif isinstance(item, kinds.Fixed):
            values[name] = item.value
        else:
            values[name] = trial.suggest_categorical(name, list(dict.fromkeys(item.values)))
    return values
