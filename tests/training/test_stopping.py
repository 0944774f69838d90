"""Rules on lists of numbers."""

import json
import math

import keras
import numpy as np
import pytest

from zoo.training import (
    ExampleBudget,
    LearningRateFloor,
    NonFinite,
    Patience,
    PlateauSlope,
    StepBudget,
    Target,
    TimeBudget,
    all_of,
    any_of,
)
from zoo.training.stopping import direction


def fires_at(rule, values, metric="val_loss"):
    """The epoch (1, 2, …) at which the rule fires, or None."""
    for epoch, value in enumerate(values, 1):
        if rule.update(epoch, {metric: value}):
            return epoch
    return None


@pytest.mark.parametrize(
    ("values", "options", "epoch"),
    [
        ([3, 2, 1, 1, 1], {"patience": 2}, 5),
        ([3, 2, 1, 1, 0.5, 0.5, 0.5], {"patience": 2}, 7),
        ([3, 2, 1], {"patience": 1}, None),
        ([1, 2], {"patience": 1}, 2),
        ([1.0, 0.95, 0.91, 0.86], {"patience": 2, "min_delta": 0.1}, 3),
        ([1.0, 0.95, 0.89, 0.86, 0.82], {"patience": 2, "min_delta": 0.1}, 5),
        ([10, 9.5, 9.2, 8.9], {"patience": 2, "min_delta": 0.1, "relative": True}, 3),
        ([10, 9.5, 8.9, 8.5, 8.1], {"patience": 2, "min_delta": 0.1, "relative": True}, 5),
        ([math.nan, math.nan, 1, 0.5, 0.4], {"patience": 3}, None),
        ([math.nan, 2, 1, math.nan, math.nan], {"patience": 2}, 5),
        ([math.inf, 2, 3, 3], {"patience": 2}, 4),
    ],
)
def test_patience(values, options, epoch):
    assert fires_at(Patience("val_loss", **options), values) == epoch


def test_patience_on_a_rising_metric():
    assert fires_at(Patience("val_accuracy", patience=2), [0.1, 0.5, 0.4, 0.5], "val_accuracy") == 4
    assert fires_at(Patience("score", patience=2, mode="max"), [1, 2, 1, 1], "score") == 4


def test_patience_relative_to_a_negative_best():
    rule = Patience("val_loss", patience=1, min_delta=0.1, relative=True)
    assert fires_at(rule, [-10, -11.5, -12]) == 3


def test_target():
    assert fires_at(Target("val_accuracy", 0.9), [0.5, 0.89, 0.9], "val_accuracy") == 3
    assert fires_at(Target("val_loss", 0.1), [0.5, 0.2, 0.1]) == 3
    assert fires_at(Target("val_loss", 0.1), [math.nan]) is None


def test_non_finite_looks_at_every_metric():
    rule = NonFinite()
    assert not rule.update(1, {"loss": 1.0, "step": 3})
    assert rule.explain() == "all metrics are finite"
    assert rule.update(2, {"loss": math.nan, "val_loss": math.inf})
    assert rule.explain() == "loss is nan, val_loss is inf"


def test_time_budget_counts_from_the_start_and_over_a_restore():
    now = [100.0]
    rule = TimeBudget(10, clock=lambda: now[0])
    rule.start()
    now[0] = 109.9
    assert not rule.update(1, {})
    resumed = TimeBudget(10, clock=lambda: now[0])
    resumed.set_state(json.loads(json.dumps(rule.get_state())))
    now[0] = 500.0
    resumed.start()
    assert not resumed.update(2, {})
    now[0] = 500.2
    assert resumed.update(3, {})
    assert resumed.explain() == "training has taken 10.1 s of a budget of 10 s"


def test_time_budget_counts_what_is_trained_again_after_going_back():
    now = [100.0]
    rule = TimeBudget(15, forecast=True, clock=lambda: now[0])
    rule.start()
    now[0] = 104.0
    assert not rule.update(1, {})
    now[0] = 106.0
    state = rule.get_state()
    now[0] = 109.0
    rule.set_state(state)
    rule.start()
    now[0] = 110.0
    assert not rule.update(2, {})
    assert rule.explain() == "training has taken 10.0 s of a budget of 15 s, the longest epoch 4.0 s"
    now[0] = 115.0
    assert rule.within(3, {})


def test_time_budget_with_forecast_leaves_room_for_the_longest_epoch():
    now = [0.0]
    rule = TimeBudget(10, forecast=True, clock=lambda: now[0])
    rule.start()
    fired = []
    for now[0] in (1.0, 4.0, 5.0, 6.9, 7.1):
        assert not rule.within(1, {})
        fired.append(rule.update(1, {}))
    assert fired == [False, False, False, False, True]
    assert rule.explain() == "training has taken 7.1 s of a budget of 10 s, the longest epoch 3.0 s"
    now[0] = 10.0
    assert rule.within(1, {})


def test_plateau_slope_on_a_line_computed_by_hand():
    # Through (1, 3), (2, 1), (3, 2): slope -0.5, squared deviations 1.5, one degree of freedom, spread 2, so that the
    # slope's standard error is 0.866; the quantile of Student's t with one degree at 0.75 is 1.
    rule = PlateauSlope("val_loss", window=3, confidence=0.75)
    assert [rule.update(epoch, {"val_loss": value}) for epoch, value in enumerate([3, 1], 1)] == [False, False]
    assert rule.explain() == "val_loss has 2 of 3 values for a line"
    assert rule.update(3, {"val_loss": 2})
    assert rule.explain() == (
        "val_loss falls by 0.5 an epoch over 3 epochs, with 75 % confidence by -0.366, the limit is 0"
    )
    assert not PlateauSlope("val_loss", window=3, confidence=0.5).update(3, {"val_loss": 2})


@pytest.mark.parametrize(
    ("values", "options", "epoch"),
    [
        ([5, 4, 3, 2, 1], {"window": 3}, None),
        ([5, 4, 3, 3, 3], {"window": 3, "confidence": 0.5}, 5),
        ([5, 4, 3, 2.5, 2.1], {"window": 3, "confidence": 0.5, "min_slope": 0.6}, 5),
        ([5, math.nan, math.inf, 2, 1, 0], {"window": 3, "confidence": 0.99}, None),
        ([5, 4, 5, 4, 3, 2, 1], {"window": 4, "confidence": 0.95}, 4),
        ([1, 2, 3, 3, 2.9], {"window": 3, "mode": "max", "confidence": 0.5}, 5),
    ],
)
def test_plateau_slope(values, options, epoch):
    assert fires_at(PlateauSlope("val_loss", **options), values) == epoch


def test_plateau_slope_is_as_confident_as_it_says():
    """On noise without a slope, a window of 95 % confidence seems to improve in 5 % of the cases."""
    random = np.random.default_rng(0)
    went_on = 0
    for _ in range(2000):
        rule = PlateauSlope("val_loss", window=8)
        fired = [rule.update(epoch, {"val_loss": value}) for epoch, value in enumerate(random.normal(size=8), 1)]
        assert not any(fired[:-1])
        went_on += not fired[-1]
    assert 70 <= went_on <= 130


def test_budgets():
    steps = StepBudget(10)
    assert [steps.update(1, {"step": step}) for step in (9, 10, 11)] == [False, True, True]
    whole = ExampleBudget(33, batch_size=8)
    assert [whole.update(1, {"batches": batches}) for batches in (4, 5)] == [False, True]
    cut = ExampleBudget(30, batch_size=8, epoch_examples=10)
    assert [cut.update(1, {"batches": batches}) for batches in (2, 5, 6)] == [False, False, True]
    assert cut.explain() == "training has seen 30 examples of a budget of 30"


def test_learning_rate_floor_lets_a_warm_up_pass():
    values = [0.0, 0.1, 0.5, 1.0, math.nan, 0.2, 0.1, 0.05]
    rule = LearningRateFloor(0.1)
    assert rule.explain() == "the learning rate is unknown, its floor 0.1"
    assert fires_at(rule, values, "learning_rate") == 7
    assert fires_at(LearningRateFloor(0), [1.0, 0.0], "learning_rate") == 2


def test_any_and_all():
    either = any_of(Patience("val_loss", patience=2), Target("val_loss", 0.5))
    assert fires_at(either, [1, 1, 0.4]) == 3
    assert either.name == "Patience and Target" or either.name == "Target"
    both = Patience("val_loss", patience=2) & Target("val_loss", 1.0)
    assert fires_at(both, [2, 2, 2, 1, 1, 1]) == 6
    assert both.metrics == ("val_loss",)
    assert fires_at(Target("val_loss", 0) | NonFinite(), [1, math.nan]) == 2


def test_only_the_rules_that_fired_explain():
    rule = any_of(NonFinite(), Patience("val_loss", patience=2, min_delta=0.01))
    assert fires_at(rule, [0.5, 0.495, 0.5]) == 3
    assert rule.name == "Patience"
    assert rule.explain() == "val_loss has not fallen by more than 0.01 for 2 of 2 epochs (best 0.5 in epoch 1)"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Patience("val_loss", patience=3),
        lambda: Target("val_loss", 0.05),
        lambda: any_of(all_of(Patience("val_loss", patience=2), Target("val_loss", 0.6)), NonFinite()),
    ],
)
def test_state_goes_on_where_it_was(make):
    values = [1, 0.9, 0.8, 0.85, 0.81, 0.7, 0.7, 0.55, 0.55, 0.55, 0.55]
    expected = fires_at(make(), values)
    for cut in range(len(values)):
        first, second = make(), make()
        fired = fires_at(first, values[:cut])
        if fired is not None:
            assert fired == expected
            continue
        second.set_state(json.loads(json.dumps(first.get_state())))
        rest = fires_at(second, values[cut:])
        assert (rest and rest + cut) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Patience("loss", patience=0), "patience must be at least 1 epoch. Received: patience=0"),
        (lambda: Patience("loss", patience=1, min_delta=-1), "min_delta must be at least 0. Received: min_delta=-1"),
        (lambda: Patience("loss", patience=1, mode="up"), "mode must be 'auto', 'min' or 'max'. Received: mode='up'"),
        (lambda: Target("loss", math.nan), "value must be a finite number. Received: value=nan"),
        (lambda: TimeBudget(0), "seconds must be above 0. Received: seconds=0"),
        (lambda: PlateauSlope("loss", window=2), "window must be at least 3. Received: window=2"),
        (
            lambda: PlateauSlope("loss", window=3, min_slope=-1),
            "min_slope must be a finite number of at least 0. Received: min_slope=-1",
        ),
        (
            lambda: PlateauSlope("loss", window=3, confidence=1),
            "confidence must be from 0.5 to below 1. Received: confidence=1",
        ),
        (lambda: StepBudget(0), "steps must be at least 1. Received: steps=0"),
        (lambda: ExampleBudget(0, batch_size=1), "examples must be at least 1. Received: examples=0"),
        (lambda: ExampleBudget(1, batch_size=0), "batch_size must be at least 1. Received: batch_size=0"),
        (
            lambda: ExampleBudget(1, batch_size=1, epoch_examples=0),
            "epoch_examples must be at least 1. Received: epoch_examples=0",
        ),
        (lambda: LearningRateFloor(-1), "rate must be a finite number of at least 0. Received: rate=-1"),
        (lambda: any_of(), "A combination needs at least one rule"),
    ],
)
def test_illegal_rules_are_refused(make, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


def test_direction_goes_by_the_name():
    assert [direction(name) for name in ("val_loss", "val_accuracy", "top_5_accuracy", "auc", "error")] == [
        "min", "max", "max", "max", "min"
    ]  # fmt: skip
    assert [direction(name) for name in ("val_auc_1", "precision_12", "val_loss_1", "r2_score")] == [
        "max", "max", "min", "max"
    ]  # fmt: skip
    for metric in (keras.metrics.MeanIoU(3, name="mean_io_u"), keras.metrics.BinaryIoU([1]), keras.metrics.IoU(3, [1])):
        assert direction(f"val_{metric.name}") == "max"
