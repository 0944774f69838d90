"""The registry: what each model is (its card) and how to build it (its backbone and head).

Imports no family and nothing else of ours: families register themselves here, and whoever needs a model asks here.
A package of your own adds models through the same door, `zoo.register`.
"""

import csv
import difflib
import fnmatch
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from typing import Any, Literal

MODALITIES = ("image", "audio", "text", "board", "signal")

Modality = Literal["image", "audio", "text", "board", "signal"]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a network was published."""

    title: str
    year: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """A published accuracy, in percent, with the protocol that it was measured by and where it stands."""

    dataset: str
    top1: float
    top5: float | None = None
    protocol: str
    source: str


# Where published accuracies of many networks stand.
TORCHVISION, TIMM = "torchvision 0.28, IMAGENET1K_V1", "timm 1.0, results-imagenet.csv"


def imagenet_result(top1: float, top5: float, *, size: int = 224, source: str = TORCHVISION) -> Result:
    """An accuracy on ImageNet's 50,000 validation pictures, by one centre crop of `size` x `size` each."""
    protocol = f"validation set, one centre crop of {size}"
    return Result(dataset="ImageNet-1k", top1=top1, top5=top5, protocol=protocol, source=source)


def cifar10_result(top1: float, table: int, *, preparation: str = "") -> Result:
    """An accuracy on CIFAR-10's 10,000 test pictures, in the usual training; `preparation` says what is not usual."""
    protocol = "test set, trained with flips and shifts by 4 pixels" + preparation
    return Result(dataset="CIFAR-10", top1=top1, protocol=protocol, source=f"table {table}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts of one registered model; each is asserted by a test.

    Attributes:
        name: The registered name, also that of the builder in `zoo.models`.
        family: The name of the family file.
        modality: One of `MODALITIES`.
        summary: One line: what the network is.
        paper: Where it was published.
        input_shape: Default input without the batch, channels last: (224, 224, 3) of pictures, (frames, bands, maps)
            of sound, (samples, channels) of signals, (positions,) of text, which is whole numbers.
        min_size: Smallest legal height and width; of sound the smallest number of frames, of text and signals the
            smallest length.
        value_range: Lowest and highest input value that the network expects when trained from scratch.
        classes: Default number of classes; of a network that gives a signal, its channels.
        num_params: Trainable parameters of the default model, the number that papers and torchvision state.
        num_state: Numbers that are state but not trained: moving means and variances of batch norm, fixed codes.
        num_macs: Multiply-accumulates of convolutions and dense layers at the default input, batch 1.
        endpoints: The names that `zoo.features` takes, in the order of the graph.
        results: Published accuracies.
        weights: Tags of published weights that `weights=` takes; `register` adds those of the zoo's own table.
        activation: Default activation on the logits: "softmax" for classes that exclude each other, None for a network
            that gives a signal.
        symbols: Of a network for text: "words" or "characters", what its input numbers stand for.
        note: What a reader of the numbers has to know, if anything.
    """

    name: str
    family: str
    modality: Modality
    summary: str
    paper: Paper
    input_shape: tuple[int, ...]
    min_size: int
    value_range: tuple[float, float]
    classes: int
    num_params: int
    num_state: int
    num_macs: int
    endpoints: tuple[str, ...]
    results: tuple[Result, ...] = ()
    weights: tuple[str, ...] = ()
    activation: str | None = "softmax"
    symbols: Literal["words", "characters"] = "words"
    note: str = ""

    @property
    def num_sizes(self) -> int:
        """How many axes of the input, from the first one on, may be of any size from `min_size` on.

        The bands of a spectrogram, its second axis, are what its front-end makes them.
        """
        return {"audio": 1, "text": 1, "signal": 1}.get(self.modality, 2)

    def to_dict(self) -> dict[str, Any]:
        """The card as plain dicts, lists, strings and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class Entry:
    """A registered model: its card and the functions that build it.

    Attributes:
        card: The facts.
        backbone: `(x, **row, **knobs) -> x`: the graph from the input tensor to the last feature map.
        head: `(x, classes, **row, **knobs) -> logits`.
        row: The values that make this variant: all keywords of `backbone` and `head` that have no default, and
            those whose default differs in this variant.
    """

    card: Card
    backbone: Callable[..., Any]
    head: Callable[..., Any]
    row: Mapping[str, Any] = field(default_factory=dict)


_entries: dict[str, Entry] = {}


def register(card: Card, backbone: Callable[..., Any], head: Callable[..., Any], **row: Any) -> None:
    """Add a model to the registry.

    A keyword of `backbone` or `head` that has a default is a knob: the user of the model may set it. One without a
    default describes the architecture and must be given here, in `row`; the user cannot change it. A knob that is
    given in `row` gets that value as its default in this variant.

    Args:
        card: The facts of the model. `card.name` must be new and a valid Python name.
        backbone: Function `(x, **keywords) -> x` from the input tensor to the last feature map, made of Keras
            layers, which marks its feature maps by `zoo.layers.endpoint`. For a model of several outputs it returns
            a dict of the last feature map as "features" and of the others that the head starts from.
        head: Function `(x, classes, **keywords) -> logits`, such as `zoo.layers.pooled_head`. From a dict it makes a
            dict of logits, "predictions" and the others; the model's output then has these keys.
        **row: Values of the keywords, see above.

    Raises:
        TypeError: `card` is no Card, or `row` and the functions' keywords do not fit.
        ValueError: The name is taken or no Python name, or the modality is unknown.
    """
    if not isinstance(card, Card):
        raise TypeError(f"register() takes a zoo.Card first. Received: {card!r}")
    if not card.name.isidentifier():
        raise ValueError(f"A model's name must be a valid Python name. Received: {card.name!r}")
    if card.name in _entries:
        raise ValueError(
            f"A model named {card.name!r} is registered already, in family {_entries[card.name].card.family!r}. "
            "Choose another name."
        )
    if card.modality not in MODALITIES:
        raise ValueError(f"modality must be one of {', '.join(MODALITIES)}. Received: {card.modality!r}")
    keywords = {**keyword_parameters(backbone), **keyword_parameters(head)}
    unknown = [key for key in row if key not in keywords]
    missing = [key for key, item in keywords.items() if item.default is inspect.Parameter.empty and key not in row]
    if unknown or missing:
        raise TypeError(
            f"The row of {card.name!r} does not fit its functions: "
            f"unknown {unknown or 'none'}, missing {missing or 'none'}. Keywords: {', '.join(keywords)}"
        )
    tags = dict.fromkeys((*card.weights, *_published_tags().get(card.name, ())))
    _entries[card.name] = Entry(replace(card, weights=tuple(tags)), backbone, head, row)


def entry(name: str) -> Entry:
    """The registered entry of that name; an unknown name raises a ValueError that lists the closest ones."""
    try:
        return _entries[name]
    except (KeyError, TypeError):
        raise ValueError(f"There is no model named {name!r}. {_suggestion(name)}") from None


def model_card(name: str) -> Card:
    """The card of a registered model.

    Example:
        >>> import zoo
        >>> zoo.model_card("resnet50").num_params
        25557032
    """
    return entry(name).card


def list_models(
    pattern: str = "*",
    *,
    modality: str | None = None,
    family: str | None = None,
    weights: bool | None = None,
) -> list[str]:
    """Names of registered models, in natural order (`resnet18` before `resnet101`).

    Args:
        pattern: Shell pattern on the name, such as `"resnet*_v2"`.
        modality: Only models of this modality: image, audio, text, board or signal.
        family: Only models of this family, e.g. `"resnet"`.
        weights: True for models with published weights only, False for those without, None for both.

    Returns:
        The names that fit all conditions; empty when none does.

    Raises:
        ValueError: There is no such modality or family.

    Example:
        >>> import zoo
        >>> zoo.list_models("resnet1??")
        ['resnet101', 'resnet110', 'resnet152', 'resnet164']
    """
    if modality is not None and modality not in MODALITIES:
        raise ValueError(f"modality must be one of {', '.join(MODALITIES)}. Received: {modality!r}")
    families = sorted({item.card.family for item in _entries.values()})
    if family is not None and family not in families:
        raise ValueError(f"There is no family {family!r}. Families: {', '.join(families)}")
    return sorted(
        (
            name
            for name, item in _entries.items()
            if fnmatch.fnmatchcase(name, pattern)
            and modality in (None, item.card.modality)
            and family in (None, item.card.family)
            and weights in (None, bool(item.card.weights))
        ),
        key=_natural,
    )


@functools.cache
def _published_tags() -> dict[str, list[str]]:
    """The tags in the table of published weights, by model. It is read as a file: nothing of ours is imported here."""
    tags: dict[str, list[str]] = {}
    text = resources.files("zoo").joinpath("weights/published.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        tags.setdefault(row["model"], []).append(row["tag"])
    return tags


def keyword_parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function, by name."""
    parameters = inspect.signature(function).parameters.values()
    return {item.name: item for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that compares runs of digits as numbers, so that `resnet18` comes before `resnet101`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _suggestion(name: Any) -> str:
    names = sorted(_entries, key=_natural)
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), names, n=4, cutoff=0.6)
    if close:
        return f"Did you mean {', '.join(close)}?"
    return f"zoo.list_models() lists all {len(names)}."
