"""Keras's EarlyStopping with its faults mended.

For rules that can be combined, and for stopping by time, steps or a target, see `zoo.training.StopTraining`.
"""

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from zoo import weights
from zoo.training.stopping import Mode, direction, without_number

# Ends of names of metrics of which less is better, for those whose object in the model does not say so.
_FALLING = ("loss", "error", "crossentropy", "mae", "mse", "mape", "msle")


class EarlyStopping(keras.callbacks.Callback):
    """Ends the training when a metric has stopped improving; takes the arguments of `keras.callbacks.EarlyStopping`.

    What differs from Keras 3.15, each point shown by a test:

    - A value that is not finite is never the best. There a NaN in the first epoch, or -inf of a loss, ends the training
      although it improves, and the weights of that epoch are returned.
    - `baseline` holds what its documentation says: without a value beyond it training ends after `patience` epochs.
      There it goes on as long as the metric improves at all.
    - The best weights are those of the best value. There, with `min_delta`, they are the last that were better by that
      much.
    - A second `fit` that goes on where the first ended (`initial_epoch`) goes on with the same best value, weights and
      number of epochs waited; after an early stop the waiting begins anew. There all is forgotten.
    - `get_state` and `set_state` carry that over to another process.
    - The best weights are those that were evaluated. With `keras.callbacks.SwapEMAWeights` there the averaged weights
      are evaluated and the raw ones returned.
    - "auto" knows the metrics of models with several outputs. There these end the training with an error after the
      first epoch.
    - Values are compared in 64 bits.
    - A metric that does not exist, an unknown mode, and negative numbers are refused. There training goes on without
      the callback, or with another value than given.

    Epochs without validation (`validation_freq`) are not counted, as in Keras.

    Args:
        monitor: Name of the metric.
        min_delta: How much better than before a value must be to count as an improvement, at least 0.
        patience: Number of epochs in a row without an improvement; 0 and 1 both end at the first.
        verbose: 1 to print when training is ended and weights are restored.
        mode: "min" if less is better, "max" if more is, "auto" to go by the metric and its name.
        baseline: Value that must be passed, by more than `min_delta`, for an epoch to count as an improvement; or None.
        restore_best_weights: Whether the model gets the weights of the best epoch when the training ends, by whatever.
        start_from_epoch: Number of first epochs that are not looked at.
        folder: Folder for the best weights, kept by `zoo.weights.save`; of several workers each needs its own. None for
            the memory, where no checkpoint finds them.

    Attributes:
        best: The best value, or None.
        best_epoch: The epoch it is of (0, 1, …).
        wait: Number of epochs since the last improvement.
        stopped_epoch: The epoch (0, 1, …) at whose end training was ended; 0 if it was not.
        reason: Why training was ended, or None.

    Example:
        >>> import keras, numpy as np, zoo
        >>> model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(10)])
        >>> model.compile("sgd", "mse")
        >>> callback = zoo.training.EarlyStopping("loss", patience=3, min_delta=1e9)
        >>> history = model.fit(np.ones((5, 20)), np.zeros((5, 10)), epochs=10, callbacks=[callback], verbose=0)
        >>> len(history.epoch), callback.stopped_epoch
        (4, 3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: Mode = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        *,
        folder: str | os.PathLike | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("min_delta", min_delta), ("patience", patience), ("start_from_epoch", start_from_epoch)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0. Received: {name}={value}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max'. Received: mode={mode!r}")
        if baseline is not None and not math.isfinite(baseline):
            raise ValueError(f"baseline must be a finite number or None. Received: baseline={baseline}")
        if folder is not None and not restore_best_weights:
            raise ValueError(f"folder is for restore_best_weights=True. Received: folder={folder!r} without it")
        self.monitor = monitor
        self.min_delta = min_delta
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.folder = None if folder is None else Path(folder)
        self._begins = self._was_set = self._warned = False
        self._trained: keras.Model | None = None
        self._evaluated: list[np.ndarray] | None = None
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None
        self.wait = 0
        self.stopped_epoch = 0
        self.reason: str | None = None
        self._reference: float | None = None
        self._last_epoch = -1

    def require(self, names: Iterable[str]) -> None:
        """Raise a ValueError unless the metric is among `names`, and which of its values are better is known."""
        if self.monitor not in names:
            raise ValueError(
                f"EarlyStopping needs the metric {self.monitor!r}. There are: {', '.join(names)}. "
                f"Received: monitor={self.monitor!r}"
            )
        self._direction()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._begins = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        begins, was_set = self._begins, self._was_set
        self._evaluated, self._begins, self._was_set = None, False, False
        if not begins:
            return
        if not was_set and (self._trained is not self.model or not 0 < epoch == self._last_epoch + 1):
            self._reset()
        elif self.reason is not None:
            self.wait, self.stopped_epoch, self.reason = 0, 0, None
        self._trained = self.model
        if was_set and self.folder is not None and self.best is not None:
            self._try_stored(self.folder)

    def on_test_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        # Before the first batch of a validation, all callbacks have put in the weights that they want evaluated.
        if batch == 0 and self.restore_best_weights and _averages(self.model.optimizer):
            self._evaluated = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        self._last_epoch = epoch
        if self.monitor not in logs:
            self._miss(logs)
            return
        if epoch < self.start_from_epoch:
            return
        value = float(logs[self.monitor])
        if math.isfinite(value):
            sign = 1 if self._direction() == "max" else -1
            if self.best is None or sign * (value - self.best) > 0:
                self.best, self.best_epoch = value, epoch
                self._keep()
            improved = self._reference is None or sign * (value - self._reference) > self.min_delta
        else:
            improved = False
        self.wait += 1
        if improved:
            self._reference = value
            if self.baseline is None or sign * (value - self.baseline) > self.min_delta:
                self.wait = 0
        if self.wait >= max(self.patience, 1):
            self.stopped_epoch = epoch
            self.reason = f"{self.monitor} has not improved for {self.wait} epochs"
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.verbose and self.reason is not None:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping, {self.reason}")
        if not self.restore_best_weights or self.best is None:
            return
        if self.verbose:
            print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
        if self.folder is None:
            self.model.set_weights(self.best_weights)
            return
        stored = weights.open_weights(self.folder)
        if stored.manifest["epoch"] != self.best_epoch + 1:
            warnings.warn(
                f"{self.folder} holds the weights of epoch {stored.manifest['epoch']}, the best is epoch "
                f"{self.best_epoch + 1}; the model keeps the last weights.",
                stacklevel=2,
            )
            return
        weights.load(self.model, stored)

    def get_state(self) -> dict[str, Any]:
        """What the callback remembers, as plain JSON; the best weights are in `folder`.

        Raises:
            ValueError: The best weights are in memory, and would be lost.
        """
        if self.restore_best_weights and self.folder is None:
            raise ValueError(
                "EarlyStopping keeps the best weights in memory, where no checkpoint finds them. "
                "Give it a folder for them. Received: restore_best_weights=True, folder=None"
            )
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "reference": self._reference,
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "reason": self.reason,
            "last_epoch": self._last_epoch,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned: the next training is the same one, and not a new one."""
        self.best, self.best_epoch, self._reference = state["best"], state["best_epoch"], state["reference"]
        self.wait, self.stopped_epoch, self.reason = state["wait"], state["stopped_epoch"], state["reason"]
        self._last_epoch = state["last_epoch"]
        self._was_set = True

    def _try_stored(self, folder: Path) -> None:
        """Read the best weights of the process before, so that a lost or damaged file is found now, not at the end."""
        raw = self.model.get_weights()
        weights.load(self.model, folder)
        self.model.set_weights(raw)

    def _miss(self, logs: Mapping[str, float]) -> None:
        """The metric is not there: an epoch without validation, or a wrong name."""
        if not self.monitor.startswith("val_") or any(name.startswith("val_") for name in logs):
            self.require(logs)
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"There was no validation in this epoch; EarlyStopping looks at {self.monitor!r} where there is. Give "
                "`fit` validation_data.",
                stacklevel=2,
            )

    def _direction(self) -> Literal["min", "max"]:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        # Of several outputs the name has the output's before the metric's.
        known = [metric for metric in _metrics(self.model) if f"_{name}".endswith(f"_{metric.name}")]
        for metric in sorted(known, key=lambda metric: -len(metric.name)):
            if told := getattr(metric, "_direction", None):
                return "max" if told == "up" else "min"
        if direction(name) == "max":
            return "max"
        if without_number(name).endswith(_FALLING):
            return "min"
        raise ValueError(
            f"Whether more or less of {self.monitor!r} is better is not known. Give mode='max' or mode='min'. "
            f"Received: mode='auto', monitor={self.monitor!r}"
        )

    def _keep(self) -> None:
        """Keep the weights that were evaluated."""
        if not self.restore_best_weights:
            return
        evaluated = self._evaluated if self.monitor.startswith("val_") else None
        if self.folder is None:
            self.best_weights = evaluated or self.model.get_weights()
            return
        raw = self.model.get_weights() if evaluated is not None else []
        if evaluated is not None:
            self.model.set_weights(evaluated)
        try:
            weights.save(self.model, self.folder, epoch=self.best_epoch + 1, metric=self.monitor, value=self.best)
        finally:
            if evaluated is not None:
                self.model.set_weights(raw)


def _metrics(model: keras.Model) -> Iterator[keras.Metric]:
    """The metrics of a model, those that `compile` was given one by one."""
    for metric in model.metrics:
        yield from getattr(metric, "metrics", [metric])


def _averages(optimizer: Any) -> bool:
    """Whether an optimizer, or one inside it, has moving averages of the weights."""
    inner = [getattr(optimizer, "inner_optimizer", None), *getattr(optimizer, "optimizers", ())]
    return bool(getattr(optimizer, "use_ema", False)) or any(_averages(part) for part in inner if part is not None)
