"""The engines that a network can run in: what each needs, can do, and how a network is compiled for it.

| engine | package | precisions |
|---|---|---|
| `tensorflow` | tensorflow | float32, bfloat16 |
| `openvino` | openvino | float32, bfloat16 |
| `onnxruntime` | onnxruntime, tf2onnx, onnx | float32 |
| `litert` | ai-edge-litert | float32 |

OpenVINO gets large convolutions of 3x3 in float32 by tiles (`zoo.deploy.winograd`), with a quarter of the
multiplications, which changes answers by 1e-6 to 1e-5 of the largest.

Numbers of 8 bits come in by files: `zoo.deploy.export(…, int8=True)` writes them, and the engine of the file runs them.
"""

import contextlib
import functools
import importlib.util
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.deploy import pools, winograd
from zoo.deploy.folding import fold
from zoo.deploy.graphs import INPUT, Graph, fixed, input_of, module, output_names, trace
from zoo.deploy.precision import in_bfloat16

# OpenVINO's converter, and NNCF, tell their makers of each use through this package where it is installed; without a
# network each conversion waits five seconds for it. Both do without, if it cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

PRECISIONS = ("float32", "bfloat16")

Answer = np.ndarray | dict[str, np.ndarray]
Call = Callable[[np.ndarray], Answer]

# What ONNX Runtime 1.31 and tf2onnx 1.17 both know.
ONNX_OPSET = 18

_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Engine:
    """One way to run a network.

    Attributes:
        name: What `Predictor(engine=…)` takes.
        packages: What has to be importable.
        install: What brings them.
        precisions: The arithmetic that it can do.
        takes_weights: Whether `convert` wants the weights as further inputs, not as variables.
        convert: From a network to what the engine reads.
        start: From that, the shape of a batch, the precision and the number of threads to a call, which takes a batch
            and gives its outputs in their order.
    """

    name: str
    packages: tuple[str, ...]
    install: str
    precisions: tuple[str, ...]
    takes_weights: bool
    convert: Callable[[Graph], Any]
    start: Callable[[Any, tuple[int, ...], str, int | None], Callable[[np.ndarray], list[np.ndarray]]]

    def graph(self, model: keras.Model, shape: tuple[int | None, ...], outputs: tuple[str, ...] | None = None) -> Graph:
        """A network for examples of a shape, in batches of any size, as `convert` takes it.

        Args:
            model: The network.
            shape: Shape of an example.
            outputs: Names of its outputs; None for its own, which folding may have changed.
        """
        return trace(model, shape, outputs=outputs, weights_as_inputs=self.takes_weights)

    @property
    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(package) is not None for package in self.packages)


def installed() -> tuple[str, ...]:
    """Names of the engines whose packages are installed.

    Example:
        >>> from zoo.deploy import engines
        >>> "tensorflow" in engines.installed()
        True
    """
    return tuple(name for name, engine in ENGINES.items() if engine.is_installed)


def find(name: str, precision: str = "float32") -> Engine:
    """An engine that is installed and knows a precision.

    Raises:
        ValueError: There is no such engine or precision, the engine is not installed, or it does not know the
            precision.
    """
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}. Received: engine={name!r}")
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(map(repr, PRECISIONS))}. Received: precision={precision!r}. For int8 "
            "write a file by zoo.deploy.export(…, int8=True), or give Predictor(precision='int8', calibrate=…)."
        )
    engine = ENGINES[name]
    if precision not in engine.precisions:
        able = ", ".join(name for name, engine in ENGINES.items() if precision in engine.precisions)
        raise ValueError(f"{name} does not compute in {precision}. Engines that do: {able}")
    if not engine.is_installed:
        raise ValueError(
            f"{name} needs {', '.join(engine.packages)}, which is not installed: pip install {engine.install}. "
            f"Installed engines: {', '.join(installed())}"
        )
    return engine


def require_runtime(name: str) -> None:
    """Refuse an engine that cannot run files here; that needs less than writing them.

    Raises:
        ValueError: Its first package is not installed.
    """
    package = ENGINES[name].packages[0]
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{name} needs {package}, which is not installed: pip install {ENGINES[name].install}")


def compile(
    model: keras.Model,
    engine: str = "tensorflow",
    precision: str = "float32",
    batch_size: int = 1,
    threads: int | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
) -> Call:
    """The bare compiled call of an engine, for one shape.

    Batch norm is folded first (`zoo.deploy.fold`). Two threads must not call it at the same time;
    `zoo.deploy.Predictor` sees to that, and to batches of any size.

    Args:
        model: A built model with one input.
        engine: One of `ENGINES`.
        precision: "float32", or "bfloat16" where the engine knows it. Inputs and outputs stay float32.
        batch_size: Examples of a call, at least 1.
        threads: Threads that compute; None for as many as the engine takes by itself. TensorFlow has one number for
            the whole process, which is fixed once it has computed anything.
        input_shape: Shape of an example, for a model whose own is not fixed.

    Returns:
        From a batch (batch_size, …) to the model's output, or a dict of them.

    Raises:
        ValueError: There is no such engine or precision, the engine is not installed, a size is missing or not legal,
            or TensorFlow's number of threads is another already.

    Example:
        >>> import numpy as np, zoo
        >>> from zoo.deploy import engines
        >>> call = engines.compile(zoo.create_model("lenet5"), "tensorflow", batch_size=2)
        >>> call(np.zeros((2, 32, 32, 1), "float32")).shape
        (2, 10)
    """
    chosen = find(engine, precision)
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        require_count(name, value)
    shape = fixed(input_shape or input_of(model)[0])
    if shape is None:
        raise ValueError(
            f"The size of the input must be known. Received: shape {input_of(model)[0]}. Give input_shape."
        )
    return Prepared(model, chosen, precision).compile(batch_size, threads, shape)


def require_count(name: str, value: int | None) -> None:
    """Refuse a number that is not None and not a whole one, at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a whole number, at least 1. Received: {name}={value!r}")


class Prepared:
    """A network in an engine: folded once, converted once for a shape, compiled for each size of batch.

    What was converted for one shape is kept until another one comes.

    Args:
        model: A built model with one input.
        engine: The engine.
        precision: One that it knows.
    """

    def __init__(self, model: keras.Model, engine: Engine, precision: str) -> None:
        self._engine, self._precision = engine, precision
        self._outputs = output_names(model)
        self._model = fold(model)
        if (engine.name, precision) == ("tensorflow", "bfloat16"):
            self._model = in_bfloat16(self._model)
        self._converted: dict[tuple[int, ...], tuple[Graph, Any]] = {}

    def compile(self, batch_size: int, threads: int | None, shape: tuple[int, ...]) -> Call:
        """The call for batches of that size. Two threads must not call it at the same time."""
        if shape not in self._converted:
            graph = self._engine.graph(self._model, shape, self._outputs)
            artifact = self._engine.convert(graph)
            # What was converted need not be kept twice.
            self._converted = {shape: (replace(graph, function=None), artifact)}
        graph, artifact = self._converted[shape]
        return answering(graph, self._engine.start(artifact, (batch_size, *shape), self._precision, threads))


def answering(graph: Graph, run: Callable[[np.ndarray], list[np.ndarray]]) -> Call:
    """A call that gives the network's output, or a dict of them, of one that gives a list."""
    if graph.outputs:
        return lambda images: graph.answer(run(images))
    return lambda images: run(images)[0]


def _start_tensorflow(graph: Graph, shape: tuple[int, ...], precision: str, threads: int | None) -> Any:
    if threads is not None and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError:
            raise ValueError(
                "TensorFlow has one number of threads, which is fixed once it has computed anything. Received: "
                f"threads={threads}. Call tf.config.threading.set_intra_op_parallelism_threads({threads}) at the start "
                f"of the program, or set TF_NUM_INTRAOP_THREADS={threads}."
            ) from None

    def run(images: np.ndarray) -> list[np.ndarray]:
        return [value.numpy() for value in graph.function(tf.constant(images))]

    return run


def _convert_to_openvino(graph: Graph) -> Any:
    import openvino

    with quiet():
        model = openvino.convert_model(graph.function)
    outputs = [model.output(tensor.name) for tensor in graph.function.outputs]
    model = openvino.Model([output.get_node() for output in outputs], model.get_parameters(), "network")
    model.inputs[0].set_names({INPUT})
    for output, name in zip(model.outputs, graph.output_names, strict=True):
        output.set_names({name})
    pools.pad_inside(model)
    return model


def _start_openvino(model: Any, shape: tuple[int, ...], precision: str, threads: int | None) -> Any:
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    model = model.clone()
    model.reshape(list(shape))
    if precision == "float32" and platform.machine() in ("x86_64", "AMD64"):
        winograd.accelerate(model)
    request = _core().compile_model(model, "CPU", settings).create_infer_request()
    outputs = [request.get_output_tensor(index) for index in range(len(model.outputs))]

    def run(images: np.ndarray) -> list[np.ndarray]:
        request.infer([images], share_inputs=True)
        return [output.data.copy() for output in outputs]

    return run


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _convert_to_onnx(graph: Graph) -> bytes:
    import tf2onnx

    function = graph.function
    with quiet():
        model, _ = tf2onnx.convert.from_graph_def(
            function.graph.as_graph_def(),
            input_names=[function.inputs[0].name, *graph.weights],
            output_names=[tensor.name for tensor in function.outputs],
            opset=ONNX_OPSET,
        )
    _put_weights(model, {name: variable.numpy() for name, variable in graph.weights.items()})
    names = {function.inputs[0].name: INPUT}
    names |= {tensor.name: name for tensor, name in zip(function.outputs, graph.output_names, strict=True)}
    for node in model.graph.node:
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model.SerializeToString()


def _put_weights(model: Any, known: Mapping[str, np.ndarray]) -> None:
    """Give an ONNX model its weights, and do now what it does to them alone, such as turning a kernel's axes.

    Args:
        model: An `onnx.ModelProto` that takes them as inputs.
        known: Their values by name.
    """
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    known, constants = dict(known), {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in known]
    nodes = []
    for node in model.graph.node:  # which come in the order of their work
        given = {name: known.get(name, constants.get(name)) for name in node.input}
        of_weights = any(name in known for name in node.input)
        if of_weights and all(value is not None for value in given.values()):
            values = ReferenceEvaluator(node, opsets={"": ONNX_OPSET}).run(None, given)
            known |= dict(zip(node.output, values, strict=True))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    tensors = [item for item in model.graph.initializer if item.name in used]
    tensors += [numpy_helper.from_array(np.ascontiguousarray(known[name]), name) for name in known if name in used]
    for field, items in (("input", inputs), ("node", nodes), ("initializer", tensors)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(items)


def _start_onnxruntime(model: Any, shape: tuple[int, ...], precision: str, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (source,) = (item.name for item in session.get_inputs())

    def run(images: np.ndarray) -> list[np.ndarray]:
        return session.run(None, {source: images})

    return run


@dataclass(frozen=True)
class LiteRT:
    """A network for LiteRT.

    Attributes:
        content: Of the file.
        outputs: Names of its outputs, in the network's order; the file has them in another.
    """

    content: bytes
    outputs: tuple[str, ...]


def convert_to_litert(graph: Graph, set_up: Callable[[tf.lite.TFLiteConverter], None] = lambda _: None) -> LiteRT:
    """A network for LiteRT, by way of a SavedModel: TensorFlow makes constants of variables slowly, this does not.

    Args:
        graph: The network.
        set_up: Gets the converter before it starts.
    """
    with quiet(), tempfile.TemporaryDirectory(prefix="zoo-litert-") as folder:
        saved = module(graph)
        tf.saved_model.save(saved, folder, signatures={_SIGNATURE: saved.call})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_SIGNATURE])
        set_up(converter)
        return LiteRT(converter.convert(), graph.output_names)


def _start_litert(model: LiteRT, shape: tuple[int, ...], precision: str, threads: int | None) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_content=model.content, num_threads=threads or os.cpu_count())
        (source,) = (item["index"] for item in interpreter.get_input_details())
        interpreter.resize_tensor_input(source, shape)
        interpreter.allocate_tensors()
    places = interpreter.get_signature_runner(_SIGNATURE).get_output_details()
    outputs = [places[name]["index"] for name in model.outputs]

    def run(images: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the notes that converters log about themselves."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("tensorflow", ("tensorflow",), "tensorflow", ("float32", "bfloat16"), False, lambda graph: graph,
               _start_tensorflow),
        Engine("openvino", ("openvino",), "openvino", ("float32", "bfloat16"), False, _convert_to_openvino,
               _start_openvino),
        Engine("onnxruntime", ("onnxruntime", "tf2onnx", "onnx"), "onnxruntime tf2onnx onnx", ("float32",), True,
               _convert_to_onnx, _start_onnxruntime),
        Engine("litert", ("ai_edge_litert",), "ai-edge-litert", ("float32",), False, convert_to_litert, _start_litert),
    )
}  # fmt: skip
