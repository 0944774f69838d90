"""One trial: a training by `zoo.runs.train` in a folder of its own, and what came of it."""

import contextlib
import dataclasses
import errno
import gc
import statistics
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from tuning.plan import Plan
from tuning.records import COMPLETED, EPOCHS, FAILED
from zoo import files, runs, training
from zoo.drawing import undrawn
from zoo.runs.training import load_data
from zoo.training.hyperparameters import NAMES, Hyperparameters

RUN, OUTCOME, ERROR = "run", "outcome.json", "error.txt"

# What ends the search instead of failing the trial: the next one would fare no better.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

_TIMED_CALLS = 30


class TooCostly(ValueError):  # noqa: N818, the name says what is the case
    """A network above a ceiling of the search; it is not trained."""


def outcome(
    plan: Plan,
    values: Mapping[str, Any],
    number: int,
    *,
    folder: Path,
    root: Path,
    devices: training.Devices = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a trial and write what came of it to its folder.

    Args:
        plan: The search.
        values: The trial's values, with "tuner/epochs" where it is one rung of several.
        number: Number of its configuration.
        folder: The folder of the trial.
        root: The folder of the trial at its first rung, where the run is.
        devices: As `zoo.training.make_strategy` takes them.
        callbacks: More Keras callbacks.
        changes: Settings that differ from those of the configuration, such as another seed.

    Returns:
        The fields of `tuning.records.Trial` but its name and values.

    Raises:
        OSError: The disk is full or read-only.
        RunInUse: Another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    found: dict[str, Any] = {"seed": plan.seed + number, "model": plan.model}
    run: runs.Run | None = None
    try:
        training.make_strategy(devices)  # before anything else asks TensorFlow for a device
        settings = dataclasses.replace(plan.training(values, number), **(changes or {}))
        found |= {"model": settings.model, "seed": settings.seed, "settings": _changed(settings)}
        costs = _refuse_costly(plan, settings)
        run = runs.train(
            settings,
            root / RUN,
            devices=devices,
            until=values.get(EPOCHS),
            test=False,
            save_minutes=1.0,
            callbacks=callbacks,
        )
        if run is None:
            raise ValueError("A trial is trained by one process. Start the search without zoo launch.")
        found |= _came_of(plan, run, costs)
        _tell_tensorboard(folder, plan, values, found)
    except training.RunInUse:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        files.write_atomic(folder / ERROR, traceback.format_exc())
        found |= {"status": FAILED, "score": None, "message": _reason(error), "epochs": epochs_done(root)}
    finally:
        run = None
        # Frees the network, its optimizer and its graphs; without it each trial would stay in memory.
        keras.utils.clear_session(free_memory=True)
    found["seconds"] = round(time.monotonic() - began, 3)
    files.write_json(folder / OUTCOME, found)
    return found


@contextlib.contextmanager
def imports_set_aside() -> Iterator[None]:
    """While trials are trained: the garbage collector does not look at what was there before them.

    That is some 400,000 objects of TensorFlow and others, which take a quarter of a second after each trial. Nothing
    is done where somebody has set objects aside already.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def epochs_done(root: Path) -> int:
    """How many epochs the run of a trial has behind it."""
    with contextlib.suppress(OSError):
        return (root / RUN / "metrics.jsonl").read_bytes().count(b"\n")
    return 0


def _came_of(plan: Plan, run: runs.Run, costs: Mapping[str, float]) -> dict[str, Any]:
    result = run.result()
    stopped, best = result["stopped"], result["best"]
    if stopped["rule"] == "NonFinite":
        raise ValueError(f"The loss was not finite: {stopped['explanation']}")
    metrics = {name: value for name, value in best.items() if name not in ("epoch", "step")}
    if plan.objective not in metrics:
        raise ValueError(f"The training reports no {plan.objective!r}. There are: {', '.join(metrics)}.")
    return {
        "status": COMPLETED,
        "score": metrics[plan.objective],
        "metrics": metrics,
        "epochs": result["epochs"],
        "best_epoch": best["epoch"],
        "costs": costs or _costs(plan, run.model),
        "message": stopped["explanation"],
        "rule": stopped["rule"],
    }


def _tell_tensorboard(folder: Path, plan: Plan, values: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """What TensorBoard's HParams page needs; `tensorboard --logdir` of the search's folder then has all trials."""
    from tensorboard.plugins.hparams import api

    with tf.summary.create_file_writer(str(folder / "tensorboard")).as_default():
        api.hparams({name: value for name, value in values.items() if not name.startswith("tuner/")}, folder.name)
        tf.summary.scalar(plan.objective, found["score"], step=found["epochs"])


def _refuse_costly(plan: Plan, settings: runs.Settings) -> dict[str, float]:
    """What the network costs, where a ceiling makes that matter before it is trained."""
    if not plan.limits:
        return {}
    dataset = load_data(settings)
    card = zoo.model_card(settings.model)
    dataset = dataset.for_model(card.modality, card.input_shape, card.symbols)
    arguments = runs.model_arguments(settings, dataset)
    with undrawn():
        model = zoo.create_model(settings.model, **arguments)
    costs = _costs(plan, model)
    for name, limit in plan.limits.items():
        if costs[name] > limit:
            raise TooCostly(f"{name} {costs[name]:,.6g} is above the ceiling of {limit:,.6g}; it was not trained.")
    return costs


def _costs(plan: Plan, model: keras.Model) -> dict[str, float]:
    found: dict[str, float] = {"params": zoo.count_params(model)[0], "macs": zoo.count_macs(model)}
    return {**found, "latency_ms": _latency(model)} if plan.measures_latency else found


def _latency(model: keras.Model) -> float:
    """Median milliseconds of a picture, alone in its batch, by a compiled call."""
    picture = tf.constant(np.zeros((1, *model.input_shape[1:]), "float32"))
    call = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    times = []
    for _ in range(_TIMED_CALLS + 3):
        began = time.perf_counter()
        np.asarray(call(picture))
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times[3:]), 4)


def _changed(settings: runs.Settings) -> dict[str, Any]:
    """The hyper-parameters that differ from the defaults."""
    defaults = Hyperparameters()
    return {name: getattr(settings, name) for name in NAMES if getattr(settings, name) != getattr(defaults, name)}


def _reason(error: Exception) -> str:
    """One line that says why: an out-of-memory error of TensorFlow has a message of many."""
    kind = (
        "out of memory" if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) else type(error).__name__
    )
    return f"{kind}: {' '.join(str(error).split())[:500]}"
