"""Builders of all registered models, reached flat: `zoo.models.resnet50(...)`.

Each takes the arguments of keras.applications, in that order and with that meaning, and the knobs of its family.
`__init__.pyi` beside this file carries the signatures to editors; `python -m zoo.models.stub` writes it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras

from zoo import registry
from zoo.models import audio, board, image, signal, text  # noqa: F401  (importing the families registers their models)

if TYPE_CHECKING:
    Builder = Callable[..., keras.Model]


def __getattr__(name: str) -> "Builder":
    from zoo.builder import builder

    try:
        return builder(name)
    except ValueError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. {error}") from None


def __dir__() -> list[str]:
    return registry.list_models()
