"""Less memory for more time: the backward pass computes feature maps again instead of keeping them.

Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016, https://arxiv.org/abs/1604.06174,
section 3. A network is cut where one tensor alone goes from what is before to what is behind: after residual blocks,
after inception modules, between the layers of dense blocks. Only the tensors at the cuts are kept; each piece is
computed once more when the gradient reaches it. Batch norm's statistics move once, dropout has the same masks again.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend import get_keras_mask, set_keras_mask

from zoo.graph import nodes

LossOf = Callable[[Any, list[tf.Tensor]], tuple[tf.Tensor, Any]]
Differentiate = Callable[[Any, LossOf], tuple[list[Any], Any]]
Collect = Callable[[Callable[[], Any]], tuple[Any, list[tf.Tensor]]]


def by_one_tape(model: keras.Model, collect: Collect) -> Differentiate:
    """The gradient in the usual way, all feature maps kept.

    Args:
        model: Any model.
        collect: Calls a function; gives what it returns, and the losses that layers have added in it.

    Returns:
        (inputs, loss_of) -> (gradients, rest): `loss_of` takes the model's outputs and the added losses, and gives the
        loss and anything else; the gradients are those of the loss for `model.trainable_variables`, None where there
        is none.
    """

    def differentiate(inputs: Any, loss_of: LossOf) -> tuple[list[Any], Any]:
        with tf.GradientTape() as tape:
            loss, rest = loss_of(*collect(lambda: model(inputs, training=True)))
        return tape.gradient(loss, model.trainable_variables), rest

    return differentiate


def by_pieces(model: keras.Model, collect: Collect) -> Differentiate:
    """The gradient piece by piece, the feature maps within a piece computed twice.

    Args:
        model: A functional or sequential model with one input and one output.
        collect: As in `by_one_tape`.

    Returns:
        As `by_one_tape`.

    Raises:
        ValueError: The model is of another kind, or cannot be cut; when it is traced, that its layers add losses.
    """
    pieces = cut(model)

    def forward(piece: Piece, x: Any) -> Any:
        x, additions = collect(lambda: piece(x, training=True))
        if additions:
            raise ValueError(f"A model whose layers add losses cannot be recomputed. Received: {model.name!r}")
        return x

    def differentiate(inputs: Any, loss_of: LossOf) -> tuple[list[Any], Any]:
        kept, states, x = [], [], inputs
        for piece in pieces[:-1]:
            state = [(variable, tf.identity(variable.value)) for variable in piece.variables]
            # With this all that is computed from x comes after the readings, the updates too.
            with tf.control_dependencies([value for _, value in state]):
                x = _copied(x)
            kept.append(x)
            states.append(state)
            x = forward(piece, x)
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss, rest = loss_of(forward(pieces[-1], x), [])
        *gradients, upstream = tape.gradient(loss, [*variables, x])
        places = {id(variable): place for place, variable in enumerate(variables)}
        # What comes before all that is learnt, as in a network whose front is frozen, needs no gradient.
        learning = [any(id(variable) in places for variable in piece.variables) for piece in pieces]
        first = learning.index(True)
        again = zip(pieces[first:-1], kept[first:], states[first:], strict=True)
        for piece, x, state in reversed(list(again)):
            own = [(places[id(variable)], value) for variable, value in state if id(variable) in places]
            sources = [value for _, value in own]
            if piece is not pieces[first]:
                sources.append(x)
            # Without the dependency TensorFlow would compute the piece again at once, and keep what it is to forget.
            # In the scope all variables have the numbers that were read in the forward pass. A second reading could
            # come after the update: TensorFlow takes a dependency away where a longer path is there too, and later
            # cuts such a path, if it leads through the sums over replicas. What the scope is told to change,
            # statistics and seeds, is changed there alone: they have moved already.
            with (
                tf.control_dependencies([upstream]),
                keras.StatelessScope(state_mapping=state),
                tf.GradientTape(watch_accessed_variables=False) as tape,
            ):
                tape.watch(sources)
                y = forward(piece, x)
            found = tape.gradient(y, sources, output_gradients=upstream)
            upstream = found[-1]
            for (place, _), gradient in zip(own, found, strict=False):
                gradients[place] = _sum(gradients[place], gradient)
        return gradients, rest

    return differentiate


class Piece:
    """Some calls of a model's graph, one after the other, from one tensor to one tensor.

    Attributes:
        output_shape: Shape of what it gives, with the batch.
        variables: What its layers learn, and their state: statistics, seeds.
    """

    def __init__(self, source: keras.KerasTensor, nodes: Sequence[Any]) -> None:
        self._source, self._nodes = source, nodes
        self.output_shape: tuple[int | None, ...] = nodes[-1].outputs[0].shape
        called = list(dict.fromkeys(node.operation for node in nodes))
        self._layers = [operation for operation in called if isinstance(operation, keras.layers.Layer)]
        self.variables = [variable for layer in self._layers for variable in layer.variables]

    def __call__(self, x: Any, *, training: bool) -> Any:
        """What the model's calls make of a tensor."""
        tensors = {id(self._source): x}
        for node in self._nodes:
            args, options = node.arguments.fill_in(tensors)
            if getattr(node.operation, "_call_has_training_arg", False):
                options = {**options, "training": training}
            outputs = keras.tree.flatten(node.operation(*args, **options))
            tensors.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
        return tensors[id(self._nodes[-1].outputs[0])]


def cut(model: keras.Model) -> list[Piece]:
    """The model as a chain of pieces with its layers, cut so that training needs least memory.

    Args:
        model: A functional or sequential model with one input and one output.

    Returns:
        At least two pieces; what each gives the next one takes.

    Raises:
        ValueError: See `by_pieces`.

    Example:
        >>> import zoo
        >>> from zoo.training.recompute import cut
        >>> [piece.output_shape for piece in cut(zoo.create_model("resnet20"))][-1]
        (None, 10)
    """
    calls = _chain(model)
    sizes = [sum(_size(tensor) for tensor in node.outputs) for node in calls]
    places = _narrow_places(calls)
    if not places:
        raise ValueError(f"{model.name!r} can be cut nowhere: at no place one tensor alone goes on.")
    chosen = min((_cuts(sizes, places, limit) for limit in _limits(sizes)), key=lambda cuts: _memory(sizes, cuts))
    starts, ends = (0, *chosen), (*chosen, len(calls) - 1)
    return [Piece(calls[start].outputs[0], calls[start + 1 : end + 1]) for start, end in zip(starts, ends, strict=True)]


def _chain(model: keras.Model) -> list[Any]:
    """The calls of the model's graph, the input first; refused where they lead not from one tensor to one."""
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth") or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Only a functional or sequential model with one input and one output can be recomputed. "
            f"Received: {model.name!r}, a {type(model).__name__}"
        )
    return nodes(graph)


def _narrow_places(calls: list[Any]) -> list[int]:
    """Calls behind which nothing but their one output is needed."""
    last_use = {id(tensor): place for place, node in enumerate(calls) for tensor in node.input_tensors}
    found, needed_until = [], 0
    for place, node in enumerate(calls):
        if 0 < place < len(calls) - 1 and len(node.outputs) == 1 and needed_until <= place:
            found.append(place)
        needed_until = max(needed_until, *(last_use.get(id(tensor), 0) for tensor in node.outputs))
    return found


def _size(tensor: keras.KerasTensor) -> int:
    """Numbers in a tensor for one example; what is not known counts once."""
    return math.prod(extent or 1 for extent in tensor.shape[1:])


def _limits(sizes: list[int]) -> list[int]:
    """Sizes of a piece to try, from the largest call alone to half of the network."""
    low, high = max(sizes), max(max(sizes), sum(sizes) // 2)
    return [round(low * (high / low) ** (step / 31)) for step in range(32)]


def _cuts(sizes: list[int], places: list[int], limit: int) -> tuple[int, ...]:
    """Cuts as far from each other as they may be for pieces of that size."""
    chosen: list[int] = []
    start, last = 0, places[0]
    for place in places[1:]:
        if sum(sizes[start : place + 1]) > limit:
            chosen.append(last)
            start = last + 1
        last = place
    return (*chosen, last)


def _memory(sizes: list[int], cuts: tuple[int, ...]) -> int:
    """What is kept at the cuts and within the largest piece."""
    bounds = itertools.pairwise((0, *(place + 1 for place in cuts), len(sizes)))
    return sum(sizes[place] for place in cuts) + max(sum(sizes[start:end]) for start, end in bounds)


def _copied(x: Any) -> Any:
    """The tensor anew, with the mask that Keras has noted at it."""
    copy = tf.identity(x)
    if (mask := get_keras_mask(x)) is not None:
        set_keras_mask(copy, mask)
    return copy


def _sum(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return one + other
