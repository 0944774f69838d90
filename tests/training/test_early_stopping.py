"""EarlyStopping of Keras and ours, side by side under `model.fit`; first what Keras does, then what ours does."""

import copy
import json
import math
import warnings

import keras
import numpy as np
import pytest

from zoo.training import EarlyStopping, Trainer

NAN, INF = math.nan, math.inf


class Tell(keras.callbacks.Callback):
    """Puts the values given into the logs, and remembers the only weight after each epoch."""

    def __init__(self, values, name="val_loss"):
        super().__init__()
        self.values, self.name, self.weights = values, name, {}

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.weights[epoch] = weight(self.model)


def weight(model):
    return float(model.get_weights()[0][0, 0])


def one_weight(**options):
    """A model of one weight that each epoch changes."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.1, **options), "mse", run_eagerly=True)
    return model


def fit(model, callbacks, *, epochs, **options):
    ones = np.ones((4, 1), np.float32)
    return model.fit(ones, ones, epochs=epochs, callbacks=callbacks, verbose=0, **options)


def outcome(callback, values, *, model=None, initial_epoch=0, name="val_loss"):
    """Number of epochs that were trained in all, and the epoch (1, 2, …) whose weights the model has then."""
    model, tell = model or one_weight(), Tell(values, name)
    history = fit(model, [tell, callback], epochs=len(values), initial_epoch=initial_epoch)
    (epoch,) = (epoch for epoch, value in tell.weights.items() if value == weight(model))
    return history.epoch[-1] + 1, epoch + 1


def both(options, values, **more):
    return [outcome(make(**options), values, **more) for make in (keras.callbacks.EarlyStopping, EarlyStopping)]


@pytest.mark.parametrize(
    ("options", "values", "theirs", "ours"),
    [
        # A NaN in the first epoch is Keras's best for ever: it stops and returns the weights of the NaN.
        ({"patience": 2, "restore_best_weights": True}, [NAN, 3, 2, 1], (3, 1), (4, 4)),
        ({"patience": 2, "restore_best_weights": True}, [3, -INF, 2, 1], (4, 2), (4, 4)),
        # The documentation: without an epoch better than the baseline, training runs for `patience` epochs.
        ({"patience": 3, "baseline": 4.5}, [9, 8, 7, 6, 5, 4], (6, 6), (3, 3)),
        ({"patience": 3, "baseline": 4.5, "restore_best_weights": True}, [9, 8, 8.5, 6, 5], (3, 2), (3, 2)),
        ({"patience": 3, "baseline": 4.5, "start_from_epoch": 2}, [9, 9, 8, 7, 6, 5], (6, 6), (5, 5)),
        # The best value is 2.5; Keras returns the last that was better by min_delta.
        ({"patience": 9, "min_delta": 0.6, "restore_best_weights": True}, [3, 2.5, 9], (3, 1), (3, 2)),
        # Keras compares in 32 bits.
        ({"patience": 2}, [1, 1 - 1e-9, 1 - 2e-9, 1 - 3e-9], (3, 3), (4, 4)),
    ],
)
def test_what_keras_gets_wrong(options, values, theirs, ours):
    assert both(options, values) == [theirs, ours]


@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], (4, 4)),
        ({"patience": 0}, [3, 3, 3], (2, 2)),
        ({"patience": 1}, [3, 3, 3], (2, 2)),
        ({"patience": 2, "restore_best_weights": True}, [3, 1, 2, 3, 0], (4, 2)),
        ({"patience": 9, "restore_best_weights": True}, [3, 1, 2, 3], (4, 2)),
        ({"patience": 2, "min_delta": 0.6}, [3, 2.5, 2, 1.5], (4, 4)),
        ({"patience": 2, "min_delta": 0.6}, [3, 2.5, 2.45, 1], (3, 3)),
        ({"patience": 2, "baseline": 2.5}, [3, 2, 2.1, 1.9, 2], (5, 5)),
        ({"patience": 2, "baseline": 2.5, "restore_best_weights": True}, [5, 6, 6], (2, 1)),
        ({"patience": 1, "start_from_epoch": 2}, [1, 5, 4, 3, 4, 0], (5, 5)),
        ({"patience": 1, "start_from_epoch": 3, "restore_best_weights": True}, [1, 2], (2, 2)),
        ({"patience": 2, "mode": "max", "restore_best_weights": True}, [1, 3, 2, 2, 9], (4, 2)),
        ({"patience": 2, "restore_best_weights": True}, [3, NAN, 2, 1], (4, 4)),
    ],
)
def test_where_keras_is_right_ours_is_the_same(options, values, expected):
    assert both(options, values) == [expected, expected]


def test_the_best_is_kept_when_a_second_fit_goes_on():
    results = []
    for make in (keras.callbacks.EarlyStopping, EarlyStopping):
        model, callback = one_weight(), make(patience=3, restore_best_weights=True)
        values = [3, 1, 5, 5, 5, 5, 5]
        outcome(callback, values[:3], model=model)
        best = weight(model)
        epochs = fit(model, [Tell(values), callback], epochs=7, initial_epoch=3).epoch
        results.append((len(epochs), weight(model) == best))
    assert results == [(4, False), (2, True)]


def test_a_second_fit_that_starts_anew_or_with_another_model_forgets():
    callback = EarlyStopping(patience=2, restore_best_weights=True)
    model = one_weight()
    assert outcome(callback, [1, 2, 3], model=model) == (3, 1)
    assert callback.reason == "val_loss has not improved for 2 epochs"
    assert outcome(callback, [9, 8, 7], model=model) == (3, 3)
    assert callback.reason is None
    fit(one_weight(), [Tell([0] * 3 + [5]), callback], epochs=4, initial_epoch=3)
    assert callback.best == 5


def test_after_an_early_stop_the_waiting_begins_anew():
    callback, model = EarlyStopping(patience=2), one_weight()
    assert outcome(callback, [1, 2, 2], model=model)[0] == 3
    assert outcome(callback, [0, 0, 0, 3, 3, 3], model=model, initial_epoch=3)[0] == 5
    assert callback.best == 1


def test_every_state_goes_on_as_if_nothing_had_been():
    random = np.random.default_rng(0)
    logs = [3.0, 2.0, NAN, INF, -INF, 1.0, 0.5]
    stopped = 0
    for _ in range(200):
        values = random.choice(logs, 12)
        options = {"patience": int(random.integers(0, 9)), "min_delta": float(random.choice([0, 0.7])),
                   "baseline": random.choice([None, 1.5]), "start_from_epoch": int(random.integers(0, 3))}  # fmt: skip
        whole, cut = EarlyStopping(**options), int(random.integers(0, 12))
        expected = decide(whole, values)
        first, second = EarlyStopping(**options), EarlyStopping(**options)
        end = decide(first, values[:cut])
        stopped += expected is not None
        if end is not None:
            assert end == expected
            continue
        second.set_state(json.loads(json.dumps(first.get_state(), allow_nan=False)))
        assert decide(second, values, cut) == expected
        assert second.get_state() == whole.get_state()
    assert 50 < stopped < 200


def decide(callback, values, start=0):
    """The epoch (0, 1, …) at which the callback ends a training."""
    model = keras.Model()
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(start, len(values)):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val_loss": float(values[epoch])})
        if callback.reason is not None:
            return epoch
    return None


def test_a_new_process_returns_the_best_weights_of_the_old_one(tmp_path):
    values = [3, 1, 5, 5, 5]
    model = one_weight()
    first = EarlyStopping(patience=3, restore_best_weights=True, folder=tmp_path)
    assert outcome(first, values[:3], model=model) == (3, 2)
    best = weight(model)
    second = EarlyStopping(patience=3, restore_best_weights=True, folder=tmp_path)
    second.set_state(json.loads(json.dumps(first.get_state())))
    assert len(fit(model, [Tell(values), second], epochs=5, initial_epoch=3).epoch) == 2
    assert weight(model) == best
    assert first.best_weights is None


def test_best_weights_that_are_damaged_are_found_before_the_first_epoch(tmp_path):
    first = EarlyStopping(patience=3, restore_best_weights=True, folder=tmp_path)
    model = one_weight()
    outcome(first, [3, 1, 5], model=model)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    second, raw = EarlyStopping(patience=3, restore_best_weights=True, folder=tmp_path), weight(model)
    second.set_state(first.get_state())
    with pytest.raises(ValueError, match="is damaged"):
        fit(model, [second], epochs=5, initial_epoch=3)
    assert weight(model) == raw


def test_weights_of_another_epoch_in_the_folder_are_not_taken(tmp_path):
    callback = EarlyStopping(patience=3, restore_best_weights=True, folder=tmp_path)
    model = one_weight()
    outcome(callback, [3, 2], model=model)
    state = callback.get_state()
    callback.set_state({**state, "best_epoch": 0, "best": 0.5})
    with pytest.warns(UserWarning, match=r"holds the weights of epoch 2, the best is epoch 1; the model keeps the la"):
        assert outcome(callback, [9, 9, 4], model=model, initial_epoch=2) == (3, 3)


@pytest.mark.parametrize("in_folder", [False, True])
def test_the_weights_that_were_evaluated_are_returned(in_folder, tmp_path):
    """Averaged weights, swapped in for the validation alone."""
    ones, differences = np.ones((4, 1), np.float32), []
    for make in (keras.callbacks.EarlyStopping, EarlyStopping):
        model = one_weight(use_ema=True, ema_momentum=0.5)
        more = {"folder": tmp_path} if in_folder and make is EarlyStopping else {}
        callback = make(patience=2, restore_best_weights=True, **more)
        fit(model, [callback, keras.callbacks.SwapEMAWeights()], epochs=4, validation_data=(ones, ones))
        differences.append(abs(model.evaluate(ones, ones, verbose=0) - callback.best))
    assert differences[0] > 0.01
    assert differences[1] < 1e-7


def test_the_metrics_of_several_outputs():
    inputs = keras.Input((1,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    ones = np.ones((4, 1), np.float32)
    for name in ("val_a_loss", "val_a_recall", "val_b_mae"):
        model = keras.Model(inputs, outputs)
        metrics = {"a": [keras.metrics.Recall(name="recall")], "b": ["mae"]}
        model.compile("sgd", dict.fromkeys(outputs, "mse"), metrics=metrics, run_eagerly=True)
        data = (ones, dict.fromkeys(outputs, ones))
        with pytest.raises(ValueError, match="isn't able to automatically determine"):
            model.fit(*data, validation_data=data, verbose=0, callbacks=[keras.callbacks.EarlyStopping(name)])
        callback = EarlyStopping(name)
        model.fit(*data, validation_data=data, verbose=0, callbacks=[callback])
        assert callback._direction() == ("max" if name == "val_a_recall" else "min")


def test_auto_believes_the_metric_before_its_name():
    model = one_weight()
    metric = keras.metrics.MeanSquaredError(name="accuracy")
    model.compile("sgd", "mse", metrics=[metric], run_eagerly=True)
    callback = EarlyStopping("accuracy", patience=1)
    fit(model, [callback], epochs=3)
    assert callback.best_epoch == 2


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val_top_5_accuracy", "max"),
        ("val_head_auc", "max"),
        ("val_auc_1", "max"),
        ("mse_2", "min"),
        ("val_mean_io_u", "max"),
        ("val_pixel_error", "min"),
        ("loss", "min"),
    ],
)
def test_auto_goes_by_the_name_where_the_model_has_no_such_metric(name, direction):
    callback = EarlyStopping(name)
    callback.set_model(one_weight())
    assert callback._direction() == direction


def test_an_unknown_direction_is_asked_for():
    text = "Whether more or less of 'val_score' is better is not known. Give mode='max' or mode='min'. Received: mode="
    with pytest.raises(ValueError, match=text):
        outcome(EarlyStopping("val_score"), [1, 2], name="val_score")


def test_a_metric_that_does_not_exist_is_refused():
    ones = np.ones((4, 1), np.float32)
    theirs = keras.callbacks.EarlyStopping("val_lss", mode="min", patience=1)
    with pytest.warns(UserWarning, match="not available"):
        assert len(fit(one_weight(), [theirs], epochs=3, validation_data=(ones, ones)).epoch) == 3
    text = "EarlyStopping needs the metric 'val_lss'. There are: loss, val_loss. Received: monitor='val_lss'"
    with pytest.raises(ValueError, match=text):
        fit(one_weight(), [EarlyStopping("val_lss")], epochs=3, validation_data=(ones, ones))
    with pytest.raises(ValueError, match="needs the metric 'lss'"):
        fit(one_weight(), [EarlyStopping("lss")], epochs=3)


def test_without_validation_there_is_one_warning():
    ones = np.ones((4, 1), np.float32)
    counts = []
    for make in (keras.callbacks.EarlyStopping, EarlyStopping):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(one_weight(), [make(patience=2)], epochs=6, validation_data=(ones, ones), validation_freq=2)
        counts.append(len(caught))
    assert counts == [3, 1]
    assert str(caught[0].message).startswith("There was no validation in this epoch; EarlyStopping looks at 'val_loss'")


def test_epochs_without_validation_do_not_count():
    """Second and fourth epoch alone are looked at; the loss falls, which is no improvement here."""
    ones, epochs = np.ones((4, 1), np.float32), []
    for make in (keras.callbacks.EarlyStopping, EarlyStopping):
        with pytest.warns(UserWarning, match="validation|not available"):
            history = fit(one_weight(), [make(mode="max", patience=1)], epochs=6, validation_data=(ones, ones),
                          validation_freq=2)  # fmt: skip
        epochs.append(len(history.epoch))
    assert epochs == [4, 4]


def test_the_mode_that_keras_replaces_is_refused():
    with pytest.warns(UserWarning, match="mode 'up' is unknown, fallback to auto mode"):
        keras.callbacks.EarlyStopping(mode="up")
    with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max'. Received: mode='up'"):
        EarlyStopping(mode="up")


def test_a_copy_is_a_callback_of_its_own():
    """Tuners train every trial with a deep copy."""
    original = EarlyStopping(patience=2)
    assert outcome(copy.deepcopy(original), [1, 2, 3]) == (3, 3)
    assert (original.best, original.reason) == (None, None)


def test_the_negative_min_delta_that_keras_turns_round_is_refused():
    theirs = keras.callbacks.EarlyStopping(patience=2, min_delta=-0.6)
    assert outcome(theirs, [3, 2.5, 2.45, 1]) == outcome(EarlyStopping(patience=2, min_delta=0.6), [3, 2.5, 2.45, 1])
    with pytest.raises(ValueError, match="min_delta must be at least 0. Received: min_delta=-0.6"):
        EarlyStopping(min_delta=-0.6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patience": -1}, "patience must be at least 0. Received: patience=-1"),
        ({"start_from_epoch": -1}, "start_from_epoch must be at least 0. Received: start_from_epoch=-1"),
        ({"baseline": NAN}, "baseline must be a finite number or None. Received: baseline=nan"),
        ({"folder": "best"}, "folder is for restore_best_weights=True. Received: folder='best' without it"),
    ],
)
def test_refused_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        EarlyStopping(**options)


def test_weights_in_memory_are_not_lost_silently():
    with pytest.raises(ValueError, match="keeps the best weights in memory, where no checkpoint finds them. Give it a"):
        EarlyStopping(restore_best_weights=True).get_state()


def test_what_is_printed(capsys):
    outcome(EarlyStopping(patience=1, verbose=1, restore_best_weights=True), [1, 2, 3])
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping, val_loss has not improved for 1 epochs",
        "Restoring model weights from the end of the best epoch: 1.",
    ]


def test_in_the_trainer():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))).batch(4)
    model = one_weight()
    callback = EarlyStopping("loss", min_delta=10, patience=2, restore_best_weights=True)
    trainer = Trainer(model, optimizer=keras.optimizers.SGD(0.1), loss="mean_squared_error", metrics=())
    history = trainer.fit(data, epochs=9, callbacks=[callback])
    assert [len(history), callback.best_epoch, callback.stopped_epoch] == [3, 2, 2]
