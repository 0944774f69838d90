"""Callbacks; each works in `zoo.training.Trainer` and in `model.fit`."""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import rich.console
import rich.progress
import tensorflow as tf

from zoo import files, weights
from zoo.training import replicas
from zoo.training.stopping import Mode, Rule, direction

# What rules may ask of the optimizer. Its own counter is that of batches, also where it accumulates gradients.
_OF_OPTIMIZER: dict[str, Callable[[keras.Optimizer], Any]] = {
    "step": lambda optimizer: optimizer.iterations,
    "batches": lambda optimizer: replicas.parts(optimizer)[-1]._iterations,
    "learning_rate": lambda optimizer: optimizer.learning_rate,
}


class StopTraining(keras.callbacks.Callback):
    """Ends the training when a rule fires.

    Rules are told the metrics of each epoch; those that ask for `step` (number of steps of the optimizer so far),
    `batches` (number of batches that these were made of) or `learning_rate` find these there under `model.fit` too. A
    rule keeps its memory from one training to the next; give each its own.

    Args:
        rule: The rule, often made of several by `any_of` and `all_of`.
        every: Number of batches after which rules that need no whole epoch look within an epoch: NonFinite,
            Divergence, FlagFile, LearningRateFloor and the budgets. None for the ends of epochs alone, which costs
            nothing: `model.fit` fetches the metrics of every batch for a callback that looks.

    Attributes:
        reason: What the rule said when it fired; None while it has not.
        fired: Name of the rule that fired, or None.
    """

    def __init__(self, rule: Rule, *, every: int | None = None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1 batch, or None. Received: every={every}")
        super().__init__()
        self.rule = rule
        self.every = every
        self._epoch = self._batches = 0
        if every is not None:
            # Not a method of the class: Keras and the Trainer fetch metrics for every batch if there is one.
            self.__dict__["on_train_batch_end"] = self._look
        self.reason: str | None = None
        self.fired: str | None = None

    def require(self, names: Iterable[str]) -> None:
        """Raise a ValueError unless all metrics that the rule needs are among `names`."""
        if missing := [name for name in self.rule.metrics if name not in names and name not in _OF_OPTIMIZER]:
            raise ValueError(
                f"The stopping rule needs the metric {', '.join(map(repr, missing))}. There are: {', '.join(names)}."
            )

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._batches = 0
        self.reason = self.fired = None
        self.rule.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = self._complete(logs)
        self._batches = 0
        self.require(logs)
        if self.rule.update(epoch + 1, logs) and self.fired is None:
            self._stop()

    def _look(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """After a batch (0, 1, …), or a group of batches of which it is the last."""
        assert self.every is not None
        before, self._batches = self._batches, batch + 1
        is_due = before // self.every < self._batches // self.every
        if is_due and self.rule.within(self._epoch + 1, self._complete(logs)):
            self._stop()

    def _stop(self) -> None:
        self.reason, self.fired = self.rule.explain(), self.rule.name
        self.model.stop_training = True

    def _complete(self, logs: Mapping[str, float] | None) -> dict[str, float]:
        """The logs with what the rule needs to know of the optimizer."""
        complete = dict(logs or {})
        for name, value_of in _OF_OPTIMIZER.items():
            if name in self.rule.metrics and name not in complete:
                complete[name] = keras.ops.convert_to_numpy(value_of(self.model.optimizer)).item()
        return complete

    def get_state(self) -> dict[str, Any]:
        """What the rule remembers, and whether it has fired, as plain JSON."""
        return {"rule": self.rule.get_state(), "reason": self.reason, "fired": self.fired, "batches": self._batches}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        self.rule.set_state(state["rule"])
        self.rule.start()
        self.reason, self.fired, self._batches = state["reason"], state["fired"], state["batches"]


class SaveBest(keras.callbacks.Callback):
    """Keeps the weights of the best epoch on the disk, whole at any moment.

    Args:
        folder: Where to, for `zoo.weights.save`.
        metric: Name of the metric that decides; of equal epochs the first is kept.
        mode: "min", "max", or "auto" by the metric's name.

    Attributes:
        best: The metrics of the best epoch with `epoch` (1, 2, …), or None before the first finite one.
    """

    def __init__(self, folder: str | os.PathLike, *, metric: str = "val_loss", mode: Mode = "auto") -> None:
        super().__init__()
        self.folder = Path(folder)
        self.metric = metric
        self._sign = -1 if direction(metric, mode) == "max" else 1
        self.best: dict[str, float] | None = None

    def require(self, names: Iterable[str]) -> None:
        """Raise a ValueError unless the metric is among `names`."""
        if self.metric not in names:
            raise ValueError(f"SaveBest needs the metric {self.metric!r}. There are: {', '.join(names)}.")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = dict(logs or {})
        self.require(logs)
        value = logs[self.metric]
        if math.isfinite(value) and (self.best is None or self._sign * (value - self.best[self.metric]) < 0):
            self.best = {"epoch": epoch + 1, **logs}
            weights.save(self.model, self.folder, epoch=epoch + 1, metric=self.metric, value=value)

    def get_state(self) -> dict[str, Any]:
        """The best epoch so far, as plain JSON."""
        return {"best": self.best}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        self.best = state["best"]


class MetricsLog(keras.callbacks.Callback):
    """Writes each epoch's metrics as one line of JSON and as TensorBoard scalars, and its duration to a file apart.

    `metrics.jsonl` holds nothing that differs between two runs of the same seed; the seconds stand in `timing.jsonl`.

    Args:
        folder: The run folder; must exist.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._epoch_began = 0.0
        self._epochs = 0

    def get_state(self) -> dict[str, Any]:
        """Number of epochs that are written, as plain JSON."""
        return {"epochs": self._epochs}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on behind the epochs of `get_state`: lines that a killed process has written after them go."""
        self._epochs = state["epochs"]
        for name in ("metrics.jsonl", "timing.jsonl"):
            path = self.folder / name
            if path.exists():
                lines = path.read_bytes().splitlines(keepends=True)
                if len(lines) > self._epochs:
                    files.write_atomic(path, b"".join(lines[: self._epochs]))

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = dict(logs or {})
        finite = {name: value if math.isfinite(value) else None for name, value in sorted(logs.items())}
        files.append_line(self.folder / "metrics.jsonl", {"epoch": epoch + 1, **finite})
        seconds = round(time.monotonic() - self._epoch_began, 3)
        files.append_line(self.folder / "timing.jsonl", {"epoch": epoch + 1, "seconds": seconds})
        with self._writer.as_default(step=epoch + 1):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
        self._writer.flush()
        self._epochs = epoch + 1

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._writer.close()


class ProgressBar(keras.callbacks.Callback):
    """Shows how far the training is: a bar with rate and remaining time on a terminal, else a line for each epoch.

    As a context manager it takes the bar away also when the training ends by an exception.

    Args:
        batch_size: Number of examples of a batch, for the rate.
        console: Where to; None for the standard error output.
    """

    ignores_batch_logs = True

    def __init__(self, batch_size: int, console: rich.console.Console | None = None) -> None:
        super().__init__()
        self._batch_size = batch_size
        self._console = console or rich.console.Console(stderr=True)
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *error: object) -> None:
        self.on_train_end()

    def get_state(self) -> dict[str, Any]:
        """Nothing: what is shown, and where, is each process's own."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with what this process shows."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._console.is_terminal:
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.description}"),
                rich.progress.BarColumn(),
                rich.progress.TextColumn("{task.fields[rate]:.0f} examples/s"),
                rich.progress.TextColumn("at most"),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.fields[metrics]}"),
                console=self._console,
                transient=True,
            )
            total = self.params["epochs"] * self.params["steps"]
            self._task = self._bar.add_task("epoch 1", total=total, rate=0.0, metrics="")
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._began = time.monotonic()
        self._steps_before = epoch * self.params["steps"]
        if self._bar:
            self._bar.update(self._task, description=f"epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._bar:
            rate = (batch + 1) * self._batch_size / (time.monotonic() - self._began)
            self._bar.update(self._task, completed=self._steps_before + batch + 1, rate=rate)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        shown = [name for name in logs if name not in ("step", "learning_rate")]
        text = "  ".join(f"{name} {logs[name]:.4f}" for name in shown)
        if self._bar:
            self._bar.update(self._task, metrics=text)
        else:
            seconds = time.monotonic() - self._began
            self._console.print(
                f"epoch {epoch + 1}/{self.params['epochs']}  {text}  {seconds:.1f} s", highlight=False, soft_wrap=True
            )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._bar:
            self._bar.stop()
