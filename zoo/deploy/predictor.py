"""A network compiled once, for any number of examples, from any number of threads."""

import functools
import itertools
import os
import queue
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from zoo.deploy import engines, quantised
from zoo.deploy.differences import by_name, flat, other_classes, relative_difference
from zoo.deploy.engines import Answer, Call
from zoo.deploy.exports import MANIFEST, Export, open_export, with_preprocessing
from zoo.deploy.graphs import fixed, input_of

if TYPE_CHECKING:
    from zoo.weights.preprocessing import Preprocessing

# Largest difference from Keras's own outputs, as a part of the largest of them, with which an engine may be chosen:
# in float32 what another order of sums makes of it in deep networks, in bfloat16 what 8 bits leave.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
# Largest part of the calibration examples that may get another class in int8, whose outputs are not near Keras's.
OTHER_CLASSES = 0.02

# Calls whose median `auto` compares, and the seconds after which it has seen enough of an engine.
CALLS, SECONDS = 9, 1.0


class Predictor:
    """Answers of a network, compiled once for each shape.

    Called on examples it answers at once; `submit` gathers examples of several threads into batches. Both may be
    called from any thread.

    Args:
        model: A built model with one input; a run folder, whose best weights are taken; or the folder of an export.
        engine: One of `zoo.deploy.engines.ENGINES`, or "auto": all installed ones that know the precision are compiled
            and compared with Keras on this model; of those that agree the fastest here is taken.
            An export has the engine of its file.
        precision: "float32", "bfloat16" for processors that multiply it faster, or "int8", with `calibrate`. Inputs
            and outputs stay float32. An export in int8 stays so.
        batch_sizes: The sizes of batch that are compiled. Calls of other sizes are made of them: split, and padded
            where that costs less.
        threads: Threads of the engine; None for as many as it takes by itself.
        max_delay_seconds: How long `submit` waits for further examples, from the first of a batch on.
        input_shape: Shape of an example, for a model whose own is not fixed and for `auto`; None for the model's own.
        calibrate: (n, …) for int8: examples in what the network takes, that set the ranges of its activations; some
            hundred. "auto" leaves out engines that give more than 2 % of them another class than Keras.
        include_preprocessing: Whether the scaling of pixels goes in front of the network, which then takes pictures of
            its size as uint8, 0…255: True for that of a run folder, or the `zoo.weights.Preprocessing` of the weights.

    Attributes:
        engine: Name of the engine.
        precision: As given, or "int8" of an export.
        why: Which engine, and why: a sentence.

    Raises:
        ValueError: The model, a size, the engine or the precision is not legal, or no engine's outputs are Keras's.

    Example:
        >>> import numpy as np, zoo
        >>> from zoo.deploy import Predictor
        >>> predictor = Predictor(zoo.create_model("lenet5"), engine="tensorflow", batch_sizes=(1, 4))
        >>> predictor(np.zeros((6, 32, 32, 1), "float32")).shape
        (6, 10)
        >>> predictor.submit(np.zeros((32, 32, 1), "float32")).result().shape
        (10,)
    """

    def __init__(
        self,
        model: keras.Model | str | Path,
        *,
        engine: str = "auto",
        precision: str = "float32",
        batch_sizes: Sequence[int] = (1, 16),
        threads: int | None = None,
        max_delay_seconds: float = 0.002,
        input_shape: tuple[int, ...] | None = None,
        calibrate: np.ndarray | None = None,
        include_preprocessing: "bool | Preprocessing" = False,
    ) -> None:
        self._batch_sizes = _checked(batch_sizes)
        _check_arithmetic(engine, precision, calibrate, _is_export(model))
        if not max_delay_seconds >= 0:
            raise ValueError(f"max_delay_seconds must be at least 0. Received: max_delay_seconds={max_delay_seconds!r}")
        source = _source(model, include_preprocessing)
        own, dtype = input_of(source) if isinstance(source, keras.Model) else source.input
        self._shape = tuple(input_shape or own)
        self._dtype = np.dtype(dtype)
        self._threads, self.precision, self._calibrate = threads, precision, calibrate
        if calibrate is not None:
            self._check(calibrate.shape[1:], calibrate.dtype, len(calibrate))
            self._shape = calibrate.shape[1:]
        self._lock = threading.Lock()
        self._calls: dict[tuple[int, ...], dict[int, Call]] = {}
        self._seconds: dict[tuple[int, ...], dict[int, float]] = {}
        self._requests = _Requests(self, max_delay_seconds)
        self._start: Callable[[int, tuple[int, ...]], Call]
        if isinstance(source, Export):
            self._take(source, engine)
        elif engine == "auto":
            self._choose(source)
            return
        else:
            self.engine, self.why = engine, f"{engine}, as asked for"
            self._start = self._starter(source, engine)
        if (shape := fixed(self._shape)) is not None:
            self._compiled(shape)

    def __call__(self, images: np.ndarray) -> Answer:
        """Answer for examples.

        Args:
            images: (n, …), n at least 1, in the shape and range that the network takes.

        Returns:
            The network's output (n, …), or a dict of them.

        Raises:
            ValueError: The examples have another shape than the network takes, or another type of number.
        """
        images = np.asarray(images)
        self._check(images.shape[1:], images.dtype, len(images) if images.ndim else 0)
        if images.dtype != self._dtype:
            images = images.astype(self._dtype)
        shape = images.shape[1:]
        calls = self._calls.get(shape) or self._compiled(shape)
        call = calls.get(len(images))
        if call is not None:
            with self._lock:
                return call(images)
        parts, start = [], 0
        for size in self._plan(shape, len(images)):
            part = images[start : start + size]
            missing = size - len(part)
            with self._lock:
                answer = calls[size](np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing else part)
            parts.append(_first(answer, len(part)) if missing else answer)
            start += size
        return _joined(parts)

    def submit(self, image: np.ndarray) -> "Future[Answer]":
        """Answer for one example, together with those that other threads submit meanwhile.

        Args:
            image: (…), one example without a batch.

        Returns:
            A future of the network's output without the batch, or of a dict of them.

        Raises:
            ValueError: The example has another shape than the network takes, or another type of number.
            RuntimeError: The predictor was closed.
        """
        image = np.asarray(image)
        self._check(image.shape, image.dtype, 1)
        return self._requests.add(image)

    def close(self) -> None:
        """Answer what was submitted, and take no more of it."""
        self._requests.close()

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, shape: tuple[int, ...], dtype: np.dtype, count: int) -> None:
        if len(shape) != len(self._shape) or any(
            own is not None and own != size for own, size in zip(self._shape, shape, strict=True)
        ):
            raise ValueError(f"The network takes examples of shape {self._shape}. Received: {shape}")
        if not count:
            raise ValueError(f"There must be at least one example. Received: shape {(count, *shape)}")
        if not np.can_cast(dtype, self._dtype, "same_kind") and dtype != np.uint8:
            raise ValueError(f"The network takes {self._dtype.name}. Received: {dtype.name}")

    def _compiled(self, shape: tuple[int, ...]) -> dict[int, Call]:
        """The calls for a shape of examples by their size of batch."""
        with self._lock:
            if shape not in self._calls:
                calls = {size: self._start(size, shape) for size in self._batch_sizes}
                blank = np.zeros(shape, self._dtype)
                self._seconds[shape] = {size: _measure(call, blank, size, 2) for size, call in calls.items()}
                self._calls[shape] = calls
            return self._calls[shape]

    def _plan(self, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
        seconds = tuple(self._seconds[shape].items())
        largest = max(self._batch_sizes)
        whole = max(count // largest - 1, 0)
        return (largest,) * whole + _cheapest(seconds, count - whole * largest)

    def _answer(self, calls: dict[int, Call], examples: np.ndarray) -> Answer:
        """What the largest size of batch answers for examples, the last one repeated to fill it."""
        size = max(calls)
        rows = np.minimum(np.arange(-(-len(examples) // size) * size), len(examples) - 1)
        parts = [calls[size](examples[rows[start : start + size]]) for start in range(0, len(rows), size)]
        return _first(_joined(parts), len(examples))

    def _starter(self, model: keras.Model, name: str) -> Callable[[int, tuple[int, ...]], Call]:
        if self._calibrate is not None:
            network = quantised.Quantised(model, name, self._calibrate)
            return lambda size, shape: network.compile(size, self._threads)
        prepared = engines.Prepared(model, engines.find(name, self.precision), self.precision)
        return lambda size, shape: prepared.compile(size, self._threads, shape)

    def _take(self, source: Export, engine: str) -> None:
        """Run an export in the engine of its file."""
        kind = source.format
        if engine not in ("auto", kind.engine):
            raise ValueError(f"{source.folder} is a file for {kind.engine}. Received: engine={engine!r}")
        engines.require_runtime(kind.engine)
        is_int8 = source.manifest["precision"] == "int8"
        if self.precision == "int8" and is_int8:
            self.precision = "float32"
        if self.precision != "float32" and (is_int8 or kind.engine != "openvino"):
            raise ValueError(
                f"{source.folder} holds {source.manifest['precision']} for {kind.engine}, which stays as it is. "
                f"Received: precision={self.precision!r}"
            )
        asked, threads = self.precision, self._threads
        self.engine, self.why = kind.engine, f"{kind.engine}, which runs the export's {kind.name}"
        self.precision = "int8" if is_int8 else asked
        self._start = lambda size, shape: source.start(asked, size, threads, shape)

    def _choose(self, model: keras.Model) -> None:
        """Compile for all engines, compare them with Keras, keep the fastest that agrees."""
        shape = fixed(self._shape)
        if shape is None:
            raise ValueError(
                "engine='auto' measures, for which the size of the input must be known. Received: shape "
                f"{self._shape}. Give input_shape, or name an engine."
            )
        examples = self._calibrate
        if examples is None:
            examples = example_inputs(model, max(self._batch_sizes), shape)
        examples = examples.astype(self._dtype)
        expected = flat(by_name(model, keras.tree.map_structure(np.asarray, model(examples, training=False))))
        agreeing: dict[str, tuple[dict[int, Call], dict[int, float], float, Any]] = {}
        others = []
        for name, engine in engines.ENGINES.items():
            if self.precision not in (*engine.precisions, *quantised.precisions(name)):
                others.append(f"{name} does not compute in {self.precision}")
                continue
            if not engine.is_installed:
                others.append(f"{name} is not installed")
                continue
            try:
                start = self._starter(model, name)
                calls = {size: start(size, shape) for size in self._batch_sizes}
                answer = self._answer(calls, examples)
            except Exception as error:  # an engine may lack an operation; it says so in a way of its own
                others.append(f"{name} cannot run it ({type(error).__name__}: {_first_line(error)})")
                continue
            difference, tolerance = relative_difference(flat(answer), expected), TOLERANCE.get(self.precision)
            if tolerance is not None and difference > tolerance:
                others.append(f"{name} answers otherwise than Keras (by {difference:.1e} of the largest output)")
                continue
            if tolerance is None and (part := other_classes(flat(answer), expected)) > OTHER_CLASSES:
                others.append(f"{name} gives {part:.1%} of the examples another class than Keras")
                continue
            seconds = {size: _measure(call, examples[0], size, CALLS) for size, call in calls.items()}
            agreeing[name] = calls, seconds, difference, start
        if not agreeing:
            raise ValueError(f"No engine runs {model.name!r} as Keras does: {'; '.join(others)}.")
        ranking = sorted(agreeing, key=lambda name: statistics.geometric_mean(agreeing[name][1].values()))
        self.engine = ranking[0]
        self._calls[shape], self._seconds[shape], _, self._start = agreeing[self.engine]
        measured = [f"{name} {_times(agreeing[name][1])} (differs by {agreeing[name][2]:.1e})" for name in ranking]
        self.why = f"{self.engine} is the fastest here in {self.precision}: {'; '.join(measured + others)}"


def example_inputs(model: keras.Model, count: int, shape: tuple[int, ...] | None = None, seed: int = 0) -> np.ndarray:
    """Random examples that a model can take: floats from -1 to 1, pixels, or numbers of words that it knows.

    Args:
        model: A built model with one input.
        count: Number of examples.
        shape: Shape of an example; None for the model's own.
        seed: Of the random numbers.

    Example:
        >>> import zoo
        >>> from zoo.deploy import example_inputs
        >>> example_inputs(zoo.create_model("lenet5"), 2).shape
        (2, 32, 32, 1)
    """
    own, dtype = input_of(model)
    known_shape = shape or fixed(own)
    if known_shape is None:
        raise ValueError(f"The size of the input must be known. Received: shape {own}. Give shape.")
    size = (count, *known_shape)
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        known = [
            getattr(layer, name)
            for layer in model._flatten_layers(include_self=False, recursive=True)
            for name in ("input_dim", "num_symbols", "num_tokens")
            if isinstance(getattr(layer, name, None), int)
        ]
        return rng.integers(0, 256 if dtype == "uint8" else min(known, default=2), size).astype(dtype)
    if any(hasattr(layer, "preprocessing") for layer in model.layers):
        return rng.uniform(0, 255, size).astype(dtype)
    return rng.uniform(-1, 1, size).astype(dtype)


class _Requests:
    """Single examples of many threads, gathered into batches by a thread of its own."""

    def __init__(self, predictor: Predictor, max_delay_seconds: float) -> None:
        self._predictor, self._max_delay = predictor, max_delay_seconds
        self._waiting: queue.SimpleQueue[tuple[np.ndarray, Future[Answer]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def add(self, image: np.ndarray) -> "Future[Answer]":
        future: Future[Answer] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The predictor was closed; it takes no more examples.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="zoo-predictor", daemon=True)
                self._thread.start()
            self._waiting.put((image, future))
        return future

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._waiting.put(None)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        largest = max(self._predictor._batch_sizes)
        while (first := self._waiting.get()) is not None:
            batch, until = [first], time.monotonic() + self._max_delay
            is_last = False
            while len(batch) < largest and not is_last:
                try:
                    item = self._waiting.get(timeout=max(until - time.monotonic(), 0))
                except queue.Empty:
                    break
                if item is None:
                    is_last = True
                else:
                    batch.append(item)
            self._answer(batch)
            if is_last:
                return

    def _answer(self, batch: list[tuple[np.ndarray, "Future[Answer]"]]) -> None:
        """Answer for a batch; examples of one shape at a time."""
        wanted = [item for item in batch if item[1].set_running_or_notify_cancel()]
        wanted.sort(key=lambda item: item[0].shape)
        for _, group in itertools.groupby(wanted, key=lambda item: item[0].shape):
            images, futures = zip(*group, strict=True)
            try:
                answer = self._predictor(np.stack(images))
            except BaseException as error:
                for future in futures:
                    future.set_exception(error)
                continue
            for index, future in enumerate(futures):
                future.set_result(_row(answer, index))


@functools.lru_cache(maxsize=4096)
def _cheapest(seconds: tuple[tuple[int, float], ...], count: int) -> tuple[int, ...]:
    """The batches that together hold `count` examples and take the least time; the largest first."""
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for total in range(1, count + 1):
        rests = [(size, cost, best[max(total - size, 0)]) for size, cost in seconds]
        best.append(min((cost + rest[0], (size, *rest[1])) for size, cost, rest in rests))
    return tuple(sorted(best[count][1], reverse=True))


def _measure(call: Call, example: np.ndarray, size: int, calls: int) -> float:
    """Median of the seconds of a call, the first of which is not counted."""
    batch = np.repeat(example[np.newaxis], size, 0)
    call(batch)
    times: list[float] = []
    while len(times) < calls and sum(times) < SECONDS:
        start = time.perf_counter()
        call(batch)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _times(seconds: dict[int, float]) -> str:
    return ", ".join(f"{1000 * value:.3g} ms at batch {size}" for size, value in seconds.items())


def _first(answer: Answer, count: int) -> Answer:
    return {name: value[:count] for name, value in answer.items()} if isinstance(answer, dict) else answer[:count]


def _row(answer: Answer, index: int) -> Answer:
    return {name: value[index] for name, value in answer.items()} if isinstance(answer, dict) else answer[index]


def _joined(parts: Sequence[Answer]) -> Answer:
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in first}
    return np.concatenate(parts)  # type: ignore[arg-type]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def _checked(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(batch_sizes) if isinstance(batch_sizes, Sequence) else ()
    if not sizes or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes):
        raise ValueError(f"batch_sizes must be whole numbers, at least 1. Received: batch_sizes={batch_sizes!r}")
    return tuple(sorted(set(sizes)))


def _check_arithmetic(engine: str, precision: str, calibrate: np.ndarray | None, is_export: bool) -> None:
    """Refuse an engine that lacks the precision or is not installed, before anything expensive."""
    if precision == "int8" and not is_export:
        if calibrate is None:
            raise ValueError(
                "precision='int8' needs examples, by which the ranges of the activations are set. Received: "
                "calibrate=None. Give calibrate=, or the path of an export in int8."
            )
        if engine != "auto":
            quantised.format_of(engine)
        return
    if calibrate is not None:
        raise ValueError(f"calibrate is for precision='int8' of a model. Received: precision={precision!r}")
    if engine != "auto" and not is_export:
        engines.find(engine, precision)
    elif precision not in engines.PRECISIONS and not (is_export and precision == "int8"):
        engines.find("tensorflow", precision)


def _is_export(path: Any) -> bool:
    return isinstance(path, (str, os.PathLike)) and (Path(path) / MANIFEST).is_file()


def _source(model: Any, include: "bool | Preprocessing") -> keras.Model | Export:
    """The network to run, behind its preprocessing if that shall be."""
    if not isinstance(model, (keras.Model, str, os.PathLike)):
        raise TypeError(f"model must be a Keras model, or the path of a run folder or an export. Received: {model!r}")
    if _is_export(model):
        opened = open_export(model)
        if include and not opened.manifest["preprocessing_inside"]:
            raise ValueError(f"{model} takes no pixels. Export again with the preprocessing inside.")
        return opened
    if not isinstance(model, keras.Model):
        from zoo import runs

        run = runs.open_run(model)
        model = run.model
        if include is True:
            if run.preprocessing is None:
                raise ValueError(f"{run.folder} takes no pictures. Leave include_preprocessing out.")
            include = run.preprocessing
    if include is True:
        raise ValueError("A model does not say what its preprocessing is. Give include_preprocessing=Preprocessing(…).")
    return with_preprocessing(model, include) if include else model
