"""Signals that ask a training to end: it saves first."""

import contextlib
import signal
from types import FrameType

from zoo.signals import handled


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
        enabled: Whether to do anything; in a thread that is not the main one nothing is done either.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.received = 0
        self._handling = handled(self._note) if enabled else contextlib.nullcontext()

    def __enter__(self) -> "Signals":
        self._handling.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._handling.__exit__(None, None, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        # A second one ends the process whatever it is doing, also inside a kernel: that is the system's own handler.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
