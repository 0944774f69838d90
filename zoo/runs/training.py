"""From settings to a finished run folder."""

import json
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo import data, files, training, weights
from zoo.runs.run import BEST, CONFIG, FORMAT, RESULT, Run, make_trainer
from zoo.runs.settings import Settings

# The settings that config.json keeps under "training".
_TRAINING = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "plateau", "patience", "target",
    "max_minutes", "augment",
)  # fmt: skip


def train(
    settings: Settings,
    folder: str | os.PathLike,
    *,
    overwrite: bool = False,
    command: Sequence[str] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Train a model, evaluate its best weights on the test split, write the run folder.

    Args:
        settings: What to train, on what and how.
        folder: The run folder; must be new or empty.
        overwrite: Whether an old run in that folder may be deleted.
        command: The command line, for the record.
        callbacks: More Keras callbacks.

    Returns:
        The finished run.

    Raises:
        ValueError: A setting, the data or the folder cannot be used, found before the first step; or the validation
            loss was never finite.
    """
    folder = Path(folder)
    _refuse_used(folder, overwrite)
    dataset = data.load(settings.data, split_seed=settings.split_seed, on_bad=settings.on_bad)
    training.seed_everything(settings.seed)
    card = zoo.model_card(settings.model)
    image_size = settings.image_size or _own_size(card, dataset)
    arguments = {
        "classes": len(dataset.classes),
        "input_shape": (*image_size, dataset.image_shape[-1]),
        **settings.knobs,
    }
    model = zoo.create_model(settings.model, **arguments)
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
        "environment": _environment(),
    }
    _start(folder, config, overwrite)
    run = Run(folder, json.loads(json.dumps(config)))
    run._keep(model, dataset)

    stop = training.StopTraining(_stopping_rule(settings))
    best = training.SaveBest(folder / BEST, metric="val_loss")
    ours: list[keras.callbacks.Callback] = [stop, best, training.MetricsLog(folder)]
    if settings.plateau:
        ours.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=settings.plateau))
    batches = run.pipeline(
        "train", training=True, seed=settings.seed, augmentation=data.Augmentation.parse(settings.augment)
    )
    began = time.monotonic()
    history = make_trainer(model, _optimizer(settings)).fit(
        batches, epochs=settings.epochs, validation=run.pipeline("validation"), callbacks=[*ours, *callbacks]
    )
    seconds = time.monotonic() - began
    if best.best is None:
        raise ValueError(f"{folder}: the validation loss was never finite, so there are no weights: {stop.reason}.")
    weights.load(model, folder / BEST)
    stopped = {"rule": stop.fired, "explanation": stop.reason}
    if stop.fired is None:
        stopped = {"rule": "epochs", "explanation": f"all {settings.epochs} epochs are done"}
    result = {
        "stopped": stopped,
        "best": best.best,
        "evaluation": run.evaluate("test"),
        "num_params": zoo.count_params(model)[0],
        "epochs": len(history),
        "seconds": round(seconds, 1),
    }
    files.write_json(folder / RESULT, result)
    run.report()
    return run


def _own_size(card: zoo.Card, dataset: data.Dataset) -> tuple[int, int]:
    """The size of the data's pictures where the model allows it, else the card's default."""
    height, width, _ = dataset.image_shape
    if height is None or width is None or min(height, width) < card.min_size:
        return card.input_shape[0], card.input_shape[1]
    return height, width


def _optimizer(settings: Settings) -> keras.Optimizer:
    rates = {"learning_rate": settings.learning_rate, "weight_decay": settings.weight_decay}
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


def _refuse_used(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a run needs a folder of its own.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} holds other files; a run needs a folder of its own.")
    if not overwrite:
        raise ValueError(f"{folder} holds a run already. Choose another folder, or overwrite it (--overwrite).")


def _start(folder: Path, config: Mapping[str, Any], overwrite: bool) -> None:
    """Make the folder, without what an older run has left in it, and write the configuration."""
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / CONFIG, config)


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
