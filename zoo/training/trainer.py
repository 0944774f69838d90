"""The training loop: a step of ours, run by a distribution strategy, with Keras's optimizers, losses and metrics.

Keras's own `fit` is broken in much of what tf.distribute offers (clipping before the reduction, several steps a call,
small last batches, more than one worker). The step here is a plain function of one replica's share of the batch:
gradients are scaled by the examples of the whole batch, so that their sum over the replicas is the gradient of the
mean loss, whatever the number of devices. Optimizer and metrics get their variables before the first step, so that it
is traced once.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from zoo.training.callbacks import StopTraining


class Batches(Protocol):
    """Data in a repeatable order, such as `zoo.data.Pipeline`."""

    element_spec: Any

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        ...

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """The batches of an epoch (0, 1, …) from number `start` on: (inputs, labels) or (inputs, labels, weights)."""
        ...


Data: TypeAlias = Batches | tf.data.Dataset

_ACCURACIES: dict[type, Callable[..., keras.Metric]] = {
    keras.losses.SparseCategoricalCrossentropy: keras.metrics.SparseCategoricalAccuracy,
    keras.losses.CategoricalCrossentropy: keras.metrics.CategoricalAccuracy,
    keras.losses.BinaryCrossentropy: keras.metrics.BinaryAccuracy,
}


class Trainer:
    """Trains, evaluates and applies a model.

    Args:
        model: A built Keras model, made inside `strategy.scope()` where a strategy is given.
        optimizer: A Keras optimizer, or its name.
        loss: A Keras loss that keeps the examples apart, such as SparseCategoricalCrossentropy, or its name.
        metrics: Keras metrics or their names; "accuracy" stands for the accuracy that belongs to the loss.
        strategy: A `tf.distribute.Strategy` of one replica; None for the current one, by default a single device.
        steps_per_call: Number of steps that TensorFlow runs before Python takes over again; callbacks hear of every
            such group. More saves a fraction of a millisecond a step.

    Raises:
        ValueError: Loss, metric or optimizer have no such name, or the strategy has several replicas.

    Example:
        >>> import keras, zoo
        >>> digits = zoo.data.load("digits")
        >>> model = zoo.create_model("simple_cnn")
        >>> trainer = zoo.training.Trainer(model, optimizer="adam", loss="sparse_categorical_crossentropy")
        >>> train = digits.pipeline("train", batch_size=32, image_size=(28, 28), training=True)
        >>> history = trainer.fit(train, epochs=1)
        >>> sorted(history[0])
        ['accuracy', 'epoch', 'learning_rate', 'loss', 'step']
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        optimizer: keras.Optimizer | str,
        loss: keras.losses.Loss | str,
        metrics: Sequence[keras.Metric | str] = ("accuracy",),
        strategy: tf.distribute.Strategy | None = None,
        steps_per_call: int = 1,
    ) -> None:
        self.model = model
        self.strategy = strategy or tf.distribute.get_strategy()
        if self.strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"The Trainer runs on one replica. Received: a strategy of {self.strategy.num_replicas_in_sync}."
            )
        if steps_per_call < 1:
            raise ValueError(f"steps_per_call must be at least 1. Received: steps_per_call={steps_per_call}")
        self.steps_per_call = steps_per_call
        self._loss = _loss(loss)
        with self.strategy.scope():
            self._metrics = [_metric(metric, self._loss) for metric in metrics]
            self._mean_loss = keras.metrics.Mean(name="loss")
            # Callbacks find optimizer and loss where `model.fit` has them; loss scaling is set up here too.
            model.compile(optimizer=optimizer, loss=self._loss, jit_compile=False)
            self.optimizer = model.optimizer
            self.optimizer.build(model.trainable_variables)
        self._train_call = tf.function(self._train_steps)
        self._test_call = tf.function(self._test_steps)
        self._predict_call = tf.function(lambda iterator: model(_unpack(next(iterator))[0], training=False))
        self._metrics_built = False

    @property
    def metric_names(self) -> list[str]:
        """Names of what an epoch without validation reports."""
        return ["loss", *(metric.name for metric in self._metrics)]

    def fit(
        self,
        train: Data,
        *,
        epochs: int,
        validation: Data | None = None,
        callbacks: Iterable[keras.callbacks.Callback] = (),
    ) -> list[dict[str, float]]:
        """Train until the number of epochs is reached or a callback sets `model.stop_training`.

        Args:
            train: Batches in a repeatable order, or a finite `tf.data.Dataset`.
            epochs: Largest number of epochs, at least 1.
            validation: What the model is evaluated on after each epoch; its metrics get the prefix `val_`.
            callbacks: Keras callbacks. Their logs hold the metrics, `learning_rate` and `step`.

        Returns:
            One dict an epoch: `epoch` (1, 2, …), `step` (number of updates so far), `learning_rate`, the metrics.

        Raises:
            ValueError: There is no data, or a callback needs a metric that there will not be.
        """
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1. Received: epochs={epochs}")
        steps = _num_batches(train)
        names = self.metric_names + [f"val_{name}" for name in self.metric_names if validation is not None]
        callbacks = list(callbacks)
        for callback in callbacks:
            if isinstance(callback, StopTraining):
                callback.require(names)
            callback.set_model(self.model)
            callback.set_params({"epochs": epochs, "steps": steps, "verbose": 0})
        self._build_metrics(train)
        self.model.stop_training = False
        history: list[dict[str, float]] = []
        for callback in callbacks:
            callback.on_train_begin({})
        for epoch in range(epochs):
            for callback in callbacks:
                callback.on_epoch_begin(epoch, {})
            self._train_epoch(train, epoch, steps, callbacks)
            logs = self._results()
            if validation is not None:
                logs |= {f"val_{name}": value for name, value in self.evaluate(validation).items()}
            logs |= {
                "learning_rate": float(keras.ops.convert_to_numpy(self.optimizer.learning_rate)),
                "step": int(keras.ops.convert_to_numpy(self.optimizer.iterations)),
            }
            history.append({"epoch": epoch + 1, **logs})
            for callback in callbacks:
                callback.on_epoch_end(epoch, dict(logs))
            if self.model.stop_training:
                break
        for callback in callbacks:
            callback.on_train_end(dict(logs))
        return history

    def evaluate(self, data: Data) -> dict[str, float]:
        """Loss and metrics over all examples, each counted once.

        Args:
            data: Batches, or a finite `tf.data.Dataset`.

        Returns:
            A number for each name in `metric_names`.
        """
        self._build_metrics(data)
        self._reset()
        steps, iterator = _num_batches(data), iter(_epoch(data, 0))
        for first in range(0, steps, self.steps_per_call):
            self._test_call(iterator, tf.constant(min(self.steps_per_call, steps - first)))
        return self._results()

    def predict(self, data: Data) -> np.ndarray:
        """The model's outputs (examples, …) in the order of the data; labels are not looked at."""
        iterator = iter(_epoch(data, 0))
        return np.concatenate([self._predict_call(iterator).numpy() for _ in range(_num_batches(data))])

    def _train_epoch(self, data: Data, epoch: int, steps: int, callbacks: list[keras.callbacks.Callback]) -> None:
        begins = [item for item in callbacks if _overrides(item, "on_train_batch_begin")]
        ends = [item for item in callbacks if _overrides(item, "on_train_batch_end")]
        reads_logs = any(not getattr(item, "ignores_batch_logs", False) for item in ends)
        self._reset()
        iterator = iter(_epoch(data, epoch))
        for first in range(0, steps, self.steps_per_call):
            for callback in begins:
                callback.on_train_batch_begin(first, {})
            group = min(self.steps_per_call, steps - first)
            self._train_call(iterator, tf.constant(group))
            logs = self._results() if reads_logs else {}
            for callback in ends:
                callback.on_train_batch_end(first + group - 1, logs)
            if self.model.stop_training:
                return

    def _train_steps(self, iterator: tf.data.Iterator, num_steps: tf.Tensor) -> None:
        for _ in tf.range(num_steps):
            self.strategy.run(self._replica_step, args=(next(iterator),))

    def _test_steps(self, iterator: tf.data.Iterator, num_steps: tf.Tensor) -> None:
        for _ in tf.range(num_steps):
            self.strategy.run(self._test_step, args=(next(iterator),))

    def _replica_step(self, batch: Any) -> None:
        inputs, labels, weights = _unpack(batch)
        context = tf.distribute.get_replica_context()
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            losses, weights = self._losses(labels, outputs, weights)
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(weights))
            penalty = self._penalty()
            loss = tf.math.divide_no_nan(tf.reduce_sum(losses * weights), total)
            loss += penalty / context.num_replicas_in_sync
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self._update(labels, outputs, losses + penalty, weights)

    def _test_step(self, batch: Any) -> None:
        inputs, labels, weights = _unpack(batch)
        outputs = self.model(inputs, training=False)
        losses, weights = self._losses(labels, outputs, weights)
        self._update(labels, outputs, losses + self._penalty(), weights)

    def _losses(self, labels: Any, outputs: Any, weights: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of each example and its weight, in float32 whatever the model computes in."""
        losses = tf.cast(self._loss.call(labels, tf.cast(outputs, tf.float32)), tf.float32)
        losses = tf.reduce_mean(tf.reshape(losses, (tf.shape(losses)[0], -1)), axis=1)
        return losses, tf.ones_like(losses) if weights is None else tf.cast(weights, tf.float32)

    def _penalty(self) -> tf.Tensor:
        """The sum of the regularisation losses that the model's last call has added."""
        return tf.add_n([tf.cast(loss, tf.float32) for loss in self.model.losses] or [tf.zeros(())])

    def _update(self, labels: Any, outputs: Any, losses: tf.Tensor, weights: tf.Tensor) -> None:
        self._mean_loss.update_state(losses, sample_weight=weights)
        for metric in self._metrics:
            metric.update_state(labels, outputs, sample_weight=weights)

    def _build_metrics(self, data: Data) -> None:
        """Let metrics make their variables now: inside the first step they would force a second trace."""
        if self._metrics_built:
            return
        _, spec, _ = _unpack(data.element_spec)
        with self.strategy.scope():
            labels = tf.zeros([1, *spec.shape[1:]], spec.dtype)
            outputs = tf.zeros([1, *self.model.output_shape[1:]])
            for metric in self._metrics:
                metric.update_state(labels, outputs)
        self._reset()
        self._metrics_built = True

    def _reset(self) -> None:
        for metric in (self._mean_loss, *self._metrics):
            metric.reset_state()

    def _results(self) -> dict[str, float]:
        return {metric.name: float(metric.result()) for metric in (self._mean_loss, *self._metrics)}


def _loss(loss: keras.losses.Loss | str) -> keras.losses.Loss:
    """The loss object; only the losses of single examples are usable, whatever `reduction` says."""
    resolved = keras.losses.get(loss)
    if isinstance(resolved, keras.losses.Loss):
        return resolved
    # A name gives a function; the class of the same name in CamelCase is the loss with its defaults.
    name = "".join(part.capitalize() for part in resolved.__name__.split("_"))
    if not isinstance(loss, str) or not hasattr(keras.losses, name):
        raise ValueError(f"loss must be a keras.losses.Loss or the name of one. Received: loss={loss!r}")
    return getattr(keras.losses, name)()


def _metric(metric: keras.Metric | str, loss: keras.losses.Loss) -> keras.Metric:
    if isinstance(metric, keras.Metric):
        return metric
    if metric == "accuracy":
        if type(loss) not in _ACCURACIES:
            raise ValueError(f'"accuracy" has no meaning for the loss {loss.name!r}; name a Keras metric instead.')
        return _ACCURACIES[type(loss)](name="accuracy")
    resolved = keras.metrics.get(metric)
    if isinstance(resolved, keras.Metric):
        return type(resolved)(name=metric)
    return keras.metrics.MeanMetricWrapper(resolved, name=metric)


def _num_batches(data: Data) -> int:
    """Number of batches of an epoch, above 0."""
    try:
        count = len(data)
    except TypeError as error:
        raise ValueError(
            f"The data must know its number of batches: {error}. Use tf.data.experimental.assert_cardinality."
        ) from None
    if count < 1:
        raise ValueError("There is no batch of data.")
    return count


def _epoch(data: Data, epoch: int) -> tf.data.Dataset:
    return data if isinstance(data, tf.data.Dataset) else data.epoch(epoch)


def _unpack(batch: Any) -> tuple[Any, Any, Any]:
    """(inputs, labels, weights or None)."""
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        raise ValueError("A batch must be (inputs, labels) or (inputs, labels, weights).")
    return batch if len(batch) == 3 else (*batch, None)


def _overrides(callback: keras.callbacks.Callback, method: str) -> bool:
    """Whether a callback does anything there."""
    return method in vars(callback) or getattr(type(callback), method) is not getattr(keras.callbacks.Callback, method)
