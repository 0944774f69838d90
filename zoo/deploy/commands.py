"""What `--engine` of `zoo predict` and `zoo evaluate` does. The options are in `zoo.cli`."""

import argparse
import sys

import keras

from zoo.deploy.predictor import Predictor


def predictor(arguments: argparse.Namespace, model: keras.Model, batch_size: int) -> Predictor | None:
    """What answers for a command; None without `--engine`.

    What `auto` found goes to the standard error output.

    Raises:
        ValueError: `--precision` without `--engine`; or what `Predictor` refuses.
    """
    if arguments.engine is None:
        if arguments.precision != "float32":
            raise ValueError(f"--precision is an engine's. Give --engine. Received: --precision {arguments.precision}")
        return None
    found = Predictor(model, engine=arguments.engine, precision=arguments.precision, batch_sizes=(batch_size,))
    if arguments.engine == "auto":
        print(found.why, file=sys.stderr)
    return found
