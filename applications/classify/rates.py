"""The learning-rate finder: one short training in which the rate rises, and where its loss falls fastest.

Smith, "Cyclical Learning Rates for Training Neural Networks", 2015, https://arxiv.org/abs/1506.01186, section 3.3. The
losses of single batches are smoothed by a moving average without bias, as in fastai.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo import data, files, runs, training
from zoo.report import figures
from zoo.runs.run import PREDICTIONS
from zoo.runs.training import auxiliary, build_model, calibration_batches, class_counts, training_batches
from zoo.training.batch_norm import freeze_batch_norms, recalibrate

RESULT, FIGURE = "rates.json", "rates.png"
SMOOTHING = 0.9
# The search ends where the smoothed loss is so many times its lowest value.
DIVERGED = 4.0


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
    if not 0 < low < high or steps < 10:
        raise ValueError(f"A search has 0 < low < high, and 10 steps. Received: low={low}, high={high}, steps={steps}")
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
    optimizer, loss = plain.make_optimizer(model, 1), plain.make_loss(counts)
    optimizer.build(model.trainable_variables)
    by_class = (counts and chosen.class_weights(counts)) or dict.fromkeys(range(len(run.dataset.classes)), 1.0)
    table = tf.constant(list(by_class.values()), tf.float32)
    others = auxiliary(chosen, model) or {}

    def losses_of(labels: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        return loss.call(labels, tf.cast(output, tf.float32))

    @tf.function(reduce_retracing=True)
    def step(pictures: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = model(pictures, training=True)
            losses = losses_of(labels, outputs[PREDICTIONS] if others else outputs)
            for name, weight in others.items():
                losses += weight * losses_of(labels, outputs[name])
            weights = tf.gather(table, labels if labels.shape.rank == 1 else tf.argmax(labels, axis=-1))
            value = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    rates, losses, smoothed, average = [], [], [], 0.0
    for number, (pictures, labels) in enumerate(_first(training_batches(run, chosen), steps)):
        rate = low * (high / low) ** (number / (steps - 1))
        optimizer.learning_rate.assign(rate)
        value = float(step(pictures, labels))
        if not math.isfinite(value):
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * value
        rates.append(rate)
        losses.append(value)
        smoothed.append(average / (1 - SMOOTHING ** (number + 1)))
        tell((number + 1) / steps)
        if number >= 10 and smoothed[-1] > DIVERGED * min(smoothed):
            break
    if len(rates) < 10:
        raise ValueError(f"The loss was not finite after {len(rates)} steps from the rate {low:g} on. Begin lower.")
    return Found(tuple(rates), tuple(losses), tuple(smoothed), *_telling(rates, smoothed))


def _first(batches: data.Pipeline, steps: int) -> Iterator[Any]:
    """So many training batches, one epoch after the other."""
    return itertools.islice((batch for epoch in itertools.count() for batch in batches.epoch(epoch)), steps)


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
