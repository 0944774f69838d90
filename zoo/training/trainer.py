"""The training loop: a step of ours, run by a distribution strategy, with Keras's optimizers, losses and metrics.

Keras's own `fit` is broken in much of what tf.distribute offers (clipping before the reduction, several steps a call,
accumulation, small last batches, more than one worker). The step here is a plain function of one replica's share of the
batch: gradients are scaled by the examples of the whole batch, so that their sum over the replicas is the gradient of
the mean loss, whatever the number of devices; then each replica updates its own copy by the same numbers
(`zoo.training.replicas`). Optimizer and metrics get their variables before the first step, so that it is traced once,
and batch normalisation and the common updates are single kernels in it (`zoo.training.kernels`).

With checkpoints, a training that was killed at any moment goes on where it was (`zoo.training.state`).
"""

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import keras
import numpy as np
import tensorflow as tf

from zoo.quickly import made_quickly
from zoo.training import kernels, replicas
from zoo.training import recompute as recomputation
from zoo.training.cadence import Cadence
from zoo.training.checkpoints import NonFinite
from zoo.training.devices import Devices, is_chief, is_multi_worker, make_strategy
from zoo.training.freezing import Trained
from zoo.training.registered import Registered
from zoo.training.signals import Interruption, Signals
from zoo.training.state import Progress, Store, TrainingState, from_chief, write_batch

_log = logging.getLogger(__name__)


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

# From the number of examples of a batch to begin and end of a part of it.
Part: TypeAlias = Callable[[Any], tuple[Any, Any]]


@runtime_checkable
class Divisible(Protocol):
    """Batches of which a part can be had without reading the rest, such as `zoo.data.Pipeline`."""

    def divided(self, part: Part) -> Batches:
        """The same batches, each as (number of its examples, the part of it)."""
        ...


# What happens when the loss of a batch is NaN or infinite.
OnNonFinite: TypeAlias = Literal["ignore", "stop", "skip", "lower"]

# By how much a learning rate is lowered, and how often training goes back before it gives up.
_LOWER = 0.5
_MOST_ROLLBACKS = 10

_ACCURACIES: dict[type, Callable[..., keras.Metric]] = {
    keras.losses.SparseCategoricalCrossentropy: keras.metrics.SparseCategoricalAccuracy,
    keras.losses.CategoricalCrossentropy: keras.metrics.CategoricalAccuracy,
    keras.losses.BinaryCrossentropy: keras.metrics.BinaryAccuracy,
}


class NonFiniteLossError(RuntimeError):
    """The loss of a batch was not finite, and going back did not help or was not asked for."""


class Trainer:
    """Trains, evaluates and applies a model on one device, several, or several workers.

    On N devices each batch is shared among them, and the result is that of one device on the whole batch. What stays
    different: replicas draw dropout masks of their own, and batch normalisation without `synchronized=True` normalises
    each share by its own statistics; the moving statistics are the average over the shares, weighted by examples.

    Args:
        model: A built Keras model, or a function that makes one. For several devices the function is called in the
            strategy's scope; a model must have been made there.
        optimizer: A Keras optimizer, or its name, or a function that makes one for the model, as for parameter groups.
            Clipping sees the gradient of the whole batch.
        loss: A Keras loss that keeps the examples apart, such as SparseCategoricalCrossentropy, or its name.
        evaluation_loss: What `evaluate` and validation report as the loss; None for `loss`.
        metrics: Keras metrics or their names; "accuracy" stands for the accuracy that belongs to the loss.
        devices: As `zoo.training.make_strategy` takes them; None for `strategy`.
        strategy: A `tf.distribute.Strategy`; None for the current one, by default a single device.
        steps_per_call: Number of steps that TensorFlow runs before Python takes over again; callbacks hear of every
            such group. More saves a fraction of a millisecond a step.
        auxiliary: Weights of the losses of further outputs, by their names, of a model whose output is a dict; they are
            trained alike and else not looked at: the one output that is left is evaluated and predicted.
        class_weight: Weight of each class in the loss, by its index; classes that are left out weigh 1. Labels are
            whole numbers, of any type, or one-hot.
        jit_compile: Whether XLA compiles forward and backward pass; "auto" for on GPUs.
        on_nonfinite: What a loss that is NaN or infinite does: "ignore" goes on; the others go back to the last
            checkpoint, and there "stop" ends with NonFiniteLossError, "skip" leaves the batch out, "lower" halves the
            learning rate. They need checkpoints in `fit`.
        recompute: Whether the backward pass computes feature maps again instead of keeping them: less memory, about a
            third more time, the same numbers. For functional models with one input and one output; without XLA.
        evaluate_average: Whether evaluation, callbacks at the end of an epoch and the finished model have the averaged
            weights of an optimizer with `use_ema`; the loss of the training is of the raw ones.

    Attributes:
        strategy: The strategy in use.
        is_chief: Whether this process writes files; True unless there are several workers.

    Raises:
        ValueError: Loss, metric or optimizer have no such name, or model and strategy do not belong together.

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
        model: keras.Model | Callable[[], keras.Model],
        *,
        optimizer: keras.Optimizer | str | Callable[[keras.Model], keras.Optimizer],
        loss: keras.losses.Loss | str,
        evaluation_loss: keras.losses.Loss | str | None = None,
        metrics: Sequence[keras.Metric | str] = ("accuracy",),
        devices: Devices | None = None,
        strategy: tf.distribute.Strategy | None = None,
        steps_per_call: int = 1,
        auxiliary: Mapping[str, float] | None = None,
        class_weight: Mapping[int, float] | None = None,
        jit_compile: bool | Literal["auto"] = False,
        on_nonfinite: OnNonFinite = "ignore",
        recompute: bool = False,
        evaluate_average: bool = True,
    ) -> None:
        if devices is not None and strategy is not None:
            raise ValueError(f"Give devices or strategy, not both. Received: devices={devices!r}, strategy={strategy}")
        if steps_per_call < 1:
            raise ValueError(f"steps_per_call must be at least 1. Received: steps_per_call={steps_per_call}")
        if on_nonfinite not in ("ignore", "stop", "skip", "lower"):
            raise ValueError(
                f"on_nonfinite must be 'ignore', 'stop', 'skip' or 'lower'. Received: on_nonfinite={on_nonfinite!r}"
            )
        if recompute and jit_compile is True:
            raise ValueError("XLA undoes what recompute does. Received: recompute=True, jit_compile=True")
        self.steps_per_call = steps_per_call
        self.on_nonfinite = on_nonfinite
        self._loss = _loss(loss)
        self._evaluation_loss = self._loss if evaluation_loss is None else _loss(evaluation_loss)
        self._class_weight = _class_weight_table(class_weight)
        self.strategy = strategy or (tf.distribute.get_strategy() if devices is None else make_strategy(devices))
        self.is_chief = is_chief(self.strategy)
        self._multi_worker = is_multi_worker(self.strategy)
        self._num_replicas = self.strategy.num_replicas_in_sync
        self._added = replicas.AddedLosses()
        self._registered = Registered(self)
        self._share = replicas.Share(self.strategy, divided=self._multi_worker)
        with self.strategy.scope():
            self.model = model if isinstance(model, keras.Model) else model()
            _refuse_foreign(self.model, self.strategy)
            self._outputs = _Outputs(self.model, auxiliary or {})
            self._metrics = [_metric(_remade(metric, self.strategy), self._loss) for metric in metrics]
            self._mean_loss = keras.metrics.Mean(name="loss")
            # Callbacks find optimizer and loss where `model.fit` has them; loss scaling is set up here too.
            if not isinstance(optimizer, keras.Optimizer | str):
                optimizer = optimizer(self.model)
            self.model.compile(optimizer=_remade(optimizer, self.strategy), loss=self._loss, jit_compile=False)
            self.optimizer = self.model.optimizer
            with made_quickly():
                self.optimizer.build(self.model.trainable_variables)
        self._trained = Trained(self.model)
        if self._num_replicas > 1:
            replicas.own_every_variable(self.optimizer)
            replicas.spread_seeds(self.model, self.strategy)
        self._averaged_by = next(
            (part for part in replicas.parts(self.optimizer) if evaluate_average and part.use_ema), None
        )
        if on_nonfinite == "lower" and not self._rate_can_be_set():
            raise ValueError(
                'on_nonfinite="lower" needs a learning rate that is a number; "skip" and "stop" take any. '
                "Received: a schedule"
            )
        differentiate = recomputation.by_pieces if recompute else recomputation.by_one_tape
        self._differentiate = differentiate(self.model, self._added.of)
        self._compute = self._forward_backward
        if self._compiles(jit_compile) and not recompute:
            self._compute = tf.function(self._forward_backward, jit_compile=True, autograph=False)
        # Without autograph: the loops are written for graphs, and converting all that they call takes seconds.
        self._train_call = tf.function(self._train_steps, autograph=False)
        self._test_call = tf.function(self._test_steps, autograph=False)
        self._predict_call = tf.function(self._predict_batch, autograph=False)
        self._tell_call = tf.function(self._told, autograph=False)
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
        checkpoints: Store | None = None,
        save_steps: int | None = None,
        save_minutes: float | None = None,
        bad_batches: str | os.PathLike | None = None,
    ) -> list[dict[str, float]]:
        """Train until the number of epochs is reached or a callback sets `model.stop_training`.

        With checkpoints, the training starts from the newest one that is whole, and on the processor with the numbers
        that an uninterrupted training would have had, to the bit. Callbacks with `get_state` and `set_state` are
        restored by these, others by their attributes that are plain numbers and texts; what they were constructed with
        and have not changed stays as given. SIGTERM and the first SIGINT save and end the process (exit codes 143 and
        130); a second SIGINT ends it at once.

        Args:
            train: Batches in a repeatable order, or a finite `tf.data.Dataset`.
            epochs: Largest number of epochs, at least 1.
            validation: What the model is evaluated on after each epoch; its metrics get the prefix `val_`.
            callbacks: Keras callbacks. Their logs hold the metrics, `learning_rate` and `step`; those with `require`
                are told these names before the first step, to refuse what they cannot work with. Of several workers
                each runs its own; those that write files belong to the chief alone.
            checkpoints: Where the state is kept, `zoo.training.Checkpoints`; of several workers, the chief's alone. It
                is written at the end of each epoch and as the next two say.
            save_steps: Batches after which a checkpoint is written within an epoch; None for not.
            save_minutes: Minutes after which a checkpoint is written within an epoch; None for not.
            bad_batches: Folder for batches whose loss was not finite, one .npz file each; None for not, as
                on_nonfinite="ignore" needs it.

        Returns:
            One dict an epoch: `epoch` (1, 2, …), `step` (number of updates so far), `learning_rate`, the metrics.

        Raises:
            ValueError: There is no data, or of another form than the model's, a callback needs a metric that there will
                not be, or something was frozen or unfrozen since the Trainer was made.
            NonFiniteLossError: See `on_nonfinite`; also where the weights are not finite before the first step.
        """
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1. Received: epochs={epochs}")
        self._trained.require_unchanged()
        cadence = Cadence(save_steps, save_minutes)
        if self.on_nonfinite != "ignore" and self.is_chief and checkpoints is None:
            raise ValueError(f"on_nonfinite={self.on_nonfinite!r} goes back to a checkpoint; give checkpoints to fit.")
        if bad_batches is not None and self.on_nonfinite == "ignore":
            raise ValueError(
                'bad_batches keeps batches where the Trainer has on_nonfinite="stop", "skip" or "lower". '
                f"Received: on_nonfinite='ignore', bad_batches={os.fspath(bad_batches)!r}"
            )
        steps = _num_batches(train)
        _refuse_other_form(self.model, self._outputs.shape, self._loss, train)
        names = self.metric_names
        if validation is not None:
            _num_batches(validation)
            _refuse_other_form(self.model, self._outputs.shape, self._evaluation_loss, validation)
            names += [f"val_{name}" for name in names]
        callbacks = list(callbacks)
        for callback in callbacks:
            callback.set_model(self.model)
            callback.set_params({"epochs": epochs, "steps": steps, "verbose": 0})
            if hasattr(callback, "require"):
                callback.require([*names, "learning_rate", "step"])
        self._build_metrics(train)
        self.reset_metrics()
        self.model.stop_training = False
        progress = Progress()
        state = TrainingState(self, callbacks, progress)
        saver = _Saver(self, state, checkpoints, cadence, steps)
        own, own_validation = self._own(train), None if validation is None else self._own(validation)
        for callback in callbacks:
            callback.on_train_begin({})
        if not saver.restore():
            saver.save()
        with Signals(enabled=checkpoints is not None or self._multi_worker) as signals:
            # An epoch that was stopped in its midst is ended too, by whatever process has come that far.
            while progress.epoch < epochs and (progress.batch or not self.model.stop_training):
                try:
                    self._train_epoch(own, steps, progress, callbacks, saver, signals)
                    self._end_epoch(own_validation, progress, callbacks)
                    saver.save()
                except _BadBatch as bad:
                    self._go_back(bad, train, progress, saver, bad_batches)
                    continue
                self._heed(signals, saver)
        # A callback may have stopped the training before its first epoch.
        last = progress.history[-1] if progress.history else {}
        logs = {name: value for name, value in last.items() if name != "epoch"}
        with contextlib.ExitStack() as stack:
            stack.callback(saver.wait)
            self._swap_in_average()
            for callback in callbacks:
                callback.on_train_end(dict(logs))
        return progress.history

    def evaluate(self, data: Data) -> dict[str, float]:
        """Loss and metrics over all examples, each counted once.

        Args:
            data: Batches, or a finite `tf.data.Dataset`.

        Returns:
            A number for each name in `metric_names`.
        """
        _refuse_other_form(self.model, self._outputs.shape, self._evaluation_loss, data)
        self._build_metrics(data)
        return self._evaluate(self._own(data))

    def _evaluate(self, own: Data) -> dict[str, float]:
        self.reset_metrics()
        steps, iterator = _num_batches(own), iter(_epoch(own, 0))
        for first in range(0, steps, self.steps_per_call):
            self._test_call(iterator, tf.constant(min(self.steps_per_call, steps - first)))
        return self._results()

    def predict(self, data: Data) -> np.ndarray:
        """The model's outputs (examples, …) in the order of the data; labels are not looked at."""
        iterator = iter(_epoch(data, 0))
        return np.concatenate([self._predict_call(iterator).numpy() for _ in range(_num_batches(data))])

    def _own(self, data: Data) -> Data:
        """What this process reads of the data: all, or the parts of its replicas where others have the rest."""
        if not self._multi_worker:
            return data
        return data.divided(self._share.of_worker) if isinstance(data, Divisible) else _Cut(data, self._share.of_worker)

    def reset_metrics(self) -> None:
        """Let loss and metrics begin anew, as each epoch does: a callback may want them of fewer batches."""
        for metric in (self._mean_loss, *self._metrics):
            metric.reset_state()

    def wait_for_all(self) -> None:
        """Until every worker has come here; no worker may end while another still needs it."""
        if self._multi_worker:
            self._agreed([0])

    def _train_epoch(
        self,
        data: Data,
        steps: int,
        progress: Progress,
        callbacks: list[keras.callbacks.Callback],
        saver: "_Saver",
        signals: Signals,
    ) -> None:
        begins = [item for item in callbacks if _overrides(item, "on_train_batch_begin")]
        ends = [item for item in callbacks if _overrides(item, "on_train_batch_end")]
        reads_logs = any(not getattr(item, "ignores_batch_logs", False) for item in ends)
        for callback in callbacks:
            callback.on_epoch_begin(progress.epoch, {})
        if progress.batch == 0:
            self.reset_metrics()
        watches = self.on_nonfinite != "ignore"
        iterator = iter(_epoch(data, progress.epoch, progress.batch))
        while progress.batch < steps and not self.model.stop_training:
            first = progress.batch
            if [progress.epoch, first] in progress.skipped:
                next(iterator)
                progress.advance(1)
                continue
            for callback in begins:
                callback.on_train_batch_begin(first, {})
            # Groups begin at multiples of their size, so that a resumed training has the same ones.
            end = min(first - first % self.steps_per_call + self.steps_per_call, steps, *progress.skips_after(first))
            done, loss = self._train_call(iterator, tf.constant(end - first))
            if watches and not math.isfinite(float(loss)):
                number = first + int(done) - 1
                what = f"The loss of batch {number} of epoch {progress.epoch + 1} is {float(loss)}"
                raise _BadBatch(progress.epoch, number, what)
            progress.advance(end - first)
            logs = self._results() if reads_logs else {}
            for callback in ends:
                callback.on_train_batch_end(end - 1, logs)
            if end < steps:
                self._within_epoch(saver, signals)

    def _within_epoch(self, saver: "_Saver", signals: Signals) -> None:
        """What may come between two calls: a checkpoint, a signal, a callback's wish to stop."""
        wishes = [self.model.stop_training, saver.is_due(), signals.received]
        if self._multi_worker:
            wishes = self._agreed(wishes)
        stop, due, signal_number = wishes
        self.model.stop_training = bool(stop)
        if due or signal_number:
            saver.save()
        if signal_number:
            saver.wait()
            raise Interruption(int(signal_number))

    def _heed(self, signals: Signals, saver: "_Saver") -> None:
        """End the process at the end of an epoch, which has just been saved, if a signal asked for it."""
        wishes = [self.model.stop_training, signals.received]
        stop, signal_number = self._agreed(wishes) if self._multi_worker else wishes
        self.model.stop_training = bool(stop)
        if signal_number:
            saver.wait()
            raise Interruption(int(signal_number))

    def _end_epoch(
        self, validation: Data | None, progress: Progress, callbacks: list[keras.callbacks.Callback]
    ) -> None:
        logs = self._results()
        with self._average():
            if validation is not None:
                logs |= {f"val_{name}": value for name, value in self._evaluate(validation).items()}
            logs |= {
                "learning_rate": float(keras.ops.convert_to_numpy(self.optimizer.learning_rate)),
                "step": int(keras.ops.convert_to_numpy(self.optimizer.iterations)),
            }
            progress.history.append({"epoch": progress.epoch + 1, **logs})
            for callback in callbacks:
                callback.on_epoch_end(progress.epoch, dict(logs))
        progress.epoch, progress.batch = progress.epoch + 1, 0
        self.reset_metrics()

    def _go_back(
        self,
        bad: "_BadBatch",
        data: Data,
        progress: Progress,
        saver: "_Saver",
        folder: str | os.PathLike | None,
    ) -> None:
        """Back to the last checkpoint; then what `on_nonfinite` says about the batch."""
        where = str(bad)
        if folder is not None and self.is_chief:
            batch = next(iter(_epoch(data, bad.epoch, bad.batch)))
            where += f"; the batch is in {write_batch(Path(folder), bad.epoch, bad.batch, batch)}"
        skipped, rollbacks, lowered = list(progress.skipped), progress.rollbacks + 1, progress.lowered
        if not saver.restore():
            raise NonFiniteLossError(f"{where}. There is no checkpoint to go back to.")
        if self.on_nonfinite == "stop" or rollbacks > _MOST_ROLLBACKS:
            often = f" after going back {_MOST_ROLLBACKS} times" if rollbacks > _MOST_ROLLBACKS else ""
            raise NonFiniteLossError(f"{where}. Training ends{often}; the model is that of step {progress.step}.")
        progress.rollbacks = rollbacks
        if self.on_nonfinite == "skip":
            progress.skipped = [*skipped, [bad.epoch, bad.batch]]
            _log.warning("%s. Back to step %d; the batch is left out from now on.", where, progress.step)
            return
        # The checkpoint's rate may already be lowered by some of the earlier times.
        rate = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
        rate *= _LOWER ** (lowered + 1 - progress.lowered)
        self.optimizer.learning_rate = rate
        progress.lowered = lowered + 1
        _log.warning("%s. Back to step %d with the learning rate %g.", where, progress.step, rate)

    def _rate_can_be_set(self) -> bool:
        inner = replicas.parts(self.optimizer)[-1]
        return isinstance(inner._learning_rate, keras.Variable)

    def _compiles(self, jit_compile: bool | str) -> bool:
        if self.strategy is tf.distribute.get_strategy():
            devices = [device.name for device in tf.config.list_logical_devices()][-1:]
        else:
            devices = list(self.strategy.extended.worker_devices)
        on_gpus = all("GPU" in device.upper() for device in devices)
        if jit_compile == "auto":
            return on_gpus and not self._has_synchronized_statistics()
        if jit_compile and self._num_replicas > 1:
            if not on_gpus:
                raise ValueError(
                    "XLA compiles for one processor, not for several logical devices of it. Leave jit_compile=False, "
                    f"or use GPUs. Received: jit_compile=True on {', '.join(devices)}"
                )
            if self._has_synchronized_statistics():
                raise ValueError(
                    "XLA compiles a replica's work by itself; synchronised batch normalisation talks to other replicas "
                    "in the midst of it. Leave jit_compile=False."
                )
        return bool(jit_compile)

    def _has_synchronized_statistics(self) -> bool:
        return self._num_replicas > 1 and any(layer.synchronized for layer in kernels.batch_norm_layers(self.model))

    @contextlib.contextmanager
    def _kernels(self) -> Iterator[None]:
        """What holds while a graph with the model is traced."""
        moments = self._share.moments if self._num_replicas > 1 else None
        with self._registered.noted(), kernels.batch_norm(self.model, moments), self._added.kept(self.model):
            yield

    def _call(self, inputs: Any, *, training: bool) -> tuple[Any, list[tf.Tensor]]:
        """The model's outputs, and what its layers add to the loss."""
        return self._added.of(lambda: self.model(inputs, training=training))

    def _train_steps(self, iterator: tf.data.Iterator, num_steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Up to so many steps, fewer after a loss that is not finite; returns their number and the last loss."""

        def step() -> tf.Tensor:
            losses = self.strategy.run(self._replica_step, args=(next(iterator),))
            return self.strategy.experimental_local_results(losses)[0]

        with self._kernels(), kernels.depthwise_gradients(self.model):
            if self.steps_per_call == 1:
                return tf.constant(1), step()
            ignore = self.on_nonfinite == "ignore"
            return tf.while_loop(
                lambda done, loss: (done < num_steps) & (ignore | tf.math.is_finite(loss)),
                lambda done, _: (done + 1, step()),
                (tf.constant(0), tf.constant(0.0)),
            )

    def _test_steps(self, iterator: tf.data.Iterator, num_steps: tf.Tensor) -> None:
        def step(done: tf.Tensor) -> tuple[tf.Tensor]:
            self.strategy.run(self._test_step, args=(next(iterator),))
            return (done + 1,)

        with self._kernels():
            tf.while_loop(lambda done: done < num_steps, step, (tf.constant(0),))

    def _predict_batch(self, iterator: tf.data.Iterator) -> tf.Tensor:
        inputs, _, _ = _unpack(next(iterator))

        def part(inputs: Any) -> tf.Tensor:
            inputs, count = self._share.of(inputs)
            return self._outputs.main(self._call(inputs, training=False)[0])[:count]

        with self._kernels():
            if self._multi_worker:  # each worker needs all outputs, and has the whole batch
                return self._outputs.main(self._call(inputs, training=False)[0])
            return tf.concat(self.strategy.experimental_local_results(self.strategy.run(part, args=(inputs,))), 0)

    def _replica_step(self, batch: Any) -> tf.Tensor:
        batch, count = self._share.of(batch)
        inputs, labels, weights = _unpack(batch)
        weights = self._weights(inputs, weights)
        in_loss = weights * self._class_weights(labels)
        total, examples = self._sum([tf.reduce_sum(in_loss), tf.cast(count, tf.float32)])
        share = self._share.present * (tf.cast(count, tf.float32) / examples)
        gradients, losses, outputs, penalty, added = self._compute(inputs, labels, in_loss, total, share)
        gradients = self._sum_gradients(gradients)
        variables = self.model.trainable_variables
        with replicas.updates_alone(self.strategy, self.optimizer):
            self.optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))
        if self._num_replicas > 1:
            replicas.average_statistics(self.model, count)
        loss, added = self._sum([tf.math.divide_no_nan(tf.reduce_sum(losses * in_loss), total), added])
        penalty += added
        self._update(labels, outputs, losses + penalty, in_loss, weights)
        return loss + penalty

    def _forward_backward(
        self, inputs: Any, labels: Any, weights: tf.Tensor, total: tf.Tensor, share: tf.Tensor
    ) -> tuple[Any, tf.Tensor, Any, tf.Tensor, tf.Tensor]:
        """Gradients of this replica's part of the loss; their sum over the replicas is that of the batch.

        What layers add are means over the examples, as Keras's activity regularisers are: this replica's have a share.
        """

        def loss_of(outputs: Any, additions: list[tf.Tensor]) -> tuple[tf.Tensor, Any]:
            main, others = self._outputs.split(outputs)
            losses = self._losses(labels, main)
            for output, weight in others:
                losses += weight * self._losses(labels, output)
            penalty, added = self._weight_penalty(), _total(additions) * share
            loss = tf.math.divide_no_nan(tf.reduce_sum(losses * weights), total)
            loss += penalty / self._num_replicas + added
            return self.optimizer.scale_loss(loss), (losses, main, penalty, added)

        gradients, rest = self._differentiate(inputs, loss_of)
        return gradients, *rest

    def _test_step(self, batch: Any) -> None:
        batch, count = self._share.of(batch)
        inputs, labels, weights = _unpack(batch)
        weights = self._weights(inputs, weights)
        outputs, additions = self._call(inputs, training=False)
        outputs = self._outputs.main(outputs)
        losses = self._losses(labels, outputs, self._evaluation_loss)
        (examples,) = self._sum([tf.cast(count, tf.float32)])
        (added,) = self._sum([_total(additions) * self._share.present * (tf.cast(count, tf.float32) / examples)])
        losses += self._weight_penalty() + added
        self._update(labels, outputs, losses, weights, weights)

    def _sum(self, values: list[tf.Tensor]) -> list[tf.Tensor]:
        """The sums over the replicas."""
        if self._num_replicas == 1:
            return values
        return replicas.sum_over_replicas(values)

    def _sum_gradients(self, gradients: list[Any]) -> list[Any]:
        if self._num_replicas == 1:
            return gradients
        there = [gradient for gradient in gradients if gradient is not None]
        summed = iter(replicas.sum_over_replicas(there))
        return [None if gradient is None else next(summed) for gradient in gradients]

    def _weights(self, inputs: Any, weights: Any) -> tf.Tensor:
        """The weight of each example, 0 for what only fills an empty replica."""
        if weights is None:
            weights = tf.ones((tf.shape(tf.nest.flatten(inputs)[0])[0],))
        return tf.cast(weights, tf.float32) * self._share.present

    def _class_weights(self, labels: tf.Tensor) -> tf.Tensor | float:
        if self._class_weight is None:
            return 1.0
        if (labels.shape.rank or 1) > 1:
            labels = tf.argmax(labels, axis=-1) if labels.shape[-1] != 1 else labels[..., 0]
        table = tf.constant(self._class_weight)
        labels = tf.cast(labels, tf.int32)
        return tf.where(labels < len(self._class_weight), tf.gather(table, labels % len(self._class_weight)), 1.0)

    def _losses(self, labels: Any, outputs: Any, loss: keras.losses.Loss | None = None) -> tf.Tensor:
        """The loss of each example, in float32 whatever the model computes in."""
        losses = tf.cast((loss or self._loss).call(labels, tf.cast(outputs, tf.float32)), tf.float32)
        return tf.reduce_mean(tf.reshape(losses, (tf.shape(losses)[0], -1)), axis=1)

    def _weight_penalty(self) -> tf.Tensor:
        """What regularised weights add to the loss, the same in all replicas."""
        weights = self.model.trainable_variables
        return _total([variable.regularizer(variable) for variable in weights if variable.regularizer is not None])

    def _update(self, labels: Any, outputs: Any, losses: tf.Tensor, in_loss: tf.Tensor, weights: tf.Tensor) -> None:
        self._mean_loss.update_state(losses, sample_weight=in_loss)
        for metric in self._metrics:
            metric.update_state(labels, outputs, sample_weight=weights)

    def _build_metrics(self, data: Data) -> None:
        """Let metrics make their variables now: inside the first step they would force a second trace."""
        if self._metrics_built:
            return
        _, spec, _ = _unpack(data.element_spec)

        def update() -> None:
            labels = tf.zeros(_of_one(spec.shape), spec.dtype)
            outputs = tf.zeros(_of_one(self._outputs.shape))
            for metric in self._metrics:
                metric.update_state(labels, outputs)

        if self._num_replicas == 1:
            update()
        else:
            with self.strategy.scope():
                tf.function(lambda: self.strategy.run(update), autograph=False)()
        self.reset_metrics()
        self._metrics_built = True

    def _results(self) -> dict[str, float]:
        with self.strategy.scope():
            return {metric.name: float(metric.result()) for metric in (self._mean_loss, *self._metrics)}

    def _agreed(self, values: Sequence[int]) -> list[int]:
        """The largest of what any worker says, for each value."""
        told = self._tell_call(tf.constant([[int(value) for value in values]]))
        return told.numpy().max(axis=0).tolist()

    def _told(self, values: tf.Tensor) -> tf.Tensor:
        """(1, values) of each replica as (replicas, values)."""

        def gather(values: tf.Tensor) -> tf.Tensor:
            # A copy on the replica's device: an argument of the function has none, and TensorFlow asks for it.
            return tf.distribute.get_replica_context().all_gather(tf.identity(values), axis=0)

        with self._registered.noted():
            return self.strategy.experimental_local_results(self.strategy.run(gather, args=(values,)))[0]

    def _averages(self) -> list[tuple[Any, Any]]:
        """Weights with their moving averages."""
        if self._averaged_by is None:
            return []
        part = self._averaged_by
        pairs = zip(part._trainable_variables, part._model_variables_moving_average, strict=True)
        return [(variable, average) for variable, average in pairs if average is not None]

    def _swap_in_average(self) -> None:
        for variable, average in self._averages():
            variable.assign(keras.ops.convert_to_numpy(average))

    @contextlib.contextmanager
    def _average(self) -> Iterator[None]:
        """The averaged weights for a while; by copies, so that the raw ones come back to the bit."""
        raw = [np.array(keras.ops.convert_to_numpy(variable)) for variable, _ in self._averages()]
        self._swap_in_average()
        try:
            yield
        finally:
            for (variable, _), value in zip(self._averages(), raw, strict=True):
                variable.assign(value)


class _Outputs:
    """The output of a model that counts, and those that only train it."""

    def __init__(self, model: keras.Model, auxiliary: Mapping[str, float]) -> None:
        self._auxiliary = dict(auxiliary)
        self._main: str | None = None
        self.shape = model.output_shape
        # A Sequential that was built by its input shape has no output, but a shape.
        outputs = getattr(model, "output", None)
        if isinstance(outputs, Mapping):
            left = [name for name in outputs if name not in auxiliary]
            known = all(name in outputs and weight >= 0 for name, weight in auxiliary.items())
            if len(left) != 1 or not known:
                raise ValueError(
                    f"The outputs of {model.name!r} are {', '.join(outputs)}. auxiliary must have a weight of at "
                    f"least 0 for each of them but the one that counts. Received: auxiliary={dict(auxiliary)}"
                )
            (self._main,) = left
            self.shape = outputs[self._main].shape
        elif auxiliary:
            raise ValueError(f"{model.name!r} has no outputs with names. Received: auxiliary={dict(auxiliary)}")

    def main(self, outputs: Any) -> Any:
        """The output that counts."""
        return outputs if self._main is None else outputs[self._main]

    def split(self, outputs: Any) -> tuple[Any, list[tuple[Any, float]]]:
        """The output that counts; the others with their weights."""
        return self.main(outputs), [(outputs[name], weight) for name, weight in self._auxiliary.items()]


class _BadBatch(Exception):  # noqa: N818, it is caught in every case
    def __init__(self, epoch: int, batch: int, what: str) -> None:
        super().__init__(what)
        self.epoch, self.batch = epoch, batch


class _Saver:
    """When a checkpoint is written, and how all workers come by one."""

    def __init__(
        self, trainer: Trainer, state: TrainingState, store: Store | None, cadence: Cadence, num_batches: int
    ) -> None:
        self._trainer, self._state, self._store = trainer, state, store
        self._cadence, self._num_batches = cadence, num_batches

    def is_due(self) -> bool:
        """Whether steps or minutes ask for a checkpoint now."""
        return self._store is not None and self._cadence.is_due(self._state.progress.step, time.monotonic())

    def save(self) -> None:
        """Take the state and let the store write it; all workers call it together."""
        if self._store is None and not self._trainer._multi_worker:
            return
        # Also where the state is refused: else each batch from now on would try it again.
        self._cadence.count_from(self._state.progress.step, time.monotonic())
        arrays, facts = self._state.take()
        if self._store is not None:
            try:
                self._store.save(self._state.progress.step, arrays, facts)
            except NonFinite as error:
                self._refused(error)

    def _refused(self, error: NonFinite) -> None:
        """A kernel that clips, such as a rectifier's, may hide from the loss that weights are not finite."""
        progress = self._state.progress
        if self._trainer.on_nonfinite == "ignore":
            _log.warning("No checkpoint at step %d: %s", progress.step, error)
            return
        if progress.step == 0:
            raise NonFiniteLossError(f"Before the first step: {error} Give the model finite weights.")
        if self._trainer._multi_worker:
            raise NonFiniteLossError(f"At step {progress.step}: {error}")
        epoch, batch = (progress.epoch, progress.batch) if progress.batch else (progress.epoch - 1, self._num_batches)
        raise _BadBatch(epoch, batch - 1, f"After batch {batch - 1} of epoch {epoch + 1}: {error}")

    def restore(self) -> bool:
        """Put the newest state that is whole back; False if there is none."""
        found = self._store.latest() if self._store is not None else None
        content = (found.arrays, found.state) if found is not None else None
        if self._trainer._multi_worker:
            content = from_chief(self._trainer.strategy, self._trainer.is_chief, content, self._state)
        if content is None:
            return False
        self._state.put(*content)
        self._cadence.count_from(self._state.progress.step, time.monotonic())
        return True

    def wait(self) -> None:
        """Until what was saved is on the disk."""
        if self._store is not None:
            self._store.wait()


def _refuse_foreign(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Variables must be the strategy's, or several replicas would train the same ones, and Keras fails late on one."""
    if strategy.num_replicas_in_sync == 1 and not isinstance(strategy, tf.distribute.OneDeviceStrategy):
        return
    for variable in model.variables:
        if getattr(variable.value, "_distribute_strategy", None) is not strategy:
            raise ValueError(
                f"The model {model.name!r} was not made in the scope of this strategy. Give the Trainer a function "
                "that makes it, or make it in `with strategy.scope():`."
            )


def _refuse_other_form(model: keras.Model, outputs: Any, loss: keras.losses.Loss, data: Data) -> None:
    """Inputs of another shape than the model's, or labels that the loss would read as something else."""
    inputs, labels, _ = _unpack(data.element_spec)
    shape = model.input_shape
    if isinstance(shape, tuple) and isinstance(inputs, tf.TensorSpec) and not inputs.shape.is_compatible_with(shape):
        raise ValueError(
            f"The model {model.name!r} takes inputs of {shape[1:]}. Received: {tuple(inputs.shape[1:])}. Give the data "
            "that size and number of channels, or make the model with this input_shape."
        )
    if not isinstance(outputs, tuple) or not isinstance(labels, tf.TensorSpec) or labels.shape.rank is None:
        return
    per_class = labels.shape.rank == len(outputs) and labels.shape[-1] != 1
    if type(loss) is keras.losses.SparseCategoricalCrossentropy and per_class:
        raise ValueError(
            "The loss takes the index of each example's class; use categorical_crossentropy for labels with a number "
            f"for each class. Received: labels of {tuple(labels.shape[1:])}"
        )
    if type(loss) is keras.losses.CategoricalCrossentropy and not labels.shape.is_compatible_with(outputs):
        raise ValueError(
            f"The loss takes labels with a number for each class, {outputs[1:]}; use sparse_categorical_crossentropy "
            f"for the index of the class. Received: labels of {tuple(labels.shape[1:])}"
        )


def _remade(item: Any, strategy: tf.distribute.Strategy) -> Any:
    """An optimizer or metric that was made outside of the strategy's scope, once more inside."""
    if isinstance(item, keras.Optimizer):
        # Keras notes the strategy in whose scope an optimizer is made, and takes no other later.
        if item._distribution_strategy is strategy:
            return item
        if item.built:
            raise ValueError(
                f"The optimizer {item.name!r} has been used outside of this strategy. Give the Trainer a new one."
            )
        return type(item).from_config(item.get_config())
    if not isinstance(item, keras.Metric) or strategy.num_replicas_in_sync == 1:
        return item
    values = [variable.value for variable in item.variables]
    if values and all(isinstance(value, tf.distribute.DistributedValues) for value in values):
        return item
    return type(item).from_config(item.get_config())


def _class_weight_table(class_weight: Mapping[int, float] | None) -> list[float] | None:
    if class_weight is None:
        return None
    if not class_weight or any(index < 0 or not weight >= 0 for index, weight in class_weight.items()):
        raise ValueError(f"class_weight maps class indices to weights of at least 0. Received: {dict(class_weight)}")
    return [float(class_weight.get(index, 1.0)) for index in range(max(class_weight) + 1)]


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
        if isinstance(loss, keras.losses.BinaryCrossentropy) and loss.from_logits:
            return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
        return _ACCURACIES[type(loss)](name="accuracy")
    resolved = keras.metrics.get(metric)
    if isinstance(resolved, keras.Metric):
        return type(resolved)(name=metric)
    return keras.metrics.MeanMetricWrapper(resolved, name=metric)


def _total(losses: list[Any]) -> tf.Tensor:
    """The sum of losses, each of any shape."""
    return tf.add_n([tf.zeros(()), *(tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in losses)])


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


def _epoch(data: Data, epoch: int, start: int = 0) -> tf.data.Dataset:
    if isinstance(data, tf.data.Dataset):
        return data.skip(start) if start else data
    return data.epoch(epoch, start)


class _Cut:
    """Data that comes whole, of which a worker keeps its part."""

    def __init__(self, data: Data, part: Part) -> None:
        self._data, self._part = data, part
        self.element_spec = tf.TensorSpec((), tf.int32), data.element_spec

    def __len__(self) -> int:
        return len(self._data)

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        def cut(*batch: Any) -> tuple[tf.Tensor, Any]:
            total = tf.shape(tf.nest.flatten(batch)[0])[0]
            begin, end = self._part(total)
            return total, tf.nest.map_structure(lambda tensor: tensor[begin:end], batch)

        return _epoch(self._data, epoch, start).map(cut)


def _of_one(shape: Sequence[int | None]) -> list[int]:
    """The shape of one example; what is not known is 1."""
    return [1, *(extent or 1 for extent in shape[1:])]


def _unpack(batch: Any) -> tuple[Any, Any, Any]:
    """(inputs, labels, weights or None)."""
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        raise ValueError("A batch must be (inputs, labels) or (inputs, labels, weights).")
    return batch if len(batch) == 3 else (*batch, None)


def _overrides(callback: keras.callbacks.Callback, method: str) -> bool:
    """Whether a callback does anything there."""
    return method in vars(callback) or getattr(type(callback), method) is not getattr(keras.callbacks.Callback, method)
