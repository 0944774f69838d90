"""A model zoo for Keras 3 on TensorFlow: the convolutional networks that shaped the field.

    import zoo

    model = zoo.create_model("resnet50", classes=10, input_shape=(64, 64, 3))
    zoo.list_models("resnet*", modality="image")

Nothing heavy is imported before it is used: `import zoo` alone loads neither Keras nor TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.builder import create_model as create_model
    from zoo.graph import count_macs as count_macs
    from zoo.graph import count_params as count_params
    from zoo.graph import endpoints as endpoints
    from zoo.graph import features as features
    from zoo.graph import receptive_field as receptive_field
    from zoo.registry import Card as Card
    from zoo.registry import Paper as Paper
    from zoo.registry import Result as Result
    from zoo.registry import list_models as list_models
    from zoo.registry import model_card as model_card
    from zoo.registry import register as register
    from zoo.training.freezing import freeze as freeze
    from zoo.training.freezing import unfreeze as unfreeze
    from zoo.weights.imagenet import decode_predictions as decode_predictions
    from zoo.weights.preprocessing import preprocessor as preprocessor

__version__ = "0.1.0"

_HOMES = {
    "create_model": "zoo.builder",
    "count_macs": "zoo.graph",
    "count_params": "zoo.graph",
    "endpoints": "zoo.graph",
    "features": "zoo.graph",
    "receptive_field": "zoo.graph",
    "Card": "zoo.registry",
    "Paper": "zoo.registry",
    "Result": "zoo.registry",
    "list_models": "zoo.registry",
    "model_card": "zoo.registry",
    "register": "zoo.registry",
    "freeze": "zoo.training.freezing",
    "unfreeze": "zoo.training.freezing",
    "decode_predictions": "zoo.weights.imagenet",
    "preprocessor": "zoo.weights.preprocessing",
}
_SUBPACKAGES = ("data", "deploy", "layers", "models", "report", "runs", "training", "weights")

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if name not in ("Card", "Paper", "Result"):
            importlib.import_module("zoo.models")
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"zoo.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_SUBPACKAGES])
