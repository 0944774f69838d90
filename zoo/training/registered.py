"""Gradients that TensorFlow registers while a graph is traced, and would keep for good.

Each call of a function with `tf.custom_gradient` in a graph, as in a SiLU or in a sum over the replicas, enters a
gradient of its own into a registry of the process. It refers to its tensors and so to the whole graph: some megabytes
of each network that is trained in one process, one after the other. They have names like "CustomGradient-1234", and
nothing of TensorFlow's takes them out again.
"""

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

from tensorflow.python.framework import ops

_PREFIX = "CustomGradient-"


def names() -> set[str]:
    """The names of the gradients of functions that are registered now."""
    return {name for name in ops.gradient_registry.list() if name.startswith(_PREFIX)}


def forget(known: set[str]) -> None:
    """Take gradients out of the registry; graphs that have been traced with them can no more be differentiated."""
    for name in known:
        ops.gradient_registry._registry.pop(name, None)


class Registered:
    """The gradients that belong to an object's graphs; they go when it goes.

    Args:
        owner: Who traces the graphs and differentiates them alone.
    """

    def __init__(self, owner: Any) -> None:
        self._names: set[str] = set()
        weakref.finalize(owner, forget, self._names).atexit = False

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """While one of the owner's graphs is traced."""
        before = names()
        try:
            yield
        finally:
            self._names |= names() - before
