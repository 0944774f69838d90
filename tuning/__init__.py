"""Search for hyper-parameters of registered models and of their training, with keras-tuner or Optuna as the engine.

    import tuning

    found = tuning.search("resnet20", "digits", trials=20, out="searches/a")
    print(found.best.score, found.recipe)

`zoo tune resnet20 --out searches/a` is the same. `tuning.hypermodel("resnet20")` goes into any tuner of keras-tuner.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuning.hyper import hypermodel
    from tuning.records import Search, Trial, open_search
    from tuning.searching import search

_HOMES = {
    "Search": "tuning.records",
    "Trial": "tuning.records",
    "hypermodel": "tuning.hyper",
    "open_search": "tuning.records",
    "search": "tuning.searching",
}

__all__ = ["Search", "Trial", "hypermodel", "open_search", "search"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("by_lot", "spaces"):
        return importlib.import_module(f"tuning.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
