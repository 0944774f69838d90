"""What makes Keras and TensorFlow slow at making layers and variables is switched off while they are made.

Outside of graphs TensorFlow wraps every new combination of an operation, its attributes and the shapes of its variables
in a function, and optimises that: 0.5 ms, twice for each shape of a variable, where the kernel alone takes 0.03. Keras
looks into everything that a layer gets as an attribute for variables, and asks Python for the signatures of the same
few methods again for each layer.
"""

import contextlib
import inspect
import sys
import threading
import types
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras

# What an attribute can be without variables in it.
_PLAIN = frozenset((bool, int, float, str, type(None)))

# Where Keras asks for signatures when it makes a layer.
_ASKING = "keras.src.layers.layer", "keras.src.ops.operation"


def is_eager() -> bool:
    """Whether Keras's variables are TensorFlow's, and made outside of a graph."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.executing_eagerly()


def made_quickly() -> AbstractContextManager[None]:
    """In this context layers and variables are made quickly; they are the same.

    TensorFlow runs operations outside of graphs by their kernels alone; Keras takes numbers, strings and None as
    attributes of layers without looking for variables in them, and gets a method's signature once. These are switches
    of the whole process: what other threads do in the meantime is done so as well, where a softmax outside of a graph
    may differ in its last bit, as oneDNN's kernel is not taken. Under a distribution strategy, in a graph and with
    another backend of Keras, nothing is switched.

    Example:
        >>> import keras
        >>> from zoo.quickly import made_quickly
        >>> with made_quickly():
        ...     layer = keras.layers.BatchNormalization(name="norm")
        ...     layer.build((None, 8))
        >>> [variable.path for variable in layer.weights][:2]
        ['norm/gamma', 'norm/beta']
    """
    if not is_eager():
        return contextlib.nullcontext()
    import tensorflow as tf

    return contextlib.nullcontext() if tf.distribute.has_strategy() else _switches


class _Switches(AbstractContextManager[None]):
    """They are off while one thread or more is inside."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                with contextlib.ExitStack() as undo:
                    for switch in (_switch_wrapping, _switch_tracking, _switch_asking):
                        undo.callback(switch())
                    self._undo = undo.pop_all()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._undo.close()


_switches = _Switches()


def _switch_wrapping() -> Callable[[], None]:
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.eager import context

    def wrap(wraps: bool) -> None:
        if hasattr(pywrap_tfe, "TFE_ContextSetRunEagerOpAsFunction"):
            context.ensure_initialized()
            pywrap_tfe.TFE_ContextSetRunEagerOpAsFunction(context.context()._handle, wraps)

    wrap(False)
    return lambda: wrap(True)


def _switch_tracking() -> Callable[[], None]:
    set_attribute = keras.Layer.__setattr__

    def set_quickly(layer: keras.Layer, name: str, value: Any) -> None:
        # What the class has of that name may be a property, and TensorFlow sets none to what it is.
        if type(value) in _PLAIN and "_tracker" in layer.__dict__ and not hasattr(type(layer), name):
            object.__setattr__(layer, name, value)
        else:
            set_attribute(layer, name, value)

    keras.Layer.__setattr__ = set_quickly
    return lambda: setattr(keras.Layer, "__setattr__", set_attribute)


def _switch_asking() -> Callable[[], None]:
    once = _Once()
    modules = [sys.modules[name] for name in _ASKING if getattr(sys.modules.get(name), "inspect", None) is inspect]

    def ask(whom: Any) -> None:
        for module in modules:
            vars(module)["inspect"] = whom

    ask(once)
    return lambda: ask(inspect)


class _Once:
    """Python's module `inspect`, which looks at each method of a class once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Callable[..., Any], Any, bool], Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)

    def signature(self, function: Callable[..., Any]) -> inspect.Signature:
        return self._of(function, inspect.signature)

    def getfullargspec(self, function: Callable[..., Any]) -> inspect.FullArgSpec:
        return self._of(function, inspect.getfullargspec)

    def _of(self, function: Callable[..., Any], look: Callable[[Any], Any]) -> Any:
        # A function on its own may be one layer's; what has been bound belongs to its class.
        bound = isinstance(function, types.MethodType)
        if not bound and getattr(function, "__name__", None) != "__init__":
            return look(function)
        key = getattr(function, "__func__", function), look, bound
        if key not in self._known:
            self._known[key] = look(function)
        return self._known[key]
