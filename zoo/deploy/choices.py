"""Which engine `auto` found the fastest for a network on this machine: the next start compiles that one alone.

A choice is a file in the cache, `ZOO_HOME/engines` or `~/.cache/cnn-zoo/engines`. Its name says what the choice depends
on: the network without its weights and names, the shape of an example, the sizes of batch, the precision, the threads,
the processors and GPUs, and the versions of all engines that are installed. What depends on the weights, whether the
engine answers as Keras does, is not kept.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from zoo.deploy import engines, formats
from zoo.deploy.benchmark.measuring import machine
from zoo.files import write_json
from zoo.graph import nodes
from zoo.weights import cache

FORMAT = 2


@dataclass(frozen=True)
class Choice:
    """What was found.

    Attributes:
        engine: Name of the fastest engine.
        why: What all of them took.
        date: When they were measured, YYYY-MM-DD.
    """

    engine: str
    why: str
    date: str


def place(
    model: keras.Model, shape: tuple[int, ...], batch_sizes: Sequence[int], precision: str, threads: int | None
) -> Path | None:
    """The file of a choice, there or not; None where the network cannot be told from others, or no cache can be."""
    try:
        network, root = _structure(model), cache.root()
    except (NotImplementedError, TypeError, ValueError, RuntimeError):  # a layer without a config; nobody's home
        return None
    here = machine()
    packages = {package for engine in engines.ENGINES.values() for package in engine.packages}
    packages |= {item.quantiser for item in formats.FORMATS.values() if item.quantiser}
    facts = {
        "format": FORMAT,
        "network": network,
        "shape": shape,
        "batch_sizes": batch_sizes,
        "precision": precision,
        "threads": threads,
        "tensorflow_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        **{name: here[name] for name in ("processor", "processors", "extensions")},
        "engines": list(engines.ENGINES),
        "versions": {package: _version(package) for package in sorted(packages)},
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()
    return root / "engines" / f"{digest[:32]}.json"


def recall(path: Path) -> Choice | None:
    """The choice of a file; None where there is none, or none of an engine that is known."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found = Choice(**{name: str(facts[name]) for name in ("engine", "why", "date")})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.engine in engines.ENGINES else None


def keep(path: Path, engine: str, why: str) -> None:
    """Write a choice; where the cache cannot be written, the next start measures again."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"engine": engine, "why": why, "date": datetime.date.today().isoformat()})


def _structure(model: keras.Model) -> list[Any]:
    """The calls of a network in their order, each with its kind, its config without names, and what it is given."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    places: dict[int, tuple[int, int]] = {}
    calls: list[Any] = []
    for node in nodes(model):
        layer = node.operation
        is_network = isinstance(layer, keras.Model) and hasattr(layer, "_nodes_by_depth")
        config = _structure(layer) if is_network else _unnamed(layer.get_config())
        given = [places[id(tensor)] for tensor in node.input_tensors]
        places |= {id(tensor): (len(calls), index) for index, tensor in enumerate(node.outputs)}
        calls.append([type(layer).__name__, config, given])
    return [calls, [places[id(tensor)] for tensor in keras.tree.flatten(model.output)]]


def _unnamed(config: Any) -> Any:
    """A config without the names of layers, which count up with each network that a process builds."""
    if isinstance(config, dict):
        return {key: _unnamed(value) for key, value in config.items() if key != "name"}
    return [_unnamed(value) for value in config] if isinstance(config, (list, tuple)) else config


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
