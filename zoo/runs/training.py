"""From settings to a finished run folder."""

import contextlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo import data, files, training, weights
from zoo.runs.run import BEST, CHECKPOINTS, CONFIG, FORMAT, REPORT, RESULT, Run, make_trainer, open_run
from zoo.runs.settings import Settings
from zoo.training.devices import is_chief

# The settings that config.json keeps under "training".
_TRAINING = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "plateau", "average", "clip_norm",
    "accumulate", "on_nonfinite", "patience", "target", "max_minutes", "augment",
)  # fmt: skip

# What may differ between the processes that train one run after the other.
_FREE = ("command", "environment")

# Where batches go whose loss was not finite.
BAD_BATCHES = "bad_batches"


def train(
    settings: Settings,
    folder: str | os.PathLike,
    *,
    overwrite: bool = False,
    command: Sequence[str] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: training.Devices = "auto",
    save_steps: int | None = None,
    save_minutes: float | None = 10.0,
) -> Run | None:
    """Train a model, evaluate its best weights on the test split, write the run folder.

    A run that was begun in the folder with the same settings goes on where it was; one that is finished is returned.

    Args:
        settings: What to train, on what and how.
        folder: The run folder: new, empty, or of a run with the same settings.
        overwrite: Whether another run in that folder may be deleted.
        command: The command line, for the record.
        callbacks: More Keras callbacks.
        devices: As `zoo.training.make_strategy` takes them.
        save_steps: Batches between two checkpoints within an epoch; None for none by this count.
        save_minutes: Minutes between two checkpoints within an epoch; None for none by time.

    Returns:
        The finished run; None in a worker that is not the chief.

    Raises:
        ValueError: A setting, the data or the folder cannot be used, found before the first step; or the validation
            loss was never finite.
        NonFiniteLossError: The training loss was not finite, and `settings.on_nonfinite` gave up.
    """
    folder = Path(folder)
    strategy = training.make_strategy(devices)  # before anything else asks TensorFlow for a device
    chief = is_chief(strategy)
    if chief:
        _refuse_strange(folder)
    dataset = data.load(settings.data, split_seed=settings.split_seed, on_bad=settings.on_bad)
    training.seed_everything(settings.seed)
    card = zoo.model_card(settings.model)
    image_size = settings.image_size or _own_size(card, dataset)
    arguments = {
        "classes": len(dataset.classes),
        "input_shape": (*image_size, dataset.image_shape[-1]),
        **settings.knobs,
    }
    config = {
        "format": FORMAT,
        "model": {"name": settings.model, "arguments": arguments},
        "data": {
            **dataset.describe(),
            "split_seed": settings.split_seed,
            "on_bad": settings.on_bad,
            "image_size": image_size,
            "value_range": card.value_range,
        },
        "training": {name: getattr(settings, name) for name in _TRAINING},
        "seed": settings.seed,
        "command": list(command),
        "environment": {**_environment(), "replicas": strategy.num_replicas_in_sync},
    }
    run = Run(folder, json.loads(json.dumps(config)))
    run._keep(dataset=dataset)
    with contextlib.ExitStack() as stack:
        store = None
        if chief:
            if (finished := _finished(run, overwrite)) is not None:
                return finished
            store = stack.enter_context(_begin(run, overwrite))
        best = training.SaveBest(folder / BEST, metric="val_loss")
        stop = training.StopTraining(_stopping_rule(settings))
        ours: list[keras.callbacks.Callback] = [stop]
        if settings.plateau and settings.schedule == "constant":
            ours.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=settings.plateau))
        if chief:
            ours += [best, training.MetricsLog(folder), *callbacks]
        batches = run.pipeline(
            "train", training=True, seed=settings.seed, augmentation=data.Augmentation.parse(settings.augment)
        )
        trainer = make_trainer(
            lambda: zoo.create_model(settings.model, **arguments),
            _optimizer(settings, len(batches)),
            strategy=strategy,
            on_nonfinite=settings.on_nonfinite,
        )
        began = time.monotonic()
        stopped: dict[str, str | None] | None = None
        try:
            history: Sequence[Mapping[str, Any]] = trainer.fit(
                batches,
                epochs=settings.epochs,
                validation=run.pipeline("validation"),
                callbacks=ours,
                checkpoints=store,
                save_steps=save_steps,
                save_minutes=save_minutes,
                bad_batches=folder / BAD_BATCHES,
            )
        except training.NonFiniteLossError as error:
            if chief and best.best is None:
                raise
            stopped, history = {"rule": "NonFinite", "explanation": str(error)}, run.history() if chief else []
        seconds = time.monotonic() - began
        if chief:
            if strategy.num_replicas_in_sync == 1:
                run._keep(model=trainer.model)
            if best.best is None:
                raise ValueError(
                    f"{folder}: the validation loss was never finite, so there are no weights: {stop.reason}."
                )
            if stopped is None:
                stopped = {"rule": stop.fired, "explanation": stop.reason}
            if stopped["rule"] is None:
                stopped = {"rule": "epochs", "explanation": f"all {settings.epochs} epochs are done"}
            _finish(run, stopped, best.best, len(history), seconds)
        trainer.wait_for_all()
    return run if chief else None


def _finish(run: Run, stopped: Mapping[str, Any], best: Mapping[str, float], epochs: int, seconds: float) -> None:
    """Evaluate the best weights, and write result and report."""
    weights.load(run.model, run.folder / BEST)
    result = {
        "stopped": stopped,
        "best": best,
        "evaluation": run.evaluate("test"),
        "num_params": zoo.count_params(run.model)[0],
        "epochs": epochs,
        "seconds": round(seconds, 1),
    }
    files.write_json(run.folder / RESULT, result)
    run.report()


def _own_size(card: zoo.Card, dataset: data.Dataset) -> tuple[int, int]:
    """The size of the data's pictures where the model allows it, else the card's default."""
    height, width, _ = dataset.image_shape
    if height is None or width is None or min(height, width) < card.min_size:
        return card.input_shape[0], card.input_shape[1]
    return height, width


def _optimizer(settings: Settings, num_batches: int) -> keras.Optimizer:
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        updates = max(1, settings.epochs * num_batches // settings.accumulate)
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, updates)
    rates = {
        "learning_rate": rate,
        "weight_decay": settings.weight_decay,
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.average > 0,
        "ema_momentum": settings.average,
        "gradient_accumulation_steps": settings.accumulate if settings.accumulate > 1 else None,
    }
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=0.9, nesterov=True, **rates)
    return keras.optimizers.AdamW(**rates)


def _stopping_rule(settings: Settings) -> training.Rule:
    rules: list[training.Rule] = [training.NonFinite(), training.Patience("val_loss", patience=settings.patience)]
    if settings.target is not None:
        rules.append(training.Target("val_accuracy", settings.target))
    if settings.max_minutes is not None:
        rules.append(training.TimeBudget(60 * settings.max_minutes))
    return training.any_of(*rules)


def _refuse_strange(folder: Path) -> None:
    """A run has a folder of its own."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a run needs a folder of its own.")
    if not folder.exists() or (folder / CONFIG).is_file():
        return
    if any(path.name != CHECKPOINTS for path in folder.iterdir()):
        raise ValueError(f"{folder} holds other files; a run needs a folder of its own.")


def _finished(run: Run, overwrite: bool) -> Run | None:
    """The run of the folder if it is this one and finished; another one is refused."""
    if overwrite or not (run.folder / CONFIG).is_file():
        return None
    old = open_run(run.folder)
    if differences := _differences(old.config, run.config):
        raise ValueError(
            f"{run.folder} holds another run. Choose another folder, repeat its settings, or delete it (--overwrite). "
            f"Settings (there, now): {'; '.join(differences)}"
        )
    return old if (run.folder / RESULT).is_file() and (run.folder / REPORT).is_file() else None


def _differences(there: Any, now: Any, path: str = "") -> list[str]:
    """Where two configurations differ, without what may differ."""
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        names = [name for name in {**there, **now} if path or name not in _FREE]
        return [
            text
            for name in names
            for text in _differences(there.get(name), now.get(name), f"{path}.{name}" if path else name)
        ]
    return [] if there == now else [f"{path} {json.dumps(there)}, {json.dumps(now)}"]


@contextlib.contextmanager
def _begin(run: Run, overwrite: bool) -> Iterator[training.Checkpoints]:
    """Take the folder for this process alone, clear it of what no checkpoint knows, write the configuration."""
    if overwrite and (run.folder / CHECKPOINTS).is_dir():
        training.Checkpoints(run.folder / CHECKPOINTS).close()  # raises where another process trains there
    if overwrite and run.folder.exists():
        shutil.rmtree(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(training.Checkpoints(run.folder / CHECKPOINTS)) as store:
        if store.latest() is None:
            for path in run.folder.iterdir():
                if path.name not in (CHECKPOINTS, CONFIG):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not (run.folder / CONFIG).is_file():
            files.write_json(run.folder / CONFIG, run.config)
        yield store


def _environment() -> dict[str, str]:
    return {
        "cnn-zoo": zoo.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": str(os.cpu_count()),
    }
