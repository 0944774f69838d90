"""From a trained network to answers, fast: folding, engines, the predictor and files for other runtimes.

    from zoo.deploy import Predictor

    predictor = Predictor("runs/a")          # the fastest engine that is installed and agrees with Keras
    print(predictor.why)
    predictor(images)                        # any number of them, from any thread
    predictor.submit(image).result()         # gathered with those of other threads

Nothing is imported before it is used: `zoo.deploy.benchmark` measures other libraries in processes without TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.deploy.exports import Export as Export
    from zoo.deploy.exports import export as export
    from zoo.deploy.exports import open_export as open_export
    from zoo.deploy.folding import fold as fold
    from zoo.deploy.precision import in_bfloat16 as in_bfloat16
    from zoo.deploy.predictor import Predictor as Predictor
    from zoo.deploy.predictor import example_inputs as example_inputs

_HOMES = {
    "Export": "zoo.deploy.exports",
    "Predictor": "zoo.deploy.predictor",
    "example_inputs": "zoo.deploy.predictor",
    "export": "zoo.deploy.exports",
    "fold": "zoo.deploy.folding",
    "in_bfloat16": "zoo.deploy.precision",
    "open_export": "zoo.deploy.exports",
}
_MODULES = ("benchmark", "engines")

__all__ = [*_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"zoo.deploy.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
