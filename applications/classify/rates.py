"""The learning-rate finder: one short training in which the rate rises, and where its loss falls fastest.

Smith, "Cyclical Learning Rates for Training Neural Networks", 2015, https://arxiv.org/abs/1506.01186, section 3.3. The
losses of single batches are smoothed by a moving average without bias, as in fastai.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo import files, runs, training
from zoo.report import figures
from zoo.runs.run import make_trainer
from zoo.runs.training import auxiliary, build_model, calibration_batches, class_counts, training_batches
from zoo.training.batch_norm import freeze_batch_norms, recalibrate

RESULT, FIGURE = "rates.json", "rates.png"
SMOOTHING = 0.9
# The search ends where the smoothed loss is so many times its lowest value.
DIVERGED = 4.0
# Number of steps below which nothing can be said.
_FEWEST = 10


@dataclass(frozen=True)
class Found:
    """A search for the learning rate.

    Attributes:
        rates: Of each step.
        losses: Of each batch.
        smoothed: Their moving average.
        steepest: Where the smoothed loss falls fastest over the logarithm of the rate: a rate to train with.
        lowest: Where it is lowest: a tenth of it is another usual choice, it itself is too much.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float
    lowest: float


def find(
    chosen: runs.Settings,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    tell: Callable[[float], None] = lambda part: None,
) -> Found:
    """Train with a rate that rises from step to step, until the loss diverges.

    Args:
        chosen: Settings of the training that the rate is for; schedule, average and the stage of the head alone are
            left out.
        low: First rate, above 0.
        high: Last rate, above `low`.
        steps: Number of batches, at least 10.
        tell: Is told the part that is done.

    Raises:
        ValueError: A number is out of its range, or the loss was not finite in the first ten steps.
    """
    if not 0 < low < high or steps < _FEWEST:
        raise ValueError(
            f"A search has 0 < low < high, and {_FEWEST} steps. Received: low={low}, high={high}, steps={steps}"
        )
    run = runs.prepare(chosen)
    training.seed_everything(chosen.seed)
    arguments = run.config["model"]["arguments"]
    model = build_model(chosen, {**arguments, "input_shape": tuple(arguments["input_shape"])})
    if chosen.batch_norm == "recalibrate":
        recalibrate(model, calibration_batches(run, chosen))
    if chosen.batch_norm != "train":
        freeze_batch_norms(model)
    counts = class_counts(chosen, run.dataset)
    plain = dataclasses.replace(
        chosen, schedule="constant", schedule_options={}, warmup_epochs=0, average=0, accumulate=1
    )
    trainer = make_trainer(
        model,
        plain.make_optimizer(model, 1),
        loss=plain.make_loss(counts),
        class_weight=counts and chosen.class_weights(counts),
        auxiliary=auxiliary(chosen, model),
        steps_per_call=1,
    )
    batches = training_batches(run, chosen)
    rising = _Rising(trainer, low, high, steps, tell)
    trainer.fit(batches, epochs=math.ceil(steps / len(batches)), callbacks=[rising])
    if len(rising.losses) < _FEWEST:
        raise ValueError(
            f"The loss was not finite after {len(rising.losses)} steps from the rate {low:g} on. Begin lower."
        )
    rates = rising.rates[: len(rising.losses)].tolist()
    return Found(tuple(rates), tuple(rising.losses), tuple(rising.smoothed), *_telling(rates, rising.smoothed))


class _Rising(keras.callbacks.Callback):
    """Raises the rate before each step, keeps the loss of each batch, ends the training where the loss diverges."""

    def __init__(
        self, trainer: training.Trainer, low: float, high: float, steps: int, tell: Callable[[float], None]
    ) -> None:
        super().__init__()
        self._trainer, self._tell = trainer, tell
        self.rates = np.geomspace(low, high, steps)
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._average = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = self.rates[len(self.losses)]
        self._trainer.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.losses.append(loss)
        done, steps = len(self.losses), len(self.rates)
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        self.smoothed.append(self._average / (1 - SMOOTHING**done))
        self._tell(done / steps)
        diverged = done > _FEWEST and self.smoothed[-1] > DIVERGED * min(self.smoothed)
        self.model.stop_training = diverged or done == steps


def _telling(rates: Sequence[float], smoothed: Sequence[float]) -> tuple[float, float]:
    """Where the loss falls fastest, up to its lowest point, and that point.

    The slope is that over a fifth of the steps, and the first tenth is left out, where the average is of few batches.
    """
    lowest = int(np.argmin(smoothed))
    width = max(len(rates) // 10, 1)
    places = range(width, max(lowest - width, width) + 1)
    falls = [smoothed[place - width] - smoothed[min(place + width, len(rates) - 1)] for place in places]
    return rates[places[int(np.argmax(falls))]], rates[lowest]


def table(found: Found, rows: int = 12) -> str:
    """The smoothed loss at some rates, as a table."""
    lines = ["| rate | loss, smoothed |", "| ---: | ---: |"]
    for place in np.unique(np.linspace(0, len(found.rates) - 1, rows).round().astype(int)):
        lines.append(f"| {found.rates[place]:.2e} | {found.smoothed[place]:.4f} |")
    return "\n".join(lines)


def write(found: Found, folder: Path) -> None:
    """Write the numbers and the picture into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / RESULT, dataclasses.asdict(found))
    theme = figures.LIGHT
    figure = figures.new_figure(6.4, 3.6, theme)
    axis = figure.add_subplot()
    figures.dress(axis, theme, "")
    axis.plot(found.rates, found.losses, color=theme.line, linewidth=1)
    axis.plot(found.rates, found.smoothed, color=theme.right, linewidth=1.6)
    axis.axvline(found.steepest, color=theme.wrong, linewidth=1)
    axis.set_xscale("log")
    axis.set_ylim(0, 1.1 * max(found.smoothed[: found.rates.index(found.lowest) + 1]) or 1)
    axis.set_title(f"falls fastest at {found.steepest:.1e}, lowest at {found.lowest:.1e}", color=theme.ink, fontsize=9)
    axis.set_xlabel("learning rate", color=theme.muted, fontsize=8)
    axis.set_ylabel("training loss", color=theme.muted, fontsize=8)
    files.write_atomic(folder / FIGURE, figures.png(figure))
