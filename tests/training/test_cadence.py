"""When a checkpoint is due, on made-up clocks."""

import pytest

from zoo.training.cadence import Cadence


def test_steps_count_from_the_last_that_was_due():
    cadence = Cadence(steps=3)
    assert [step for step in range(12) if cadence.due(step, 0.0)] == [3, 6, 9]


def test_minutes_count_in_seconds_of_the_clock():
    cadence = Cadence(minutes=1)
    assert [now for now in range(0, 200, 25) if cadence.due(1, float(now))] == [75, 150]


def test_never_due_without_steps_or_minutes():
    cadence = Cadence()
    assert not any(cadence.due(step, 1e6 * step) for step in range(5))


def test_refused_arguments():
    with pytest.raises(ValueError, match="steps must be at least 1, or None. Received: steps=0"):
        Cadence(steps=0)
    with pytest.raises(ValueError, match="minutes must be a finite number above 0, or None. Received: minutes=0"):
        Cadence(minutes=0)
