"""A run: a registered model trained on a data set, and the folder that it leaves.

    runs.train(runs.Settings(model="resnet20", data="digits", seed=1), "runs/a")
    run = runs.open_run("runs/a")
    run.evaluate(split="test")

The folder holds `config.json` (everything needed to repeat), `metrics.jsonl`, `timing.jsonl`, `tensorboard/`, `best/`
(weights), `result.json`, `report.html` and `figures/`. This file joins what does not know of each other: registry,
data, training and report; the command line calls it.
"""

import functools
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo import data, files, training, weights
from zoo.builder import check_knobs
from zoo.data import OnBad
from zoo.report import Evaluation, write_report

FORMAT = 1
CONFIG, RESULT, METRICS, BEST = "config.json", "result.json", "metrics.jsonl", "best"

# Python takes over every so many steps; a call costs about as much as a step of the smallest networks.
STEPS_PER_CALL = 8

Optimizer = Literal["adamw", "sgd"]

# The settings that config.json keeps under "training".
_TRAINING = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "plateau", "patience", "target",
    "max_minutes", "augment",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All choices of a training.

    Attributes:
        model: Registered name.
        data: Name of the data set, as `zoo.data.load` takes it.
        knobs: The model family's own arguments.
        image_size: Height and width that pictures are resized to, in pixels. None: the data's own size where the
            model allows it, else the card's.
        seed: Seed of initial weights, order, augmentation and dropout, 0 to 2**32 - 1.
        split_seed: Seed of the split into train, validation and test.
        epochs: Largest number of epochs.
        batch_size: Examples of a batch.
        optimizer: "adamw" or "sgd" (momentum 0.9, Nesterov).
        learning_rate: Learning rate at the start.
        weight_decay: Decoupled weight decay.
        plateau: Epochs without a lower validation loss after which the learning rate is multiplied by 0.3; 0: never.
        patience: Epochs without a lower validation loss after which training ends.
        target: Validation accuracy, 0 to 1, at which training ends; None for no target.
        max_minutes: Minutes after which training ends with the epoch; None for no limit.
        augment: Augmentations, as `zoo.data.Augmentation.parse` takes them, e.g. "flip,shift=2"; "" for none.
        on_bad: What a broken file of a folder does: "raise", "skip" or "count".
    """

    model: str
    data: str = "digits"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    seed: int = 0
    split_seed: int = 0
    epochs: int = 150
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    plateau: int = 6
    patience: int = 20
    target: float | None = None
    max_minutes: float | None = None
    augment: str = "shift=1"
    on_bad: OnBad = "raise"

    def __post_init__(self) -> None:
        """Refuse what no training can use, before any data is read."""
        zoo.model_card(self.model)
        check_knobs(self.model, self.knobs)
        data.Augmentation.parse(self.augment)
        limits = {"epochs": 1, "batch_size": 1, "patience": 1, "plateau": 0, "seed": 0, "split_seed": 0}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}. Received: {name}={getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0. Received: learning_rate={self.learning_rate}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0. Received: weight_decay={self.weight_decay}")
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer must be 'adamw' or 'sgd'. Received: optimizer={self.optimizer!r}")
        if self.target is not None and not 0 < self.target <= 1:
            raise ValueError(f"target must be above 0 and at most 1. Received: target={self.target}")


def train(
    settings: Settings,
    folder: str | os.PathLike,
    *,
    overwrite: bool = False,
    command: Sequence[str] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> "Run":
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
    history = _trainer(model, _optimizer(settings)).fit(
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
        "epochs": len(history),
        "seconds": round(seconds, 1),
    }
    files.write_json(folder / RESULT, result)
    run.report()
    return run


def open_run(folder: str | os.PathLike) -> "Run":
    """Open a run folder.

    Raises:
        ValueError: It is no run folder, or of a format that this version does not read.
    """
    folder = Path(folder)
    config = _read_json(folder / CONFIG)
    if config.get("format") != FORMAT:
        raise ValueError(f"{folder / CONFIG} has format {config.get('format')!r}, this version reads {FORMAT}.")
    return Run(folder, config)


@dataclass(frozen=True)
class Run:
    """A run folder, with the model and the data that belong to it; both are made when first needed.

    Attributes:
        folder: The run folder.
        config: What `config.json` says.
    """

    folder: Path
    config: Mapping[str, Any]

    def _keep(self, model: keras.Model, dataset: data.Dataset) -> None:
        """Take the model and the data that are there already."""
        self.__dict__.update(model=model, dataset=dataset)

    @functools.cached_property
    def dataset(self) -> data.Dataset:
        """The data set that the run was trained on, with the same split."""
        return self._load_data(self.config["data"]["name"])

    @functools.cached_property
    def model(self) -> keras.Model:
        """The model with its best weights."""
        name, arguments = self.config["model"]["name"], self.config["model"]["arguments"]
        try:
            stored = weights.open_weights(self.folder / BEST)
        except FileNotFoundError:
            raise ValueError(f"{self.folder} has no weights yet: its training ended before the first epoch.") from None
        model = zoo.create_model(name, **{**arguments, "input_shape": tuple(arguments["input_shape"])})
        return weights.load(model, stored)

    def _load_data(self, name: str) -> data.Dataset:
        facts = self.config["data"]
        return data.load(name, split_seed=facts["split_seed"], on_bad=facts["on_bad"])

    def _input_form(self) -> dict[str, Any]:
        """Size, channels and range of what the model takes in."""
        facts = self.config["data"]
        return {
            "image_size": tuple(facts["image_size"]),
            "channels": self.config["model"]["arguments"]["input_shape"][-1],
            "value_range": tuple(facts["value_range"]),
        }

    def pipeline(self, split: str, *, dataset: data.Dataset | None = None, **options: Any) -> data.Pipeline:
        """Batches of a split in the form that the model takes; `options` go to `zoo.data.Dataset.pipeline`."""
        batch_size = self.config["training"]["batch_size"]
        return (dataset or self.dataset).pipeline(split, batch_size=batch_size, **self._input_form(), **options)

    def evaluate(self, split: str = "test", data_name: str | None = None) -> dict[str, Any]:
        """Loss and accuracy of the best weights.

        Args:
            split: "train", "validation" or "test".
            data_name: Another data set with the same classes; None for the run's own.

        Returns:
            `data`, `split`, `examples`, `loss` (cross-entropy in nats) and `accuracy` (0 to 1).

        Raises:
            ValueError: The data cannot be read, or has other classes.
        """
        dataset = self._dataset_named(data_name)
        batches = self.pipeline(split, dataset=dataset)
        scores = _trainer(self.model, "sgd").evaluate(batches)
        return {"data": dataset.name, "split": split, "examples": batches.num_examples, **scores}

    def _dataset_named(self, name: str | None) -> data.Dataset:
        if name in (None, self.config["data"]["name"]):
            return self.dataset
        dataset = self._load_data(name)
        if list(dataset.classes) != list(self.config["data"]["classes"]):
            raise ValueError(
                f"{name} has other classes than the run. Expected: {_some(self.config['data']['classes'])}. "
                f"Received: {_some(dataset.classes)}"
            )
        return dataset

    def predict(self, paths: Sequence[str | os.PathLike], *, top: int = 5) -> list[list[tuple[str, float]]]:
        """The most probable classes of picture files.

        Args:
            paths: Picture files.
            top: Number of classes to return, at least 1.

        Returns:
            For each file its `top` classes with their probabilities, the most probable first.

        Raises:
            ValueError: A file cannot be read; the message names it.
        """
        if top < 1:
            raise ValueError(f"top must be at least 1. Received: top={top}")
        classes = self.config["data"]["classes"]
        pictures = [data.read_image(path, **self._input_form()) for path in paths]
        batches = tf.data.Dataset.from_tensor_slices((np.stack(pictures), np.zeros(len(pictures), np.int32)))
        rows = _trainer(self.model, "sgd").predict(batches.batch(self.config["training"]["batch_size"]))
        return [[(classes[index], float(row[index])) for index in np.argsort(-row)[:top]] for row in rows]

    def report(self, split: str = "test") -> Path:
        """Write `report.html` and `figures/` from the run folder; returns the page's path.

        Raises:
            ValueError: The training has not finished.
        """
        result = self.result()
        batches = self.pipeline(split)
        labels = np.concatenate([labels.numpy() for _, labels in batches.epoch()])
        low, high = self.config["data"]["value_range"]

        def image(index: int) -> np.ndarray:
            batch, place = divmod(index, batches.batch_size)
            picture = next(iter(batches.epoch(0, start=batch)))[0][place].numpy()
            return np.clip(np.rint((picture - low) / (high - low) * 255), 0, 255).astype(np.uint8)

        return write_report(
            self.folder,
            config=dict(self.config),
            history=self.history(),
            result=result,
            card=zoo.model_card(self.config["model"]["name"]).to_dict(),
            evaluation=Evaluation(
                split=split,
                classes=tuple(self.config["data"]["classes"]),
                labels=labels,
                probabilities=_trainer(self.model, "sgd").predict(batches),
                image=image,
                name=lambda index: self.dataset.example_name(split, index),
            ),
            filters=_first_filters(self.model),
        )

    def result(self) -> dict[str, Any]:
        """What `result.json` says: why training stopped, the best epoch, the scores on the test split.

        Raises:
            ValueError: The training has not finished.
        """
        return _read_json(self.folder / RESULT)

    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; a last line without an end is left out."""
        text = (self.folder / METRICS).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


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


def _trainer(model: keras.Model, optimizer: keras.Optimizer | str) -> training.Trainer:
    return training.Trainer(
        model, optimizer=optimizer, loss="sparse_categorical_crossentropy", steps_per_call=STEPS_PER_CALL
    )


def _first_filters(model: keras.Model) -> np.ndarray | None:
    """The kernel (height, width, channels, filters) of the first 2-D convolution, or None."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            return keras.ops.convert_to_numpy(layer.kernel)
    return None


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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} is no finished run: it has no {path.name}.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + ("" if len(names) <= 10 else f", … ({len(names)})")


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
