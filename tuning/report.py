"""The report of a search: one HTML file with everything in it, in light and in dark."""

import functools
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tuning import figures
from tuning.importance import FEWEST_TRIALS, importance
from tuning.records import COMPLETED, COSTS, REPORT, Search, Trial
from tuning.trials import RUN
from zoo import files
from zoo.report.page import picture, template
from zoo.report.theme import DARK, LIGHT

MAX_ROWS = 40


def write_report(search: Search) -> Path:
    """Write `report.html` into the folder of a search, from what has ended so far.

    Args:
        search: The search.

    Returns:
        Path of the page.

    Raises:
        ValueError: No trial is completed.
    """
    trials = search.trials
    best = search.best
    ranking, finalists = search.ranking, search.finalists
    found = importance(trials)
    used = list(dict.fromkeys(name for trial in ranking for name in trial.hyperparameters))
    axes = [name for name in found.names if name != "epochs"] if found else used
    drawn = _once(ranking)
    objective = search.objective
    histories = {trial.id: _history(search, trial) for trial in drawn[: figures.MAX_CURVES]}
    fronts = [(cost, search.pareto(cost)) for cost in COSTS[1:] if all(cost in trial.costs for trial in ranking)]
    default = (
        None
        if search.config["tuner"] == "grid"
        else next((trial for trial in reversed(trials) if trial.number == 0 and trial.status == COMPLETED), None)
    )
    seconds = search.log.seconds()
    page = template("search.html.jinja", "tuning").render(
        light=asdict(LIGHT),
        dark=asdict(DARK),
        config=search.config,
        objective=objective,
        best=best,
        default=default,
        recipe=search.recipe.name,
        command=shlex.join(search.command()),
        trials=trials,
        finalists=finalists,
        failed=[trial for trial in trials if trial.status != COMPLETED],
        configurations=len({trial.number for trial in trials}),
        ranking=ranking[:MAX_ROWS],
        importance=found,
        fewest=FEWEST_TRIALS,
        names=used,
        seconds=seconds,
        trained=sum(trial.seconds for trial in trials),
        wasted=sum(trial.seconds for trial in trials if trial.status != COMPLETED),
        epochs=_epochs(trials),
        coordinates=picture(
            functools.partial(figures.parallel, drawn, axes, objective),
            f"Parallel coordinates of {len(drawn)} trials over {min(len(axes), figures.MAX_AXES)} hyper-parameters",
        ),
        bars=found and picture(functools.partial(figures.bars, found), "Bar chart of the importance"),
        curves=picture(
            functools.partial(figures.learning_curves, histories, objective),
            f"Learning curves of {len(histories)} trials",
        ),
        course=picture(
            functools.partial(figures.course, trials, objective), f"Scores of {len(trials)} trials and the best so far"
        ),
        fronts=[
            (cost, members, picture(functools.partial(figures.front, ranking, members, objective, cost),
                                    f"{objective} over {cost}"))
            for cost, members in fronts
        ],
    )  # fmt: skip
    path = search.folder / REPORT
    files.write_atomic(path, page)
    return path


def _once(ranking: Sequence[Trial]) -> list[Trial]:
    """Each configuration at its best rung."""
    seen: dict[int, Trial] = {}
    for trial in ranking:
        seen.setdefault(trial.number, trial)
    return list(seen.values())


def _history(search: Search, trial: Trial) -> list[dict[str, Any]]:
    """The epochs of the trial's configuration; the folder may have been deleted."""
    path = search.folder / f"trial_{trial.root}" / RUN / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _epochs(trials: Sequence[Trial]) -> int:
    """Epochs that were trained: those of a configuration's last rung include the earlier ones."""
    most: dict[int, int] = {}
    for trial in trials:
        most[trial.number] = max(most.get(trial.number, 0), trial.epochs)
    return sum(most.values())
