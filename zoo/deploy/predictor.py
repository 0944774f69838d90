"""A network compiled once, for any number of examples, from any number of threads."""

import functools
import itertools
import os
import queue
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.deploy import choices, engines, quantised
from zoo.deploy.differences import expected_of, flat, other_classes, relative_difference
from zoo.deploy.engines import Answer, Call
from zoo.deploy.exports import MANIFEST, Export, open_export, pixels_only, whole_pixels, with_preprocessing
from zoo.deploy.graphs import fixed, input_of
from zoo.weights.preprocessing import Preprocessing

# Largest difference from Keras's own outputs, as a part of the largest of them, with which an engine may be chosen:
# in float32 what another order of sums makes of it in deep networks, in bfloat16 what 8 bits leave.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
# Largest part of the calibration examples that may get another class in int8, whose outputs are not near Keras's.
OTHER_CLASSES = 0.02

# Shapes of examples that stay compiled; of further ones the one that was compiled first goes.
SHAPES = 8

# Calls whose median `auto` compares, those that show what a size of batch costs, and the seconds that are enough.
CALLS, FEW_CALLS, SECONDS = 9, 2, 1.0


class Predictor:
    """Answers of a network, compiled once for each shape.

    Called on examples it answers at once; `submit` gathers examples of several threads into batches. Both may be
    called from any thread.

    Args:
        model: A built model with one input; a run folder, whose best weights are taken; or the folder of an export.
        engine: One of `zoo.deploy.engines.ENGINES`, or "auto": all installed ones that know the precision are compiled
            and compared with Keras on this model; of those that agree the fastest here is taken, and remembered.
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
        resize: Whether that also resizes and crops. The predictor then takes what `zoo.weights.Preprocessing` does:
            pictures of any size, a batch of one size or a list of several, as arrays, files or PIL pictures. One
            TensorFlow graph for all sizes does it, to the bit as Pillow, and rounds to uint8. An export must have its
            preprocessing inside.
        remember: Whether "auto" takes the engine that it found the fastest before, for this network, these shapes and
            processors and versions of the engines, without measuring again, if it still answers as Keras does; see
            `zoo.deploy.choices`.

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
        include_preprocessing: bool | Preprocessing = False,
        resize: bool = False,
        remember: bool = True,
    ) -> None:
        self._batch_sizes = _checked(batch_sizes)
        _check_arithmetic(engine, precision, calibrate, _is_export(model))
        if not max_delay_seconds >= 0:
            raise ValueError(f"max_delay_seconds must be at least 0. Received: max_delay_seconds={max_delay_seconds!r}")
        engines.require_count("threads", threads)
        source, preprocessing = _source(model, include_preprocessing)
        self._resized = _resizing(preprocessing) if resize else None
        own, dtype = input_of(source) if isinstance(source, keras.Model) else source.input
        self._shape = tuple(input_shape or own)
        if preprocessing is not None and resize:
            self._shape = _with_size(self._shape, preprocessing)
        self._dtype = np.dtype(dtype)
        self._threads, self.precision, self._calibrate = threads, precision, calibrate
        if calibrate is not None:
            self._check(calibrate.shape[1:], calibrate.dtype, len(calibrate))
            self._shape = calibrate.shape[1:]
        self._lock, self._compiling = threading.Lock(), threading.Lock()
        self._calls: dict[tuple[int, ...], dict[int, Call]] = {}
        self._seconds: dict[tuple[int, ...], dict[int, float]] = {}
        self._requests = _Requests(self, max_delay_seconds)
        self._start: Callable[[int, tuple[int, ...]], Call]
        if isinstance(source, Export):
            self._take(source, engine)
        elif engine == "auto":
            self._choose(source, remember)
            return
        else:
            self.engine, self.why = engine, f"{engine}, as asked for"
            self._start = self._starter(source, engine)
        if (shape := fixed(self._shape)) is not None:
            self._compiled(shape)

    def __call__(self, images: Any) -> Answer:
        """Answer for examples.

        Args:
            images: (n, …), n at least 1, in the shape and range that the network takes. With `resize`, n pictures of
                any size, as `zoo.weights.Preprocessing` takes them.

        Returns:
            The network's output (n, …), or a dict of them.

        Raises:
            ValueError: The examples have another shape than the network takes, or another type of number.
        """
        if self._resized is not None:
            images = self._resized(images)
        return self._answer_to(np.asarray(images))

    def _answer_to(self, images: np.ndarray) -> Answer:
        """Answer for examples that have their size."""
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

    def submit(self, image: Any) -> "Future[Answer]":
        """Answer for one example, together with those that other threads submit meanwhile.

        Args:
            image: (…), one example without a batch; with `resize` one picture of any size, which the calling thread
                resizes.

        Returns:
            A future of the network's output without the batch, or of a dict of them.

        Raises:
            ValueError: The example has another shape than the network takes, or another type of number.
            RuntimeError: The predictor was closed.
        """
        image = np.asarray(image if self._resized is None else self._resized(image))
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
        # Larger whole numbers would wrap around in a byte; floats may lose digits.
        if not np.can_cast(dtype, self._dtype, "safe" if self._dtype.kind == "u" else "same_kind"):
            raise ValueError(f"The network takes {self._dtype.name}. Received: {dtype.name}")

    def _compiled(self, shape: tuple[int, ...]) -> dict[int, Call]:
        """The calls for a shape of examples by their size of batch."""
        with self._compiling:  # shapes that are known are answered meanwhile
            if shape not in self._calls:
                calls = {size: self._start(size, shape) for size in self._batch_sizes}
                blank = np.zeros(shape, self._dtype)
                with self._lock:
                    seconds = {size: _measure(call, blank, size, FEW_CALLS) for size, call in calls.items()}
                self._keep(shape, calls, seconds)
            return self._calls[shape]

    def _keep(self, shape: tuple[int, ...], calls: dict[int, Call], seconds: dict[int, float]) -> None:
        self._seconds[shape] = seconds
        self._calls[shape] = calls
        if len(self._calls) > SHAPES:
            del self._calls[next(iter(self._calls))]

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
        if self.precision != "float32" and (is_int8 or self.precision == "int8" or kind.engine != "openvino"):
            raise ValueError(
                f"{source.folder} holds {source.manifest['precision']} for {kind.engine}, which stays as it is. "
                f"Received: precision={self.precision!r}"
            )
        asked, threads = self.precision, self._threads
        self.engine, self.why = kind.engine, f"{kind.engine}, which runs the export's {kind.name}"
        self.precision = "int8" if is_int8 else asked
        self._start = lambda size, shape: source.start(asked, size, threads, shape)

    def _choose(self, model: keras.Model, remember: bool) -> None:
        """Take the fastest engine that answers as Keras does: the one that was before, or of all that are measured."""
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
        expected = expected_of(model, examples)
        place = choices.place(model, shape, self._batch_sizes, self.precision, self._threads) if remember else None
        if place is not None and (known := choices.recall(place)) is not None:
            found = self._tried(known.engine, model, examples, expected, FEW_CALLS)
            if isinstance(found, _Agreeing):
                self._settle(known.engine, found)
                self.why = (
                    f"{known.why}. Measured on {known.date}; now it differs from Keras by {found.difference:.1e}. "
                    f"remember=False measures again, and without {place} so does the next start"
                )
                return
        agreeing: dict[str, _Agreeing] = {}
        others = []
        for name in engines.ENGINES:
            found = self._tried(name, model, examples, expected, CALLS)
            if isinstance(found, _Agreeing):
                agreeing[name] = found
            else:
                others.append(found)
        if not agreeing:
            raise ValueError(f"No engine runs {model.name!r} as Keras does: {'; '.join(others)}.")
        ranking = sorted(agreeing, key=lambda name: statistics.geometric_mean(agreeing[name].seconds.values()))
        measured = [f"{name} {_times(agreeing[name].seconds)} (differs by {agreeing[name].difference:.1e})"
                    for name in ranking]  # fmt: skip
        self._settle(ranking[0], agreeing[ranking[0]])
        self.why = f"{self.engine} is the fastest here in {self.precision}: {'; '.join(measured + others)}"
        if self.precision == "bfloat16":
            self.why += f". {self._beside_float32(model, examples[0], agreeing[self.engine].seconds)}"
        if place is not None:
            choices.keep(place, self.engine, self.why)

    def _beside_float32(self, model: keras.Model, example: np.ndarray, seconds: Mapping[int, float]) -> str:
        """What the engine takes in float32: not every processor that knows bfloat16 is faster in it."""
        prepared = engines.Prepared(model, engines.find(self.engine, "float32"), "float32")
        wide = {
            size: _measure(prepared.compile(size, self._threads, example.shape), example, size, CALLS)
            for size in seconds
        }
        ratio = statistics.geometric_mean(wide.values()) / statistics.geometric_mean(seconds.values())
        return f"In float32 it takes {_times(wide)}, {ratio:.2f} times as long"

    def _tried(
        self, name: str, model: keras.Model, examples: np.ndarray, expected: list[np.ndarray], calls: int
    ) -> "_Agreeing | str":
        """A network in an engine, compared with Keras and measured; or why it is not to be taken."""
        engine = engines.ENGINES[name]
        if self.precision not in (*engine.precisions, *quantised.precisions(name)):
            return f"{name} does not compute in {self.precision}"
        if not engine.is_installed:
            return f"{name} is not installed"
        try:
            start = self._starter(model, name)
            compiled = {size: start(size, examples.shape[1:]) for size in self._batch_sizes}
            answer = self._answer(compiled, examples)
        except Exception as error:  # an engine may lack an operation; it says so in a way of its own
            return f"{name} cannot run it ({type(error).__name__}: {_first_line(error)})"
        difference, tolerance = relative_difference(flat(answer), expected), TOLERANCE.get(self.precision)
        if tolerance is not None and not difference <= tolerance:
            return f"{name} answers otherwise than Keras (by {difference:.1e} of the largest output)"
        if tolerance is None and (part := other_classes(flat(answer), expected)) > OTHER_CLASSES:
            return f"{name} gives {part:.1%} of the examples another class than Keras"
        seconds = {size: _measure(call, examples[0], size, calls) for size, call in compiled.items()}
        return _Agreeing(start, compiled, seconds, difference)

    def _settle(self, engine: str, found: "_Agreeing") -> None:
        """Answer by an engine from now on."""
        self.engine, self._start = engine, found.start
        self._keep(self._shape, dict(found.calls), dict(found.seconds))


@dataclass(frozen=True)
class _Agreeing:
    """A network in an engine that answers as Keras does.

    Attributes:
        start: Compiles it for a size of batch and a shape of examples.
        calls: What was compiled, by size of batch.
        seconds: What a call of each takes.
        difference: From Keras's outputs, as a part of the largest of them.
    """

    start: Callable[[int, tuple[int, ...]], Call]
    calls: Mapping[int, Call]
    seconds: Mapping[int, float]
    difference: float


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
                answer = self._predictor._answer_to(np.stack(images))
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


def _times(seconds: Mapping[int, float]) -> str:
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


def _source(model: Any, include: bool | Preprocessing) -> tuple[keras.Model | Export, Preprocessing | None]:
    """The network to run, behind its preprocessing if that shall be, and that preprocessing."""
    if not isinstance(model, (keras.Model, str, os.PathLike)):
        raise TypeError(f"model must be a Keras model, or the path of a run folder or an export. Received: {model!r}")
    if _is_export(model):
        opened = open_export(model)
        if opened.manifest["preprocessing_inside"]:
            return opened, Preprocessing.from_config(opened.manifest["preprocessing"])
        if include:
            raise ValueError(f"{model} takes no pixels. Export again with the preprocessing inside.")
        return opened, None
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
    return (with_preprocessing(model, include), include) if include else (model, None)


def _resizing(preprocessing: Preprocessing | None) -> Callable[[Any], np.ndarray]:
    """From pictures of any size to pixels of the size that a preprocessing gives, uint8."""
    if preprocessing is None:
        raise ValueError(
            "resize is for what takes pixels. Received: resize=True without preprocessing. Give "
            "include_preprocessing, or an export with its preprocessing inside."
        )
    if preprocessing.size is None:
        raise ValueError(
            f"resize needs a preprocessing that gives all pictures one size. Received: {preprocessing}. Set crop_size."
        )
    resized = pixels_only(preprocessing)
    return lambda pictures: whole_pixels(resized(pictures)).numpy()


def _with_size(shape: tuple[int | None, ...], preprocessing: Preprocessing) -> tuple[int | None, ...]:
    """The shape of a network's examples, with the size that a preprocessing gives them."""
    size = preprocessing.size
    fits = len(shape) == 3 and all(own in (None, given) for own, given in zip(shape, size or (), strict=False))
    if size is None or not fits:
        raise ValueError(f"The network takes examples of shape {shape}. Received: a preprocessing that gives {size}")
    return (*size, shape[-1])
