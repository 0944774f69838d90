"""Rules run by StopTraining under plain `model.fit`, at the ends of epochs and within them."""

import copy
import json
import math

import keras
import numpy as np
import pytest

from zoo.training import (
    Divergence,
    ExampleBudget,
    FlagFile,
    GeneralisationGap,
    GeneralisationLoss,
    LearningRateFloor,
    NonFinite,
    NotBefore,
    Patience,
    PlateauSlope,
    ProgressQuotient,
    StepBudget,
    StopTraining,
    SuccessiveRises,
    Target,
    TimeBudget,
    all_of,
    any_of,
)

BATCHES, BATCH_SIZE = 5, 2


class Tell(keras.callbacks.Callback):
    """Puts values into the logs of epochs."""

    def __init__(self, **values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: values[epoch] for name, values in self.values.items()})


class Count(keras.callbacks.Callback):
    """Counts batches."""

    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


def fit(*callbacks, epochs=8, model=None, examples=BATCHES * BATCH_SIZE, **options):
    """Number of epochs that began, and of batches."""
    if model is None:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=True)
    count, ones = Count(), np.ones((examples, 1), np.float32)
    history = model.fit(ones, ones, batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[*callbacks, count],
                        **options)  # fmt: skip
    return len(history.epoch), count.batches


VALUES = {"loss": [9, 8, 7, 6, 5, 5, 5, 5.0], "val_loss": [8, 6, 5, 5.1, 5.2, 5.6, 7, 15.0]}


@pytest.mark.parametrize(
    ("rule", "epoch"),
    [
        (Patience("val_loss", patience=2), 5),
        (Target("val_loss", 6), 2),
        (GeneralisationLoss(10), 6),
        (ProgressQuotient(0.01, strip=2), 4),
        (SuccessiveRises(2, strip=2), 8),
        (Divergence(1.3, metric="val_loss"), 7),
        (GeneralisationGap(1.1), 6),
        (PlateauSlope("val_loss", window=3, confidence=0.5), 5),
        (StepBudget(11), 3),
        (ExampleBudget(31, batch_size=BATCH_SIZE), 4),
        (NotBefore(4, Target("val_loss", 6)), 4),
        (Patience("val_loss", patience=2) & StepBudget(30), 6),
        (Patience("val_loss", patience=2) | Target("loss", 7), 3),
        (NonFinite(), None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_at_the_ends_of_epochs(rule, epoch):
    stop = StopTraining(rule)
    assert fit(Tell(**VALUES), stop)[0] == (epoch or 8)
    assert (stop.reason is None) == (epoch is None)


def test_flag_and_time_and_rate(tmp_path):
    (tmp_path / "stop").touch()
    assert fit(StopTraining(FlagFile(tmp_path / "stop")))[0] == 1
    assert fit(StopTraining(TimeBudget(1e-6)))[0] == 1
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: [0.01, 0.1, 0.2, 0.1, 0.02, 0.01][epoch])
    stop = StopTraining(LearningRateFloor(0.02))
    assert fit(schedule, stop)[0] == 5
    assert stop.reason == "the learning rate is 0.02, its floor 0.02"


@pytest.mark.parametrize(("every", "batches"), [(None, 10), (1, 7), (2, 7), (3, 8), (4, 9), (5, 10), (9, 10)])
def test_step_budget_within_an_epoch(every, batches):
    """Of five batches an epoch, `every=3` looks after the third, and at the end as always."""
    stop = StopTraining(StepBudget(7), every=every)
    assert fit(stop) == (2, batches)
    assert stop.reason == f"training has made {batches} steps of a budget of 7"
    assert stop.fired == "StepBudget"


class At(keras.callbacks.Callback):
    """Does something after a batch of the second epoch."""

    def __init__(self, batch, act):
        super().__init__()
        self.batch, self.act, self.epoch = batch, act, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, self.batch):
            self.act(self.model)


def test_flag_time_and_rate_within_an_epoch(tmp_path):
    flag, now = tmp_path / "stop", [0.0]
    stop = StopTraining(FlagFile(flag), every=1)
    assert fit(At(1, lambda model: flag.touch()), stop) == (2, 7)
    stop = StopTraining(TimeBudget(10, clock=lambda: now[0]), every=1)
    assert fit(At(2, lambda model: now.__setitem__(0, 11.0)), stop) == (2, 8)
    assert stop.reason == "training has taken 11.0 s of a budget of 10 s"
    stop = StopTraining(LearningRateFloor(1e-3), every=1)
    assert fit(At(3, lambda model: setattr(model.optimizer, "learning_rate", 1e-4)), stop) == (2, 9)
    assert stop.reason == "the learning rate is 0.0001, its floor 0.001"


def test_a_copy_looks_for_itself():
    """Tuners train every trial with a deep copy."""
    original = StopTraining(StepBudget(3), every=1)
    twin = copy.deepcopy(original)
    assert fit(twin) == (1, 3)
    assert (original.fired, twin.fired) == (None, "StepBudget")


def test_examples_where_the_last_batch_is_smaller():
    stop = StopTraining(ExampleBudget(19, batch_size=BATCH_SIZE, epoch_examples=9), every=1)
    assert fit(stop, examples=9) == (3, 11)  # 9 + 9 + 2
    assert stop.reason == "training has seen 20 examples of a budget of 19"


@pytest.mark.parametrize("scaled", [False, True])
def test_examples_of_batches_whose_gradients_are_accumulated(scaled):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=4)
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, "mse")
    stop = StopTraining(ExampleBudget(13, batch_size=BATCH_SIZE), every=1)
    assert fit(stop, model=model) == (2, 7)
    assert stop.reason == "training has seen 14 examples of a budget of 13"


def test_several_steps_an_execution():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=2)
    stop = StopTraining(StepBudget(6), every=3)
    assert fit(stop, model=model)[0] == 2
    assert stop.reason == "training has made 9 steps of a budget of 6"


def test_a_loss_that_is_not_finite_ends_the_epoch():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e30), "mse", run_eagerly=True)
    stop = StopTraining(NonFinite(), every=1)
    epochs, batches = fit(stop, model=model)
    assert (epochs, batches) == (1, 2)
    assert stop.reason in ("loss is inf", "loss is nan")


def test_divergence_within_is_against_whole_epochs():
    class Explode(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.set_weights([weight + 100 for weight in self.model.get_weights()])

    stop = StopTraining(Divergence(10), every=2)
    assert fit(Explode(), stop) == (3, 12)
    assert stop.reason.startswith("loss is ")


def test_rules_of_whole_epochs_do_not_look_within(tmp_path):
    flag = tmp_path / "stop"
    flag.touch()
    for rule in (Patience("val_loss", patience=1), Target("loss", 1e9), PlateauSlope("loss", window=3)):
        before = rule.get_state()
        assert not rule.within(1, {"loss": 0.0})
        assert rule.get_state() == before
    assert any_of(Patience("loss", patience=1), FlagFile(flag)).within(1, {"loss": 1.0})
    assert not all_of(Patience("loss", patience=1), FlagFile(flag)).within(1, {"loss": 1.0})
    held = NotBefore(1, FlagFile(flag))
    assert not held.within(1, {"loss": 1.0})
    assert held.within(2, {"loss": 1.0})


def test_metrics_of_batches_are_fetched_only_if_asked_for():
    from keras.src.utils.python_utils import is_default

    assert is_default(StopTraining(NonFinite()).on_train_batch_end)
    assert not is_default(StopTraining(NonFinite(), every=1).on_train_batch_end)


def test_the_state_within_an_epoch_looks_at_the_same_batches():
    """A copy that takes over after any batch stops where the whole would."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def play(stop, batches):
        for number in batches:
            model.optimizer.iterations.assign(number + 1)
            if number % 7 == 0:
                stop.on_epoch_begin(number // 7)
            stop.on_train_batch_end(number % 7, {"loss": 1.0})
            if stop.fired:
                return number
            if number % 7 == 6:
                stop.on_epoch_end(number // 7, {"loss": 1.0})
                if stop.fired:
                    return number
        return None

    def made(budget):
        stop = StopTraining(StepBudget(budget), every=3)
        stop.set_model(model)
        stop.on_train_begin()
        return stop

    for budget in range(1, 15):
        expected = play(made(budget), range(21))
        for cut in range(expected + 1):
            first, second = made(budget), made(budget)
            assert play(first, range(cut)) is None
            second.set_state(json.loads(json.dumps(first.get_state())))
            if cut % 7:
                second.on_epoch_begin(cut // 7)  # the epoch that was cut begins anew
            assert play(second, range(cut, 21)) == expected


def test_what_stopped_is_forgotten_by_the_next_training():
    stop = StopTraining(Target("val_loss", 1))
    fit(Tell(val_loss=[3, 0, 3]), stop, epochs=3)
    assert stop.reason == "val_loss is 0, the target is at most 1"
    fit(Tell(val_loss=[3, 3, 3]), stop, epochs=3)
    assert stop.reason is None
    assert stop.fired is None


def test_the_state_holds_what_stopped():
    stop = StopTraining(Target("val_loss", 1))
    fit(Tell(val_loss=[3, 0]), stop, epochs=2)
    other = StopTraining(Target("val_loss", 1))
    other.set_state(json.loads(json.dumps(stop.get_state())))
    assert (other.reason, other.fired, other.get_state()) == (stop.reason, "Target", stop.get_state())


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="The stopping rule needs the metric 'val_loss'. There are: loss."):
        fit(StopTraining(Patience("val_loss", patience=1) | StepBudget(100)))
    StopTraining(StepBudget(1) | LearningRateFloor(0)).require(["loss"])


def test_every_is_at_least_one():
    with pytest.raises(ValueError, match="every must be at least 1 batch, or None. Received: every=0"):
        StopTraining(NonFinite(), every=0)


def test_a_value_that_is_not_finite_reaches_no_target():
    assert not Target("val_loss", 1).update(1, {"val_loss": -math.inf})
