"""What is measured side by side, and how: each form in a process of its own, all taking turns round by round."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.deploy.benchmark import peers
from zoo.deploy.benchmark.process import MeasurementError, Process

PRECISIONS = ("float32", "bfloat16", "int8")

# Calls of a round that count, at least.
LEAST_CALLS = 2
# Seconds between two forms: threads of the one that was measured wait busily for more work, some for 0.2 s.
PAUSE_S = 0.3

# What decides how fast low precision is.
_EXTENSIONS = {"amx_tile": "AMX", "avx512_bf16": "AVX512-BF16", "avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI"}
_PACKAGES = ("tensorflow", "keras", "torch", "torchvision", "timm", "openvino", "onnxruntime", "ai-edge-litert")


@dataclass(frozen=True)
class Form:
    """A network as somebody runs it.

    Attributes:
        who: "zoo", or one of `peers.PEERS`.
        form: The engine of ours, or a form of the peer, such as "compiled, channels last".
        precision: "float32", "bfloat16" or "int8".
    """

    who: str
    form: str
    precision: str

    def __str__(self) -> str:
        return f"{self.who}, {self.form}, {self.precision}"


@dataclass(frozen=True)
class Measured:
    """How fast a form is with batches of a size.

    Attributes:
        form: The form.
        batch: Examples at once.
        p50_ms: Median latency of a call in milliseconds; the median over the rounds of their medians.
        p95_ms: Latency in milliseconds that 95 % of all calls keep below.
        images_per_s: Throughput, examples over the seconds that their calls took; the median over the rounds.
        peak_mb: The most memory that the process had in use until its first calls at this size, in megabytes, building
            and compiling included.
        import_s: Seconds to import the libraries.
        build_s: Seconds to build the network.
        ready_s: Seconds to compile it for this size, its first call included.
        params: Trainable numbers of the network.
        calls: How many calls were measured.
    """

    form: Form
    batch: int
    p50_ms: float
    p95_ms: float
    images_per_s: float
    peak_mb: float
    import_s: float
    build_s: float
    ready_s: float
    params: int
    calls: int

    def to_dict(self) -> dict[str, Any]:
        """What JSON takes, the form's parts among the rest."""
        facts = dataclasses.asdict(self)
        return {**facts.pop("form"), **facts}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> "Measured":
        """What `to_dict` gave."""
        parts = {field.name: facts[field.name] for field in dataclasses.fields(Form)}
        rest = {key: value for key, value in facts.items() if key not in parts}
        return cls(Form(**parts), **rest)


@dataclass(frozen=True)
class Comparison:
    """All forms of a network, measured in one run.

    Attributes:
        model: The registered name, or the run folder.
        shape: Shape of an example.
        measured: The forms at each batch size, in the order that was asked for.
        failed: Forms that could not be run, and why.
    """

    model: str
    shape: tuple[int, ...]
    measured: tuple[Measured, ...]
    failed: dict[Form, str]

    def to_dict(self) -> dict[str, Any]:
        """What JSON takes."""
        return {
            "model": self.model,
            "shape": list(self.shape),
            "measured": [row.to_dict() for row in self.measured],
            "failed": [{**dataclasses.asdict(form), "why": why} for form, why in self.failed.items()],
        }

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> "Comparison":
        """What `to_dict` gave."""
        failed = {Form(row["who"], row["form"], row["precision"]): row["why"] for row in facts["failed"]}
        rows = tuple(map(Measured.from_dict, facts["measured"]))
        return cls(facts["model"], tuple(facts["shape"]), rows, failed)


def forms(
    model: str, engines: Sequence[str] | None, precisions: Sequence[str], others: Sequence[str] = ()
) -> list[Form]:
    """The forms to compare, ours first; everything that can be refused is refused here, before anything starts.

    Args:
        model: Registered name, or a run folder.
        engines: Names of engines for our network; None for all that are installed.
        precisions: Of "float32", "bfloat16" and "int8"; for the last the network is quantised on random pictures, which
            shows its speed and says nothing of its accuracy.
        others: Peers, of `peers.PEERS`; forms in a precision that a peer does not have are left out.

    Raises:
        ValueError: There is no such network, engine, precision or peer, or it is not installed or lacks the network; or
            nothing is left to compare.
    """
    from zoo.deploy import engines as ours

    input_shape(model)
    precisions = list(dict.fromkeys(precisions))
    for precision in precisions:
        if precision not in PRECISIONS:
            raise ValueError(f"A precision must be one of {', '.join(PRECISIONS)}. Received: {precision}")
    others = list(dict.fromkeys(others))
    for peer in others:
        peers.check(peer, model)
    rows = []
    for engine in ours.installed() if engines is None else dict.fromkeys(engines):
        # One that was asked for by name is refused where it knows none of the precisions, or lacks a package.
        chosen = [
            precision for precision in precisions if precision in _precisions(engine, is_installed=engines is None)
        ]
        for precision in chosen or (precisions if engines else ()):
            _check(engine, precision)
            rows.append(Form(peers.OURS, engine, precision))
    for peer in others:
        rows += [Form(peer, form, precision) for precision in precisions for form in peers.forms(peer, precision)]
    if not rows:
        raise ValueError(
            f"No engine that is installed computes in {', '.join(precisions)}. Installed: {', '.join(ours.installed())}"
        )
    return sorted(rows, key=lambda row: precisions.index(row.precision))


def _precisions(engine: str, *, is_installed: bool) -> tuple[str, ...]:
    """The arithmetic of an engine; int8 with `is_installed` only if a network can be quantised for it here."""
    from zoo.deploy import engines, formats, quantised

    if engine not in engines.ENGINES:
        return ()
    if is_installed:
        return (*engines.ENGINES[engine].precisions, *quantised.precisions(engine))
    has_int8 = any(item.engine == engine and item.quantise is not None for item in formats.FORMATS.values())
    return (*engines.ENGINES[engine].precisions, *(["int8"] if has_int8 else []))


def _check(engine: str, precision: str) -> None:
    """Refuse an engine that does not compute in a precision, or is not installed."""
    from zoo.deploy import engines, quantised

    if precision == "int8" and engine in engines.ENGINES:
        quantised.format_of(engine)
    else:
        engines.find(engine, precision)


def input_shape(model: str) -> tuple[int, ...]:
    """Shape of an example of a registered network or of a run.

    Raises:
        ValueError: It is neither.
    """
    import zoo

    if peers.is_run(model):
        return tuple(zoo.runs.open_run(model).config["model"]["arguments"]["input_shape"])
    shape = zoo.model_card(model).input_shape
    if None in shape:
        raise ValueError(f"{model} takes inputs of any size, {shape}; a benchmark needs one. Give a run folder of it.")
    return tuple(int(size) for size in shape if size is not None)


def compare(
    model: str,
    rows: Sequence[Form],
    *,
    batch_sizes: Sequence[int] = (1, 16),
    threads: int | None = None,
    repeats: int = 7,
    seconds: float = 0.3,
    progress: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Measure forms of a network side by side.

    All are made ready first, one after the other. Then each round asks every form for its calls, batch size by batch
    size, and the round after begins with another form: what else the machine does weighs on all. Before each form there
    is a pause, in which the threads of the one before fall asleep.

    Args:
        model: Registered name, or a run folder.
        rows: The forms.
        batch_sizes: Examples at once.
        threads: Processors that each form may use; None for all.
        repeats: Number of rounds.
        seconds: How long a form is called in a round, at least; two calls are made in any case.
        progress: Gets what is being done.

    Returns:
        What was measured; forms that could not be run are named.

    Raises:
        ValueError: A number is not above 0, or there are fewer processors.
        MeasurementError: No form could be run.
    """
    for name, value in (("batch", min(batch_sizes)), ("repeats", repeats), ("seconds", seconds)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0. Received: {value}")
    sizes = sorted(set(batch_sizes))
    shape = input_shape(model)
    running: dict[Form, Process] = {}
    facts: dict[Form, dict[str, Any]] = {}
    ready: dict[tuple[Form, int], dict[str, Any]] = {}
    failed: dict[Form, str] = {}
    times: dict[tuple[Form, int], list[list[float]]] = {}
    try:
        for row in rows:
            progress(f"{model}: {row}: starting")
            task = {"model": model, **dataclasses.asdict(row), "shape": shape}
            process = Process(("-m", "zoo.deploy.benchmark.child"), task, threads)
            try:
                facts[row] = process.ask("build")
                for size in sizes:
                    ready[row, size] = process.ask("ready", batch=size)
            except MeasurementError as error:
                failed[row] = str(error)
                process.close()
            except BaseException:
                process.close()
                raise
            else:
                running[row] = process
        order = list(running)
        _require_any(model, order, failed)
        for round_ in range(repeats):
            turned = order[round_ % len(order) :] + order[: round_ % len(order)]
            for size in sizes:
                for row in turned:
                    if row in failed:
                        continue
                    progress(f"{model}: round {round_ + 1} of {repeats}, batch {size}: {row}")
                    time.sleep(PAUSE_S)
                    try:
                        answer = running[row].ask("measure", batch=size, seconds=seconds, least=LEAST_CALLS)
                    except MeasurementError as error:  # such as a process that was killed for its memory
                        failed[row] = str(error)
                        running.pop(row).close()
                    else:
                        times.setdefault((row, size), []).append(answer)
    finally:
        for process in running.values():
            process.close()
    _require_any(model, [row for row in order if row not in failed], failed)
    measured = tuple(
        _summary(row, size, times[row, size], {**facts[row], **ready[row, size]})
        for size in sizes
        for row in order
        if row not in failed
    )
    return Comparison(model, shape, measured, failed)


def _require_any(model: str, able: Sequence[Form], failed: dict[Form, str]) -> None:
    if not able:
        reasons = "; ".join(f"{form}: {why}" for form, why in failed.items())
        raise MeasurementError(f"No form of {model} could be run. {reasons}")


def _summary(form: Form, batch: int, rounds: list[list[float]], facts: dict[str, Any]) -> Measured:
    every = [second for times in rounds for second in times]
    return Measured(
        form=form,
        batch=batch,
        p50_ms=1e3 * statistics.median(map(statistics.median, rounds)),
        p95_ms=1e3 * float(np.percentile(every, 95)),
        images_per_s=statistics.median(batch * len(times) / sum(times) for times in rounds),
        peak_mb=facts["peak_bytes"] / 1e6,
        import_s=facts["import_s"],
        build_s=facts["build_s"],
        ready_s=facts["ready_s"],
        params=facts["params"],
        calls=len(every),
    )


def machine() -> dict[str, Any]:
    """What the numbers of a run depend on: processor, load, versions, date."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    processor, flags = _processor()
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "extensions": [name for flag, name in _EXTENSIONS.items() if flag in flags],
        "load": load,
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> tuple[str, set[str]]:
    """Name and instruction set extensions of the processor, as Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    pairs = (line.partition(":") for line in lines)
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    return facts.get("model name", platform.machine()), set(facts.get("flags", "").split())
