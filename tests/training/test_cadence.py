"""When a checkpoint is due, on made-up clocks."""

import pytest

from zoo.training.cadence import Cadence


def due_at(cadence, moments):
    """The moments (step, now) that are due, each answered by a checkpoint."""
    found = []
    for step, now in moments:
        if cadence.is_due(step, now):
            cadence.count_from(step, now)
            found.append((step, now))
    return found


def test_steps_count_from_the_last_checkpoint():
    steps = [(step, 0.0) for step in range(12)]
    assert due_at(Cadence(save_steps=3), steps) == [(3, 0.0), (6, 0.0), (9, 0.0)]


def test_minutes_count_in_seconds_of_the_clock():
    cadence = Cadence(save_minutes=1)
    cadence.count_from(0, 1000.0)
    assert due_at(cadence, [(1, 1000.0 + now) for now in range(0, 200, 25)]) == [(1, 1075.0), (1, 1150.0)]


def test_never_due_without_steps_or_minutes():
    assert not due_at(Cadence(), [(step, 1e6 * step) for step in range(5)])


def test_refused_arguments():
    with pytest.raises(ValueError, match="save_steps must be a finite number above 0, or None. Received: save_steps=0"):
        Cadence(save_steps=0)
    with pytest.raises(ValueError, match="save_minutes must be a finite number above 0, or None. Received: .*=nan"):
        Cadence(save_minutes=float("nan"))
