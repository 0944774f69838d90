"""A training that was interrupted ends as one that was not, to the bit."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from rich.console import Console

from zoo import training
from zoo.training import NonFiniteLossError
from zoo.training.signals import Signals

DRIVER = Path(__file__).with_name("resumed.py")


class Batches:
    """Random vectors; the order is a function of the epoch. `bad` makes a batch (epoch, number) infinite."""

    def __init__(self, count=70, batch_size=8, bad=()):
        rng = np.random.default_rng(5)
        self.inputs = rng.normal(0, 1, (count, 6)).astype("float32")
        self.labels = rng.integers(0, 3, count).astype("int32")
        self.batch_size, self.bad = batch_size, set(bad)
        self.element_spec = (tf.TensorSpec((None, 6), tf.float32), tf.TensorSpec((None,), tf.int32))

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch=0, start=0):
        order = np.random.default_rng([7, epoch]).permutation(len(self.labels))
        inputs = self.inputs[order].copy()
        for number in range(len(self)):
            if (epoch, number) in self.bad:
                inputs[number * self.batch_size] = np.inf
        whole = tf.data.Dataset.from_tensor_slices((inputs, self.labels[order])).batch(self.batch_size).skip(start)
        return whole.apply(tf.data.experimental.assert_cardinality(len(self) - start))


def make_trainer(**options):
    training.seed_everything(3)
    source = keras.Input((6,))
    x = layers.BatchNormalization(momentum=0.9)(layers.Dense(16, activation="relu")(source))
    model = keras.Model(source, layers.Dense(3, activation="softmax", dtype="float32")(layers.Dropout(0.3)(x)))
    optimizer = options.pop("optimizer", lambda: keras.optimizers.Adam(0.01))()
    return training.Trainer(model, optimizer=optimizer, loss="sparse_categorical_crossentropy", **options)


class InterruptedHereError(Exception):
    pass


def interrupt(batch_of_training):
    seen = []

    def count(batch, logs):
        seen.append(batch)
        if len(seen) == batch_of_training:
            raise InterruptedHereError

    return keras.callbacks.LambdaCallback(on_train_batch_end=count)


def state_of(folder):
    store = training.Checkpoints(folder)
    found = store.latest()
    store.close()
    return found


def fit(folder, callbacks, *, epochs=3, data=None, checkpoints=None, fit_options=None, **options):
    trainer = make_trainer(**options)
    store = training.Checkpoints(folder / "checkpoints")
    try:
        history = trainer.fit(
            data or Batches(), epochs=epochs, validation=Batches(20), callbacks=callbacks, checkpoints=store,
            **{"save_steps": 2, **(fit_options or {})},
        )  # fmt: skip
    finally:
        store.close()
    return trainer, history


VARIANTS = {
    "plateau": {},
    "EMA, cosine, clipping": {
        "optimizer": lambda: keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(0.01, 27), use_ema=True, ema_momentum=0.9, global_clipnorm=0.5
        )
    },
    "accumulation, three steps a call": {
        "optimizer": lambda: keras.optimizers.SGD(0.05, momentum=0.9, gradient_accumulation_steps=2),
        "steps_per_call": 3,
    },
    "mixed_float16": {"optimizer": lambda: keras.optimizers.SGD(0.05, momentum=0.9)},
}


# Two by default; the others hold the same way.
SLOW = ("plateau", "mixed_float16")


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in VARIANTS]
)
def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path, variant):
    options = VARIANTS[variant]
    if variant == "mixed_float16":
        keras.config.set_dtype_policy(variant)

    def callbacks():
        ours = [training.StopTraining(training.Patience("val_loss", patience=9))]
        if variant == "plateau":
            ours.append(keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=0.05))
        return ours

    _, expected = fit(tmp_path / "whole", callbacks(), **options)
    for moment in (1, 4):  # the second is counted from where the first has ended
        with pytest.raises(InterruptedHereError):
            fit(tmp_path / "other", [*callbacks(), interrupt(moment)], **options)
    trainer, history = fit(tmp_path / "other", callbacks(), **options)
    assert history == expected
    whole, other = state_of(tmp_path / "whole/checkpoints"), state_of(tmp_path / "other/checkpoints")
    assert whole.arrays.keys() == other.arrays.keys()
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
    assert whole.state["progress"] == other.state["progress"]
    assert any(name.startswith("random/") for name in whole.arrays)
    # Once more: there is nothing left to do.
    again, history = fit(tmp_path / "other", callbacks(), **options)
    assert history == expected
    for one, two in zip(again.model.weights, trainer.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_a_stopped_training_stays_stopped(tmp_path):
    for _ in range(2):
        stop = training.StopTraining(training.Target("loss", 100.0))
        _, history = fit(tmp_path, [stop], epochs=9)
        assert len(history) == 1
        assert stop.fired == "Target"


def test_a_resumed_training_is_shown_where_the_new_process_is(tmp_path):
    text = io.StringIO()
    with pytest.raises(InterruptedHereError):
        fit(tmp_path, [training.ProgressBar(8, Console(file=text)), interrupt(4)])
    fit(tmp_path, [training.ProgressBar(8, Console(file=text, force_terminal=True))])
    hidden, shown = text.getvalue().rfind("\x1b[?25l"), text.getvalue().rfind("\x1b[?25h")
    assert 0 <= hidden < shown  # the cursor is back


class Counting(keras.callbacks.Callback):
    """Counts batches from a number on, and has a file open, or not."""

    def __init__(self, name, opens, count=0):
        super().__init__()
        self.name, self.opens, self.count, self.file = name, opens, count, None

    def on_train_begin(self, logs=None):
        if self.opens:
            self.file = io.StringIO()

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        self.last = batch


def test_what_a_callback_was_given_and_has_set_up_stays(tmp_path):
    def saving(name):
        return keras.callbacks.ModelCheckpoint(tmp_path / name / "last.weights.h5", save_weights_only=True)

    with pytest.raises(InterruptedHereError):
        fit(tmp_path, [Counting("first", opens=False), saving("first"), interrupt(5)])
    for _ in range(2):  # the second finds all done
        counting = Counting("second", opens=True)
        fit(tmp_path, [counting, saving("second")])
        assert (counting.name, counting.opens, counting.count, counting.last) == ("second", True, 27, 8)
        assert isinstance(counting.file, io.StringIO)
    assert not (tmp_path / "first").exists()
    assert (tmp_path / "second" / "last.weights.h5").exists()


def test_a_callback_goes_back_with_the_training(tmp_path):
    counting = Counting("only", opens=False)
    fit(tmp_path, [counting], data=Batches(bad=[(0, 1)]), on_nonfinite="skip", **SGD)
    assert counting.count == 26


def test_the_average_is_what_is_evaluated_and_returned(tmp_path):
    def optimizer():
        return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)

    seen = {}

    class See(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen[epoch] = self.model.get_weights()

    trainer = make_trainer(optimizer=optimizer)
    data = Batches(20)
    history = trainer.fit(Batches(), epochs=2, validation=data, callbacks=[See()])
    for one, two in zip(seen[1], trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert trainer.evaluate(data)["loss"] == history[-1]["val_loss"]
    raw = make_trainer(optimizer=optimizer, evaluate_average=False)
    assert raw.fit(Batches(), epochs=2, validation=data)[-1]["loss"] == history[-1]["loss"]
    assert raw.evaluate(data)["loss"] != history[-1]["val_loss"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(tmp_path, [], epochs=1)
    with pytest.raises(ValueError, match=r"of another model, optimizer or metrics: .*optimizer/0003"):
        fit(tmp_path, [], epochs=1, optimizer=lambda: keras.optimizers.SGD(0.1, momentum=0.9))


SGD = {"optimizer": lambda: keras.optimizers.SGD(0.05)}


def test_a_bad_batch_is_skipped_and_kept(tmp_path, caplog):
    bad = Batches(bad=[(1, 3)])
    options = {"data": bad, "on_nonfinite": "skip", "fit_options": {"bad_batches": tmp_path / "bad"}, **SGD}
    trainer, history = fit(tmp_path, [], steps_per_call=2, **options)
    assert "The loss of batch 3 of epoch 2 is nan" in caplog.text
    assert "the batch is left out from now on" in caplog.text
    assert all(np.isfinite(list(record.values())).all() for record in history)
    assert history[-1]["step"] == 3 * len(bad) - 1
    with np.load(tmp_path / "bad" / "epoch2_batch3.npz") as kept:
        assert np.isinf(kept["arr_0"]).any()
        assert kept["arr_1"].shape == (8,)
    # Leaving it out by hand gives the same.
    state = state_of(tmp_path / "checkpoints")
    assert state.state["progress"]["skipped"] == [[1, 3]]
    assert all(np.isfinite(array).all() for array in state.arrays.values())
    assert np.isfinite(trainer.evaluate(Batches(20))["loss"])


def test_a_bad_batch_lowers_the_rate_until_training_gives_up(tmp_path, caplog):
    with pytest.raises(NonFiniteLossError, match=r"batch 1 of epoch 1 is nan.* ends after going back 10 times"):
        fit(tmp_path, [], data=Batches(bad=[(0, 1)]), on_nonfinite="lower", **SGD)
    rates = [float(record.getMessage().split()[-1].rstrip(".")) for record in caplog.records if "rate" in record.msg]
    assert rates == pytest.approx([0.05 * 0.5**power for power in range(1, 11)], rel=1e-4)


def test_a_bad_batch_stops_with_the_weights_of_the_last_checkpoint(tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"batch 5 of epoch 1 is nan.*the model is that of step 4"):
        fit(tmp_path, [], data=Batches(bad=[(0, 5)]), on_nonfinite="stop", **SGD)
    assert state_of(tmp_path / "checkpoints").step == 4


class Poison(keras.callbacks.Callback):
    """Makes a weight infinite, once, where the loss does not see it."""

    def __init__(self):
        super().__init__()
        self.done = [False]

    def on_train_batch_end(self, batch, logs=None):
        if batch == 5 and not self.done[0]:
            self.done[0] = True
            self.model.layers[1].bias.assign([-np.inf] + [0.0] * 15)  # behind a rectifier


def test_no_checkpoint_holds_what_is_not_finite(tmp_path, caplog):
    trainer, _ = fit(tmp_path / "skip", [Poison()], on_nonfinite="skip", **SGD)
    assert "After batch 5 of epoch 1" in caplog.text
    assert state_of(tmp_path / "skip/checkpoints").state["progress"]["skipped"] == [[0, 5]]
    assert all(np.isfinite(weight).all() for weight in trainer.model.get_weights())
    fit(tmp_path / "ignore", [Poison()], epochs=1, **SGD)
    # Each time that one is due: every second step, and the end of the epoch.
    refused = [int(step) for step in re.findall(r"No checkpoint at step (\d+)", caplog.text)]
    assert refused == [6, 8, 9]
    assert state_of(tmp_path / "ignore/checkpoints").step == 4


def test_weights_that_are_not_finite_at_the_beginning_are_refused(tmp_path):
    trainer = make_trainer(on_nonfinite="stop", **SGD)
    trainer.model.layers[1].bias.assign([np.nan] * 16)
    store = training.Checkpoints(tmp_path)
    with pytest.raises(NonFiniteLossError, match=r"^Before the first step: 'model/0001' holds .* Give the model"):
        trainer.fit(Batches(), epochs=1, checkpoints=store)
    store.close()


def test_policies_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="on_nonfinite must be 'ignore', 'stop', 'skip' or 'lower'"):
        make_trainer(on_nonfinite="hope")
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 5)
    with pytest.raises(ValueError, match=r'"lower" needs a learning rate that is a number.*Received: a schedule'):
        make_trainer(on_nonfinite="lower", optimizer=lambda: keras.optimizers.SGD(schedule))
    with pytest.raises(ValueError, match="goes back to a checkpoint; give checkpoints to fit"):
        make_trainer(on_nonfinite="skip").fit(Batches(), epochs=1)
    with pytest.raises(ValueError, match=r'has on_nonfinite="stop", .* Received: .*, bad_batches=\'kept\''):
        make_trainer().fit(Batches(), epochs=1, bad_batches=Path("kept"))
    with pytest.raises(ValueError, match="save_steps must be a finite number above 0, or None. Received: save_steps=0"):
        make_trainer().fit(Batches(), epochs=1, save_steps=0)


def test_sigterm_saves_and_exits_with_143(tmp_path):
    class Terminate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(training.Interruption) as caught:
        fit(tmp_path, [Terminate()], fit_options={"save_steps": None})
    assert caught.value.code == 143
    assert state_of(tmp_path / "checkpoints").step == 5
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    _, history = fit(tmp_path, [])
    assert history == fit(tmp_path / "whole", [])[1]


def driven(folder, kills, devices=1, processes=1):
    """Trainings killed so often in all, shared among processes that draw other moments."""
    environment = {**os.environ, "PYTHONPATH": str(DRIVER.parents[2])}
    running = []
    for seed in range(1, processes + 1):
        (folder / str(seed)).mkdir()
        numbers = [kills // processes, seed, devices]
        command = [sys.executable, str(DRIVER), str(folder / str(seed)), *map(str, numbers)]
        with (folder / str(seed) / "errors").open("w") as errors:
            running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True))
    for seed, process in enumerate(running, 1):
        output, _ = process.communicate()
        assert process.returncode == 0, (folder / str(seed) / "errors").read_text()[-3000:]
        assert f"{kills // processes} kills" in output
        assert "equal to the bit" in output


def test_killed_trainings_end_with_the_same_bits(tmp_path):
    driven(tmp_path, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_trainings_killed_many_times_end_with_the_same_bits(tmp_path, kills):
    driven(tmp_path, kills, processes=4)


@pytest.mark.slow
def test_killed_trainings_on_two_devices_end_with_the_same_bits(tmp_path):
    driven(tmp_path, 5, devices=2)


def test_after_a_first_signal_an_interrupt_ends_the_process_at_once():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        with Signals(enabled=True) as signals:
            assert signals.received == 0
            os.kill(os.getpid(), number)
            assert signals.received == number
            assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # the system's own, whatever Python is doing
        assert {number: signal.getsignal(number) for number in before} == before
    with Signals(enabled=False):
        assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_saves_and_ends_on_a_signal(tmp_path, number, code):
    folder = tmp_path / "a"
    command = [sys.executable, "-m", "zoo", "train", "simple_cnn", "--epochs", "500", "--patience", "500"]
    process = subprocess.Popen([*command, "--out", str(folder)], stderr=subprocess.DEVNULL)
    killer = threading.Timer(120, process.kill)
    killer.start()
    while not (folder / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait() == code
    killer.cancel()
    assert state_of(folder / "checkpoints").step > 0
    assert not (folder / "result.json").exists()
