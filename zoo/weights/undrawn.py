"""A model that will receive weights from a file need not draw random ones first.

Drawing 138 million numbers for VGG-16 takes 20 times as long as the rest of its construction.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras

Redraw = Callable[[keras.Variable], None]


@contextlib.contextmanager
def undrawn() -> Iterator[Redraw]:
    """In this context, and this thread, Keras's floating-point variables start at zero instead of their initialiser.

    TensorFlow asks the scopes of the current thread for each new variable (`tf.variable_creator_scope`); this one puts
    zeros in the place of the numbers and remembers how they would have been made. With another backend of Keras
    everything is drawn as ever.

    Yields:
        A function that gives one of these variables the value of its initialiser after all.

    Example:
        >>> import keras
        >>> from zoo.weights.undrawn import undrawn
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
        initial = options.get("initial_value")
        variable = _of(initial)
        if variable is None or initial is None or "float" not in variable.dtype:
            return next_creator(**options)
        initials[id(variable)] = variable, initial
        return next_creator(**{**options, "initial_value": lambda: tf.zeros(variable.shape, variable.dtype)})

    def redraw(variable: keras.Variable) -> None:
        if id(variable) in initials:
            variable.assign(initials[id(variable)][1]())

    with tf.variable_creator_scope(create):
        yield redraw


def _of(initial: Any) -> keras.Variable | None:
    """The Keras variable that an initial value is for: TensorFlow is given a function that knows it, and no shape.

    None if a version of Keras does that in another way; the variable is then drawn as ever.
    """
    if not inspect.isfunction(initial):
        return None
    owner = inspect.getclosurevars(initial).nonlocals.get("self")
    return owner if isinstance(owner, keras.Variable) else None
