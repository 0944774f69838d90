"""A network in whole numbers of 8 bits, for the engines that run such; `zoo.deploy.export` writes it to a file."""

import shutil
import tempfile
import weakref
from pathlib import Path

import keras
import numpy as np

from zoo.deploy import engines, formats
from zoo.deploy.folding import fold
from zoo.deploy.graphs import Graph, output_names


def format_of(engine: str) -> formats.Format:
    """The format that an engine runs in int8.

    Raises:
        ValueError: There is no such engine, it has no int8, or a package is not installed.
    """
    engines.find(engine)
    name = next((name for name, item in formats.FORMATS.items() if item.engine == engine), None)
    if name is None:
        raise ValueError(f"{engine} has no int8.")
    return formats.find(name, int8=True)


def precisions(engine: str) -> tuple[str, ...]:
    """("int8",) for an engine that can run a network so here, else ()."""
    try:
        format_of(engine)
    except ValueError:
        return ()
    return ("int8",)


class Quantised:
    """Quantises once, and compiles for each size of batch.

    Args:
        model: A built model.
        engine: An engine that has int8.
        examples: (n, …) in what the model takes; they give the ranges of the activations.
    """

    def __init__(self, model: keras.Model, engine: str, examples: np.ndarray) -> None:
        self._format = format_of(engine)
        assert self._format.quantise is not None
        folder = tempfile.mkdtemp(prefix="zoo-int8-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._file = Path(folder) / self._format.file
        graph = engines.find(engine).graph(fold(model), examples.shape[1:], output_names(model))
        self._format.quantise(graph, examples.astype(graph.dtype), self._file)
        self._shape = examples.shape[1:]
        self._graph = Graph(None, graph.shape, graph.dtype, graph.outputs)

    def compile(self, batch_size: int, threads: int | None) -> engines.Call:
        """The call for batches of that size. Two threads must not call it at the same time."""
        artifact = self._format.read(self._file, self._graph)
        start = engines.ENGINES[self._format.engine].start
        return engines.answering(self._graph, start(artifact, (batch_size, *self._shape), "float32", threads))
