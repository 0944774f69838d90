"""How a network's variables are made, and when their first numbers are drawn: meanwhile, later, or never.

Drawing them and making their variables is more than half of what Keras takes to build a network. What waits here is
drawn by the variable's own initialiser, with the seed that it has from the start, so that the numbers are the same.

TensorFlow has an operation make each variable, with the variable's name as an attribute, for its messages, and prepares
a kernel for every new combination of attributes: 0.5 ms, where all else takes 0.2. Here the operation gets one name for
all, and the variable its own afterwards.
"""

import contextlib
import gc
import inspect
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras

Redraw = Callable[[keras.Variable], None]

# Numbers of a variable that another thread draws: a smaller one is drawn at once in less time than it takes to ask for
# it, and a larger one occupies all processors by itself.
LEAST, MOST = 1 << 15, 1 << 22

# What TensorFlow knows all variables by: a scope of its own, as the name ends in a slash.
_NAME = "Variable/"

_thread = threading.local()


@contextlib.contextmanager
def made_quickly() -> Iterator[None]:
    """In this context, and this thread, TensorFlow makes variables by one prepared kernel for all of a shape.

    Under a distribution strategy, in a graph and with another backend of Keras, nothing is done. Variable creators of a
    scope around this one see the name that all have.

    Example:
        >>> import tensorflow as tf
        >>> from zoo.drawing import made_quickly
        >>> with made_quickly(), tf.name_scope("body"):
        ...     variable = tf.Variable(1.0, name="scale")
        >>> variable.name
        'body/scale:0'
    """
    if not _makes_variables_eagerly():
        yield
        return
    import tensorflow as tf

    with tf.variable_creator_scope(_make):
        yield


def _makes_variables_eagerly() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.executing_eagerly() and not tf.distribute.has_strategy()


def _make(next_creator: Callable[..., Any], **options: Any) -> Any:
    """The variable that TensorFlow would have made, which gets its name afterwards."""
    import tensorflow as tf

    name, scope = options.get("name") or "Variable", tf.get_current_name_scope()
    if name.endswith("/") or not tf.executing_eagerly():
        return next_creator(**options)
    made = next_creator(**{**options, "name": _NAME})
    made._handle_name = made.handle._name = f"{scope}/{name}:0" if scope else f"{name}:0"
    return made


@contextlib.contextmanager
def undrawn() -> Iterator[Redraw]:
    """In this context, and this thread, Keras's floating-point variables start at zero instead of their initialiser.

    For a model that will receive weights from a file: drawing 138 million numbers for VGG-16 takes 20 times as long as
    the rest of its construction. TensorFlow asks the scopes of the current thread for each new variable
    (`tf.variable_creator_scope`); this one puts zeros in the place of the numbers and remembers how they would have
    been made. With another backend of Keras everything is drawn as ever.

    Yields:
        A function that gives one of these variables the value of its initialiser after all.

    Example:
        >>> import keras
        >>> from zoo.drawing import undrawn
        >>> layer = keras.layers.Dense(2)
        >>> with undrawn() as redraw:
        ...     layer.build((None, 3))
        >>> float(abs(layer.kernel.numpy()).max())
        0.0
        >>> redraw(layer.kernel)
        >>> bool(abs(layer.kernel.numpy()).max() > 0)
        True
    """
    if keras.backend.backend() != "tensorflow":
        yield lambda variable: None
        return
    import tensorflow as tf

    initials: dict[int, tuple[keras.Variable, Callable[[], Any]]] = {}

    def create(next_creator: Callable[..., Any], **options: Any) -> Any:
        initial: Any = options.get("initial_value")
        variable = _captured(initial, "self")
        if not isinstance(variable, keras.Variable) or "float" not in variable.dtype:
            return next_creator(**options)
        initials[id(variable)] = variable, initial
        return next_creator(**{**options, "initial_value": lambda: tf.zeros(variable.shape, variable.dtype)})

    def redraw(variable: keras.Variable) -> None:
        if id(variable) in initials:
            variable.assign(initials[id(variable)][1]())

    before = getattr(_thread, "is_undrawn", False)
    _thread.is_undrawn = True
    try:
        with made_quickly(), tf.variable_creator_scope(create):
            yield redraw
    finally:
        _thread.is_undrawn = before


@contextlib.contextmanager
def drawn_meanwhile() -> Iterator[None]:
    """In this context large kernels are drawn by another thread while this one goes on; after it all are there.

    Zeros and ones are made once for each shape; TensorFlow copies them when one of the variables changes. Python's
    garbage collector, which would look through all that was imported, waits. Within `undrawn`, under a distribution
    strategy, in a graph and with another backend of Keras than TensorFlow, nothing is done.

    Raises:
        Exception: What an initialiser raised.

    Example:
        >>> import keras
        >>> from zoo.drawing import drawn_meanwhile
        >>> layer = keras.layers.Dense(512)
        >>> with drawn_meanwhile():
        ...     layer.build((None, 512))
        >>> bool(abs(layer.kernel.numpy()).min() > 0)
        True
    """
    if getattr(_thread, "is_undrawn", False) or not _makes_variables_eagerly():
        yield
        return
    import tensorflow as tf

    constants: dict[tuple[type, tuple[int, ...], str], Any] = {}
    drawn: list[Future[None]] = []
    kinds = {keras.initializers.Zeros: tf.zeros, keras.initializers.Ones: tf.ones}

    def constant(kind: type, variable: keras.Variable) -> Any:
        key = kind, variable._shape, variable.dtype
        if key not in constants:
            constants[key] = kinds[kind](variable._shape, variable.dtype)
        return constants[key]

    def create(next_creator: Callable[..., Any], **options: Any) -> Any:
        initial: Any = options.get("initial_value")
        variable, initializer = _captured(initial, "self"), _captured(initial, "initializer")
        if not isinstance(variable, keras.Variable) or not isinstance(initializer, keras.initializers.Initializer):
            return next_creator(**options)
        if type(initializer) in kinds:
            return next_creator(**{**options, "initial_value": constant(type(initializer), variable)})
        if not LEAST <= math.prod(variable._shape) <= MOST:
            return next_creator(**options)
        empty = tf.raw_ops.Empty(shape=variable._shape, dtype=variable.dtype)
        made = next_creator(**{**options, "initial_value": empty})
        drawn.append(thread.submit(_draw, made, initial))
        return made

    was_collecting = gc.isenabled()
    gc.disable()
    try:
        with ThreadPoolExecutor(1, "zoo-drawing") as thread, made_quickly(), tf.variable_creator_scope(create):
            try:
                yield
            except BaseException:
                thread.shutdown(cancel_futures=True)
                raise
        for future in drawn:
            future.result()
    finally:
        if was_collecting:
            gc.enable()


def _draw(variable: Any, initial: Callable[[], Any]) -> None:
    import tensorflow as tf

    with tf.device(variable.device):
        variable.assign(initial(), read_value=False)


def _captured(function: Any, name: str) -> Any:
    """What a function has of that name from the function around it; None if it has not, or is none.

    Keras gives TensorFlow a function that knows the variable it is for, and no shape. Where a version of Keras does
    that in another way, everything is drawn as ever.
    """
    if not inspect.isfunction(function) or name not in function.__code__.co_freevars:
        return None
    return (function.__closure__ or ())[function.__code__.co_freevars.index(name)].cell_contents
