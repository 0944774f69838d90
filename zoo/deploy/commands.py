"""What `zoo export` does, and `--engine` of `zoo predict` and `zoo evaluate`. The options are in `zoo.cli`."""

import argparse
import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import keras

from zoo.deploy import engines, formats, sources
from zoo.deploy.engines import Answer
from zoo.deploy.exports import Export, export, refuse_path
from zoo.deploy.predictor import Predictor


def check_engine(arguments: argparse.Namespace) -> None:
    """Refuse `--engine` and `--precision` before anything is built.

    Raises:
        ValueError: `--precision` without `--engine`, or an engine that is not installed or lacks the precision.
    """
    if arguments.engine is None and arguments.precision != "float32":
        raise ValueError(f"--precision is an engine's. Give --engine. Received: --precision {arguments.precision}")
    if arguments.engine not in (None, "auto"):
        engines.find(arguments.engine, arguments.precision)


def predictor(arguments: argparse.Namespace, model: keras.Model, batch_size: int) -> Callable[[Any], Answer] | None:
    """What answers for a command, made ready by the first examples; None without `--engine`.

    What `auto` found goes to the standard error output.

    Raises:
        ValueError: What `check_engine` refuses; when it is called, what `Predictor` refuses.
    """
    check_engine(arguments)
    if arguments.engine is None:
        return None

    @functools.cache
    def ready() -> Predictor:
        found = Predictor(model, engine=arguments.engine, precision=arguments.precision, batch_sizes=(batch_size,))
        if arguments.engine == "auto":
            print(found.why, file=sys.stderr)
        return found

    return lambda examples: ready()(examples)


def export_network(arguments: argparse.Namespace) -> None:
    """`zoo export RUN|MODEL[:TAG]`."""
    formats.find(arguments.to, int8=arguments.int8)
    refuse_path(arguments.out)
    for name in ("examples", "calibration_examples"):
        if getattr(arguments, name) < 1:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must be at least 1. Received: --{option} {getattr(arguments, name)}")
    if arguments.calibrate is not None and not arguments.int8:
        raise ValueError(f"--calibrate is for --int8. Received: --calibrate {arguments.calibrate} alone")
    inside = arguments.preprocessing == "inside"
    source = sources.find(arguments.source)
    if inside and source.preprocessing is None:
        raise ValueError(f"--preprocessing inside is for networks of pictures. {arguments.source} takes none.")
    calibrate = None
    if arguments.int8:
        calibrate, _ = source.examples(arguments.calibrate, "train", arguments.calibration_examples, pixels=inside)
    examples, labels = source.examples(arguments.data, "test", arguments.examples, pixels=inside)
    written = export(
        source.model, arguments.out, to=arguments.to, examples=examples, labels=labels, int8=arguments.int8,
        calibrate=calibrate, max_loss=arguments.max_loss / 100, preprocessing=source.preprocessing, inside=inside,
        facts={"source": arguments.source, "classes": source.classes},
    )  # fmt: skip
    if arguments.json:
        print(json.dumps(written.manifest))
        return
    _tell(written)


def export_application(arguments: argparse.Namespace, export_run: Callable[..., Export]) -> None:
    """`zoo segment export RUN` and the like, whose options are those of `zoo.options.add_export`.

    Args:
        arguments: What the command line gave.
        export_run: Writes the network of a run: `export_run(folder, out, to=…, size=…)`.
    """
    formats.find(arguments.to)
    refuse_path(arguments.out)
    if arguments.size is not None and arguments.size < 1:
        raise ValueError(f"--size must be at least 1. Received: --size {arguments.size}")
    _tell(export_run(arguments.folder, arguments.out, to=arguments.to, size=arguments.size))


def _tell(written: Export) -> None:
    print(f"{written.folder}: {written.manifest['bytes'] / 1e6:.1f} MB, {written.manifest['precision']}")
    print(_proof(written))


def _proof(written: Export) -> str:
    """What the comparison found, in one line."""
    compared = written.manifest["compared"]
    parts = [
        f"read by {written.format.engine} and compared on {compared['examples']} examples: differs from Keras by "
        f"{compared['difference']:.1e} of the largest output"
    ]
    if "same_class" in compared:
        parts.append(f"same class for {100 * compared['same_class']:.1f} %")
    if "accuracy" in compared:
        accuracy = compared["accuracy"]
        parts.append(f"accuracy {100 * accuracy['float32']:.2f} % in float32, {100 * accuracy['int8']:.2f} % in int8")
    if "jpeg_difference" in compared:
        parts.append(f"from JPEG files by {compared['jpeg_difference']:.1e}")
    return "; ".join(parts)
