"""What all builders share, described and handled once: arguments, input, head, activation, weights.

A family gives a backbone and a head (`zoo.registry.register`); this file makes the function of them that users call,
with the arguments of keras.applications in that order and with that meaning.
"""

import functools
import inspect
import math
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import keras
from keras import layers

from zoo import registry
from zoo.drawing import drawn_meanwhile
from zoo.graph import Parts
from zoo.layers import full_precision, global_pooling
from zoo.registry import Card, Entry, keyword_parameters

if TYPE_CHECKING:
    from zoo.weights.loaders import Wanted

# Enough for graphs ten times as deep as that of resnet1202, the deepest one here.
DEEP_GRAPH_RECURSION_LIMIT = 20_000

_SHARED_ARGUMENTS = """\
include_top: Whether the classifier head is built.
weights: None for random weights; the tag of published ones, such as "torchvision" or "timm.a1" (`zoo weights list`
    shows them), or "default" for the most accurate with a free licence: they are fetched once and kept; or the path
    of what `zoo.weights.save` wrote.
input_tensor: Keras tensor (batch, ...) to build on, such as the output of other layers; None for a new input.
input_shape: Shape of the input without the batch, channels last, e.g. {input_shape}. None stands for that shape;
    without the head for any height and width. Sizes may be None wherever the head allows it.
pooling: What stands behind the last feature map without the head: None, "avg" or "max" over all positions. With
    the head it has no effect, as in keras.applications.
classes: Number of classes. With published weights another number than theirs makes a new head.
classifier_activation: Activation on the logits, e.g. "softmax" or "sigmoid"; None gives the logits.
name: Name of the model.
include_preprocessing: Whether the model itself does what its weights need done to pictures, and so takes pixels of
    0 to 255, uint8 or floating-point. True scales and normalises, as in keras.applications: pictures must have the
    size of `input_shape`. "resize" also resizes and crops: it takes pictures of any size and needs TensorFlow.
    Without weights pixels are scaled to the range above. Or the tag of other weights whose scale it shall be, or a
    layer of yours such as `zoo.preprocessor("resnet50", "timm.a1").layer(resize=True)`."""

_DOCSTRING = """\
{summary}.

{paper_title} ({paper_year}), {paper_url}. {num_params:,} parameters and {num_macs:,} multiply-accumulates at
{input_shape} with {classes} classes. Trained from scratch, it expects values from {low:g} to {high:g}.

Args:
{arguments}

Returns:
    A functional `keras.Model` with the endpoints {endpoints}.

Raises:
    ValueError: The input is smaller than {smallest}, or an argument has an illegal value.
    TypeError: An argument is not known.

Example:
    >>> import zoo
    >>> zoo.models.{name}(include_top=False, pooling="avg").name
    '{name}'
"""


def create_model(
    model: str,
    /,
    *,
    weights: str | PathLike | None = None,
    classes: int | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    classifier_activation: str | Callable[..., Any] | None = "default",
    input_tensor: keras.KerasTensor | None = None,
    name: str | None = None,
    include_preprocessing: bool | str | keras.layers.Layer = False,
    **knobs: Any,
) -> keras.Model:
    """Build a registered model; `zoo.models.<model>` is the same builder.

    Args:
        model: A registered name; `zoo.list_models()` lists them.
        weights: None for random weights; the tag of published ones, such as "torchvision" or "timm.a1"
            (`zoo.model_card(model).weights` has them), a source for its best, or "default" for the most accurate
            with a free licence; or a run folder, or the path of what `zoo.weights.save` wrote. Published weights are
            fetched once and kept in `ZOO_HOME`, or `~/.cache/cnn-zoo`; `zoo.preprocessor` gives what belongs before
            them.
        classes: Number of classes; None for the card's. With weights another number than theirs keeps the body and
            makes a new head, which is logged.
        input_shape: Shape of the input without the batch, channels last; None for the card's, and without the head
            for any height and width. Sizes may be None wherever the head allows it.
        include_top: Whether the classifier head is built.
        pooling: What stands behind the last feature map without the head: None, "avg" or "max" over all positions.
        classifier_activation: Activation on the logits; None gives the logits; "default" is softmax, and nothing for
            a network that gives a signal.
        input_tensor: Keras tensor to build on; None for a new input.
        name: Name of the Keras model; None for the registered name.
        include_preprocessing: Whether the model itself does what its weights need done to pictures, and so takes
            pixels of 0 to 255, uint8 or floating-point; see the builders.
        **knobs: The family's own arguments; `help(zoo.models.<model>)` describes them.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: There is no such model (close matches are listed), the input is too small (the smallest legal
            size is given), or an argument has an illegal value.
        TypeError: A knob is not known (the known ones are listed).

    Example:
        >>> import zoo
        >>> zoo.create_model("resnet50", classes=10, input_shape=(64, 64, 3)).output_shape
        (None, 10)
    """
    entry = registry.entry(model)
    if classes is None:
        classes = entry.card.classes
    if classifier_activation == "default":
        classifier_activation = entry.card.activation
    return _build(
        entry, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name,
        include_preprocessing=include_preprocessing, **knobs,
    )  # fmt: skip


@functools.cache
def builder(name: str) -> Callable[..., keras.Model]:
    """The builder function of a registered model, with its own signature and docstring."""
    entry = registry.entry(name)
    signature = _signature(entry)

    def build(*args: Any, **kwargs: Any) -> keras.Model:
        bound = _bind(signature, args, kwargs, name)
        return _build(entry, **bound)

    build.__name__ = build.__qualname__ = name
    build.__module__ = "zoo.models"
    build.__signature__ = signature  # type: ignore[attr-defined]
    build.__doc__ = _docstring(entry)
    return build


def _build(
    entry: Entry,
    include_top: bool,
    weights: str | PathLike | None,
    input_tensor: keras.KerasTensor | None,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | Callable[..., Any] | None,
    name: str | None,
    *,
    include_preprocessing: bool | str | keras.layers.Layer,
    **knobs: Any,
) -> keras.Model:
    check_knobs(entry.card.name, knobs)
    wanted = None if weights is None else look_up(entry.card.name, weights, knobs)
    preprocessing = _preprocessing(entry.card, wanted, include_preprocessing, input_tensor, input_shape)
    construct = _constructor(
        entry, include_top, input_tensor, input_shape, pooling, classes, classifier_activation, name, knobs,
        preprocessing,
    )  # fmt: skip
    if wanted is not None:
        return wanted.model(construct, build_for_conversion)
    with drawn_meanwhile():
        return construct({}).model


def look_up(model: str, weights: str | PathLike, knobs: Mapping[str, Any]) -> "Wanted":
    """What is known of weights before they are fetched: the knobs that they need, their preprocessing.

    Args:
        model: A registered name.
        weights: Tag, source, "default", or the path of what `zoo.weights.save` wrote.
        knobs: Arguments of the model's family, by name.

    Raises:
        ValueError: There are none of that name, or they are for another network than the knobs make.
    """
    from zoo.weights import loaders

    entry = registry.entry(model)
    defaults = {key: parameter.default for key, parameter in _knobs(entry).items()}
    return loaders.look_up(entry.card, weights, knobs, defaults)


def _preprocessing(
    card: Card,
    wanted: "Wanted | None",
    asked: bool | str | keras.layers.Layer,
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
) -> keras.layers.Layer | None:
    """The layer between pictures and backbone, if there shall be one."""
    if asked is False or isinstance(asked, keras.layers.Layer):
        return asked or None
    if asked is not True and not isinstance(asked, str):
        raise ValueError(
            'include_preprocessing must be True, False, "resize", the tag of published weights, or a layer. '
            f"Received: include_preprocessing={asked!r}"
        )
    from zoo.weights.preprocessing import Preprocessing, preprocessor

    if asked is not True and asked != "resize":
        recipe = preprocessor(card.name, asked)
    elif wanted is not None:
        recipe = wanted.preprocessing()
    elif asked is True and card.modality == "image":
        recipe = Preprocessing.from_value_range(card.value_range)
    else:
        raise ValueError(
            f"Without weights nothing says what preprocessing {card.name} shall include. Received: "
            f"include_preprocessing={asked!r}. Give a layer, such as zoo.weights.Preprocessing(…).layer(resize=True)."
        )
    shape = card.input_shape if input_shape is None else input_shape
    channels = (shape if input_tensor is None else input_tensor.shape)[-1]
    if channels not in (1, 3):
        raise ValueError(f"Preprocessing takes pictures of 1 or 3 channels. Received: {channels} channels, "
                         f"include_preprocessing={asked!r}")  # fmt: skip
    return (recipe.grey() if channels == 1 else recipe).layer(resize=asked == "resize")


def _constructor(
    entry: Entry,
    include_top: bool,
    input_tensor: keras.KerasTensor | None,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | Callable[..., Any] | None,
    name: str | None,
    knobs: Mapping[str, Any],
    preprocessing: keras.layers.Layer | None = None,
) -> Callable[[Mapping[str, Any]], Parts]:
    """A function that makes the graph, given the knobs that weights need; the arguments are checked at once."""
    card = entry.card
    if pooling not in (None, "avg", "max"):
        raise ValueError(f'pooling must be None, "avg" or "max". Received: pooling={pooling!r}')
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"classes must be a whole number, at least 1. Received: classes={classes!r}")
    activation = keras.activations.get(classifier_activation)
    pictures = _input(entry, input_tensor, input_shape, include_top, preprocessing)
    start = pictures if preprocessing is None else preprocessing(pictures)
    _check_shape(card, tuple(start.shape[1:]), smallest_size(card.name, knobs))
    classes = _classes_of_size(card, classes, tuple(start.shape[1:]))

    def construct(needed: Mapping[str, Any]) -> Parts:
        keywords = {**entry.row, **needed, **knobs}
        x = features = entry.backbone(start, **_taken(entry.backbone, keywords))
        if isinstance(features, dict):
            features = features["features"]
        if include_top:
            x = entry.head(x, classes, **_taken(entry.head, keywords))
            if classifier_activation is not None:
                x = _activated(x, activation)
        else:
            x = global_pooling(features, pooling) if pooling else features
        inputs = pictures
        if input_tensor is not None:
            sources = keras.utils.get_source_inputs(input_tensor)
            inputs = sources[0] if len(sources) == 1 else sources
        model = _functional(inputs, x, name or card.name)
        return Parts(model, start, features, x, classes)

    return construct


def _classes_of_size(card: Card, classes: int, shape: tuple[int | None, ...]) -> int:
    """The number of classes; where these are the points of a board, the default follows the size of the board."""
    sizes = [size for size in shape[:-1] if size is not None]
    default = math.prod(card.input_shape[:-1])
    if card.modality != "board" or classes != card.classes or len(sizes) < len(shape) - 1 or classes < default:
        return classes
    return classes - default + math.prod(sizes)


def _activated(logits: Any, activation: Callable[..., Any]) -> Any:
    """The activation on the logits, or on each of the logits in a dict; a value has its own already."""
    if not isinstance(logits, dict):
        return layers.Activation(activation, dtype=full_precision(), name="predictions")(logits)
    names = {key: key if key == "predictions" else f"{key}_predictions" for key in logits}
    return {
        key: value if key == "value" else layers.Activation(activation, dtype=full_precision(), name=names[key])(value)
        for key, value in logits.items()
    }


def smallest_size(model: str, knobs: Mapping[str, Any]) -> int:
    """The smallest height and width that a model takes.

    Args:
        model: A registered name.
        knobs: Arguments of the model's family, by name.

    Returns:
        The card's; with another stem than its own 1, since Keras then refuses what the graph cannot take.
    """
    entry = registry.entry(model)
    own = _knobs(entry)
    return entry.card.min_size if "stem" not in knobs or knobs["stem"] == own["stem"].default else 1


def _functional(inputs: Any, outputs: Any, name: str) -> keras.Model:
    """A functional model. Keras walks the graph by recursion, which a thousand layers take past Python's limit.

    The limit stays raised then: cloning and saving the model walk its graph again.
    """
    try:
        return keras.Model(inputs, outputs, name=name)
    except RecursionError:
        sys.setrecursionlimit(max(DEEP_GRAPH_RECURSION_LIMIT, sys.getrecursionlimit()))
        return keras.Model(inputs, outputs, name=name)


def _input(
    entry: Entry,
    input_tensor: keras.KerasTensor | None,
    input_shape: tuple[int | None, ...] | None,
    include_top: bool,
    preprocessing: keras.layers.Layer | None,
) -> keras.KerasTensor:
    """What the model starts from, its shape checked."""
    card = entry.card
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "The zoo's networks have their channels last. Received: keras.config.image_data_format() == "
            f'{keras.config.image_data_format()!r}. Call keras.config.set_image_data_format("channels_last").'
        )
    if input_tensor is not None:
        if not isinstance(input_tensor, keras.KerasTensor):
            raise ValueError(f"input_tensor must be a Keras tensor. Received: {type(input_tensor).__name__}")
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tuple(input_shape) != shape:
            raise ValueError(f"input_shape={tuple(input_shape)} and input_tensor of shape {shape} do not agree.")
    elif input_shape is not None:
        shape = tuple(input_shape)
    elif include_top and not getattr(preprocessing, "resize", False):
        shape = card.input_shape
    else:
        shape = (None,) * card.num_sizes + card.input_shape[card.num_sizes :]
    _check_shape(card, shape, 1)
    if input_tensor is not None:
        return input_tensor
    return keras.Input(shape, dtype="int32" if card.modality == "text" else None)


def _check_shape(card: Card, shape: tuple[int | None, ...], min_size: int) -> None:
    if len(shape) != len(card.input_shape):
        raise ValueError(f"{card.name} takes inputs of {len(card.input_shape)} axes, e.g. {card.input_shape}. "
                         f"Received: {shape}")  # fmt: skip
    sizes, others = shape[: card.num_sizes], shape[card.num_sizes :]
    if not all(isinstance(size, int) and size >= 1 for size in others):
        what = "number of channels" if len(others) == 1 else "numbers of bands and maps"
        raise ValueError(f"The {what} must be given, at least 1. Received: input_shape={shape}")
    if any(size is not None and size < min_size for size in sizes):
        smallest = (min_size,) * len(sizes) + others
        raise ValueError(f"{card.name} needs an input of at least {smallest}. Received: {shape}")


def build_for_conversion(
    model: str, auxiliary: bool, knobs: Mapping[str, Any]
) -> tuple[keras.Model, list[str]]:  # fmt: skip
    """A model as its weights are published, and the names of its head's layers.

    Args:
        model: A registered name.
        auxiliary: Whether it shall have auxiliary classifiers, if its family knows them.
        knobs: What else its builder needs.
    """
    entry = registry.entry(model)
    card = entry.card
    check_knobs(model, knobs)
    needed = {**({"aux": True} if auxiliary and "aux" in _knobs(entry) else {}), **knobs}
    parts = _constructor(entry, True, None, card.input_shape, None, card.classes, None, None, needed)({})
    return parts.model, sorted(layer.name for layer in parts.layers()[1])


def check_knobs(model: str, knobs: Mapping[str, Any]) -> None:
    """Refuse knobs that a model does not have, and values outside of the listed choices.

    Args:
        model: A registered name.
        knobs: Arguments of the model's family, by name.

    Raises:
        TypeError: A knob is not known; the known ones are listed.
        ValueError: There is no such model, or a value is none of a knob's choices.
    """
    entry = registry.entry(model)
    known = _knobs(entry)
    if unknown := [key for key in knobs if key not in known]:
        raise TypeError(
            f"{entry.card.name} has no argument {', '.join(map(repr, unknown))}. "
            f"Its knobs: {', '.join(known) or 'none'}. All builders take: {', '.join(_shared_parameters(entry))}."
        )
    for key, value in knobs.items():
        annotation = known[key].annotation
        if get_origin(annotation) is Literal and value not in get_args(annotation):
            legal = " or ".join(repr(choice) for choice in get_args(annotation))
            raise ValueError(f"{key} must be {legal}. Received: {key}={value!r}")


def _knobs(entry: Entry) -> dict[str, inspect.Parameter]:
    """The keywords of backbone and head that users may set, with the default that they have in this variant."""
    keywords = {**keyword_parameters(entry.backbone), **keyword_parameters(entry.head)}
    return {
        key: parameter.replace(default=entry.row.get(key, parameter.default))
        for key, parameter in keywords.items()
        if parameter.default is not inspect.Parameter.empty
    }


def _taken(function: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that the function has a keyword for."""
    known = keyword_parameters(function)
    return {key: value for key, value in values.items() if key in known}


def _shared_parameters(entry: Entry) -> dict[str, inspect.Parameter]:
    """The arguments that all builders take, in the order of keras.applications."""
    defaults = {
        "include_top": True,
        "weights": None,
        "input_tensor": None,
        "input_shape": None,
        "pooling": None,
        "classes": entry.card.classes,
        "classifier_activation": entry.card.activation,
        "name": None,
        "include_preprocessing": False,
    }
    declared = inspect.signature(_build).parameters
    return {key: declared[key].replace(default=default) for key, default in defaults.items()}


def _signature(entry: Entry) -> inspect.Signature:
    parameters = [*_shared_parameters(entry).values(), *_knobs(entry).values()]
    return inspect.Signature(parameters, return_annotation=keras.Model)


def _bind(signature: inspect.Signature, args: tuple, kwargs: dict[str, Any], name: str) -> dict[str, Any]:
    """The arguments of a call by name, with the defaults of those that all builders take.

    Knobs are there if they were given: weights may need others than the defaults. Unknown keywords are passed on, for
    `check_knobs` to refuse.
    """
    known = {key: value for key, value in kwargs.items() if key in signature.parameters}
    try:
        bound = signature.bind(*args, **known)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None
    shared = inspect.signature(_build).parameters
    defaults = {key: item.default for key, item in signature.parameters.items() if key in shared}
    return {**defaults, **bound.arguments, **kwargs}


def _docstring(entry: Entry) -> str:
    card = entry.card
    described = {**_described(entry.backbone), **_described(entry.head)}
    arguments = _SHARED_ARGUMENTS.format(input_shape=card.input_shape) + "".join(
        f"\n{key}: {described.get(key, 'See the family.')}" for key in _knobs(entry)
    )
    return _DOCSTRING.format(
        summary=card.summary,
        paper_title=card.paper.title,
        paper_year=card.paper.year,
        paper_url=card.paper.url,
        num_params=card.num_params,
        num_macs=card.num_macs,
        input_shape=card.input_shape,
        classes=card.classes,
        low=card.value_range[0],
        high=card.value_range[1],
        arguments=textwrap.indent(arguments, "    "),
        endpoints=", ".join(f"`{name}`" for name in card.endpoints),
        smallest="x".join([str(card.min_size)] * card.num_sizes),
        name=card.name,
    )


def _described(function: Callable[..., Any]) -> dict[str, str]:
    """What the "Args:" section of a docstring says of each argument."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.getdoc(function) or "", re.DOTALL | re.MULTILINE)
    if section is None:
        return {}
    items = re.findall(r"^(\w+): (.*(?:\n(?: .*)?$)*)", textwrap.dedent(section[1]), re.MULTILINE)
    return {key: text.rstrip() for key, text in items}
