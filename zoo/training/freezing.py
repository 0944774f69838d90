"""Freezing a part of a network for fine-tuning, with the policy for batch norm said aloud.

`layer.trainable = False` means two things at once for a Keras BatchNormalization: gamma and beta are no longer
trained, and the layer normalises by its moving statistics in training too (`if training and self.trainable` in its
`call`). Whether the second is wanted depends on the data: "inference" keeps the frozen part a fixed function; "train"
lets the statistics follow pictures that differ much from those of the first training.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
from keras import layers

from zoo.graph import endpoints

BatchNormPolicy = Literal["inference", "train"]
ALL = "all"


@dataclass(frozen=True)
class Frozen:
    """What `freeze` has frozen.

    Attributes:
        until: The endpoint or layer up to which the network is frozen.
        batch_norm: "inference" or "train".
        layers: Names of the frozen layers that have weights, in the order of the graph.
        num_batch_norms: How many of them are batch norms.
        num_frozen: Frozen parameters, moving statistics not counted.
        num_trainable: Parameters of the model that are still trained.
    """

    until: str
    batch_norm: BatchNormPolicy
    layers: tuple[str, ...]
    num_batch_norms: int
    num_frozen: int
    num_trainable: int

    def __str__(self) -> str:
        state = {"inference": "keep their statistics", "train": "update their statistics"}[self.batch_norm]
        return (
            f"{len(self.layers)} layers up to {self.until!r} are frozen with {self.num_frozen:,} parameters.\n"
            f"{self.num_trainable:,} parameters are trained. {self.num_batch_norms} frozen batch norms {state}."
        )


def freeze(
    model: keras.Model, until: str = ALL, *, batch_norm: BatchNormPolicy = "inference"
) -> Frozen:  # fmt: skip
    """Freeze all layers that an endpoint depends on, and its own.

    Call it before `compile` or `Trainer`, which note what is trained; a `Trainer` refuses to train a model in which
    that has changed since. What was frozen before stays so; `unfreeze` takes everything back. Dropout in the frozen
    part still acts in training.

    Args:
        model: A functional or sequential model that is built; what it contains may stand in a model inside it.
        until: An endpoint such as "stride16", the name of any layer, or "all" for the whole body: up to the last
            endpoint of feature maps, so that only the head is trained.
        batch_norm: What frozen batch norms do in training. "inference": they normalise by their moving statistics,
            which stay; the frozen part is the function that it is at inference, bit for bit. "train": they normalise
            by the batch and update their statistics, while gamma and beta stay. Keras saves the first with the model,
            not the second: after loading, freeze again.

    Returns:
        What is frozen; `print` says it in two lines.

    Raises:
        ValueError: There is no such endpoint or layer (close matches are listed), its name stands for several, "all"
            is asked of a model without endpoints, or `batch_norm` is not known.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("resnet18", classes=10)
        >>> print(zoo.freeze(model, until="stride16"))
        30 layers up to 'stride16' are frozen with 2,782,784 parameters.
        8,398,858 parameters are trained. 15 frozen batch norms keep their statistics.
    """
    if batch_norm not in get_args(BatchNormPolicy):
        raise ValueError(f'batch_norm must be "inference" or "train". Received: batch_norm={batch_norm!r}')
    target = _last_feature_map(model) if until == ALL else until
    frozen = {id(layer): layer for layer in _up_to(_path(model, target))}
    for layer in frozen.values():
        _freeze(layer, batch_norm)
    if model.compiled:
        model.train_function = None  # so that `fit` reads anew what is trained
    weighted = [layer for layer in frozen.values() if layer._trainable_variables or layer._non_trainable_variables]
    own = [variable for layer in weighted for variable in layer._trainable_variables]
    return Frozen(
        until=target,
        batch_norm=batch_norm,
        layers=tuple(layer.name for layer in weighted),
        num_batch_norms=sum(isinstance(layer, layers.BatchNormalization) for layer in weighted),
        num_frozen=_count(own),
        num_trainable=_count(model.trainable_variables),
    )


def body_batch_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    """The batch norms up to the last endpoint of feature maps, in the order of the graph.

    Args:
        model: A functional or sequential model with endpoints.

    Raises:
        ValueError: It has no endpoints to tell its body from its head.

    Example:
        >>> import zoo
        >>> len(body_batch_norms(zoo.create_model("resnet18")))
        20
    """
    found = {id(layer): layer for layer in _up_to(_path(model, _last_feature_map(model)))}
    return [layer for layer in found.values() if isinstance(layer, layers.BatchNormalization)]


def unfreeze(model: keras.Model) -> None:
    """Train everything again: all layers, also those of models inside, with batch norm as usual.

    Compile again, or make a new `Trainer`, afterwards: an optimizer knows the parameters that it was built with.

    Args:
        model: Any Keras model.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("resnet20")
        >>> frozen = zoo.freeze(model)
        >>> zoo.unfreeze(model)
        >>> len(model.trainable_variables) == len(zoo.create_model("resnet20").trainable_variables)
        True
    """
    # One by one: `model.trainable = True` does nothing where Keras finds that it is True already.
    for layer in model._flatten_layers():
        layer.trainable = True
        for variable in layer._trainable_variables:
            variable.trainable = True
    if model.compiled:
        model.train_function = None


class Trained:
    """What of a model is trained, as it was when this was made."""

    def __init__(self, model: keras.Model):
        self._model = model
        self._variables = [id(variable) for variable in model.trainable_variables]
        # Batch norm of the same variables is another function when its layer is not trainable.
        self._layers = [(layer, layer.trainable) for layer in model._flatten_layers()]

    def require_unchanged(self) -> None:
        """Raise a ValueError if something was frozen or unfrozen since."""
        now = [id(variable) for variable in self._model.trainable_variables]
        changed = [layer.name for layer, was_trainable in self._layers if layer.trainable != was_trainable]
        if changed or now != self._variables:
            raise ValueError(
                f"What is trained of {self._model.name!r} has changed since the Trainer was made: "
                f"{len(self._variables)} variables then, {len(now)} now. "
                "Freeze and unfreeze before making the Trainer, or make a new one."
            )


def _freeze(layer: keras.layers.Layer, batch_norm: BatchNormPolicy) -> None:
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable = batch_norm == "train"
    elif not layer._layers:
        layer.trainable = False
    # Variables too: of batch norms that must stay "trainable", and of layers that only hold others.
    for variable in layer._trainable_variables:
        variable.trainable = False


def _graph(model: Any) -> Any:
    """The model whose graph is known: itself, or the functional model that a sequential one has inside."""
    return getattr(model, "_functional", None) or model


def _is_graph(layer: Any) -> bool:
    return hasattr(_graph(layer), "_nodes_by_depth")


def _path(model: Any, name: str) -> list[tuple[Any, str]]:
    """From the model inwards, (model, name of its layer), the last one being the layer that was asked for."""
    paths = list(_paths(model, name))
    if len(paths) == 1:
        return paths[0]
    if paths:
        holders = ", ".join(repr(path[-1][0].name) for path in paths)
        raise ValueError(
            f"Several models inside of {model.name!r} have a layer {name!r}: {holders}. Freeze one of them."
        )
    if not _is_graph(model):
        raise ValueError(f"The model must be functional or sequential, and built. Received: {type(model).__name__}")
    names = [layer.name for layer in model._flatten_layers(include_self=False, recursive=True)]
    close = difflib.get_close_matches(str(name), names, n=4, cutoff=0.6)
    hint = f"Did you mean {', '.join(close)}? " if close else ""
    raise ValueError(
        f"{model.name!r} has no layer {name!r}. {hint}Endpoints: {', '.join(_all_endpoints(model)) or 'none'}"
    )


def _paths(model: Any, name: str) -> Iterator[list[tuple[Any, str]]]:
    if not _is_graph(model):
        return
    if name in {layer.name for layer in model.layers}:
        yield [(model, name)]
        return
    for layer in model.layers:
        yield from ([(model, layer.name), *path] for path in _paths(layer, name))


def _needed(model: Any, name: str) -> list[keras.layers.Layer]:
    """The layers of a model that the outputs of one of them depend on, and that one, in the order of the graph."""
    nodes_by_depth = _graph(model)._nodes_by_depth
    wanted: set[int] = set()
    found: list[keras.layers.Layer] = []
    for depth in sorted(nodes_by_depth):
        for node in nodes_by_depth[depth]:
            outputs = {id(tensor) for tensor in node.outputs}
            if node.operation.name == name or outputs & wanted:
                wanted.update(id(tensor) for tensor in node.input_tensors)
                found.append(node.operation)
    return found[::-1]


def _up_to(path: list[tuple[Any, str]]) -> Iterator[keras.layers.Layer]:
    """All layers up to the end of a path, those inside of others too. Operations that are no layers have no weights."""
    (model, name), *inside = path
    for layer in _needed(model, name):
        if inside and layer.name == name:
            yield from _up_to(inside)
        elif isinstance(layer, keras.layers.Layer):
            yield from layer._flatten_layers()


def _last_feature_map(model: Any) -> str:
    for name in reversed(_all_endpoints(model)):
        if re.fullmatch(r"stem|stride\d+", name):
            return name
    raise ValueError(f'{model.name!r} has no endpoints to tell its body from its head. Name a layer instead of "all".')


def _all_endpoints(model: Any) -> list[str]:
    """Endpoints of a model and of those inside of it."""
    if not _is_graph(model):
        return []
    inner = [name for layer in model.layers for name in _all_endpoints(layer)]
    return endpoints(model) + inner


def _count(variables: Iterable[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
