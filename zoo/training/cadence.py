"""When a checkpoint is due: after a number of steps, of minutes, or whichever comes first."""

import math


class Cadence:
    """Says when the next checkpoint is due; counts from the last one that was.

    The first call of `due` begins the count and is not due.

    Args:
        steps: Number of steps between two checkpoints, at least 1, or None.
        minutes: Minutes between two checkpoints, above 0, or None. With neither, none is ever due.

    Example:
        >>> cadence = Cadence(steps=100, minutes=10)
        >>> cadence.due(0, 0.0), cadence.due(100, 5.0), cadence.due(150, 605.0), cadence.due(200, 610.0)
        (False, True, True, False)
    """

    def __init__(self, steps: int | None = None, minutes: float | None = None) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"steps must be at least 1, or None. Received: steps={steps}")
        if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
            raise ValueError(f"minutes must be a finite number above 0, or None. Received: minutes={minutes}")
        self.steps = steps
        self.minutes = minutes
        self._last: tuple[int, float] | None = None

    def due(self, step: int, now: float) -> bool:
        """Whether a checkpoint is due at `step`; `now` is in seconds of a clock that never goes back."""
        if self._last is None:
            self._last = step, now
            return False
        by_steps = self.steps is not None and step - self._last[0] >= self.steps
        by_time = self.minutes is not None and now - self._last[1] >= 60 * self.minutes
        if by_steps or by_time:
            self._last = step, now
        return by_steps or by_time
