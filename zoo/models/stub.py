"""Writes `zoo/models/__init__.pyi`, which tells editors and type checkers the signature of each builder.

    python -m zoo.models.stub

The signatures come from the registry; a test fails when the file is not what this prints.
"""

import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from zoo import registry
from zoo.builder import builder
from zoo.files import write_atomic

STUB = Path(__file__).with_name("__init__.pyi")

_HEADER = """\
# Written by `python -m zoo.models.stub`; do not edit.
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal

import keras
"""


def render() -> str:
    """The text of the stub file."""
    return "\n".join([_HEADER, *map(_function, registry.list_models())])


def _function(name: str) -> str:
    signature = inspect.signature(builder(name))
    lines, keyword_only = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            lines.append("    *,")
            keyword_only = True
        lines.append(f"    {parameter.name}: {_type(parameter.annotation)} = {parameter.default!r},")
    return "\n".join([f"def {name}(", *lines, ") -> keras.Model: ..."])


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(map(repr, get_args(annotation)))}]"
    text = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    for long, short in (
        ("keras.src.backend.common.keras_tensor.", "keras."),
        ("keras.src.layers.layer.", "keras.layers."),
        ("collections.abc.", ""),
        ("typing.", ""),
        ("os.", ""),
    ):
        text = text.replace(long, short)
    return text


if __name__ == "__main__":
    write_atomic(STUB, render())
