"""Courses of the learning rate, as Keras schedules, counted in steps or in epochs.

Keras has cosine, exponential, polynomial and piecewise-constant decay, each counted in steps. Recipes count in epochs,
warm up before any of them, and some change the rate only between epochs. Here a duration is a number of units, a unit
is `steps_per_epoch` steps, and by default that is one step; `every="epoch"` holds the rate within a unit.

The step is Keras's `optimizer.iterations`, which counts batches also where several are accumulated for one update.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

Every = Literal["step", "epoch"]


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """What the schedules share: a learning rate times a factor that depends on the time.

    Args:
        learning_rate: The rate that the factor multiplies, above 0.
        steps_per_epoch: Steps of a unit of time, at least 1; with 1 all durations are in steps.
        every: "step": the rate changes with every step; "epoch": only where a unit of time begins.
    """

    def __init__(self, learning_rate: float, *, steps_per_epoch: int = 1, every: Every = "step") -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0. Received: learning_rate={learning_rate}")
        if steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch must be at least 1. Received: steps_per_epoch={steps_per_epoch}")
        if every not in get_args(Every):
            raise ValueError(f'every must be "step" or "epoch". Received: every={every!r}')
        self.learning_rate = float(learning_rate)
        self.steps_per_epoch = int(steps_per_epoch)
        self.every = every

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step (0, 1, …), a float32 scalar."""
        time = ops.cast(step, "float32") / float(self.steps_per_epoch)
        return self.learning_rate * self.factor(ops.floor(time) if self.every == "epoch" else time)

    def factor(self, time: Any) -> Any:
        """What the learning rate is multiplied by.

        Args:
            time: Units of time since the start, a float32 scalar.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "learning_rate": self.learning_rate,
            "steps_per_epoch": self.steps_per_epoch,
            "every": self.every,
        }


@keras.saving.register_keras_serializable(package="zoo")
class Constant(Schedule):
    """The same rate all the time; with `WarmUp` a warm-up alone."""

    def factor(self, time: Any) -> Any:
        return ops.ones_like(time)


@keras.saving.register_keras_serializable(package="zoo")
class Cosine(Schedule):
    """Half a cosine from the learning rate down to `final` times that (Loshchilov & Hutter 2016, without restarts).

    Args:
        learning_rate: See `Schedule`.
        duration: Units of time from top to bottom, above 0; after them the rate stays.
        final: Last rate over the first, 0 to 1.
        **options: `steps_per_epoch` and `every`, see `Schedule`.

    Example:
        >>> schedule = Cosine(0.1, 10, steps_per_epoch=100)
        >>> [round(float(schedule(step)), 4) for step in (0, 500, 1000, 2000)]
        [0.1, 0.05, 0.0, 0.0]
    """

    def __init__(self, learning_rate: float, duration: float, *, final: float = 0.0, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.duration = _positive("duration", duration)
        self.final = _fraction("final", final)

    def factor(self, time: Any) -> Any:
        done = ops.minimum(time / self.duration, 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + ops.cos(math.pi * done))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "duration": self.duration, "final": self.final}


@keras.saving.register_keras_serializable(package="zoo")
class Polynomial(Schedule):
    """From the learning rate down to `final` times that by (1 - time/duration)**power; a line with the power 1.

    Args:
        learning_rate: See `Schedule`.
        duration: Units of time from top to bottom, above 0; after them the rate stays.
        power: Exponent, above 0.
        final: Last rate over the first, 0 to 1.
        hold: Units of time at the first rate, of those from top to bottom; 0 to below `duration`.
        **options: `steps_per_epoch` and `every`, see `Schedule`.
    """

    def __init__(
        self,
        learning_rate: float,
        duration: float,
        *,
        power: float = 1.0,
        final: float = 0.0,
        hold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.duration = _positive("duration", duration)
        self.power = _positive("power", power)
        self.final = _fraction("final", final)
        if not 0 <= hold < duration:
            raise ValueError(f"hold must be from 0 to below duration, {duration}. Received: hold={hold}")
        self.hold = float(hold)

    def factor(self, time: Any) -> Any:
        fallen = ops.maximum(time - self.hold, 0.0) / (self.duration - self.hold)
        return self.final + (1 - self.final) * (1 - ops.minimum(fallen, 1.0)) ** self.power

    def get_config(self) -> dict[str, Any]:
        own = {"duration": self.duration, "power": self.power, "final": self.final, "hold": self.hold}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="zoo")
class Exponential(Schedule):
    """The rate is multiplied by `decay` in every `period` units of time, smoothly or all at once.

    Args:
        learning_rate: See `Schedule`.
        decay: Factor of a period, above 0 and at most 1.
        period: Units of time of a period, above 0; it need not be whole, as in 2.4 epochs.
        staircase: Whether the rate stays within a period; `Step` has another name for that.
        **options: `steps_per_epoch` and `every`, see `Schedule`.
    """

    def __init__(
        self, learning_rate: float, *, decay: float, period: float = 1.0, staircase: bool = False, **options: Any
    ) -> None:
        super().__init__(learning_rate, **options)
        self.decay = _positive("decay", _fraction("decay", decay))
        self.period = _positive("period", period)
        self.staircase = bool(staircase)

    def factor(self, time: Any) -> Any:
        periods = time / self.period
        return self.decay ** (ops.floor(periods) if self.staircase else periods)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay, "period": self.period, "staircase": self.staircase}


@keras.saving.register_keras_serializable(package="zoo")
class MultiStep(Schedule):
    """The rate is multiplied by `decay` at each milestone, as "divided by 10 at half and at three quarters".

    Args:
        learning_rate: See `Schedule`.
        milestones: Units of time, rising.
        decay: Factor at each of them, above 0 and at most 1; or one factor of the first rate for each milestone.
        **options: `steps_per_epoch` and `every`, see `Schedule`.

    Example:
        >>> schedule = MultiStep(0.1, [30, 60], steps_per_epoch=10)
        >>> [round(float(schedule(step)), 4) for step in (299, 300, 600)]
        [0.1, 0.01, 0.001]
    """

    def __init__(
        self,
        learning_rate: float,
        milestones: Sequence[float],
        *,
        decay: float | Sequence[float] = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.milestones = [float(milestone) for milestone in milestones]
        if not self.milestones or self.milestones != sorted(set(self.milestones)) or self.milestones[0] <= 0:
            raise ValueError(f"milestones must be above 0 and rise. Received: milestones={list(milestones)}")
        several = isinstance(decay, Sequence)
        self.decay = [float(item) for item in decay] if isinstance(decay, Sequence) else float(decay)
        decays = self.decay if isinstance(self.decay, list) else [self.decay]
        if (several and len(decays) != len(self.milestones)) or not all(0 < item <= 1 for item in decays):
            raise ValueError(
                "decay must be above 0 and at most 1: one factor, or one for each milestone. "
                f"Received: decay={decay}, milestones={self.milestones}"
            )

    def factor(self, time: Any) -> Any:
        factor = ops.ones_like(time)
        for index, milestone in enumerate(self.milestones):
            after = self.decay[index] if isinstance(self.decay, list) else self.decay ** (index + 1)
            factor = ops.where(time >= milestone, after, factor)
        return factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "milestones": self.milestones, "decay": self.decay}


@keras.saving.register_keras_serializable(package="zoo")
class OneCycle(Schedule):
    """Up from `start` times the learning rate to it, and down to `final` times it (Smith & Topin 2017).

    Args:
        learning_rate: The highest rate.
        duration: Units of time up and down together, above 0; after them the rate stays.
        rise: Part of them that the rate rises for, above 0 and below 1.
        start: First rate over the highest, 0 to 1.
        final: Last rate over the highest, 0 to 1.
        shape: "cosine" or "linear", for both parts.
        **options: `steps_per_epoch` and `every`, see `Schedule`.
    """

    def __init__(
        self,
        learning_rate: float,
        duration: float,
        *,
        rise: float = 0.3,
        start: float = 0.04,
        final: float = 4e-6,
        shape: Literal["cosine", "linear"] = "cosine",
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.duration = _positive("duration", duration)
        if not 0 < rise < 1:
            raise ValueError(f"rise must be above 0 and below 1. Received: rise={rise}")
        if shape not in ("cosine", "linear"):
            raise ValueError(f'shape must be "cosine" or "linear". Received: shape={shape!r}')
        self.rise, self.shape = float(rise), shape
        self.start, self.final = _fraction("start", start), _fraction("final", final)

    def factor(self, time: Any) -> Any:
        top = self.rise * self.duration
        up = ops.minimum(time / top, 1.0)
        down = ops.clip((time - top) / (self.duration - top), 0.0, 1.0)
        if self.shape == "cosine":
            up, down = (0.5 * (1 - ops.cos(math.pi * part)) for part in (up, down))
        return ops.where(time < top, self.start + (1 - self.start) * up, 1 + (self.final - 1) * down)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "duration": self.duration,
            "rise": self.rise,
            "start": self.start,
            "final": self.final,
            "shape": self.shape,
        }


@keras.saving.register_keras_serializable(package="zoo")
class WarmUp(Schedule):
    """A line up to the first rate of another schedule, then that schedule.

    Args:
        schedule: What follows; its `steps_per_epoch` and `every` hold for the warm-up too.
        duration: Units of time that the line takes, above 0.
        start: First rate over the learning rate of `schedule`, 0 to 1.
        shift: Whether `schedule` begins where the warm-up ends, as in torchvision; otherwise its time runs from the
            first step on and the warm-up covers its beginning, as in timm and in Goyal et al. 2017.

    Example:
        >>> schedule = WarmUp(Cosine(0.1, 10, steps_per_epoch=100), 2, start=0.1)
        >>> [round(float(schedule(step)), 4) for step in (0, 100, 1000)]
        [0.01, 0.055, 0.0]
    """

    def __init__(
        self, schedule: Schedule | dict[str, Any], duration: float, *, start: float = 0.0, shift: bool = False
    ) -> None:
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        if not isinstance(schedule, Schedule):
            raise TypeError(f"schedule must be one of zoo.training's schedules. Received: {type(schedule).__name__}")
        super().__init__(
            schedule.learning_rate, steps_per_epoch=schedule.steps_per_epoch, every=schedule.every
        )  # fmt: skip
        self.schedule = schedule
        self.duration = _positive("duration", duration)
        self.start = _fraction("start", start)
        self.shift = bool(shift)

    def factor(self, time: Any) -> Any:
        later = self.schedule.factor(ops.maximum(time - self.duration, 0.0) if self.shift else time)
        return ops.where(time < self.duration, self.start + (1 - self.start) * time / self.duration, later)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "duration": self.duration,
            "start": self.start,
            "shift": self.shift,
        }


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be above 0. Received: {name}={value}")
    return float(value)


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1. Received: {name}={value}")
    return float(value)
