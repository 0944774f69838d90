"""The final round of a search: its best configurations and the defaults once more, on several folds.

One validation split of some hundred examples hardly tells good configurations apart, and the highest of many scores is
high by chance too. The folds together use each training and validation example once for validation; all configurations
have the same folds and the same seeds, which no trial had, and are trained to their end. The defaults take part, so
that a search that has found nothing better says so. The test split stays unseen.
"""

import json
from collections.abc import Callable
from typing import Any

from tuning import trials
from tuning.plan import Plan
from tuning.records import Search, Trial
from zoo import training

FINALS = "finals"

# Above the seeds of all trials, which are at most 2**31 + their number.
_FIRST_SEED = 3 * 2**30


def entrants(search: Search, finalists: int) -> list[Trial]:
    """Who takes part: the best trials of so many configurations, and that of the defaults.

    Args:
        search: A search without trials under way.
        finalists: Number of configurations, the defaults not counted.
    """
    best: dict[int, Trial] = {}
    for trial in search.ranking:
        best.setdefault(trial.number, trial)
    has_defaults = search.config["tuner"] != "grid" and 0 in best
    chosen = [trial for trial in best.values() if trial.number or not has_defaults][:finalists]
    return [best[0], *chosen] if has_defaults else chosen


def run_finals(
    plan: Plan,
    search: Search,
    *,
    finalists: int,
    folds: int,
    devices: training.Devices,
    on_end: Callable[[Trial, int, dict[str, Any]], None],
) -> None:
    """Train the finalists, one fold after the other; what earlier sessions have done is not done again.

    Args:
        plan: The search.
        search: Its folder.
        finalists: As `entrants` takes it.
        folds: Number of folds, at least 2.
        devices: As `zoo.training.make_strategy` takes them.
        on_end: Called after each training with trial, fold and what came of it.
    """
    log, entered = search.log, entrants(search, finalists)
    if not entered:
        return
    done = log.finals(folds)
    with trials.imports_set_aside():
        for fold in range(folds):
            for trial in entered:
                if (trial.number, fold) in done:
                    continue
                found = _train(plan, search, trial, fold, folds, devices)
                log.append("final", trial=trial.id, fold=fold, folds=folds, **found)
                on_end(trial, fold, found)
    last = log.last_round()
    names = [trial.id for trial in entered]
    if last is None or (last["trials"], last["folds"]) != (names, folds):
        log.append("finals", trials=names, folds=folds)


def _train(
    plan: Plan, search: Search, trial: Trial, fold: int, folds: int, devices: training.Devices
) -> dict[str, Any]:
    """One training, or what a process that died has written of it; one under way goes on from its checkpoint."""
    here = search.folder / FINALS / f"{trial.root}_fold{fold}of{folds}"
    written = here / trials.OUTCOME
    if written.is_file():
        return json.loads(written.read_text(encoding="utf-8"))
    changes = {"fold": (fold, folds), "seed": _FIRST_SEED + (plan.seed + fold) % 2**29}
    found = trials.outcome(
        plan, trial.hyperparameters, trial.number, folder=here, root=here, devices=devices, changes=changes
    )
    return {**found, "seed": changes["seed"]}


def summary(search: Search) -> str | None:
    """The final round in a line; None where there was none."""
    finalists = search.finalists
    if not finalists:
        return None
    folds = len(finalists[0].scores)
    parts = [
        f"{'the defaults' if item.trial.number == 0 and search.config['tuner'] != 'grid' else item.trial.root} "
        f"{item.mean:.4f} (loss {item.loss:.4f})"
        for item in finalists
    ]
    return f"finals, mean {search.objective} over {folds} folds: {', '.join(parts)}"
