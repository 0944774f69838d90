"""From settings to a finished run folder."""

import contextlib
import functools
import inspect
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo import data, files, training, weights
from zoo.builder import look_up, smallest_size
from zoo.runs.run import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    FORMAT,
    HEAD_CHECKPOINTS,
    PREDICTIONS,
    REPORT,
    RESULT,
    Run,
    make_trainer,
    open_run,
)
from zoo.runs.settings import Settings
from zoo.training.batch_norm import freeze_batch_norms, recalibrate
from zoo.training.cadence import Cadence
from zoo.training.devices import is_chief, is_multi_worker
from zoo.training.hyperparameters import NAMES
from zoo.training.recompute import cut
from zoo.training.replicas import sum_over_replicas

# The settings that config.json keeps under "training"; the others have places of their own there.
_TRAINING = (
    *(name for name in NAMES if name not in ("image_size", "knobs")), "target", "max_minutes", "weights", "recipe"
)  # fmt: skip

# The arguments of a run's model that no other run takes over.
_OF_THE_DATA = ("classes", "input_shape", "classifier_activation")

# The range of what a model takes that includes its preprocessing.
PIXELS = (0.0, 255.0)

# What may differ between the processes that train one run after the other.
_FREE = ("command", "environment")

# What the chief may find in the folder of a run.
_TO_BE_TRAINED, _FINISHED, _REFUSED = range(3)

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
    recompute: bool = False,
    until: int | None = None,
    test: bool = True,
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
        recompute: Whether feature maps are computed again in the backward pass instead of kept in memory.
        until: Epoch after which the training ends for now; a later call with more goes on as if there had been no
            pause. None: all of `settings.epochs`.
        test: Whether the best weights are evaluated on the test split and the report is written. A search leaves both
            to the training that follows it.

    Returns:
        The finished run; None in a worker that is not the chief.

    Raises:
        ValueError: A setting, the data or the folder cannot be used, found before the first step, and before another
            run in the folder is deleted; or the validation loss was never finite.
        NonFiniteLossError: The training loss was not finite, and `settings.on_nonfinite` gave up.
    """
    folder = Path(folder)
    if until is not None and until < 1:
        raise ValueError(f"until must be at least 1, or None. Received: until={until}")
    Cadence(save_steps, save_minutes)  # raises where they are no numbers above 0
    epochs = settings.epochs if until is None else min(until, settings.epochs)
    strategy = training.make_strategy(devices)  # before anything else asks TensorFlow for a device
    settings.check_optimizer()
    chief = is_chief(strategy)
    _found_by_chief(strategy, folder, functools.partial(_refuse_strange, folder))
    dataset = load_data(settings)
    training.seed_everything(settings.seed)
    card = zoo.model_card(settings.model)
    dataset = dataset.for_model(card.modality, card.input_shape, card.symbols)
    arguments = model_arguments(settings, dataset)
    config = run_config(settings, dataset, arguments, command=command, replicas=strategy.num_replicas_in_sync)
    run = Run(folder, json.loads(json.dumps(config)))
    run._keep(dataset=dataset)
    look = functools.partial(_finished, run, overwrite, epochs, test)
    is_finished, finished = _found_by_chief(strategy, folder, look)
    if is_finished:
        return finished
    stop = training.StopTraining(_stopping_rule(settings))
    counts = class_counts(settings, dataset)
    batches = training_batches(run, settings)
    fit_options: dict[str, Any] = {
        "validation": run.pipeline("validation"), "save_steps": save_steps, "save_minutes": save_minutes,
        "bad_batches": folder / BAD_BATCHES,
    }  # fmt: skip
    began = time.monotonic()
    with strategy.scope():
        model = build_model(settings, arguments)
    if recompute:
        cut(model)  # raises where it cannot be cut
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(_begin(run, overwrite)) if chief else None
        best = training.SaveBest(folder / BEST, metric="val_loss")
        ours: list[keras.callbacks.Callback] = [stop]
        if settings.plateau and not settings.has_schedule:
            ours.append(
                keras.callbacks.ReduceLROnPlateau(
                    monitor="val_loss",
                    factor=settings.plateau_factor,
                    patience=settings.plateau,
                    min_lr=settings.plateau_floor,
                )
            )
        if chief:
            ours += [best, training.MetricsLog(folder), *callbacks]
        if settings.batch_norm == "recalibrate":
            recalibrate(model, calibration_batches(run, settings))
        head = _train_head(settings, model, batches, strategy, stack, run if chief else None, fit_options, counts)
        if settings.batch_norm != "train":
            freeze_batch_norms(model)
        trainer = make_trainer(
            model,
            lambda model: settings.make_optimizer(model, len(batches)),
            loss=settings.make_loss(counts),
            class_weight=counts and settings.class_weights(counts),
            strategy=strategy,
            on_nonfinite=settings.on_nonfinite,
            auxiliary=auxiliary(settings, model),
            recompute=recompute,
        )
        stopped: dict[str, str | None] | None = None
        try:
            history: Sequence[Mapping[str, Any]] = trainer.fit(
                batches, epochs=epochs, callbacks=ours, checkpoints=store, **fit_options
            )
        except training.NonFiniteLossError as error:
            if chief and best.best is None:
                raise
            stopped, history = {"rule": "NonFinite", "explanation": str(error)}, run.history() if chief else []
        seconds = time.monotonic() - began
        if chief:
            if strategy.num_replicas_in_sync == 1 and settings.train_size in (None, arguments["input_shape"][:2]):
                run._keep(_trained=trainer.model)
            if best.best is None:
                raise ValueError(
                    f"{folder}: the validation loss was never finite, so there are no weights: {stop.reason}."
                )
            if stopped is None:
                stopped = {"rule": stop.fired, "explanation": stop.reason}
            if stopped["rule"] is None:
                stopped = {"rule": "epochs", "explanation": f"all {epochs} epochs are done"}
            _finish(run, stopped, best.best, len(history), seconds, head, test)
        trainer.wait_for_all()
    return run if chief else None


def prepare(settings: Settings) -> Run:
    """A run before its training, without a folder: its data in the form that the model takes, and its configuration.

    Args:
        settings: Of the training.

    Raises:
        ValueError: A setting or the data cannot be used.
    """
    dataset = load_data(settings)
    card = zoo.model_card(settings.model)
    dataset = dataset.for_model(card.modality, card.input_shape, card.symbols)
    config = run_config(settings, dataset, model_arguments(settings, dataset))
    run = Run(Path(), json.loads(json.dumps(config)))
    run._keep(dataset=dataset)
    return run


def run_config(
    settings: Settings,
    dataset: data.Dataset,
    arguments: Mapping[str, Any],
    *,
    command: Sequence[str] = (),
    replicas: int = 1,
) -> dict[str, Any]:
    """What `config.json` of a run says: with it `Run` finds model and data again.

    Args:
        settings: Of the training.
        dataset: Its data, in the model's form.
        arguments: Of the model, from `model_arguments`.
        command: The command line.
        replicas: Number of devices that train.
    """
    return {
        "format": FORMAT,
        "model": {"name": settings.model, "arguments": dict(arguments)},
        "data": {
            **dataset.describe(),
            "split_seed": settings.split_seed,
            "fold": settings.fold,
            "on_bad": settings.on_bad,
            "decoder": settings.decoder,
            **({} if isinstance(dataset, data.ArrayDataset) else {"image_size": arguments["input_shape"][:2]}),
            "value_range": PIXELS if "include_preprocessing" in arguments else _value_range(settings, dataset),
        },
        "training": {name: getattr(settings, name) for name in _TRAINING},
        "seed": settings.seed,
        "command": list(command),
        "environment": {**_environment(), "replicas": replicas},
    }


def load_data(settings: Settings) -> data.Dataset:
    """The data of a training, divided as its settings say."""
    dataset = data.load(settings.data, split_seed=settings.split_seed, on_bad=settings.on_bad)
    if settings.fold is None:
        return dataset
    number, count = settings.fold
    return dataset.fold(number, of=count, seed=settings.split_seed)


def model_arguments(settings: Settings, dataset: data.Dataset) -> dict[str, Any]:
    """The arguments of `zoo.create_model` for a training on a data set: classes, input shape, activation and knobs."""
    shape = dataset.image_shape
    found: Mapping[str, Any] = {}
    if isinstance(dataset, data.ArrayDataset):
        if settings.image_size or settings.train_size or settings.normalization != "own":
            raise ValueError(f"image_size, train_size and normalization are for pictures, and not for {dataset.name}.")
        found = _told(dataset, settings.model)
    else:
        shape = (*(settings.image_size or _own_size(settings, dataset)), shape[-1])
    arguments: dict[str, Any] = {
        "classes": len(dataset.classes),
        "input_shape": shape,
        **found,
        **knobs_of_weights(settings),
        **settings.knobs,
    }
    if settings.auxiliary_weight:
        arguments["aux"] = True
    if settings.classifier_activation != "softmax":
        arguments["classifier_activation"] = settings.classifier_activation
    return arguments


def knobs_of_weights(settings: Settings) -> dict[str, Any]:
    """What the weights that a training begins with need: knobs, and to see pictures as they saw them before."""
    if settings.weights is None:
        return {}
    wanted = look_up(settings.model, settings.weights, settings.knobs)
    if wanted.tag:
        return {**(wanted.knobs or {}), "include_preprocessing": wanted.tag}
    source = run_of_weights(settings.weights)
    if source is None:  # saved by somebody, not by a run: as the card says
        return {}
    arguments = source.config["model"]["arguments"]
    return {name: value for name, value in arguments.items() if name not in _OF_THE_DATA}


def run_of_weights(weights: str | os.PathLike) -> Run | None:
    """The run whose weights lie at a path, its folder or `best` in it; None where no run has left them."""
    for folder in (Path(weights), Path(weights).parent):
        if (folder / CONFIG).is_file() and (folder / BEST).is_dir():
            return open_run(folder)
    return None


def _told(dataset: data.ArrayDataset, model: str) -> dict[str, Any]:
    """What the data says of itself, such as its number of words, where the model has an argument for it."""
    known = inspect.signature(getattr(zoo.models, model)).parameters
    return {name: value for name, value in dataset.model_arguments.items() if name in known}


def build_model(settings: Settings, arguments: Mapping[str, Any]) -> keras.Model:
    """The network as it is trained: of any size where training and evaluation have different ones."""
    if settings.train_size not in (None, arguments["input_shape"][:2]):
        arguments = {**arguments, "input_shape": (None, None, arguments["input_shape"][-1])}
    model = zoo.create_model(settings.model, weights=settings.weights, **arguments)
    training.initialise(model, settings.initializer, seed=settings.seed)
    return model


def _value_range(settings: Settings, dataset: data.Dataset) -> tuple[float, float]:
    """What black and white become."""
    if settings.normalization == "own":
        source = None if settings.weights is None else run_of_weights(settings.weights)
        if source is not None and "value_range" in source.config["data"]:
            low, high = source.config["data"]["value_range"]
            return low, high
        return zoo.model_card(settings.model).value_range
    if settings.normalization != "standardised":
        return {"unit": (0.0, 1.0), "symmetric": (-1.0, 1.0)}[settings.normalization]
    found = data.channel_statistics(dataset, image_size=settings.image_size)
    # One range for all channels, so that colours stay what they are.
    mean = sum(found.mean) / len(found.mean)
    square = sum(std**2 + own**2 for std, own in zip(found.std, found.mean, strict=True)) / len(found.mean)
    std = max(square - mean**2, 1e-12) ** 0.5
    return -mean / std, (1 - mean) / std


def auxiliary(settings: Settings, model: keras.Model) -> dict[str, float] | None:
    """The weight of the loss of each auxiliary classifier; None without them."""
    if not settings.auxiliary_weight:
        return None
    return {name: settings.auxiliary_weight for name in model.output if name != PREDICTIONS}


def training_batches(run: Run, settings: Settings) -> data.Pipeline:
    """The training pictures, augmented and mixed."""
    options: dict[str, Any] = {
        "augmentation": data.Augmentation.parse(settings.augment),
        "repeats": settings.repeats,
        "balance": settings.balance,
    }
    if settings.mixup or settings.cutmix:
        options["mix"] = data.Mix(
            mixup=settings.mixup,
            cutmix=settings.cutmix,
            probability=settings.mix_probability,
            switch=settings.mix_switch,
        )
    if settings.train_size is not None:
        options["image_size"] = settings.train_size
    return run.pipeline("train", training=True, seed=settings.seed, **options)


def class_counts(settings: Settings, dataset: data.Dataset) -> list[int] | None:
    """Number of training examples of each class, where the loss depends on it."""
    if not settings.class_weight and not settings.logit_adjustment:
        return None
    labels = getattr(dataset.splits["train"], "labels", None)
    if labels is None:
        raise ValueError(
            f"{dataset.name} is read in sequence, so its classes are not counted. "
            f"Received: class_weight={settings.class_weight}, logit_adjustment={settings.logit_adjustment}"
        )
    counts = np.bincount(labels, minlength=len(dataset.classes)).tolist()
    if not all(counts):
        raise ValueError(
            f"{dataset.name} has no training example of {dataset.classes[counts.index(0)]!r}. "
            f"Received: class_weight={settings.class_weight}, logit_adjustment={settings.logit_adjustment}"
        )
    return counts


def calibration_batches(run: Run, settings: Settings) -> Iterator[Any]:
    """Training pictures as they are trained on, an epoch of them, for the statistics of batch norms."""
    options: dict[str, Any] = {} if settings.train_size is None else {"image_size": settings.train_size}
    augmentation = data.Augmentation.parse(settings.augment)
    return iter(run.pipeline("train", training=True, seed=settings.seed, augmentation=augmentation, **options).epoch())


def _train_head(
    settings: Settings,
    model: keras.Model,
    batches: data.Pipeline,
    strategy: tf.distribute.Strategy,
    stack: contextlib.ExitStack,
    run: Run | None,
    options: Mapping[str, Any],
    counts: Sequence[int] | None,
) -> list[dict[str, float]]:
    """Train the head alone, if the settings say so; `run` is None in a worker that is not the chief."""
    if not settings.head_epochs:
        return []
    training.freeze(model)
    store = None
    if run is not None:
        store = stack.enter_context(contextlib.closing(training.Checkpoints(run.folder / HEAD_CHECKPOINTS)))
    trainer = make_trainer(
        model,
        settings.make_head_optimizer(),
        loss=settings.make_loss(counts),
        class_weight=counts and settings.class_weights(counts),
        strategy=strategy,
        on_nonfinite=settings.on_nonfinite,
        auxiliary=auxiliary(settings, model),
    )
    history = trainer.fit(batches, epochs=settings.head_epochs, checkpoints=store, **options)
    training.unfreeze(model)
    return history


def _finish(
    run: Run,
    stopped: Mapping[str, Any],
    best: Mapping[str, float],
    epochs: int,
    seconds: float,
    head: Sequence[Mapping[str, float]],
    test: bool,
) -> None:
    """Evaluate the best weights, and write result and report."""
    weights.load(run._trained, run.folder / BEST)
    result = {
        "stopped": stopped,
        "best": best,
        **({"evaluation": run.evaluate("test")} if test else {}),
        "num_params": zoo.count_params(run.model)[0],
        "epochs": epochs,
        "seconds": round(seconds, 1),
    }
    if head:
        result["head"] = list(head)
    files.write_json(run.folder / RESULT, result)
    if test:
        run.report()


def _own_size(settings: Settings, dataset: data.Dataset) -> tuple[int, int]:
    """The size of the data's pictures where the model allows it, else the card's default."""
    height, width, _ = dataset.image_shape
    if height is None or width is None or min(height, width) < smallest_size(settings.model, settings.knobs):
        height, width, _ = zoo.model_card(settings.model).input_shape
    return height, width


def _stopping_rule(settings: Settings) -> training.Rule:
    rules: list[training.Rule] = [training.NonFinite()]
    if settings.patience is not None:
        rules.append(training.Patience("val_loss", patience=settings.patience))
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
    if any(path.name not in (CHECKPOINTS, HEAD_CHECKPOINTS) for path in folder.iterdir()):
        raise ValueError(f"{folder} holds other files; a run needs a folder of its own.")


def _found_by_chief(
    strategy: tf.distribute.Strategy, folder: Path, look: Callable[[], Run | None]
) -> tuple[bool, Run | None]:
    """Whether the chief finds the finished run in the folder, told to all workers, and the run at the chief itself.

    Raises:
        ValueError: The chief refuses the folder.
        OSError: It cannot be read.
    """
    found: Run | None = None
    refusal: Exception | None = None
    if is_chief(strategy):
        try:
            found = look()
        except (ValueError, OSError) as error:
            refusal = error
    verdict = _TO_BE_TRAINED if found is None else _FINISHED
    verdict = _told_by_chief(strategy, verdict if refusal is None else _REFUSED)
    if verdict == _REFUSED:
        raise refusal or ValueError(f"{folder} is refused by the first worker, whose message says why.")
    return verdict == _FINISHED, found


def _told_by_chief(strategy: tf.distribute.Strategy, number: int) -> int:
    """The chief's number, on all workers."""
    if not is_multi_worker(strategy):
        return number

    def total() -> tf.Tensor:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return sum_over_replicas([tf.where(first, number, 0)])[0]

    told = tf.function(lambda: strategy.run(total), autograph=False)()
    return int(strategy.experimental_local_results(told)[0])


def _finished(run: Run, overwrite: bool, epochs: int, test: bool) -> Run | None:
    """The run of the folder if it is this one and has come as far as is asked for; another one is refused."""
    if overwrite or not (run.folder / CONFIG).is_file():
        return None
    old = open_run(run.folder)
    if differences := _differences(old.config, run.config):
        raise ValueError(
            f"{run.folder} holds another run. Choose another folder, repeat its settings, or delete it (--overwrite). "
            f"Settings (there, now): {'; '.join(differences)}"
        )
    if not (run.folder / RESULT).is_file() or (test and not (run.folder / REPORT).is_file()):
        return None
    result = old.result()
    return old if result["epochs"] >= epochs or result["stopped"]["rule"] != "epochs" else None


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
                if path.name not in (CHECKPOINTS, HEAD_CHECKPOINTS, CONFIG):
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
