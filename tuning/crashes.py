"""Trials that take their process with them: noted by the next session, counted, given up in the end."""

import contextlib
import faulthandler
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tuning.records import FAILED

CRASH = "crash.txt"

# A trial in which the process crashes so often, without an epoch in between, would crash for ever.
MOST_CRASHES = 3


class Crashes:
    """How often the process has crashed in each trial without an epoch in between."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def count(self, trial_id: str, epochs: int) -> None:
        """One more crash in a trial, after so many epochs."""
        times, before = self._counts.get(trial_id, (0, -1))
        self._counts[trial_id] = (times + 1 if epochs == before else 1, epochs)

    def outcome(self, trial_id: str) -> dict[str, Any] | None:
        """What came of a trial that has crashed too often; None for one that may go on."""
        times, epochs = self._counts.get(trial_id, (0, 0))
        if times < MOST_CRASHES:
            return None
        message = f"the process crashed {times} times in this trial, each time after {epochs} epochs"
        return {"status": FAILED, "epochs": epochs, "message": message}


@contextlib.contextmanager
def noted(folder: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Python writes where it was when a segmentation fault ends the process; the next session then knows of it.

    Who has that written elsewhere already, as pytest has, gets no note here.

    Args:
        folder: The folder of the search.
        note: Called first, with what has ended the last session, if that was a crash.
    """
    path = folder / CRASH
    if path.is_file() and path.stat().st_size:
        note(path.read_text(encoding="utf-8", errors="replace").partition("\n")[0])
    if faulthandler.is_enabled():
        yield
        return
    with open(path, "wb") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
    path.unlink()
