"""Rules on lists of numbers."""

import json
import math

import pytest

from zoo.training import NonFinite, Patience, Target, TimeBudget, all_of, any_of
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
