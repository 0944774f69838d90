"""Rules that end a training: small objects without a clock of their own, fed with one dict of metrics an epoch.

    rule = any_of(Patience("val_loss", patience=10), TimeBudget(seconds=3600), NonFinite())

Rules that need no whole epoch, such as budgets, may look within an epoch too (`within`).

A rule can be tested on a list of numbers, saved and restored in mid-training (`get_state`, `set_state`), and says why
it fired (`explain`). `zoo.training.StopTraining` is the callback that runs one, in the Trainer and in `model.fit`.
"""

import math
import os
import re
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

Logs = Mapping[str, float]
Mode = Literal["auto", "min", "max"]

# Metrics of which more is better, by the end of their name; of all others less is better.
_RISING = ("accuracy", "acc", "auc", "precision", "recall", "f1_score", "iou", "io_u", "r2_score", "cosine_similarity")


def direction(metric: str, mode: Mode = "auto") -> Literal["min", "max"]:
    """Whether less ("min") or more ("max") of a metric is better; "auto" goes by its name."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be 'auto', 'min' or 'max'. Received: mode={mode!r}")
    if mode != "auto":
        return mode
    return "max" if without_number(metric).endswith(_RISING) else "min"


def without_number(metric: str) -> str:
    """A metric's name without the number that Keras puts behind those of later metrics of a class, such as "auc_1"."""
    return re.sub(r"_\d+$", "", metric)


class Rule:
    """Base of all rules.

    Attributes:
        metrics: Names of the metrics that the rule needs; a training without one of them does not start.
    """

    metrics: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the rule is called in a report."""
        return type(self).__name__

    def start(self) -> None:
        """Training begins now; rules that measure time begin to count."""

    def update(self, epoch: int, logs: Logs) -> bool:
        """Take in the metrics after `epoch` (1, 2, …) and say whether the training shall end."""
        raise NotImplementedError

    def within(self, epoch: int, logs: Logs) -> bool:
        """Take in the metrics so far in `epoch` (1, 2, …), and say whether the training shall end now.

        Rules that judge whole epochs say no, and remember nothing of it.
        """
        return False

    def explain(self) -> str:
        """Why the rule fired, or how far it is from that, in one sentence without a final stop."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """What the rule remembers, as plain JSON."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned."""

    def __or__(self, other: "Rule") -> "Rule":
        return any_of(self, other)

    def __and__(self, other: "Rule") -> "Rule":
        return all_of(self, other)


class _AtAnyTime(Rule):
    """A rule to which the end of an epoch is a moment like any other."""

    def within(self, epoch: int, logs: Logs) -> bool:
        return self.update(epoch, logs)


class Patience(Rule):
    """Fires when a metric has not improved for a number of epochs.

    A value that is not finite is no improvement and never becomes the best.

    Args:
        metric: Name of the metric, e.g. "val_loss".
        patience: Number of epochs in a row without an improvement, at least 1.
        min_delta: How much better than the best a value must be to count, at least 0.
        relative: Whether `min_delta` is a fraction of the best value's magnitude in place of an absolute difference.
        mode: "min", "max", or "auto" by the metric's name.
    """

    def __init__(
        self, metric: str, *, patience: int, min_delta: float = 0.0, relative: bool = False, mode: Mode = "auto"
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1 epoch. Received: patience={patience}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta must be at least 0. Received: min_delta={min_delta}")
        self.metrics = (metric,)
        self.patience = patience
        self.min_delta = min_delta
        self.relative = relative
        self.mode = direction(metric, mode)
        self._best: float | None = None
        self._best_epoch = 0
        self._waited = 0

    def update(self, epoch: int, logs: Logs) -> bool:
        value = float(logs[self.metrics[0]])
        if math.isfinite(value) and (self._best is None or self._gain(value) > self._margin()):
            self._best, self._best_epoch, self._waited = value, epoch, 0
        else:
            self._waited += 1
        return self._waited >= self.patience

    def _gain(self, value: float) -> float:
        assert self._best is not None
        return self._best - value if self.mode == "min" else value - self._best

    def _margin(self) -> float:
        assert self._best is not None
        return self.min_delta * abs(self._best) if self.relative else self.min_delta

    def explain(self) -> str:
        verb = "fallen" if self.mode == "min" else "risen"
        least = f" by more than {self.min_delta:g}{' of its value' if self.relative else ''}" if self.min_delta else ""
        best = "no finite value yet" if self._best is None else f"best {self._best:.6g} in epoch {self._best_epoch}"
        return f"{self.metrics[0]} has not {verb}{least} for {self._waited} of {self.patience} epochs ({best})"

    def get_state(self) -> dict[str, Any]:
        return {"best": self._best, "best_epoch": self._best_epoch, "waited": self._waited}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._best, self._best_epoch, self._waited = state["best"], state["best_epoch"], state["waited"]


class Target(Rule):
    """Fires when a metric reaches a value; one that is not finite reaches nothing.

    Args:
        metric: Name of the metric, e.g. "val_accuracy".
        value: The value to reach, in the metric's own unit (an accuracy of 99 % is 0.99).
        mode: "min" to get down to it, "max" to get up to it, or "auto" by the metric's name.
    """

    def __init__(self, metric: str, value: float, *, mode: Mode = "auto") -> None:
        if not math.isfinite(value):
            raise ValueError(f"value must be a finite number. Received: value={value}")
        self.metrics = (metric,)
        self.value = value
        self.mode = direction(metric, mode)
        self._last: float | None = None

    def update(self, epoch: int, logs: Logs) -> bool:
        value = float(logs[self.metrics[0]])
        self._last = value if math.isfinite(value) else None
        if self._last is None:
            return False
        return self._last <= self.value if self.mode == "min" else self._last >= self.value

    def explain(self) -> str:
        side = "at most" if self.mode == "min" else "at least"
        return f"{self.metrics[0]} is {_shown(self._last)}, the target is {side} {self.value:g}"

    def get_state(self) -> dict[str, Any]:
        return {"last": self._last}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._last = state["last"]


class NonFinite(_AtAnyTime):
    """Fires when any metric is NaN or infinite."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def update(self, epoch: int, logs: Logs) -> bool:
        self._found = {name: str(float(value)) for name, value in logs.items() if not math.isfinite(value)}
        return bool(self._found)

    def explain(self) -> str:
        if not self._found:
            return "all metrics are finite"
        return ", ".join(f"{name} is {value}" for name, value in self._found.items())

    def get_state(self) -> dict[str, Any]:
        return {"found": self._found}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._found = dict(state["found"])


class TimeBudget(Rule):
    """Fires when the training has taken a given time.

    Counts from the first call of `start` or `update`. Time before a restored state counts too, and in the same process
    the time since it.

    Args:
        seconds: The budget, above 0.
        forecast: Whether to fire already at the end of an epoch after which another one, as long as the longest so
            far, would be over the budget.
        clock: Function that returns seconds and never goes back.
    """

    def __init__(self, seconds: float, *, forecast: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds must be above 0. Received: seconds={seconds}")
        self.seconds = seconds
        self.forecast = forecast
        self._clock = clock
        self._before = 0.0
        self._started: float | None = None
        self._epoch_ended = 0.0
        self._longest = 0.0

    def start(self) -> None:
        if self._started is None:
            self._started = self._clock()

    def _elapsed(self) -> float:
        return self._before + (0.0 if self._started is None else self._clock() - self._started)

    def update(self, epoch: int, logs: Logs) -> bool:
        self.start()
        elapsed = self._elapsed()
        self._longest = max(self._longest, elapsed - self._epoch_ended)
        self._epoch_ended = elapsed
        return elapsed + (self._longest if self.forecast else 0.0) >= self.seconds

    def within(self, epoch: int, logs: Logs) -> bool:
        self.start()
        return self._elapsed() >= self.seconds

    def explain(self) -> str:
        longest = f", the longest epoch {self._longest:.1f} s" if self.forecast else ""
        return f"training has taken {self._elapsed():.1f} s of a budget of {self.seconds:g} s{longest}"

    def get_state(self) -> dict[str, Any]:
        return {"elapsed": self._elapsed(), "epoch_ended": self._epoch_ended, "longest": self._longest}

    def set_state(self, state: Mapping[str, Any]) -> None:
        # What this process has spent since then is not given back.
        lost = max(self._elapsed() - state["elapsed"], 0.0)
        self._before, self._started = state["elapsed"] + lost, None
        self._epoch_ended, self._longest = state["epoch_ended"] + lost, state["longest"]


class _Remembering(Rule):
    """A rule whose state is `self._memory`, a dict of plain JSON."""

    _memory: dict[str, Any]

    def get_state(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, list) else value for name, value in self._memory.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._memory = {name: list(value) if isinstance(value, list) else value for name, value in state.items()}


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0. Received: {name}={value}")
    return value


def _count(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
    return value


class GeneralisationLoss(_Remembering):
    """Prechelt's GL: fires when the validation error is more than `threshold` per cent above its lowest so far.

    GL(t) = 100 (E_va(t) / E_opt(t) - 1). L. Prechelt, "Early Stopping - But When?", 1998. A validation error that is
    not finite is left out.

    Args:
        threshold: The per cent, above 0.
        metric: Name of an error of which less is better and which is never below 0.
    """

    def __init__(self, threshold: float, *, metric: str = "val_loss") -> None:
        self.threshold = _positive("threshold", threshold)
        self.metrics = (metric,)
        self._memory = {"best": None, "loss": 0.0}

    def update(self, epoch: int, logs: Logs) -> bool:
        value = float(logs[self.metrics[0]])
        if not math.isfinite(value):
            return False
        best = value if self._memory["best"] is None else min(value, self._memory["best"])
        self._memory = {"best": best, "loss": 100 * (value - best) / max(abs(best), 1e-12)}
        return self._memory["loss"] > self.threshold

    def explain(self) -> str:
        loss = self._memory["loss"]
        return f"{self.metrics[0]} is {loss:.4g} % above its lowest, the limit is {self.threshold:g} %"


class ProgressQuotient(_Remembering):
    """Prechelt's PQ: fires at the end of a strip when GL over the training progress exceeds `threshold`.

    P_k(t) = 1000 (mean training error of the strip / lowest of the strip - 1), for strips of k epochs; the same source
    as `GeneralisationLoss`. A strip without any progress has an infinite quotient as soon as GL is above 0;
    one with a training error that is not finite is left out.

    Args:
        threshold: The quotient, above 0.
        strip: Number of epochs k of a strip, at least 1; with 1 there is never progress.
        train: Name of the training error.
        metric: Name of the validation error.
    """

    def __init__(self, threshold: float, *, strip: int = 5, train: str = "loss", metric: str = "val_loss") -> None:
        self.threshold = _positive("threshold", threshold)
        self.strip = _count("strip", strip)
        self.metrics = (train, metric)
        self._loss = GeneralisationLoss(threshold, metric=metric)
        self._memory = {"errors": [], "quotient": 0.0}

    def update(self, epoch: int, logs: Logs) -> bool:
        self._loss.update(epoch, logs)
        error = float(logs[self.metrics[0]])
        errors = [*self._memory["errors"], error if math.isfinite(error) else None]
        if len(errors) < self.strip:
            self._memory["errors"] = errors
            return False
        if None in errors:
            self._memory = {"errors": [], "quotient": 0.0}
            return False
        lowest, loss = min(errors), self._loss.get_state()["loss"]
        progress = 1000 * (math.fsum(errors) / len(errors) - lowest) / max(abs(lowest), 1e-12)
        quotient = loss / progress if progress > 0 else (math.inf if loss > 0 else 0.0)
        self._memory = {"errors": [], "quotient": quotient if math.isfinite(quotient) else None}
        return quotient > self.threshold

    def explain(self) -> str:
        quotient = self._memory["quotient"]
        shown = "infinite" if quotient is None else f"{quotient:.4g}"
        return f"generalisation loss over training progress is {shown}, the limit is {self.threshold:g}"

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "loss": self._loss.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._loss.set_state(state["loss"])
        super().set_state({name: state[name] for name in ("errors", "quotient")})


class SuccessiveRises(_Remembering):
    """Prechelt's UP: fires when the validation error rose from strip end to strip end a number of times in a row.

    Args:
        rises: Number s of strips in a row, at least 1.
        strip: Number of epochs k of a strip, at least 1.
        metric: Name of the validation error.
    """

    def __init__(self, rises: int, *, strip: int = 5, metric: str = "val_loss") -> None:
        self.rises, self.strip = _count("rises", rises), _count("strip", strip)
        self.metrics = (metric,)
        self._memory = {"seen": 0, "last": None, "rises": 0}

    def update(self, epoch: int, logs: Logs) -> bool:
        self._memory["seen"] += 1
        value, last = float(logs[self.metrics[0]]), self._memory["last"]
        if self._memory["seen"] % self.strip or not math.isfinite(value):
            return False
        self._memory["rises"] = self._memory["rises"] + 1 if last is not None and value > last else 0
        self._memory["last"] = value
        return self._memory["rises"] >= self.rises

    def explain(self) -> str:
        return (
            f"{self.metrics[0]} rose in {self._memory['rises']} of {self.rises} strips of {self.strip} epochs in a row"
        )


class Divergence(_Remembering):
    """Fires when an error is more than `factor` times its lowest so far.

    Args:
        factor: Above 1.
        metric: Name of an error of which less is better and which is never below 0.
    """

    def __init__(self, factor: float, *, metric: str = "loss") -> None:
        if not (math.isfinite(factor) and factor > 1):
            raise ValueError(f"factor must be a finite number above 1. Received: factor={factor}")
        self.factor = factor
        self.metrics = (metric,)
        self._memory = {"best": None, "last": None}

    def update(self, epoch: int, logs: Logs) -> bool:
        value = float(logs[self.metrics[0]])
        if not math.isfinite(value):
            return False
        best = value if self._memory["best"] is None else min(value, self._memory["best"])
        self._memory = {"best": best, "last": value}
        return value > self.factor * best

    def within(self, epoch: int, logs: Logs) -> bool:
        """The mean so far in the epoch, if it is of the training, against the lowest of the whole epochs."""
        value, best = float(logs.get(self.metrics[0], math.nan)), self._memory["best"]
        if best is None or not math.isfinite(value):
            return False
        self._memory["last"] = value
        return value > self.factor * best

    def explain(self) -> str:
        last, best = _shown(self._memory["last"]), _shown(self._memory["best"])
        return f"{self.metrics[0]} is {last}, its lowest {best}, the limit {self.factor:g} times that"


class GeneralisationGap(_Remembering):
    """Fires when the validation error is more than `ratio` times the training error.

    Args:
        ratio: Above 1.
        train: Name of the training error, never below 0.
        metric: Name of the validation error.
    """

    def __init__(self, ratio: float, *, train: str = "loss", metric: str = "val_loss") -> None:
        if not (math.isfinite(ratio) and ratio > 1):
            raise ValueError(f"ratio must be a finite number above 1. Received: ratio={ratio}")
        self.ratio = ratio
        self.metrics = (train, metric)
        self._memory = {"train": None, "valid": None}

    def update(self, epoch: int, logs: Logs) -> bool:
        train, valid = (float(logs[name]) for name in self.metrics)
        if not (math.isfinite(train) and math.isfinite(valid)):
            return False
        self._memory = {"train": train, "valid": valid}
        return valid > self.ratio * train

    def explain(self) -> str:
        (train, valid), memory = self.metrics, self._memory
        return (
            f"{valid} is {_shown(memory['valid'])}, {train} {_shown(memory['train'])}, "
            f"the limit {self.ratio:g} times that"
        )


class PlateauSlope(_Remembering):
    """Fires when the line through the last values of a metric does not surely get better.

    The line is that of least squares over the epochs; its slope has the usual confidence interval of independent,
    normally distributed deviations (Student's t with `window` - 2 degrees of freedom). The rule fires when the
    interval's lower end is at most `min_slope`: the improvement may then be nothing but noise. A value that is not
    finite is left out.

    Args:
        metric: Name of the metric.
        window: Number of values that the line goes through, at least 3.
        min_slope: Least improvement per epoch, in the metric's own unit, at least 0.
        confidence: Probability with which the slope is above the interval's lower end, from 0.5, which takes the slope
            itself, to below 1.
        mode: "min", "max", or "auto" by the metric's name.
    """

    def __init__(
        self, metric: str, *, window: int, min_slope: float = 0.0, confidence: float = 0.95, mode: Mode = "auto"
    ) -> None:
        if window < 3:
            raise ValueError(f"window must be at least 3. Received: window={window}")
        if not (math.isfinite(min_slope) and min_slope >= 0):
            raise ValueError(f"min_slope must be a finite number of at least 0. Received: min_slope={min_slope}")
        if not 0.5 <= confidence < 1:
            raise ValueError(f"confidence must be from 0.5 to below 1. Received: confidence={confidence}")
        # Comes with scikit-learn; here, since few need it.
        from scipy.special import stdtrit

        self.metrics = (metric,)
        self.window, self.min_slope, self.confidence = window, min_slope, confidence
        self.mode = direction(metric, mode)
        self._quantile = float(stdtrit(window - 2, confidence))
        self._memory = {"points": [], "slope": None, "least": None}

    def update(self, epoch: int, logs: Logs) -> bool:
        value = float(logs[self.metrics[0]])
        if not math.isfinite(value):
            return False
        points = [*self._memory["points"], [epoch, value]][-self.window :]
        if len(points) < self.window:
            self._memory["points"] = points
            return False
        epochs, values = zip(*points, strict=True)
        slope, intercept = statistics.linear_regression(epochs, values)
        squares = math.fsum((value - intercept - slope * epoch) ** 2 for epoch, value in points)
        spread = math.fsum((epoch - statistics.fmean(epochs)) ** 2 for epoch in epochs)
        better = -slope if self.mode == "min" else slope
        least = better - self._quantile * math.sqrt(squares / (self.window - 2) / spread)
        self._memory = {"points": points, "slope": better, "least": least}
        return least <= self.min_slope

    def explain(self) -> str:
        verb = "falls" if self.mode == "min" else "rises"
        if self._memory["least"] is None:
            return f"{self.metrics[0]} has {len(self._memory['points'])} of {self.window} values for a line"
        return (
            f"{self.metrics[0]} {verb} by {self._memory['slope']:.4g} an epoch over {self.window} epochs, with "
            f"{100 * self.confidence:g} % confidence by {self._memory['least']:.4g}, the limit is {self.min_slope:g}"
        )


class StepBudget(_AtAnyTime, _Remembering):
    """Fires when the optimizer has made a number of steps; those of an earlier training with it count too.

    Args:
        steps: The budget, at least 1. Within an epoch it is kept as exactly as the rule is asked.
    """

    metrics = ("step",)

    def __init__(self, steps: int) -> None:
        self.steps = _count("steps", steps)
        self._memory = {"step": 0}

    def update(self, epoch: int, logs: Logs) -> bool:
        self._memory["step"] = int(logs["step"])
        return self._memory["step"] >= self.steps

    def explain(self) -> str:
        return f"training has made {self._memory['step']} steps of a budget of {self.steps}"


class ExampleBudget(_AtAnyTime, _Remembering):
    """Fires when the training has seen a number of examples, counted as often as they were seen.

    Counts the batches that the optimizer was given, of which several make one step where gradients are accumulated.

    Args:
        examples: The budget, at least 1.
        batch_size: Number of examples of a whole batch.
        epoch_examples: Number of examples of an epoch, where its last batch is smaller; None if all batches are whole.
    """

    metrics = ("batches",)

    def __init__(self, examples: int, *, batch_size: int, epoch_examples: int | None = None) -> None:
        self.examples, self.batch_size = _count("examples", examples), _count("batch_size", batch_size)
        self.epoch_examples = None if epoch_examples is None else _count("epoch_examples", epoch_examples)
        self._memory = {"seen": 0}

    def update(self, epoch: int, logs: Logs) -> bool:
        seen, batches = 0, int(logs["batches"])
        if self.epoch_examples is not None:
            epochs, batches = divmod(batches, math.ceil(self.epoch_examples / self.batch_size))
            seen = epochs * self.epoch_examples
        self._memory["seen"] = seen + batches * self.batch_size
        return self._memory["seen"] >= self.examples

    def explain(self) -> str:
        return f"training has seen {self._memory['seen']} examples of a budget of {self.examples}"


class LearningRateFloor(_AtAnyTime, _Remembering):
    """Fires when the learning rate has come down to a floor; a warm-up that begins below it does not count.

    Args:
        rate: The floor, at least 0.
    """

    metrics = ("learning_rate",)

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"rate must be a finite number of at least 0. Received: rate={rate}")
        self.rate = rate
        self._memory = {"was_above": False, "last": None}

    def update(self, epoch: int, logs: Logs) -> bool:
        last = float(logs["learning_rate"])
        if not math.isfinite(last):
            return False
        self._memory = {"was_above": self._memory["was_above"] or last > self.rate, "last": last}
        return self._memory["was_above"] and last <= self.rate

    def explain(self) -> str:
        return f"the learning rate is {_shown(self._memory['last'])}, its floor {self.rate:g}"


class FlagFile(_AtAnyTime):
    """Fires when a file exists, so that a person can end a training from another shell.

    Args:
        path: The file; what it holds does not matter.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)

    def update(self, epoch: int, logs: Logs) -> bool:
        return os.path.exists(self.path)

    def explain(self) -> str:
        return f"the file {self.path} {'exists' if os.path.exists(self.path) else 'does not exist'}"


class NotBefore(Rule):
    """Holds a rule back in the first epochs; the rule takes in their metrics all the same.

    Args:
        epochs: The rule fires after this epoch at the earliest, at least 1.
        rule: The rule.
    """

    def __init__(self, epochs: int, rule: Rule) -> None:
        self.epochs = _count("epochs", epochs)
        self.rule = rule
        self.metrics = rule.metrics

    @property
    def name(self) -> str:
        return self.rule.name

    def start(self) -> None:
        self.rule.start()

    def update(self, epoch: int, logs: Logs) -> bool:
        return self.rule.update(epoch, logs) and epoch >= self.epochs

    def within(self, epoch: int, logs: Logs) -> bool:
        return self.rule.within(epoch, logs) and epoch > self.epochs

    def explain(self) -> str:
        return self.rule.explain()

    def get_state(self) -> dict[str, Any]:
        return self.rule.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.rule.set_state(state)


class _Combined(Rule):
    def __init__(self, rules: tuple[Rule, ...]) -> None:
        if not rules:
            raise ValueError("A combination needs at least one rule.")
        self.rules = rules
        self.metrics = tuple(dict.fromkeys(name for rule in rules for name in rule.metrics))
        self._fired: list[int] = []

    def update(self, epoch: int, logs: Logs) -> bool:
        self._fired = [index for index, rule in enumerate(self.rules) if rule.update(epoch, logs)]
        return self._decide(len(self._fired))

    def within(self, epoch: int, logs: Logs) -> bool:
        fired = [index for index, rule in enumerate(self.rules) if rule.within(epoch, logs)]
        if decided := self._decide(len(fired)):
            self._fired = fired
        return decided

    def _decide(self, num_fired: int) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        for rule in self.rules:
            rule.start()

    def _speaking(self) -> list[Rule]:
        """The rules that fired, or all while none has."""
        return [self.rules[index] for index in self._fired] or list(self.rules)

    @property
    def name(self) -> str:
        return " and ".join(rule.name for rule in self._speaking())

    def explain(self) -> str:
        return " and ".join(rule.explain() for rule in self._speaking())

    def get_state(self) -> dict[str, Any]:
        return {"fired": self._fired, "rules": [rule.get_state() for rule in self.rules]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._fired = list(state["fired"])
        for rule, own in zip(self.rules, state["rules"], strict=True):
            rule.set_state(own)


class AnyOf(_Combined):
    """Fires when one of its rules does."""

    def _decide(self, num_fired: int) -> bool:
        return num_fired > 0


class AllOf(_Combined):
    """Fires when all of its rules do at the same moment; within an epoch, rules that judge whole epochs do not."""

    def _decide(self, num_fired: int) -> bool:
        return num_fired == len(self.rules)


def any_of(*rules: Rule) -> AnyOf:
    """A rule that fires when one of `rules` does; `a | b` is the same."""
    return AnyOf(rules)


def all_of(*rules: Rule) -> AllOf:
    """A rule that fires when all of `rules` do in the same epoch; `a & b` is the same."""
    return AllOf(rules)
