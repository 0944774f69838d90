"""The search: from what is asked for to a folder with a leaderboard, a recipe and a report."""

import contextlib
import functools
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import rich.console

from tuning import crashes, records
from tuning.plan import IN_RUNGS, Plan
from tuning.records import CONFIG, Search, open_search
from zoo import data as datasets
from zoo import files, training

try:
    import fcntl
except ImportError:  # Windows; nothing then keeps two searches out of one folder
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
# What `search.json` says of the data besides its name.
FINGERPRINT = "fingerprint"


def search(
    model: str,
    data: str = "digits",
    *,
    out: str | os.PathLike,
    space: str = "all",
    tuner: str = "random",
    objective: str = "val_accuracy",
    limits: Mapping[str, float] | None = None,
    trials: int = 20,
    budget: float | None = None,
    seed: int = 0,
    workers: int = 1,
    factor: int = 3,
    pareto: str | None = None,
    finalists: int = 0,
    folds: int = 5,
    devices: training.Devices = "auto",
    recipe: str | None = None,
    console: rich.console.Console | None = None,
    **settings: Any,
) -> Search:
    """Search for the hyper-parameters of a model and of its training.

    A search that was begun in the folder goes on where it was: ended trials stay, the one under way goes on from its
    checkpoint. `trials`, `budget`, `workers`, `finalists`, `folds` and `devices` may differ then, all else may not. No
    trial sees the test split.

    Args:
        model: Registered name.
        data: Name of the data set, as `zoo.data.load` takes it.
        out: Folder of the search: new, empty, or of this search.
        space: "model", "training", "all", "free" (for plain_cnn), or "module:function" for a function of yours from
            keras-tuner's hyper-parameters to settings; see `tuning.spaces`.
        tuner: "random", "grid", "bayesian", "hyperband", "successive_halving", or "tpe" (with Optuna).
        objective: "val_accuracy", "val_loss", "accuracy" or "loss", of the epoch with the lowest validation loss.
        limits: Ceilings of "params", "macs" and "latency_ms" (milliseconds a picture): what is above is not trained.
        trials: Number of configurations to try.
        budget: Seconds after which no trial is begun any more; None for no limit.
        seed: Seed of the search, 0 to 2**31 - 1; trial N trains with seed + N.
        workers: Number of processes of this machine that train trials; 1: this one.
        factor: Of how many trials of a rung one goes on, for "hyperband" and "successive_halving".
        pareto: "params", "macs" or "latency_ms" for a search of two objectives, this one to be small; with "tpe".
        finalists: How many configurations, the best ones, are trained to their end on each fold after all trials, and
            the defaults with them; the highest mean score wins. 0 for no such round. It comes on top of the budget.
        folds: Number of folds of the final round, at least 2.
        devices: As `zoo.training.make_strategy` takes them, for each trial.
        recipe: Recipe that the trials start from: a name, a file, or "paper".
        console: Where the progress goes; None for the standard error output.
        **settings: Settings of all trials, such as epochs=30; see `zoo.runs.Settings`.

    Returns:
        The finished search.

    Raises:
        ValueError: An argument, the data or the folder cannot be used, found before the first trial; or all of the
            first ten trials failed.
        RunInUse: Another process searches in the folder.

    Example:
        >>> import tempfile, tuning
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = tuning.search("simple_cnn", out=folder, space="model", trials=1, epochs=1)
        ...     found.best.id, found.recipe.name
        ('0000', 'best.json')
    """
    folder = Path(out).absolute()
    for name, value, least in (("trials", trials, 1), ("workers", workers, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}. Received: {name}={value}")
    for name, value, least in (("finalists", finalists, 0), ("folds", folds, 2)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}. Received: {name}={value}")
    if budget is not None and not budget > 0:
        raise ValueError(f"budget must be above 0 seconds, or None. Received: budget={budget}")
    plan = Plan(
        model=model, data=data, space=space, tuner=tuner, objective=objective, limits=dict(limits or {}), seed=seed,
        recipe=recipe, settings=settings, trials=trials if tuner in IN_RUNGS else None, factor=factor,
        pareto=pareto,
    )  # fmt: skip
    _refuse_strange(folder)
    base = plan.base
    dataset = datasets.load(plan.data, split_seed=base.split_seed, on_bad=base.on_bad)
    if finalists:
        dataset.fold(0, of=folds, seed=base.split_seed)  # raises where the data has no folds
    with _alone(folder):
        _write_or_compare(folder, {**plan.to_json(), FINGERPRINT: dataset.fingerprint})
        found = open_search(folder)
        progress = Progress(found, trials, budget, workers, console or rich.console.Console(stderr=True))
        try:
            with _without_retracing_notes():
                halted = _run(plan, folder, progress, trials=trials, budget=budget, workers=workers, devices=devices)
                if finalists:
                    from tuning.finals import run_finals

                    run_finals(
                        plan, found, finalists=finalists, folds=folds, devices=devices, on_end=progress.final_ended
                    )
        except BaseException:
            with contextlib.suppress(ValueError, OSError):  # what ended the search says more
                write_results(found)
            raise
        with contextlib.suppress(ValueError):  # no trial is completed
            write_results(found)
        progress.close(halted)
    found.best  # noqa: B018  raises where there is none
    return found


def _run(
    plan: Plan,
    folder: Path,
    progress: "Progress",
    *,
    trials: int,
    budget: float | None,
    workers: int,
    devices: training.Devices,
) -> str | None:
    """Run all trials; returns why the search ended before them, if it did."""
    if plan.tuner == "tpe":
        from tuning.with_optuna import run

        return run(plan, folder, trials=trials, budget=budget, workers=workers, devices=devices, on_end=progress)
    from tuning.oracles import make_oracle

    oracle = make_oracle(plan, folder, trials=trials, budget=budget, workers=workers)
    oracle.session()
    if workers == 1:
        from tuning.tuner import Tuner

        with crashes.noted(folder, functools.partial(oracle.crashed, "tuner0")):
            Tuner(plan, folder, oracle, devices=devices, on_end=progress).search()
    else:
        from tuning.workers import run_workers

        run_workers(oracle, devices=devices, on_end=progress)
    return oracle.halted


def write_results(search: Search) -> None:
    """Leaderboard, recipe and report of what has ended so far.

    Raises:
        ValueError: No trial is completed; the leaderboard is written all the same.
    """
    records.write_leaderboard(search)
    records.write_recipe(search)
    from tuning.report import write_report

    write_report(search)


class Progress:
    """Writes the leaderboard and prints a line after each trial, with what is left."""

    def __init__(
        self, search: Search, trials: int, budget: float | None, workers: int, console: rich.console.Console
    ) -> None:
        self._search, self._trials, self._budget, self._workers = search, trials, budget, workers
        self._console = console
        self._shown = len(search.trials)
        self._began = time.monotonic()
        if self._shown:
            self._print(f"{self._shown} trials have ended before; the search goes on")

    def __call__(self) -> None:
        """After the end of a trial."""
        trials = self._search.trials
        records.write_leaderboard(self._search)
        ranking = records.ranked(trials, self._search.objective)
        if ranking:
            records.write_recipe(self._search)
        for place, trial in enumerate(trials[self._shown :], start=self._shown + 1):
            what = f"{self._search.objective} {trial.score:.4f}" if trial.score is not None else trial.message
            best = f"best {ranking[0].score:.4f} in {ranking[0].id}" if ranking else "none completed"
            self._print(
                f"trial {trial.id} ({place} ended, {len({item.number for item in trials})} of {self._trials} "
                f"configurations)  {what}  {trial.epochs} epochs, {trial.seconds:.1f} s  {best}  {self._left(trials)}"
            )
        self._shown = len(trials)

    def final_ended(self, trial: records.Trial, fold: int, found: Mapping[str, Any]) -> None:
        """After a training of the final round."""
        score = found["score"]
        what = f"{self._search.objective} {score:.4f}" if score is not None else found["message"]
        self._print(f"final of {trial.root}, fold {fold}  {what}  {found['epochs']} epochs, {found['seconds']:.1f} s")

    def _left(self, trials: list[records.Trial]) -> str:
        """An estimate from the mean time of a trial; that of rungs counts a configuration as a whole."""
        numbers = {trial.number for trial in trials}
        seconds = sum(trial.seconds for trial in trials) / len(numbers)
        left = seconds * max(self._trials - len(numbers), 0) / self._workers
        if self._budget is not None:
            left = min(left, max(self._budget - self._search.log.seconds(), 0.0))
        return f"about {left / 60:.1f} min left"

    def close(self, halted: str | None) -> None:
        """The last line."""
        if halted:
            self._print(f"the search ended early: {halted}")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _refuse_strange(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a search needs a folder of its own.")
    if folder.is_dir() and not (folder / CONFIG).is_file() and any(item.name != LOCK for item in folder.iterdir()):
        raise ValueError(f"{folder} holds other files; a search needs a folder of its own.")


def _write_or_compare(folder: Path, now: Mapping[str, Any]) -> None:
    """The folder's configuration is this one, or there was none."""
    if not (folder / CONFIG).is_file():
        files.write_json(folder / CONFIG, now)
        return
    there = open_search(folder).config
    if FINGERPRINT not in there:
        raise ValueError(
            f"{folder} holds a search of an earlier version, which did not note what its data and its recipe were. It "
            "can be read, and not gone on with. Choose another folder, or delete it."
        )
    if differences := list(_differences(there, now)):
        raise ValueError(
            f"{folder} holds another search. Choose another folder, repeat its options, or delete it. "
            f"Options (there, now): {'; '.join(differences)}"
        )


def _differences(there: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        for name in {**there, **now}:
            yield from _differences(there.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif there != now:
        yield f"{path} {json.dumps(there)}, {json.dumps(now)}"


@contextlib.contextmanager
def _without_retracing_notes() -> Iterator[None]:
    """TensorFlow notes that functions of equal name are traced again and again: each trial has its own."""
    logger = logging.getLogger("tensorflow")

    def keep(record: logging.LogRecord) -> bool:
        return "tf.function retracing" not in str(record.msg)

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from searching in the folder; the lock goes with this process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise training.RunInUse(f"Another process searches in {folder}; end it, or use another folder.") from None
        yield
    finally:
        os.close(descriptor)
