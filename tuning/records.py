"""What a search leaves: its configuration, the log of its trials, and what is read from them.

The log is the truth. It is appended to, a whole line at a time, before anything else changes; keras-tuner's own files
are rewritten from it. A trial that has a line "ended" is never run again.
"""

import csv
import dataclasses
import io
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo import files
from zoo.messages import some
from zoo.runs import Settings
from zoo.training.hyperparameters import NAMES, Hyperparameters
from zoo.training.stopping import direction

FORMAT = 1
CONFIG, LOG, LEADERBOARD, RECIPE, REPORT = "search.json", "trials.jsonl", "leaderboard.csv", "best.json", "report.html"

COMPLETED, FAILED = "COMPLETED", "FAILED"

# What a trial costs, besides its time: numbers of the network, known without training it, and milliseconds a picture.
COSTS = ("params", "macs", "latency_ms")

# What keras-tuner's trials say about rungs, under names that no hyper-parameter has.
EPOCHS, INITIAL_EPOCH, ROOT = "tuner/epochs", "tuner/initial_epoch", "tuner/trial_id"
BRACKET, RUNG = "tuner/bracket", "tuner/round"

# Schedules that end with the training; a trial that is stopped at a rung has the course of the whole training.
_TO_THE_END = ("cosine", "polynomial", "one_cycle")


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
        id: Its name: the number of its configuration, "0007", and behind a dash that of its rung above the first.
        status: "COMPLETED" or "FAILED".
        values: Values of the hyper-parameters that were active.
        score: Value of the objective; None if it failed.
        metrics: Metrics of the best epoch.
        epochs: Number of epochs trained, those of earlier rungs included.
        best_epoch: The epoch (1, 2, …) whose weights are kept: that of the lowest validation loss.
        seconds: Time that it took, in this rung.
        costs: "params", "macs", and "latency_ms" where the search asked for it.
        seed: Seed of the training.
        settings: The hyper-parameters of the training that differ from the defaults.
        model: Registered name of the network.
        message: Why it failed, or why its training stopped.
        rule: Name of the stopping rule that ended the training; "epochs" at the end of its rung, or when it was pruned.
    """

    id: str
    status: str
    values: Mapping[str, Any]
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    message: str = ""
    rule: str = ""

    @property
    def number(self) -> int:
        """Number of the configuration, from 0."""
        return int(self.id.partition("-")[0])

    @property
    def root(self) -> str:
        """Name of the trial at the first rung, in whose folder all rungs are trained."""
        return self.id.partition("-")[0]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The values without what keras-tuner says about rungs."""
        return {name: value for name, value in self.values.items() if not name.startswith("tuner/")}


@dataclass(frozen=True)
class Finalist:
    """A configuration of the final round, trained to its end on each of several folds.

    Attributes:
        trial: Its best trial of the search.
        scores: Values of the objective, one for each fold.
        losses: Validation losses of the same epochs.
    """

    trial: Trial
    scores: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return statistics.mean(self.scores)

    @property
    def loss(self) -> float:
        """Mean of the validation losses."""
        return statistics.mean(self.losses)

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores over the folds."""
        return statistics.stdev(self.scores)


class Log:
    """The append-only log of a search: a line for each session, each start and each end of a trial, each final."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.path = Path(folder) / LOG

    def append(self, event: str, **facts: Any) -> None:
        """Add a line, durable when this returns."""
        files.append_line(self.path, {"event": event, "time": round(time.time(), 3), **facts})

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines in order. One that a crash of the machine has cut off has no end, and is left out.

        Raises:
            ValueError: A line is damaged; the message says which.
        """
        if not self.path.is_file():
            return
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"{self.path} is damaged in line {number}: {error}. Remove that line.") from None

    def mend(self) -> None:
        """Cut off a last line without an end, so that the next one stands by itself."""
        if self.path.is_file() and not (content := self.path.read_bytes()).endswith(b"\n") and content:
            files.write_atomic(self.path, content[: content.rfind(b"\n") + 1])

    def seconds(self) -> float:
        """Time that all sessions took together, from the start of each to its last line."""
        total, began, last = 0.0, None, 0.0
        for line in self.lines():
            if line["event"] == "session":
                total += 0.0 if began is None else last - began
                began = line["time"]
            last = line["time"]
        return total if began is None else total + last - began

    def trials(self) -> list[Trial]:
        """The finished trials in the order of their ends."""
        names = {item.name for item in dataclasses.fields(Trial)}
        return [
            Trial(id=line["trial"], **{name: value for name, value in line.items() if name in names})
            for line in self.lines()
            if line["event"] == "ended"
        ]

    def finals(self, folds: int) -> dict[tuple[int, int], dict[str, Any]]:
        """What came of the trainings of final rounds, by number of the configuration and fold of `folds`."""
        return {
            (int(line["trial"].partition("-")[0]), line["fold"]): line
            for line in self.lines()
            if line["event"] == "final" and line["folds"] == folds
        }

    def last_round(self) -> dict[str, Any] | None:
        """The line of the last final round; None where trials have ended since, or there was none."""
        last = [line for line in self.lines() if line["event"] in ("ended", "finals")][-1:]
        return last[0] if last and last[0]["event"] == "finals" else None


def sign(objective: str) -> int:
    """1 where the objective is to be large, -1 where it is to be small."""
    return 1 if direction(objective, "auto") == "max" else -1


def ranked(trials: Sequence[Trial], objective: str) -> list[Trial]:
    """Completed trials, the best first; of equal scores the lower validation loss, then the longer training, then the
    earlier one, so that the order is always the same."""

    def key(trial: Trial) -> tuple[float, float, int, str]:
        score = trial.score if trial.score is not None else math.nan
        return -sign(objective) * score, trial.metrics.get("val_loss", 0.0), -trial.epochs, trial.id

    return sorted((trial for trial in trials if trial.status == COMPLETED), key=key)


@dataclass(frozen=True)
class Search:
    """The folder of a search.

    Attributes:
        folder: Where it is.
        config: What `search.json` says.
    """

    folder: Path
    config: Mapping[str, Any]

    @property
    def objective(self) -> str:
        """Name of the metric that decides."""
        return self.config["objective"]

    @property
    def log(self) -> Log:
        """The log of the trials."""
        return Log(self.folder)

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, in the order of their ends."""
        return self.log.trials()

    @property
    def ranking(self) -> list[Trial]:
        """The completed trials, the best first."""
        return ranked(self.trials, self.objective)

    @property
    def finalists(self) -> list[Finalist]:
        """The configurations of the final round, the best first; none without one, or when it is not over.

        Equal means are told apart by the mean validation loss. One that failed on a fold is left out.
        """
        held = self.log.last_round()
        if held is None:
            return []
        finals, trials = self.log.finals(held["folds"]), {trial.id: trial for trial in self.trials}
        found = []
        for name in held["trials"]:
            lines = [finals[trials[name].number, fold] for fold in range(held["folds"])]
            if all(line["status"] == COMPLETED for line in lines):
                losses = tuple(line["metrics"]["val_loss"] for line in lines)
                found.append(Finalist(trials[name], tuple(line["score"] for line in lines), losses))
        return sorted(found, key=lambda item: (-sign(self.objective) * item.mean, item.loss, item.trial.id))

    @property
    def best(self) -> Trial:
        """The best trial; where there was a final round, that of the configuration that has won it.

        Raises:
            ValueError: None is completed.
        """
        if finalists := self.finalists:
            return finalists[0].trial
        ranking = self.ranking
        if not ranking:
            reasons = [trial.message for trial in self.trials if trial.status == FAILED]
            raise ValueError(f"{self.folder} has no completed trial. Failed: {some(reasons, 2)}")
        return ranking[0]

    @property
    def recipe(self) -> Path:
        """The best trial as a recipe that `zoo train --recipe FILE` takes."""
        return self.folder / RECIPE

    def pareto(self, cost: str = "macs") -> list[Trial]:
        """The trials that no other beats in both the objective and a cost, the cheapest first.

        Args:
            cost: "params", "macs", or "latency_ms" where it was measured.

        Raises:
            ValueError: There is no such cost.
        """
        if cost not in COSTS:
            raise ValueError(f"cost must be {', '.join(map(repr, COSTS))}. Received: cost={cost!r}")
        front: list[Trial] = []
        known = [trial for trial in self.ranking if cost in trial.costs]
        # Of equal costs the better comes first; one that is not better than a cheaper one is beaten.
        for trial in sorted(known, key=lambda trial: trial.costs[cost]):
            assert trial.score is not None
            if not front or sign(self.objective) * (trial.score - (front[-1].score or 0.0)) > 0:
                front.append(trial)
        return front

    def command(self, trial: Trial | None = None) -> list[str]:
        """The command that trains the best trial again and tests it; to the same score, but for a finalist.

        What has won a final round may have been a short trial; it is trained to its end.
        """
        trial = trial or self.best
        line = ["zoo", "train", trial.model, "--data", self.config["data"], "--recipe", str(self.recipe)]
        line += ["--seed", str(trial.seed)]
        # The recipe has the hyper-parameters; what else was set for all trials are settings of a training.
        for name, value in self.config["settings"].items():
            if name == "fold" and value is not None:
                line += ["--set", f"fold={value}"]
            elif name not in NAMES and value != getattr(Settings, name):
                line += [f"--{name.replace('_', '-')}", str(value)]
        return [*line, "--out", "best"]


def open_search(folder: str | os.PathLike) -> Search:
    """Open the folder of a search, finished or not.

    Args:
        folder: What `search` was given as `out`.

    Raises:
        ValueError: It is no folder of a search, or of a format that this version does not read.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is no search: it has no {CONFIG}.")
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("format") != FORMAT:
        raise ValueError(f"{path} has format {config.get('format')!r}, this version reads {FORMAT}.")
    return Search(folder, config)


def write_leaderboard(search: Search) -> None:
    """`leaderboard.csv`: a row for every finished trial, the best first, the failed last."""
    trials = search.trials
    names = list(dict.fromkeys(name for trial in trials for name in trial.hyperparameters))
    metrics = sorted({name for trial in trials for name in trial.metrics} - {"epoch", "step"})
    costs = [name for name in COSTS if any(name in trial.costs for trial in trials)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "trial", "status", "score", *metrics, "epochs", "best_epoch", "seconds", *costs, "seed",
                     *names, "message"])  # fmt: skip
    failed = [trial for trial in trials if trial.status != COMPLETED]
    for rank, trial in enumerate([*ranked(trials, search.objective), *failed], start=1):
        writer.writerow([
            rank if trial.status == COMPLETED else "", trial.id, trial.status,
            "" if trial.score is None else trial.score, *(trial.metrics.get(name, "") for name in metrics),
            trial.epochs, trial.best_epoch or "", trial.seconds, *(trial.costs.get(name, "") for name in costs),
            trial.seed, *(trial.hyperparameters.get(name, "") for name in names), trial.message,
        ])  # fmt: skip
    files.write_atomic(search.folder / LEADERBOARD, text.getvalue())


def write_recipe(search: Search) -> None:
    """`best.json`: the best trial's hyper-parameters. One that ended at a rung has its epochs, in the same course.

    A winner of a final round was trained to its end there, and is to be again.
    """
    best, finalists = search.best, search.finalists
    changed = {name: value for name, value in best.settings.items() if name in NAMES}
    hyper = Hyperparameters(**changed)
    note = ""
    if finalists:
        won = finalists[0]
        note = f" {search.objective} {won.mean:.6g} in the mean over {len(won.scores)} folds, trained to the end."
    elif best.epochs < hyper.epochs and best.rule == "epochs":
        if hyper.warmup_epochs < best.epochs:
            if hyper.schedule in _TO_THE_END:
                left = hyper.epochs - (hyper.warmup_epochs if hyper.warmup_shift else 0)
                changed["schedule_options"] = {"duration": left, **hyper.schedule_options}
            changed["epochs"] = best.epochs
        else:
            note = f" The trial was stopped in its warm-up, after {best.epochs} epochs; this trains on."
    content = {
        "name": f"{best.model}_{search.config['tuner']}_{best.id.replace('-', '_')}",
        "summary": f"Trial {best.id} of a {search.config['tuner']} search, {search.objective} {best.score:.6g} with "
        f"--seed {best.seed} on {search.config['data']}.{note}",
        "hyperparameters": changed,
    }
    files.write_json(search.recipe, content)
