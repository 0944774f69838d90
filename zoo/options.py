"""What command lines share: values of options by name, an action that need not be named, the action `export`."""

import argparse
import ast
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

# What `zoo export` and the applications write.
FORMATS = ("saved_model", "onnx", "openvino", "litert")


def literal(text: str) -> Any:
    """The Python literal that a text is, or else the text.

    Example:
        >>> from zoo.options import literal
        >>> literal("0.5"), literal("cifar")
        (0.5, 'cifar')
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def pairs(texts: Iterable[str] | None, option: str) -> dict[str, Any]:
    """The values that an option was given, by name.

    Args:
        texts: Each `NAME=VALUE`; None for none.
        option: Its name, for the message.

    Raises:
        ValueError: One is of another form.

    Example:
        >>> from zoo.options import pairs
        >>> pairs(["alpha=0.5", "stem=cifar"], "--knob")
        {'alpha': 0.5, 'stem': 'cifar'}
    """
    found: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"{option} takes NAME=VALUE. Received: {text!r}")
        found[name] = literal(value)
    return found


def act_by_default(parser: argparse.ArgumentParser, action: str, actions: Sequence[str]) -> None:
    """Let a command begin with what its action takes: `zoo style A B` for `zoo style paint A B`.

    Args:
        parser: Of the command, whose actions are its subparsers.
        action: What is done where the first word is neither an action nor an option.
        actions: All of them.
    """
    known = parser.parse_known_args

    def parse(args: Any = None, namespace: Any = None) -> Any:
        words = list(args or ())
        if words and words[0] not in actions and not words[0].startswith("-"):
            words.insert(0, action)
        return known(words, namespace)

    parser.parse_known_args = parse  # type: ignore[method-assign]


def add_export(actions: Any, what: str, run: Callable[[argparse.Namespace], None], size: str) -> None:
    """Add the action that writes an application's network for another runtime.

    Args:
        actions: The subparsers of the application's command.
        what: What is written, for the help.
        run: Does it, by `zoo.deploy.commands.export_application`.
        size: The side of its pictures that is taken by default, for the help.
    """
    action = actions.add_parser("export", help=f"write {what} for another runtime, and prove it there")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder of the training")
    action.add_argument("--to", choices=FORMATS, required=True, metavar="FORMAT", help=", ".join(FORMATS))
    action.add_argument("--size", type=int, metavar="N", help=f"side of the pictures in pixels (default: {size})")
    action.add_argument("--out", type=Path, metavar="DIR", required=True,
        help="folder to make; it appears when all is proven")  # fmt: skip
    action.set_defaults(run=run)
