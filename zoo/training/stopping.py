"""Rules that end a training: small objects without a clock of their own, fed with one dict of metrics an epoch.

    rule = any_of(Patience("val_loss", patience=10), TimeBudget(seconds=3600), NonFinite())

A rule can be tested on a list of numbers, saved and restored in mid-training (`get_state`, `set_state`), and says why
it fired (`explain`). `zoo.training.StopTraining` is the callback that runs one, in the Trainer and in `model.fit`.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

Logs = Mapping[str, float]
Mode = Literal["auto", "min", "max"]

# Metrics of which more is better, by the end of their name; of all others less is better.
_RISING = ("accuracy", "acc", "auc", "precision", "recall", "f1_score", "iou", "r2_score", "cosine_similarity")


def direction(metric: str, mode: Mode = "auto") -> Literal["min", "max"]:
    """Whether less ("min") or more ("max") of a metric is better; "auto" goes by its name."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be 'auto', 'min' or 'max'. Received: mode={mode!r}")
    if mode != "auto":
        return mode
    return "max" if metric.endswith(_RISING) else "min"


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
    """Fires when a metric reaches a value.

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
        self._last = float(logs[self.metrics[0]])
        return self._last <= self.value if self.mode == "min" else self._last >= self.value

    def explain(self) -> str:
        side = "at most" if self.mode == "min" else "at least"
        last = "unknown" if self._last is None else f"{self._last:.6g}"
        return f"{self.metrics[0]} is {last}, the target is {side} {self.value:g}"

    def get_state(self) -> dict[str, Any]:
        return {"last": self._last}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._last = state["last"]


class NonFinite(Rule):
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
    """Fires after the first epoch at whose end the training has taken a given time.

    Counts from the first call of `start` or `update`; time before a restored state counts too.

    Args:
        seconds: The budget, above 0.
        clock: Function that returns seconds and never goes back.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds must be above 0. Received: seconds={seconds}")
        self.seconds = seconds
        self._clock = clock
        self._before = 0.0
        self._started: float | None = None

    def start(self) -> None:
        if self._started is None:
            self._started = self._clock()

    def _elapsed(self) -> float:
        return self._before + (0.0 if self._started is None else self._clock() - self._started)

    def update(self, epoch: int, logs: Logs) -> bool:
        self.start()
        return self._elapsed() >= self.seconds

    def explain(self) -> str:
        return f"training has taken {self._elapsed():.1f} s of a budget of {self.seconds:g} s"

    def get_state(self) -> dict[str, Any]:
        return {"elapsed": self._elapsed()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._before, self._started = state["elapsed"], None


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
    """Fires when all of its rules do in the same epoch."""

    def _decide(self, num_fired: int) -> bool:
        return num_fired == len(self.rules)


def any_of(*rules: Rule) -> AnyOf:
    """A rule that fires when one of `rules` does; `a | b` is the same."""
    return AnyOf(rules)


def all_of(*rules: Rule) -> AllOf:
    """A rule that fires when all of `rules` do in the same epoch; `a & b` is the same."""
    return AllOf(rules)
