"""The whole state of a training, as arrays and plain JSON.

Everything on which the further course depends: weights, moving statistics, random number generators, the optimizer's
variables (step counter, learning rate, momenta, averages, accumulators, loss scale), the metrics of the epoch that is
under way, the history, and what the callbacks remember.
"""

import inspect
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from zoo import files
from zoo.training.replicas import components, seed_states, spread_seeds, sum_over_replicas

if TYPE_CHECKING:
    from zoo.training.trainer import Trainer

FORMAT = 1

Arrays = Mapping[str, np.ndarray]


class Found(Protocol):
    """A checkpoint that was read."""

    @property
    def step(self) -> int: ...

    @property
    def arrays(self) -> Arrays: ...

    @property
    def state(self) -> Mapping[str, Any]: ...


class Store(Protocol):
    """Where checkpoints are kept, such as `zoo.training.Checkpoints`."""

    def save(self, step: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Copy the arrays, then write them, perhaps later."""
        ...

    def latest(self) -> Found | None:
        """The checkpoint of the highest step that is whole."""
        ...

    def wait(self) -> None:
        """Until all is written."""
        ...


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch: Number of finished epochs.
        batch: Number of batches of the present epoch that are done.
        step: Number of batches that are done in all.
        history: What `Trainer.fit` returns.
        skipped: Batches (epoch, batch) that are left out, since their loss was not finite.
        rollbacks: How often training went back to a checkpoint.
        lowered: How often the learning rate was lowered for that.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    skipped: list[list[int]] = field(default_factory=list)
    rollbacks: int = 0
    lowered: int = 0

    def advance(self, count: int) -> None:
        """So many batches more are done."""
        self.batch += count
        self.step += count

    def skips_after(self, batch: int) -> list[int]:
        """Batches of this epoch behind `batch` that are left out."""
        return [number for epoch, number in self.skipped if epoch == self.epoch and number > batch]


class TrainingState:
    """Takes and puts back the state of a Trainer and its callbacks."""

    def __init__(self, trainer: "Trainer", callbacks: Sequence[keras.callbacks.Callback], progress: Progress) -> None:
        self.progress = progress
        self._trainer = trainer
        self._callbacks = callbacks
        self._given = {name: _arguments(callback) for name, callback in self._named().items()}
        self._gather = tf.function(self._gathered, autograph=False)

    def _mirrored(self) -> dict[str, keras.Variable]:
        """Variables of which all replicas hold the same value."""
        model, optimizer = self._trainer.model, self._trainer.optimizer
        groups = {"model": model.weights, "random": seed_states(model), "optimizer": optimizer.variables}
        return {f"{group}/{index:04d}": item for group, items in groups.items() for index, item in enumerate(items)}

    def _local(self) -> dict[str, keras.Variable]:
        """Variables of which each replica holds its own value."""
        metrics = (self._trainer._mean_loss, *self._trainer._metrics)
        variables = [variable for metric in metrics for variable in metric.variables]
        return {f"metric/{index:04d}": variable for index, variable in enumerate(variables)}

    def _named(self) -> dict[str, keras.callbacks.Callback]:
        """The callbacks by class and place among those of their class."""
        named: dict[str, keras.callbacks.Callback] = {}
        for callback in self._callbacks:
            kind = type(callback).__name__
            named[f"{kind}/{sum(key.startswith(kind + '/') for key in named)}"] = callback
        return named

    def _gathered(self) -> dict[str, tf.Tensor]:
        """The local variables of all replicas, (replicas, …) each."""

        def gather() -> dict[str, tf.Tensor]:
            context = tf.distribute.get_replica_context()
            return {
                name: context.all_gather(tf.expand_dims(tf.convert_to_tensor(variable.value), 0), axis=0)
                for name, variable in self._local().items()
            }

        strategy = self._trainer.strategy
        with self._trainer._registered.noted():
            values = strategy.run(gather)
        return {name: strategy.experimental_local_results(value)[0] for name, value in values.items()}

    def take(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The state now. Of several workers, all must call it together."""
        arrays = {name: np.array(_first(variable)) for name, variable in self._mirrored().items()}
        if self._trainer._num_replicas == 1:
            arrays |= {name: np.array(_first(variable))[None] for name, variable in self._local().items()}
        else:
            arrays |= {name: value.numpy() for name, value in self._gather().items()}
        progress = self.progress
        state = {
            "format": FORMAT,
            "replicas": self._trainer._num_replicas,
            "progress": {
                "epoch": progress.epoch,
                "batch": progress.batch,
                "step": progress.step,
                "history": progress.history,
                "skipped": progress.skipped,
                "rollbacks": progress.rollbacks,
                "lowered": progress.lowered,
            },
            "stopped": bool(self._trainer.model.stop_training),
            "callbacks": {name: _callback_state(item, self._given[name]) for name, item in self._named().items()},
        }
        return arrays, _encoded(state)

    def put(self, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ValueError: It is of another model, optimizer or metrics; nothing has been changed then.
        """
        state = _decoded(state)
        if state.get("format") != FORMAT:
            raise ValueError(f"The checkpoint has format {state.get('format')!r}, this version reads {FORMAT}.")
        self._refuse_other(arrays)
        for name, variable in self._mirrored().items():
            variable.assign(arrays[name])
        spread_seeds(self._trainer.model, self._trainer.strategy)
        self._put_local(arrays)
        for key, value in state["progress"].items():
            setattr(self.progress, key, value)
        self._trainer.model.stop_training = state["stopped"]
        for name, callback in self._named().items():
            if name in state["callbacks"]:  # of several workers, only the chief has those that write files
                _set_callback_state(callback, state["callbacks"][name], self._given[name])

    def _refuse_other(self, arrays: Arrays) -> None:
        wanted = {name: tuple(variable.shape) for name, variable in self._mirrored().items()}
        wanted |= {name: tuple(variable.shape) for name, variable in self._local().items()}
        found = {name: tuple(array.shape[1:] if name.startswith("metric/") else array.shape) for name, array in
                 arrays.items()}  # fmt: skip
        if differing := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
            shown = ", ".join(f"{name} ({found.get(name)} against {wanted.get(name)})" for name in differing[:5])
            raise ValueError(
                f"The checkpoint is of another model, optimizer or metrics: {len(differing)} arrays differ in shape "
                f"(checkpoint against training): {shown}."
            )

    def _put_local(self, arrays: Arrays) -> None:
        strategy, variables = self._trainer.strategy, self._local()
        count = self._trainer._num_replicas
        rows = {}
        for name in variables:
            rows[name] = arrays[name]
            if len(rows[name]) != count:
                # Another number of replicas: the first takes all, which is the same total.
                rows[name] = np.concatenate([rows[name].sum(0, keepdims=True), np.zeros_like(rows[name], shape=(
                    count - 1, *rows[name].shape[1:]))])  # fmt: skip
        if count == 1:
            for name, variable in variables.items():
                variable.assign(rows[name][0])
            return

        def assign() -> None:
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            for name, variable in variables.items():
                variable.value.assign(tf.gather(tf.constant(rows[name], variable.value.dtype), index))

        tf.function(lambda: strategy.run(assign), autograph=False)()


def write_batch(folder: Path, epoch: int, number: int, batch: Any) -> Path:
    """Keep a batch as an .npz file with one array for each of its tensors, in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez_compressed(content, *(tensor.numpy() for tensor in tf.nest.flatten(batch)))
    path = folder / f"epoch{epoch + 1}_batch{number}.npz"
    files.write_atomic(path, content.getvalue())
    return path


def from_chief(
    strategy: tf.distribute.Strategy,
    is_chief: bool,
    content: tuple[Arrays, Mapping[str, Any]] | None,
    state: TrainingState,
) -> tuple[Arrays, Mapping[str, Any]] | None:
    """What the chief has read, on all workers: they need no file system in common."""
    text = json.dumps(content[1]).encode() if content is not None else b""
    (length,) = _sum_of([np.array(len(text) if is_chief else 0, np.int64)], strategy)
    if not length:
        return None
    replicas = int(_sum_of([np.array(content[1]["replicas"] if content else 0, np.int64)], strategy)[0])
    bytes_ = np.zeros(int(length), np.int32)
    if is_chief and content is not None:
        bytes_[:] = np.frombuffer(text, np.uint8)
    shapes = {name: (tuple(item.shape), item.dtype) for name, item in state._mirrored().items()}
    shapes |= {name: ((replicas, *item.shape), item.dtype) for name, item in state._local().items()}
    own = content[0] if is_chief and content is not None else {}
    if is_chief and {name: shape for name, (shape, _) in shapes.items()} != {
        name: tuple(array.shape) for name, array in own.items()
    }:
        state._refuse_other(own)
    values = [own.get(name, np.zeros(shape, dtype)) for name, (shape, dtype) in shapes.items()]
    told, *arrays = _sum_of([bytes_, *values], strategy)
    facts = json.loads(told.astype(np.uint8).tobytes().decode())
    return dict(zip(shapes, arrays, strict=True)), facts


def _sum_of(values: list[np.ndarray], strategy: tf.distribute.Strategy) -> list[np.ndarray]:
    """Sums over the workers, of which only the chief's first replica gives what is not zero."""

    def total(values: list[tf.Tensor]) -> list[tf.Tensor]:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return sum_over_replicas([tf.where(first, value, tf.zeros_like(value)) for value in values])

    run = tf.function(lambda values: strategy.run(total, args=(values,)), autograph=False)
    totals = run([tf.constant(value) for value in values])
    return [strategy.experimental_local_results(item)[0].numpy() for item in totals]


def _first(variable: keras.Variable) -> np.ndarray:
    return components(variable.value)[0].numpy()


def _plain(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """The attributes of a callback that are numbers, texts or None."""
    plain = (bool, int, float, str, np.number, type(None))
    return {name: value for name, value in vars(callback).items() if isinstance(value, plain) and name[:2] != "__"}


def _arguments(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Those of them that its constructor was given, which may be others when the training goes on."""
    names = inspect.signature(type(callback)).parameters
    return {name: value for name, value in _plain(callback).items() if name in names}


def _callback_state(callback: keras.callbacks.Callback, given: Mapping[str, Any]) -> Any:
    if hasattr(callback, "get_state"):
        return callback.get_state()
    unset = object()
    return {name: value for name, value in _plain(callback).items() if given.get(name, unset) != value}


def _set_callback_state(callback: keras.callbacks.Callback, state: Any, given: Mapping[str, Any]) -> None:
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    # What is no plain value now the callback has set up in this process, such as an open file.
    own = vars(callback).keys() - _plain(callback).keys()
    vars(callback).update({name: value for name, value in {**given, **state}.items() if name not in own})


def _encoded(value: Any) -> Any:
    """Plain JSON, which has no word for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"not_finite": str(value)}
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"not_finite"}:
            return float(value["not_finite"])
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value
