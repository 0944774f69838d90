"""What the replicas of a training do with each other, and what each does by itself.

A replica is one device's copy of model and optimizer. All copies start equal and see the same reduced gradients, so
each updates itself and they stay equal. Nothing in an update then waits for another replica, which is what makes
conditions inside of it possible: gradient accumulation, loss scaling, averages that overwrite the weights. Keras's own
order, each replica clipping its gradient before the sum is taken, gives other weights.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.training.kernels import batch_norm_layers, fused_update, replaced

SUM = tf.distribute.ReduceOp.SUM

# Apart enough that the streams of no two replicas meet: Keras counts up the second number of a state, not the first.
_SEED_STRIDE = 1_000_003


def parts(optimizer: keras.Optimizer) -> list[keras.Optimizer]:
    """An optimizer and those that it wraps, as for loss scaling."""
    inner = [getattr(optimizer, "inner_optimizer", None), *getattr(optimizer, "_optimizers", ())]
    return [optimizer, *(part for item in inner if item is not None for part in parts(item))]


@contextlib.contextmanager
def updates_alone(strategy: tf.distribute.Strategy, optimizer: keras.Optimizer) -> Iterator[None]:
    """Within a replica: the optimizer takes its gradients as they are and updates this replica's variables only."""
    with contextlib.ExitStack() as stack:
        for part in parts(optimizer):
            # Keras would sum the gradients once more; of one replica too, through a function that TensorFlow registers
            # for good, and with it the whole graph of the step.
            methods: dict[str, Any] = {"_all_reduce_sum_gradients": list}
            if (update := fused_update(part)) is not None:
                methods["update_step"] = update
            stack.enter_context(replaced(part, **methods))
        if strategy.num_replicas_in_sync > 1:
            stack.enter_context(replaced(strategy.extended, _use_merge_call=lambda: False))
        yield


def own_every_variable(optimizer: keras.Optimizer) -> None:
    """Let each replica assign its copy of what else would be asked of the first replica, such as the step counter."""
    for variable in optimizer.variables:
        if isinstance(variable.value, tf.distribute.DistributedValues):
            variable.value._aggregation = tf.VariableAggregation.NONE


def components(variable: tf.Variable) -> tuple[tf.Variable, ...]:
    """The copies of a variable that this process holds."""
    return variable.values if isinstance(variable, tf.distribute.DistributedValues) else (variable,)


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """The states of the model's random number generators."""
    known = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in known and "seed" in variable.name]


def spread_seeds(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Give each replica random numbers of its own; Keras gives all of them the same dropout mask.

    The first replica keeps the model's seed, so that what it draws is what a single device would draw.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    states = seed_states(model)
    values = [np.array(keras.ops.convert_to_numpy(state)) for state in states]

    def spread() -> None:
        context = tf.distribute.get_replica_context()
        for state, value in zip(states, values, strict=True):
            offset = tf.cast(context.replica_id_in_sync_group, state.value.dtype) * _SEED_STRIDE
            state.value.assign(tf.constant(value, state.value.dtype) + tf.stack([offset, tf.zeros_like(offset)]))

    if states:
        tf.function(lambda: strategy.run(spread), autograph=False)()


def sum_over_replicas(values: list[Any]) -> list[Any]:
    """Within a replica: the sums over all replicas, all values of a type in one collective operation."""
    context = tf.distribute.get_replica_context()
    summed: dict[int, Any] = {}
    for dtype in dict.fromkeys(value.dtype for value in values):
        places = [place for place, value in enumerate(values) if value.dtype == dtype]
        totals = context.all_reduce(SUM, [values[place] for place in places])
        summed |= dict(zip(places, totals, strict=True))
    return [summed[place] for place in range(len(values))]


class Share:
    """One replica's part of each batch.

    A batch is cut into as many parts as there are replicas, their sizes differing by at most one example. A replica
    for which nothing is left gets another's example again, with the weight 0: some kernels fail on no example.

    Args:
        strategy: The replicas.
        divided: Whether this process holds only the parts of its own replicas, as `of_worker` cuts them: a batch is
            then (number of examples of the whole, the part).
    """

    def __init__(self, strategy: tf.distribute.Strategy, *, divided: bool = False) -> None:
        self._replicas = strategy.num_replicas_in_sync
        self._divided = divided
        self._local = len(strategy.extended.worker_devices) if divided else self._replicas
        self._first = strategy.extended._id_in_cluster * self._local if divided else 0
        self._thread = threading.local()  # a thread a replica, as tf.distribute traces them

    @property
    def present(self) -> tf.Tensor:
        """Whether this replica has examples of its own: 1.0 or 0.0."""
        return self._thread.present

    def _begin(self, index: Any, total: Any) -> tf.Tensor:
        """Where replica `index` begins in a batch of `total` examples."""
        return index * (total // self._replicas) + tf.minimum(index, total % self._replicas)

    def of_worker(self, total: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Begin and end of what this process's replicas get of a batch of `total` examples, at least one of them."""
        begin = tf.minimum(self._begin(self._first, total), total - 1)
        return begin, tf.maximum(self._begin(self._first + self._local, total), begin + 1)

    def of(self, batch: Any) -> tuple[Any, tf.Tensor]:
        """The examples of this replica and their number, 0 for one that only repeats an example."""
        total, batch = batch if self._divided else (None, batch)
        held = tf.shape(tf.nest.flatten(batch)[0])[0]
        total = held if total is None else total
        if self._replicas == 1:
            self._thread.present = tf.ones(())
            return batch, total
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        count = self._begin(index + 1, total) - self._begin(index, total)
        begin = tf.minimum(self._begin(index, total) - self._begin(self._first, total), held - 1)
        end = begin + tf.maximum(count, 1)
        self._thread.present = tf.cast(count > 0, tf.float32)
        with tf.device("CPU:0"):  # where the batch is; only the share travels to the replica's device
            return tf.nest.map_structure(lambda tensor: tensor[begin:end], batch), count

    def moments(self, inputs: tf.Tensor, axes: list[int]) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance over the examples of all replicas, the variance about that mean."""
        values = tf.cast(inputs, tf.float32)
        places = tf.reduce_prod(tf.gather(tf.shape(values), axes))
        count = tf.cast(places, tf.float32) * self.present
        total, count = sum_over_replicas([self.present * tf.reduce_sum(values, axes), count])
        mean = total / count
        shape = [1 if axis in axes else size for axis, size in enumerate(values.shape)]
        squares = tf.math.squared_difference(values, tf.reshape(mean, [size or -1 for size in shape]))
        (variance,) = sum_over_replicas([self.present * tf.reduce_sum(squares, axes)])
        return mean, variance / count


class AddedLosses:
    """What layers add to the loss, such as activity regularisers, kept apart for each replica.

    Keras keeps it in the layers, which all replicas share: one that waits for the others in the midst of the model, as
    synchronised batch normalisation does, would then find theirs.
    """

    def __init__(self) -> None:
        self._thread = threading.local()

    @contextlib.contextmanager
    def kept(self, model: keras.Model) -> Iterator[None]:
        """While the model is traced."""

        def add_loss(loss: Any) -> None:
            self._thread.losses += tf.nest.flatten(loss)

        with contextlib.ExitStack() as stack:
            for layer in dict.fromkeys(model._flatten_layers()):
                stack.enter_context(replaced(layer, add_loss=add_loss))
            yield

    def of(self, call: Callable[[], Any]) -> tuple[Any, list[tf.Tensor]]:
        """What a call of the model returns, and what its layers have added in this replica."""
        self._thread.losses = []
        return call(), self._thread.losses


def average_statistics(model: keras.Model, count: tf.Tensor) -> None:
    """Within a replica: make the moving statistics of local batch norm equal, each replica counting by its examples.

    Each replica has normalised by statistics of its own share. Without this the copies drift apart, and a saved model
    has those of the first replica.
    """
    layers = [layer for layer in batch_norm_layers(model) if layer.trainable and not layer.synchronized]
    variables = [variable.value for layer in layers for variable in layer.non_trainable_variables]
    variables = [variable for variable in variables if variable.dtype.is_floating]
    if not variables:
        return
    weight = tf.cast(count, tf.float32)
    flat = tf.concat([tf.reshape(tf.cast(variable, tf.float32), (-1,)) for variable in variables], 0)
    summed, total = sum_over_replicas([flat * weight, weight])
    sizes = [variable.shape.num_elements() for variable in variables]
    for variable, values in zip(variables, tf.split(summed / total, sizes), strict=True):
        variable.assign(tf.cast(tf.reshape(values, variable.shape), variable.dtype))
