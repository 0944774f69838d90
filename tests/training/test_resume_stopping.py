"""Stopping in a training that is interrupted at any batch: the same epoch, the same weights, to the bit."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.training import Checkpoints, EarlyStopping, Interruption, StepBudget, StopTraining, Trainer


class InterruptedHereError(Exception):
    pass


class Worse(keras.callbacks.Callback):
    """Spoils the weights before the fifth epoch, so that the best are behind."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (4, 0):
            for variable in self.model.weights:
                variable.assign(keras.ops.convert_to_numpy(variable) + 1)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if keras.ops.convert_to_numpy(self.model.optimizer.iterations) == self.step:
            raise InterruptedHereError


class InterruptTheLastEpoch(keras.callbacks.Callback):
    """After the validation of the epoch that was stopped, before anything has noted it."""

    def on_epoch_end(self, epoch, logs=None):
        if self.model.stop_training:
            raise InterruptedHereError


class Terminate(Interrupt):
    def on_train_batch_end(self, batch, logs=None):
        if keras.ops.convert_to_numpy(self.model.optimizer.iterations) == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def data():
    inputs = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    labels = inputs.sum(1, keepdims=True) + 0.5
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)


def train(folder, *others, use_ema, folder_of_best=True, budget=33):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "relu", name="hidden"), keras.layers.Dense(1, name="out")], name="m"
    )
    optimizer = keras.optimizers.SGD(0.02, use_ema=use_ema, ema_momentum=0.9)
    trainer = Trainer(model, optimizer=optimizer, loss="mean_squared_error", metrics=())
    early = EarlyStopping(patience=3, restore_best_weights=True, folder=folder / "best" if folder_of_best else None)
    stop = StopTraining(StepBudget(budget), every=2)
    checkpoints = Checkpoints(folder / "checkpoints", background=False)
    try:
        history = trainer.fit(
            data(),
            epochs=12,
            validation=data(),
            callbacks=[*others, Worse(), early, stop],
            checkpoints=checkpoints,
            save_steps=1,
        )
    finally:
        checkpoints.close()
    assert trainer.evaluate(data())["loss"] == pytest.approx(early.best, rel=1e-6)
    return history, early.get_state(), stop.get_state(), [array.tobytes() for array in model.get_weights()]


@pytest.mark.parametrize("use_ema", [False, True])
def test_an_interrupted_training_stops_where_the_whole_does(use_ema, tmp_path):
    whole = train(tmp_path / "whole", use_ema=use_ema)
    assert whole[1]["best_epoch"] == (4 if use_ema else 3)
    assert whole[2]["reason"] == "training has made 34 steps of a budget of 33"
    for step in (7, 26, 33):
        folder = tmp_path / str(step)
        with pytest.raises(InterruptedHereError):
            train(folder, Interrupt(step), use_ema=use_ema)
        assert train(folder, use_ema=use_ema) == whole


@pytest.mark.parametrize(
    ("budget", "interrupt", "error"),
    [
        (3, InterruptTheLastEpoch(), InterruptedHereError),
        (33, InterruptTheLastEpoch(), InterruptedHereError),
        (3, Terminate(4), Interruption),
    ],
)
def test_an_epoch_that_was_stopped_in_its_midst_is_ended_by_the_next_process(budget, interrupt, error, tmp_path):
    whole = train(tmp_path / "whole", use_ema=True, budget=budget)
    assert whole[0][-1]["step"] == budget + 1
    with pytest.raises(error):
        train(tmp_path / "other", interrupt, use_ema=True, budget=budget)
    assert train(tmp_path / "other", use_ema=True, budget=budget) == whole


def test_best_weights_in_memory_are_refused_before_the_first_step(tmp_path):
    with pytest.raises(ValueError, match="keeps the best weights in memory, where no checkpoint finds them. Give it a"):
        train(tmp_path, Interrupt(1), use_ema=False, folder_of_best=False)
