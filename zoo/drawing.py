"""How a network's variables are made, and how and when their first numbers are drawn: meanwhile, later, or never.

Drawing them and making their variables is more than half of what Keras takes to build a network. What waits here is
drawn by the variable's own initialiser, with the seed that it has from the start, so that the numbers are the same.

TensorFlow draws a normal distribution one pair of numbers after another. `Normal` takes the same random bits from it,
and makes normal numbers of them (Box and Muller 1958) with NumPy's vectorised functions, in half of the time.
"""

import contextlib
import functools
import gc
import inspect
import math
import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from zoo.quickly import is_eager, made_quickly

Redraw = Callable[[keras.Variable], None]

# Numbers of a variable that is not drawn at once: a smaller one is drawn in less time than it takes to ask for it.
LEAST = 1 << 15

# Of a larger one, TensorFlow's random bits are not kept until all layers stand, but drawn piece by piece afterwards.
MOST = 1 << 22

# Numbers that one call of TensorFlow makes random bits for, and those of them that a processor's second cache holds.
_PIECE, _CACHED = 1 << 20, 1 << 17

_thread = threading.local()


class Normal:
    """Normal numbers of mean 0 for a kernel: what TensorFlow draws for Keras on a CPU, to the last bits of float32.

    Args:
        shape: Shape of the kernel.
        deviation: Standard deviation of the numbers.
        seed: Seed of the initialiser, at least 0.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from zoo.drawing import Normal
        >>> expected = keras.random.normal((3, 3, 64, 64), stddev=0.1, seed=7)
        >>> kernel = Normal((3, 3, 64, 64), 0.1, seed=7)
        >>> for piece in kernel.pieces():
        ...     piece()
        >>> bool(np.abs(kernel.tensor().numpy() - expected.numpy()).max() < 1e-6)
        True
    """

    def __init__(self, shape: tuple[int, ...], deviation: float, seed: int) -> None:
        import tensorflow as tf

        self._shape, self._size, self._variance = shape, math.prod(shape), deviation**2
        # Four numbers come of each count of the generator; a last one that is not full is drawn whole.
        self._numbers = _room(-(-self._size // 4) * 4)
        seeds = np.array([seed % (2**31 - 2), 0], "int32")
        self._key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seeds)
        self._counter = int.from_bytes(counter.numpy().tobytes(), "little")
        self._uniform: np.ndarray | None = None

    def draw_uniform(self) -> None:
        """The random bits of all numbers by one call, without Python's lock: the greater part of the work."""
        self._uniform = self._uniform_between(0, len(self._numbers))

    def pieces(self) -> list[Callable[[], None]]:
        """What fills the numbers, in any order and by any threads."""
        return [functools.partial(self._fill, begin) for begin in range(0, len(self._numbers), _PIECE)]

    def tensor(self) -> Any:
        """The numbers as float32 of the kernel's shape, in the memory that the pieces have filled."""
        return _tensor(self._numbers[: self._size].reshape(self._shape))

    def _uniform_between(self, begin: int, end: int) -> np.ndarray:
        import tensorflow as tf

        counter = ((self._counter + begin // 4) % 2**128).to_bytes(16, "little")
        return tf.raw_ops.StatelessRandomUniformV2(
            shape=[end - begin], key=self._key, counter=np.frombuffer(counter, "uint64"), alg=1, dtype=tf.float32
        ).numpy()

    def _fill(self, begin: int) -> None:
        end = min(begin + _PIECE, len(self._numbers))
        uniform = self._uniform_between(begin, end) if self._uniform is None else self._uniform[begin:end]
        for start in range(0, end - begin, _CACHED):
            _make_normal(uniform[start : start + _CACHED], self._variance, self._numbers[begin + start : end][:_CACHED])


def _make_normal(uniform: np.ndarray, variance: float, out: np.ndarray) -> None:
    radius = np.maximum(uniform[::2], np.float32(1e-7))
    np.log(radius, out=radius)
    radius *= np.float32(-2 * variance)
    np.sqrt(radius, out=radius)
    angle = uniform[1::2] * np.float32(2 * math.pi)
    np.multiply(np.sin(angle), radius, out=out[::2])
    np.multiply(np.cos(angle), radius, out=out[1::2])


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
    zeros = _Zeros()

    def create(next_creator: Callable[..., Any], **options: Any) -> Any:
        initial: Any = options.get("initial_value")
        variable = _captured(initial, "self")
        if not isinstance(variable, keras.Variable) or "float" not in variable.dtype:
            return next_creator(**options)
        initials[id(variable)] = variable, initial
        if not is_eager() or tf.distribute.has_strategy():
            return next_creator(**{**options, "initial_value": lambda: tf.zeros(variable.shape, variable.dtype)})
        return next_creator(**{**options, "initial_value": zeros.of(tuple(variable.shape), variable.dtype)})

    def redraw(variable: keras.Variable) -> None:
        if id(variable) in initials:
            variable.assign(_drawn(initials[id(variable)][1]))

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
    garbage collector, which would look through all that was imported, waits. Under a distribution strategy each kernel
    gets its numbers, the same ones, when it is made. Within `undrawn`, in a graph and with another backend of Keras
    than TensorFlow, nothing is done.

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
    if getattr(_thread, "is_undrawn", False) or not is_eager():
        yield
        return
    import tensorflow as tf

    def create_at_once(next_creator: Callable[..., Any], **options: Any) -> Any:
        initial: Any = options.get("initial_value")
        return next_creator(**{**options, "initial_value": lambda: _drawn(initial)} if callable(initial) else options)

    if tf.distribute.has_strategy():
        with tf.variable_creator_scope(create_at_once):
            yield
        return
    constants: dict[tuple[type, tuple[int, ...], str], Any] = {}
    drawn: list[Future[None]] = []
    uniform: list[Future[None]] = []
    normal: list[tuple[Any, Normal]] = []
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
        numbers, size = _normal(initial), math.prod(variable._shape)
        if size < LEAST or (size > MOST and numbers is None):
            return next_creator(**options)
        empty = tf.raw_ops.Empty(shape=variable._shape, dtype=variable.dtype)
        made = next_creator(**{**options, "initial_value": empty})
        if numbers is None:
            drawn.append(thread.submit(_draw, made, initial))
        else:
            normal.append((made, numbers))
            if size <= MOST:
                uniform.append(thread.submit(numbers.draw_uniform))
        return made

    with made_quickly(), uncollected():
        with ThreadPoolExecutor(1, "zoo-drawing") as thread, tf.variable_creator_scope(create):
            try:
                yield
            except BaseException:
                thread.shutdown(cancel_futures=True)
                raise
            # What has not begun is drawn by all processors now.
            for bits in uniform:
                bits.cancel()
        for future in drawn:
            future.result()
        _fill([numbers for _, numbers in normal])
        for made, numbers in normal:
            made.assign(numbers.tensor(), read_value=False)


def give(variable: keras.Variable, numbers: np.ndarray) -> None:
    """Do what `variable.assign(numbers)` does, by one copy of a large array where Keras and TensorFlow make three.

    Args:
        variable: Any variable of a built layer.
        numbers: Numbers of its shape; those of another dtype are cast.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from zoo.drawing import give
        >>> kernel = keras.Variable(np.zeros((256, 256), "float32"))
        >>> give(kernel, np.ones((256, 256)))
        >>> float(keras.ops.mean(kernel))
        1.0
    """
    if not is_eager() or variable.dtype != "float32" or numbers.size < LEAST or numbers.shape != tuple(variable.shape):
        variable.assign(numbers)
        return
    import tensorflow as tf

    value = variable.value
    if isinstance(value, tf.distribute.DistributedValues) or "CPU" not in value.device:
        variable.assign(numbers)
        return
    room = _room(numbers.size).reshape(numbers.shape)
    room[...] = numbers
    value.assign(_tensor(room), read_value=False)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """In this context Python's garbage collector waits."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()


class _Zeros:
    """Zeros to begin with: small ones are made once for each shape, large ones take no memory until they are used."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[int, ...], str], Any] = {}

    def of(self, shape: tuple[int, ...], dtype: str) -> Any:
        import tensorflow as tf

        if dtype == "float32" and math.prod(shape) >= LEAST:
            return _tensor(_room(math.prod(shape)).reshape(shape))
        if (shape, dtype) not in self._known:
            self._known[shape, dtype] = tf.zeros(shape, dtype)
        return self._known[shape, dtype]


def _draw(variable: Any, initial: Callable[[], Any]) -> None:
    import tensorflow as tf

    with tf.device(variable.device):
        variable.assign(initial(), read_value=False)


def _drawn(initial: Callable[[], Any]) -> Any:
    """What a variable begins with."""
    numbers = _normal(initial)
    if numbers is None:
        return initial()
    _fill([numbers])
    return numbers.tensor()


def _normal(initial: Callable[[], Any]) -> Normal | None:
    """The numbers of a large kernel whose initialiser is `zoo.layers.he_normal`'s; None for all else, and on a GPU."""
    import tensorflow as tf

    variable, initializer = _captured(initial, "self"), _captured(initial, "initializer")
    if type(initializer) is not keras.initializers.VarianceScaling or not isinstance(variable, keras.Variable):
        return None
    shape = tuple(variable._shape)
    if (
        initializer.distribution != "untruncated_normal"
        or initializer.mode == "fan_avg"
        or initializer.input_axes is not None
        or not isinstance(initializer.seed, int)
        or variable.dtype != "float32"
        or math.prod(shape) < LEAST
        or len(shape) < 2
        or tf.config.list_logical_devices("GPU")
    ):
        return None
    fan = math.prod(shape[:-2]) * shape[-2 if initializer.mode == "fan_in" else -1]
    return Normal(shape, math.sqrt(initializer.scale / fan), initializer.seed)


def _fill(kernels: Sequence[Normal]) -> None:
    """Draws all numbers of these kernels, on all processors."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8), "zoo-drawing") as threads:
        for done in [threads.submit(piece) for kernel in kernels for piece in kernel.pieces()]:
            done.result()


def _room(size: int) -> np.ndarray:
    """Room for so many float32 that begins at a page, as TensorFlow's kernels want at least a multiple of 64 bytes.

    NumPy asks for huge pages, which the system may take longer to find than all else here takes.
    """
    own = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    return np.frombuffer(mmap.mmap(-1, 4 * size, **own), "float32")


def _tensor(array: np.ndarray) -> Any:
    """TensorFlow's tensor in the memory of an array that begins at a multiple of 64 bytes."""
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _captured(function: Any, name: str) -> Any:
    """What a function has of that name from the function around it; None if it has not, or is none.

    Keras gives TensorFlow a function that knows the variable it is for, and no shape. Where a version of Keras does
    that in another way, everything is drawn as ever.
    """
    if not inspect.isfunction(function) or name not in function.__code__.co_freevars:
        return None
    return (function.__closure__ or ())[function.__code__.co_freevars.index(name)].cell_contents
