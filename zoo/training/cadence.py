"""When a checkpoint is due: after a number of steps, of minutes, or whichever comes first."""

import math


class Cadence:
    """Says whether a checkpoint is due, counted from the last attempt to write one.

    Args:
        save_steps: Steps between two checkpoints, above 0, or None.
        save_minutes: Minutes between two checkpoints, above 0, or None. With neither, none is ever due.

    Raises:
        ValueError: One of them is not above 0, or not finite.

    Example:
        >>> cadence = Cadence(save_steps=100, save_minutes=10)
        >>> [cadence.is_due(step, now) for step, now in ((99, 5.0), (100, 5.0), (50, 600.0))]
        [False, True, True]
        >>> cadence.count_from(100, 5.0)
        >>> cadence.is_due(101, 6.0)
        False
    """

    def __init__(self, save_steps: int | None = None, save_minutes: float | None = None) -> None:
        for name, value in (("save_steps", save_steps), ("save_minutes", save_minutes)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a finite number above 0, or None. Received: {name}={value}")
        self._steps = save_steps
        self._seconds = None if save_minutes is None else 60 * save_minutes
        self.count_from(0, 0.0)

    def count_from(self, step: int, now: float) -> None:
        """Begin to count at `step`; `now` is in seconds of a clock that never goes back."""
        self._step, self._time = step, now

    def is_due(self, step: int, now: float) -> bool:
        """Whether steps or minutes have passed since."""
        if self._steps is not None and step - self._step >= self._steps:
            return True
        return self._seconds is not None and now - self._time >= self._seconds
