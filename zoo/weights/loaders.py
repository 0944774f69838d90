"""The weights that a builder was asked for: what they are is known at once, what they hold once the graph is there.

In between the builder checks its other arguments, so that nothing is fetched for a call that cannot succeed.
"""

import difflib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from zoo.drawing import uncollected, undrawn
from zoo.graph import Parts
from zoo.registry import Card
from zoo.weights import cache, store
from zoo.weights.adapt import first_convolution, is_other_head
from zoo.weights.preprocessing import Preprocessing
from zoo.weights.published import Published, find
from zoo.weights.store import Stored

# Makes the graph, given the knobs that the weights need.
Construct = Callable[[Mapping[str, Any]], Parts]

_logger = logging.getLogger("zoo")

# Where a run folder keeps its weights.
_BEST = "best"


@dataclass(frozen=True)
class Wanted:
    """Weights that were found by their name, and not read yet.

    Attributes:
        card: Of the model that they are for.
        label: What they are called in messages.
        found: The record of published ones, or what lies at a path.
    """

    card: Card
    label: str
    found: Published | Stored

    @property
    def knobs(self) -> Mapping[str, Any] | None:
        """Arguments of the builder that they need; None if nothing is said, as of what a user saved."""
        if isinstance(self.found, Published):
            return self.found.knobs
        return self.found.manifest["knobs"] if "head" in self.found.manifest else None

    @property
    def tag(self) -> str:
        """The tag of the published weights that they are; "" for what lies at a path and does not say."""
        if isinstance(self.found, Published):
            return self.found.tag
        return str(self.found.manifest.get("weights", "")).partition(":")[2]

    def preprocessing(self) -> Preprocessing:
        """What they were trained for.

        Raises:
            ValueError: They lie at a path and do not say where they came from.
        """
        if isinstance(self.found, Published):
            return Preprocessing.from_record(self.found)
        if not self.tag:
            raise ValueError(
                f"{self.label} does not say what preprocessing its weights were trained for. In include_preprocessing "
                "give the tag of the published weights that they began with, or a layer, such as "
                "zoo.weights.Preprocessing(…).layer()."
            )
        return Preprocessing.from_record(find(self.card.name, self.tag))

    def model(self, construct: Construct, build: cache.Build) -> keras.Model:
        """The model that `construct` makes, filled; published weights are fetched first, if need be."""
        if isinstance(self.found, Published):
            return _adapted(self.card, cache.fetch(self.found, build), self.label, construct)
        if self.knobs is not None:
            store.verify(self.found)
            return _adapted(self.card, self.found, self.label, construct)
        return _saved(self.card, self.found, self.label, construct, build)


def look_up(
    card: Card, weights: str | os.PathLike, knobs: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Wanted:  # fmt: skip
    """Find weights by their tag or path.

    Args:
        card: Of the model that they shall be for.
        weights: Tag, source, "default", the path of what `zoo.weights.save` wrote, or a run folder.
        knobs: Arguments of the family that the builder was given.
        defaults: All that it knows, with their defaults.

    Raises:
        ValueError: There are none of that name, or they are for another network than the knobs make, though one of
            the same shapes.
    """
    if isinstance(weights, str) and weights in _tags(card):
        row = find(card.name, weights)
        wanted = Wanted(card, f"{card.name}:{row.tag}", row)
    else:
        try:
            wanted = Wanted(card, str(weights), _stored(Path(weights)))
        except FileNotFoundError:
            raise ValueError(_no_weights(card, str(weights))) from None
    if wanted.knobs is None:
        return wanted
    fixed = {**({"variant": defaults["variant"]} if "variant" in defaults else {}), **wanted.knobs}
    for key, value in fixed.items():
        if knobs.get(key, value) != value:
            raise ValueError(
                f"The weights {str(weights)!r} are for {key}={value!r}. Received: {key}={knobs[key]!r}. "
                "Leave out one of the two."
            )
    return wanted


def _stored(path: Path) -> Stored:
    """Weights at a path, or in the run folder there."""
    try:
        return store.open_weights(path)
    except FileNotFoundError:
        return store.open_weights(path / _BEST)


def _tags(card: Card) -> list[str]:
    """What names published weights of a model: their tags, the sources for their best, and "default"."""
    sources = dict.fromkeys(tag.partition(".")[0] for tag in card.weights)
    return list(dict.fromkeys((*card.weights, *sources, *(["default"] if card.weights else []))))


def _no_weights(card: Card, weights: str) -> str:
    close = difflib.get_close_matches(weights.lower(), _tags(card), n=4, cutoff=0.5)
    if weights == "imagenet" and card.weights:
        close = ["default"]
    hint = f" Did you mean {', '.join(map(repr, close))}?" if close else ""
    return (
        f"{card.name} has no weights {weights!r}.{hint} Published weights: {', '.join(card.weights) or 'none'}. "
        "Otherwise give a run folder, the path of what zoo.weights.save wrote, or None for random weights."
    )


def _adapted(card: Card, stored: Stored, label: str, construct: Construct) -> keras.Model:
    """A model with verified weights that were converted, whatever its head and channels."""
    with uncollected(), undrawn() as redraw:
        parts = construct(stored.manifest["knobs"])
        model, classes, channels = parts.model, parts.classes, parts.start.shape[-1]
        body, head = parts.layers()
        first = None if channels == card.input_shape[-1] else first_convolution(model).name
        is_other = classes != card.classes
        new = store.load_layers(model, stored, body=body, head=head, new_head=is_other, first=first)
        for layer in new:
            for variable in layer.weights:
                redraw(variable)
    if new:
        names = ", ".join(layer.name for layer in reversed(new))
        _logger.warning("%s with %d classes: new, to be trained: %s", label, classes, names)
    if first is not None:
        _logger.warning("%s with %d input channels: adapted: %s", label, channels, first)
    return model


def _saved(card: Card, stored: Stored, label: str, construct: Construct, build: cache.Build) -> keras.Model:
    """A model with what a user or a run has saved: also without the head, with one for other classes, other channels.

    Nothing but these may differ: a head of another form, or a body of another depth, does not fit.
    """
    shapes = store.shapes(stored)
    with uncollected(), undrawn() as redraw:
        parts = construct({})
        model = parts.model
        body, head = parts.layers()
        first = _first(model, shapes)
        new = [layer for layer in head if is_other_head(layer, parts.classes, shapes)]
        without_head = not head and not set(shapes) <= {variable.path for variable in model.weights}
        if not new and first is None and not without_head:
            return store.load(model, stored)
        names = {layer.name for layer in head}
        if without_head:
            names = set(build(card.name, False, {})[1])
        store.examine(stored)
        known = Stored(stored.path, {**stored.manifest, "head": sorted(names)})
        for layer in store.load_layers(model, known, body=body, head=head, new_head=bool(new), first=first):
            for variable in layer.weights:
                redraw(variable)
    if new:
        text = ", ".join(layer.name for layer in reversed(new))
        _logger.warning("%s with %d classes: new, to be trained: %s", label, parts.classes, text)
    if first is not None:
        _logger.warning("%s with %d input channels: adapted: %s", label, parts.start.shape[-1], first)
    return model


def _first(model: keras.Model, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The first convolution, where the file has it for another number of input channels."""
    try:
        layer = first_convolution(model)
    except ValueError:  # a stem whose weights belong to single channels; a difference is then shown
        return None
    kernel = layer.kernel
    wanted, found = tuple(kernel.shape), shapes.get(kernel.path, ())
    differs = len(found) == len(wanted) and found[-2] != wanted[-2]
    return layer.name if differs and (*found[:-2], found[-1]) == (*wanted[:-2], wanted[-1]) else None
