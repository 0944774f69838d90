"""Who hears SIGTERM and SIGINT for a while."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Give SIGTERM and SIGINT to a handler, and back to whoever had them.

    Python lets the main thread alone do that; in another nothing is done.

    Args:
        handler: Called in the main thread with the signal's number, between two instructions of Python.
    """
    here = threading.current_thread() is threading.main_thread()
    old = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT) if here}
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
