"""Signals that ask a training to end: it saves first."""

import signal
import threading
from types import FrameType
from typing import Any


class Interruption(SystemExit):
    """A signal has ended the training, whose state is saved; the exit code is 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class Signals:
    """Notes SIGTERM and SIGINT while it is entered; the second SIGINT has its usual effect at once.

    Attributes:
        received: Number of the signal that came, 0 while none has.

    Args:
        enabled: Whether to do anything; signals reach the main thread only, so in another nothing is done either.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.received = 0
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._old: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if self._enabled:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        # A second one ends the process whatever it is doing, also inside a kernel: that is the system's own handler.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
