"""A network of ours in whole numbers of 8 bits, to see how fast it is; `zoo.deploy.export` also sees its accuracy."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from zoo.deploy import engines, formats
from zoo.deploy.benchmark.peers import pictures
from zoo.deploy.folding import fold
from zoo.deploy.graphs import Graph, freeze

# Random pictures that set the ranges; these do not change how fast it is.
NUM_CALIBRATED = 8


def format_of(engine: str) -> formats.Format:
    """The format that an engine runs in int8.

    Raises:
        ValueError: It has none, or a package is not installed.
    """
    (name,) = (name for name, item in formats.FORMATS.items() if item.engine == engine)
    return formats.find(name, int8=True)


class Quantised:
    """Quantises once, and compiles for each size of batch."""

    def __init__(self, model: keras.Model, engine: str, shape: tuple[int, ...]) -> None:
        self._format = format_of(engine)
        assert self._format.quantise is not None
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / self._format.file
        graph = freeze(fold(model), None)
        self._format.quantise(graph, pictures((NUM_CALIBRATED, *shape)), self._file)
        self._graph = Graph(None, (None, *shape), graph.dtype, graph.outputs)

    def compile(self, shape: tuple[int, ...], threads: int) -> Callable[[Any], Any]:
        """The call for batches of that shape."""
        artifact = self._format.read(self._file, self._graph)
        start = engines.ENGINES[self._format.engine].start
        return engines.answering(self._graph, start(artifact, shape, "float32", threads))
