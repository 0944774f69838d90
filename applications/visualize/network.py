"""A model whose graph is run call by call, the models inside of it too.

A new `keras.Model` from inputs to a tensor within a nested model cannot be made: that tensor belongs to another graph,
which Keras reports as a disconnected one. So nothing is rebuilt here. The graph is walked with real tensors, a nested
model's own graph in its place, and any value on the way can be taken, also for its gradient.

The walk can give rectifiers another backward rule:

- "guided": Springenberg et al., "Striving for Simplicity", 2015, https://arxiv.org/abs/1412.6806
- "deconvnet": Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", 2014,
  https://arxiv.org/abs/1311.2901. The gradient of max-pooling goes where the maximum was: those are the paper's
  switches; the gradient of a convolution is its transpose.
- "redirected": Olah et al., "Feature Visualization", 2017, https://distill.pub/2017/feature-visualization: a unit that
  is off can be switched on.
"""

import contextlib
import difflib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from zoo.graph import nodes

Rule = Literal["gradient", "guided", "deconvnet", "redirected"]

# Keys of the output that classifies, in a model with several.
_MAIN_OUTPUTS = ("predictions", "logits")

# Does the work of an operation on tensors, real or symbolic: path, operation, arguments, keyword arguments.
_Perform = Callable[[str, Any, Sequence[Any], dict[str, Any]], Any]


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        path: Names of the models around the layer and its own, joined by "/"; ":2" behind it for its second call.
        layer: The layer, or the operation of `keras.ops`.
        shape: Shape of the output without the batch.
    """

    path: str
    layer: Any
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Pass:
    """What a run gave.

    Attributes:
        scores: (batch, classes), before softmax or sigmoid; None if the run ended before them.
        taken: The outputs that were asked for, by path.
    """

    scores: tf.Tensor | None
    taken: dict[str, tf.Tensor]


class _AllTakenError(Exception):
    """Ends a walk that has found what it was for."""


class Network:
    """A functional or sequential model, nested or not, that can be looked into.

    Args:
        model: A Keras model with one input. Its weights are used as they are, and never changed.
        input_shape: Height, width and channels of what it will be shown, where the model leaves them open.

    Raises:
        ValueError: The model has no graph, several inputs, or several outputs of which none is called "predictions"
            or "logits".

    Example:
        >>> import zoo
        >>> from applications.visualize.network import Network
        >>> network = Network(zoo.create_model("simple_cnn"))
        >>> [call.path for call in network.levels]
        ['stride1', 'stride2', 'stride4']
    """

    def __init__(self, model: keras.Model, input_shape: tuple[int, ...] | None = None) -> None:
        graph = _graph(model)
        if graph is None:
            raise ValueError(
                f"{model.name!r} cannot be looked into: it is no functional or sequential model that was built. "
                f"Received: {type(model).__name__}. Build it by keras.Model(inputs, outputs)."
            )
        if len(graph.inputs) != 1:
            raise ValueError(f"{model.name!r} must have one input, a picture. Received: {len(graph.inputs)} inputs")
        self.name = model.name
        self._graph = graph
        self._place = _place_of_scores(graph)
        own = graph.inputs[0]
        self.input_shape = tuple(input_shape or own.shape[1:])
        if len(self.input_shape) != 3:
            raise ValueError(f"{model.name!r} must take pictures (height, width, channels). "
                             f"Received: input shape {self.input_shape}")  # fmt: skip
        calls: list[Call] = []
        owners: dict[int, str] = {}

        def note(path: str, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            outputs = operation.compute_output_spec(*args, **kwargs)
            flat = keras.tree.flatten(outputs)
            owners.update((id(tensor), path) for tensor in flat)
            calls.append(Call(path, operation, tuple(flat[0].shape[1:])))
            return outputs

        ends = _walk(graph, [keras.KerasTensor((None, *self.input_shape), dtype=own.dtype)], note, "", {})
        self.calls = tuple(calls)
        scores = ends[self._place]
        if len(scores.shape) != 2:
            raise ValueError(
                f"{model.name!r} must give a score for each class, (batch, classes). Received: shape {scores.shape}"
            )
        self.num_classes = int(scores.shape[-1])
        self._last = owners[id(scores)]
        self._paths = {call.path: call for call in calls}

    @property
    def num_rectifiers(self) -> int:
        """How many calls have a ReLU, for which backward rules differ."""
        return sum(_rectifier(call.layer) is not None for call in self.calls)

    @property
    def maps(self) -> tuple[Call, ...]:
        """The calls that give feature maps of more than one position, from the first convolution on."""
        first = next((n for n, call in enumerate(self.calls) if getattr(call.layer, "kernel", None) is not None), 0)
        return tuple(
            call
            for call in self.calls[first:]
            if len(call.shape) == 3 and math.prod(size or 2 for size in call.shape[:2]) > 1
        )

    @property
    def levels(self) -> tuple[Call, ...]:
        """The last feature map of each size, a size being half or less of that before; the first rectified one too."""
        whole = max(self.input_shape[:2])
        last: dict[int, Call] = {}
        for call in self.maps:
            if any(word in type(call.layer).__name__ for word in ("Padding", "Cropping")):
                continue
            side = max(size or 1 for size in call.shape[:2])
            octave = round(math.log2(max(whole / side, 1)))
            if not last or octave >= max(last):
                last[octave] = call
        found = [last[octave] for octave in sorted(last)]
        first = next((call for call in self.maps if _rectifier(call.layer) is not None), None)
        if first is not None and self.calls.index(first) < self.calls.index(found[0]) - 1:
            found.insert(0, first)
        return tuple(found)

    def find(self, name: str) -> Call:
        """The call of that path, or the only one whose path ends in `/name`.

        Raises:
            ValueError: There is none, or there are several; says which are close.
        """
        if name in self._paths:
            return self._paths[name]
        ending = [call for call in self.calls if call.path.endswith(f"/{name}")]
        if len(ending) == 1:
            return ending[0]
        close = [call.path for call in ending] or difflib.get_close_matches(name, self._paths, n=4, cutoff=0.5)
        hint = f" Did you mean {', '.join(map(repr, close))}?" if close else ""
        raise ValueError(
            f"{self.name!r} has no layer {name!r}, or several.{hint} Levels: "
            + ", ".join(call.path for call in self.levels)
        )

    def run(
        self, x: Any, *, take: Sequence[str] = (), rule: Rule = "gradient", scores: bool = True
    ) -> Pass:  # fmt: skip
        """Run the graph in inference.

        Args:
            x: (batch, height, width, channels), in the range that the model takes.
            take: Paths or names of calls whose outputs are wanted.
            rule: How rectifiers pass a gradient back.
            scores: Whether the scores are wanted; else the run ends with the last of `take`, and pictures of another
                size than the model's are legal as far as the layers allow it.

        Raises:
            ValueError: A name or the rule is not known.
        """
        if rule not in get_args(Rule):
            raise ValueError(f"rule must be one of {', '.join(map(repr, get_args(Rule)))}. Received: rule={rule!r}")
        wanted = {self.find(name).path for name in take}
        taken: dict[str, tf.Tensor] = {}

        def perform(path: str, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            outputs = _call(operation, args, kwargs, rule, linear=path == self._last)
            if path in wanted:
                taken[path] = keras.tree.flatten(outputs)[0]
                if not scores and len(taken) == len(wanted):
                    raise _AllTakenError
            return outputs

        found = None
        with contextlib.suppress(_AllTakenError):
            found = _walk(self._graph, [tf.convert_to_tensor(x)], perform, "", {})[self._place]
        return Pass(found, taken)

    def fits(self, size: tuple[int, int], name: str) -> bool:
        """Whether pictures of that height and width are large enough to come to a call."""
        path = self.find(name).path
        own = self._graph.inputs[0]

        def perform(now: str, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            if now == path:
                operation.compute_output_spec(*args, **kwargs)
                raise _AllTakenError
            return operation.compute_output_spec(*args, **kwargs)

        try:
            _walk(self._graph, [keras.KerasTensor((1, *size, own.shape[-1]), dtype=own.dtype)], perform, "", {})
        except _AllTakenError:
            return True
        except ValueError:
            return False
        return True

    def scores(self, x: Any, batch_size: int = 32) -> np.ndarray:
        """(batch, classes): what softmax or sigmoid would be given; many pictures are run in batches."""
        parts = [self.run(x[start : start + batch_size]).scores for start in range(0, len(x), batch_size)]
        return np.concatenate([np.asarray(part, np.float32) for part in parts])

    def probabilities(self, x: Any) -> np.ndarray:
        """(batch, classes), by the model's own last activation."""
        return np.asarray(keras.tree.flatten(self._graph(x, training=False))[self._place], np.float32)


def _graph(model: Any) -> Any:
    """The functional model behind a model; None for a layer."""
    inner = getattr(model, "_functional", None) or model
    return inner if isinstance(inner, keras.Model) and hasattr(inner, "_nodes_by_depth") else None


def _place_of_scores(graph: Any) -> int:
    """Which of the flat outputs are the scores."""
    if len(graph.outputs) == 1:
        return 0
    keys = list(graph.output) if isinstance(graph.output, dict) else []
    for key in _MAIN_OUTPUTS:
        if key in keys:
            return next(place for place, tensor in enumerate(graph.outputs) if tensor is graph.output[key])
    raise ValueError(
        f"{graph.name!r} must have one output, or one that is called {' or '.join(map(repr, _MAIN_OUTPUTS))}. "
        f"Received: {', '.join(map(repr, keys)) or f'{len(graph.outputs)} outputs'}"
    )


def _walk(graph: Any, inputs: Sequence[Any], perform: _Perform, prefix: str, times: dict[str, int]) -> list[Any]:
    """Do what the graph says, operation by operation; returns the flat outputs."""
    values = {id(symbol): value for symbol, value in zip(graph.inputs, inputs, strict=True)}
    for node in nodes(graph):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(values)
        path = prefix + node.operation.name
        inner = _graph(node.operation)
        if inner is not None:
            given = [values[id(symbol)] for symbol in node.input_tensors]
            outputs = _walk(inner, given, perform, f"{path}/", times)
        else:
            times[path] = times.get(path, 0) + 1
            numbered = path if times[path] == 1 else f"{path}:{times[path]}"
            outputs = keras.tree.flatten(perform(numbered, node.operation, args, kwargs))
        values.update((id(symbol), value) for symbol, value in zip(node.outputs, outputs, strict=True))
    return [values[id(symbol)] for symbol in graph.outputs]


def _call(operation: Any, args: Sequence[Any], kwargs: dict[str, Any], rule: Rule, *, linear: bool) -> Any:
    """Call an operation in inference, with another backward rule, or without a classifier's last activation."""
    if "training" in inspect.signature(operation.call).parameters:
        kwargs = {**kwargs, "training": False}
    if linear:
        if isinstance(operation, keras.layers.Softmax):
            return args[0]
        if getattr(operation, "activation", None) in (keras.activations.softmax, keras.activations.sigmoid):
            with _activation(operation, keras.activations.linear):
                return operation(*args, **kwargs)
    ceiling = None if rule == "gradient" else _rectifier(operation)
    if ceiling is None:
        return operation(*args, **kwargs)
    rectify = _with_rule(rule, ceiling)
    if not hasattr(operation, "activation"):
        return rectify(args[0])
    with _activation(operation, rectify):
        return operation(*args, **kwargs)


@contextlib.contextmanager
def _activation(layer: Any, function: Callable[[Any], Any]) -> Iterator[None]:
    """Another activation for one call."""
    own = layer.activation
    layer.activation = function
    try:
        yield
    finally:
        layer.activation = own


def _rectifier(operation: Any) -> float | None:
    """Where a ReLU ends: infinity, or 6 and the like; None for what is no ReLU."""
    if isinstance(operation, keras.layers.ReLU):
        plain = not operation.negative_slope and not operation.threshold
        ceiling = operation.max_value
        return (math.inf if ceiling is None else float(ceiling)) if plain else None
    by_name = {"Relu": math.inf, "Relu6": 6.0}
    if not isinstance(operation, keras.layers.Layer):
        return by_name.get(type(operation).__name__)
    by_function = {keras.activations.relu: math.inf, keras.activations.relu6: 6.0}
    activation = getattr(operation, "activation", None)
    return by_function.get(activation) if inspect.isfunction(activation) else None


def _with_rule(rule: Rule, ceiling: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """A ReLU with another way back."""

    @tf.custom_gradient
    def rectify(x: tf.Tensor) -> Any:
        on = (x > 0) & (x < tf.cast(ceiling, x.dtype))

        def back(gradient: tf.Tensor) -> tf.Tensor:
            if rule == "redirected":
                return tf.where(on | (gradient > 0), gradient, 0)
            gradient = tf.nn.relu(gradient)
            return gradient if rule == "deconvnet" else tf.where(on, gradient, 0)

        return tf.clip_by_value(x, 0, tf.cast(ceiling, x.dtype)), back

    return rectify
