"""The process that builds and runs one form of a network: `python -m zoo.deploy.benchmark.child`.

`process.Process` starts it. Its task is `{"model", "who", "form", "precision", "shape"}`.
"""

import sys
import time
from typing import Any

import numpy as np

from zoo.deploy.benchmark import peers
from zoo.deploy.benchmark.process import Answers, peak_bytes, serve

# Random pictures that set the ranges of int8; these do not change how fast it is.
NUM_CALIBRATED = 8


def prepare(task: dict[str, Any], processors: int) -> Answers:
    """The functions that answer: what `build` and `ready` make `measure` runs."""
    # As `zoo.deploy.engines` does, for Keras's export too.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    who, precision = task["who"], task["precision"]
    calls: dict[int, tuple[peers.Call, Any]] = {}
    built: dict[str, Any] = {}

    def build() -> dict[str, float]:
        began = time.perf_counter()
        _import(who, processors)
        imported = time.perf_counter()
        if who in peers.LIBRARIES:
            net = peers.network(who, task["model"], precision)
            params = peers.count_params(net)
        else:
            net = _ours(task["model"])
            params = sum(int(np.prod(variable.shape)) for variable in net.trainable_variables)
        built["net"] = net
        return {
            "import_s": imported - began, "build_s": time.perf_counter() - imported, "params": params,
        }  # fmt: skip

    def ready(batch: int) -> dict[str, float]:
        """Compile for a batch size and run a first time; the peak of memory is that of all done until then."""
        shape = (batch, *task["shape"])
        began = time.perf_counter()
        if who == peers.OURS:
            call = _compiled(built, task, batch, processors)
            inputs = _examples(built["net"], task, batch)
        else:
            compile_ = peers.compiler(who, task["form"], built["net"], precision, processors)
            call, inputs = compile_(shape)
        call(inputs)
        seconds = time.perf_counter() - began
        call(inputs)
        calls[batch] = call, inputs
        return {"ready_s": seconds, "peak_bytes": peak_bytes()}

    def measure(batch: int, seconds: float, least: int) -> list[float]:
        """Seconds of each of at least `least` calls, one after the other, until `seconds` have passed."""
        call, inputs = calls[batch]
        call(inputs)  # The caches hold what ran before, in another process.
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < least or time.perf_counter() < end:
            began = time.perf_counter()
            call(inputs)
            times.append(time.perf_counter() - began)
        return times

    return {"build": build, "ready": ready, "measure": measure}


def _import(who: str, processors: int) -> None:
    """Load the libraries of a form, which is timed apart from building."""
    if who in ("torchvision", "timm"):
        peers.import_torch(who)
        return
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(processors)
    tf.config.threading.set_inter_op_parallelism_threads(processors)
    if who != "keras.applications":
        import zoo

        zoo.list_models()


def _ours(model: str) -> Any:
    """Our network with random weights, or that of a run with its own."""
    import zoo

    if peers.is_run(model):
        return zoo.runs.open_run(model).model
    return zoo.create_model(model)


def _compiled(built: dict[str, Any], task: dict[str, Any], batch: int, processors: int) -> peers.Call:
    """Our network in an engine; what is converted for one size of batch is kept for the others."""
    from zoo.deploy import engines

    if task["precision"] != "int8":
        if "prepared" not in built:
            engine = engines.find(task["form"], task["precision"])
            built["prepared"] = engines.Prepared(built["net"], engine, task["precision"])
        return built["prepared"].compile(batch, processors, tuple(task["shape"]))
    from zoo.deploy.quantised import Quantised

    if "quantised" not in built:
        examples = _examples(built["net"], task, NUM_CALIBRATED)
        built["quantised"] = Quantised(built["net"], task["form"], examples)
    return built["quantised"].compile(batch, processors)


def _examples(net: Any, task: dict[str, Any], count: int) -> np.ndarray:
    """Random examples that our network takes: numbers of words for one of texts."""
    from zoo.deploy import example_inputs

    return example_inputs(net, count, tuple(task["shape"]))


if __name__ == "__main__":
    serve(prepare)
