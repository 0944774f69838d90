"""What rules to stop give up for the time that they save, in the form of Prechelt's table.

    python benchmarks/stopping_rules.py
    python benchmarks/stopping_rules.py --seeds 20 --epochs 300 --out table.md

Each network is trained once for each seed, for all epochs; its curves are kept, and every rule is shown them and says
where it would have stopped. As if the best weights were kept, a rule's network is that of the lowest validation loss
up to there. Three tasks whose data is at hand:

- digits: a small convolutional network on scikit-learn's 1,797 pictures of 8x8 pixels, split as
  `zoo.data.load("digits")` does;
- digits, noise: the same with 30 % of the training labels drawn anew, where a long training does harm;
- waveform: a small convolutional network on 300 signals of 21 samples, mixtures of two of three triangles under noise
  (Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984, section 2.6.2), 300 to validate and
  5,000 to test. No rule that reads a signal can be wrong in fewer than about 14 % of them.

Columns: epochs trained until the stop, over those of the best rule (that which gives up the least loss; of equals, the
fastest), the validation loss given up, over the lowest of the whole curve; the test error of the rule's network; and
how often no rule's network had a lower test error. L. Prechelt, "Early Stopping - But When?", 1998.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo.training import (
    GeneralisationGap,
    GeneralisationLoss,
    Patience,
    PlateauSlope,
    ProgressQuotient,
    Rule,
    SuccessiveRises,
)

BATCH_SIZE, LEARNING_RATE = 64, 1e-3
RULES: dict[str, Callable[[], Rule]] = {
    **{f"Patience {n}": lambda n=n: Patience("val_loss", patience=n) for n in (1, 3, 5, 10, 20)},
    **{f"GL {a}": lambda a=a: GeneralisationLoss(a) for a in (1, 2, 5, 20)},
    **{f"PQ {a:g}": lambda a=a: ProgressQuotient(a) for a in (0.5, 1, 3)},
    **{f"UP {s}": lambda s=s: SuccessiveRises(s) for s in (2, 3, 4)},
    **{f"Plateau {n}": lambda n=n: PlateauSlope("val_loss", window=n) for n in (10, 20)},
    "Gap 2": lambda: GeneralisationGap(2),
}  # fmt: skip
COLUMNS = ("rule", "stopped", "epochs", "relative", "loss given up %", "test error %", "wins")


class Curves(NamedTuple):
    """What one long training gave, one row an epoch."""

    logs: list[dict[str, float]]
    test_error: list[float]


class Outcome(NamedTuple):
    """What one rule made of one training."""

    fired: bool
    epochs: int
    given_up: float
    test_error: float


Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def digits(seed: int, noise: float = 0.0) -> Splits:
    """Pixels 0…1 (n, 8, 8, 1) and labels (n,); a fraction `noise` of the training labels is drawn anew."""
    data = zoo.data.load("digits", split_seed=seed)
    found = {}
    for split in ("train", "validation", "test"):
        batches = list(data.pipeline(split, batch_size=1000).epoch())
        found[split] = tuple(np.concatenate([np.asarray(batch[part]) for batch in batches]) for part in (0, 1))
    pixels, labels = found["train"]
    random = np.random.default_rng(seed)
    drawn = random.random(len(labels)) < noise
    found["train"] = pixels, np.where(drawn, random.integers(0, 10, len(labels)), labels)
    return found


def waveform(seed: int) -> Splits:
    """Signals (n, 21, 1) of three classes and labels (n,); the formulas of the book."""
    place = np.arange(1, 22)
    triangles = [np.maximum(6 - abs(place - peak), 0) for peak in (11, 15, 7)]
    pairs = np.array([(triangles[0], triangles[1]), (triangles[0], triangles[2]), (triangles[1], triangles[2])])
    random, found = np.random.default_rng(seed), {}
    for split, number in (("train", 300), ("validation", 300), ("test", 5000)):
        labels = random.integers(0, 3, number)
        share = random.random((number, 1))
        signals = share * pairs[labels, 0] + (1 - share) * pairs[labels, 1] + random.standard_normal((number, 21))
        found[split] = signals[..., np.newaxis].astype("float32"), labels
    return found


def picture_network() -> keras.Model:
    """Two convolutions and a dense head, for the digits."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((8, 8, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ])  # fmt: skip


def signal_network() -> keras.Model:
    """The same along one axis, for the waveforms."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((21, 1)),
        layers.Conv1D(16, 3, activation="relu"),
        layers.Conv1D(32, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(3),
    ])  # fmt: skip


class Task(NamedTuple):
    """Data by seed, and the network that learns it."""

    splits: Callable[[int], Splits]
    network: Callable[[], keras.Model]


TASKS = {
    "digits": Task(digits, picture_network),
    "digits, noise": Task(functools.partial(digits, noise=0.3), picture_network),
    "waveform": Task(waveform, signal_network),
}


class Learner:
    """A network whose epochs are one call each: an epoch is a few milliseconds of arithmetic, `fit` takes far more."""

    def __init__(self, network: Callable[[], keras.Model]) -> None:
        self.network = network
        self.model, self.optimizer = network(), keras.optimizers.Adam(LEARNING_RATE)
        self.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.optimizer.build(self.model.trainable_variables)
        self.unused = [keras.ops.convert_to_numpy(variable) for variable in self.optimizer.variables]

    def begin(self) -> None:
        """New weights, and an optimizer that has seen nothing."""
        self.model.set_weights(self.network().get_weights())
        for variable, value in zip(self.optimizer.variables, self.unused, strict=True):
            variable.assign(value)

    @tf.function
    def epoch(self, order: tf.Tensor, train: tuple, validation: tuple, test: tuple) -> tuple[tf.Tensor, ...]:
        """Steps over `order` (steps, batch); the means of training loss, validation loss and test error."""
        total = tf.zeros(())
        for rows in order:
            with tf.GradientTape() as tape:
                loss = self.loss(tf.gather(train[1], rows), self.model(tf.gather(train[0], rows), training=True))
            self.optimizer.apply(tape.gradient(loss, self.model.trainable_variables))
            total += loss
        wrong = tf.not_equal(tf.argmax(self.model(test[0]), -1), test[1])
        steps = tf.cast(len(order), tf.float32)
        error = tf.reduce_mean(tf.cast(wrong, tf.float32))
        return total / steps, self.loss(validation[1], self.model(validation[0])), error


def train(learner: Learner, data_of: Callable[[int], Splits], seed: int, epochs: int) -> Curves:
    zoo.training.seed_everything(seed)
    learner.begin()
    data = {split: (tf.constant(pixels), tf.constant(labels, tf.int64))
            for split, (pixels, labels) in data_of(seed).items()}  # fmt: skip
    examples, random, curves = len(data["train"][1]), np.random.default_rng(seed), Curves([], [])
    for _ in range(epochs):
        order = random.permutation(examples)[: examples // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)
        losses = [float(value) for value in learner.epoch(tf.constant(order), *data.values())]
        curves.logs.append({"loss": losses[0], "val_loss": losses[1]})
        curves.test_error.append(100 * losses[2])
    return curves


def apply(rule: Rule, curves: Curves) -> Outcome:
    """Where a rule stops a training, and what its best network until then is worth."""
    losses = [logs["val_loss"] for logs in curves.logs]
    fired = (epoch for epoch, logs in enumerate(curves.logs, 1) if rule.update(epoch, logs))
    stopped = next(fired, None)
    epochs = stopped or len(losses)
    chosen = int(np.argmin(losses[:epochs]))
    given_up = 100 * (losses[chosen] / min(losses) - 1)
    return Outcome(stopped is not None, epochs, given_up, curves.test_error[chosen])


def table(runs: Sequence[Curves]) -> list[dict[str, str]]:
    """One row a rule, means over the runs."""
    made = {name: [apply(make(), curves) for curves in runs] for name, make in RULES.items()}
    made["all epochs"] = [apply(zoo.training.NonFinite(), curves) for curves in runs]
    lowest = [min(outcome.test_error for outcome in column) for column in zip(*made.values(), strict=True)]

    def mean(outcomes: Sequence[Outcome], field: str) -> float:
        return float(np.mean([getattr(outcome, field) for outcome in outcomes]))

    # Of the rules alone: who trains for all epochs gives up nothing, and saves nothing.
    best = min(RULES, key=lambda name: (mean(made[name], "given_up"), mean(made[name], "epochs")))
    return [
        {
            "rule": f"{name} (best)" if name == best else name,
            "stopped": f"{sum(outcome.fired for outcome in outcomes)}/{len(runs)}",
            "epochs": f"{mean(outcomes, 'epochs'):.1f}",
            "relative": f"{mean(outcomes, 'epochs') / mean(made[best], 'epochs'):.2f}",
            "loss given up %": f"{mean(outcomes, 'given_up'):.2f}",
            "test error %": f"{mean(outcomes, 'test_error'):.2f}",
            "wins": str(sum(outcome.test_error <= least for outcome, least in zip(outcomes, lowest, strict=True))),
        }
        for name, outcomes in made.items()
    ]


def main(arguments: Sequence[str] | None = None) -> dict[str, list[dict[str, str]]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="number of trainings of each task (default: 10)")
    parser.add_argument("--epochs", type=int, default=120, help="epochs of each training (default: 120)")
    parser.add_argument("--out", type=Path, help="file for the tables, besides the screen")
    options = parser.parse_args(arguments)
    for name in ("seeds", "epochs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1. Received: {getattr(options, name)}")
    tables, lines = {}, []
    for name, task in TASKS.items():
        began, learner = time.perf_counter(), Learner(task.network)
        seeds = range(options.seeds)
        rows = tables[name] = table([train(learner, task.splits, seed, options.epochs) for seed in seeds])
        seconds = time.perf_counter() - began
        part = [
            f"{name}: {options.seeds} trainings of {options.epochs} epochs, {seconds:.0f} s",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "| --- |" + " ---: |" * (len(COLUMNS) - 1),
            *(f"| {' | '.join(row[column] for column in COLUMNS)} |" for row in rows),
            "",
        ]
        print("\n".join(part), flush=True)
        lines += part
    if options.out:
        options.out.write_text("\n".join(lines), encoding="utf-8")
    return tables


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
