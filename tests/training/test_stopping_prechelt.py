"""Prechelt's criteria and divergence on sequences computed by hand."""

import json
import math
import random

import pytest

from zoo.training.stopping import (
    Divergence,
    FlagFile,
    GeneralisationGap,
    GeneralisationLoss,
    NotBefore,
    Patience,
    ProgressQuotient,
    SuccessiveRises,
)


def fires_at(rule, rows):
    for epoch, (train, valid) in enumerate(rows, 1):
        if rule.update(epoch, {"loss": train, "val_loss": valid}):
            return epoch
    return None


def valid(*values):
    return [(1.0, value) for value in values]


def test_generalisation_loss_is_in_per_cent_above_the_lowest():
    rows = valid(2.0, 1.0, 1.04, math.nan, 1.06)
    assert fires_at(GeneralisationLoss(5), rows) == 5
    assert fires_at(GeneralisationLoss(7), rows) is None
    rule = GeneralisationLoss(5)
    fires_at(rule, rows)
    assert rule.explain() == "val_loss is 6 % above its lowest, the limit is 5 %"


def test_progress_quotient():
    # Strip (1.2, 1.0): mean 1.1, so P = 100. GL of 1.5 over 1.0 is 50, the quotient 0.5.
    rows = [(1.2, 1.0), (1.0, 1.5)]
    assert fires_at(ProgressQuotient(0.4, strip=2), rows) == 2
    assert fires_at(ProgressQuotient(0.6, strip=2), rows) is None
    flat = ProgressQuotient(9, strip=2)
    assert fires_at(flat, [(1.0, 1.0), (1.0, 1.5)]) == 2
    assert "is infinite" in flat.explain()
    assert fires_at(ProgressQuotient(1, strip=2), [(math.nan, 1.0), (1.0, 1.5)]) is None


def test_successive_rises_looks_at_strip_ends_alone():
    assert fires_at(SuccessiveRises(2, strip=2), valid(9, 1, 0, 2, 0, 3)) == 6
    assert fires_at(SuccessiveRises(2, strip=2), valid(9, 1, 0, 2, 9, 2, 9, 3)) is None


def test_divergence():
    rule = Divergence(2, metric="val_loss")
    assert rule.explain() == "val_loss is unknown, its lowest unknown, the limit 2 times that"
    assert fires_at(rule, valid(1, 2, 2.1)) == 3
    assert rule.explain() == "val_loss is 2.1, its lowest 1, the limit 2 times that"


def test_generalisation_gap():
    rule = GeneralisationGap(1.5)
    assert rule.explain() == "val_loss is unknown, loss unknown, the limit 1.5 times that"
    assert fires_at(rule, [(1, 1.4), (math.nan, 9), (1, 1.6)]) == 3
    assert rule.explain() == "val_loss is 1.6, loss 1, the limit 1.5 times that"


def test_flag_file(tmp_path):
    rule = FlagFile(tmp_path / "stop")
    assert not rule.update(1, {})
    (tmp_path / "stop").touch()
    assert rule.update(2, {})
    assert rule.explain().endswith("stop exists")


def test_not_before():
    rule = NotBefore(4, Patience("val_loss", patience=1))
    assert fires_at(rule, valid(1, 2, 3, 4)) == 4
    assert rule.name == "Patience"
    assert rule.explain() == "val_loss has not fallen for 3 of 1 epochs (best 1 in epoch 1)"
    assert fires_at(NotBefore(3, Patience("val_loss", patience=1)), valid(1, 2, 0.5, 4)) == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: GeneralisationLoss(20),
        lambda: ProgressQuotient(0.3, strip=3),
        lambda: SuccessiveRises(2, strip=2),
        lambda: Divergence(1.5, metric="val_loss"),
        lambda: GeneralisationGap(1.8),
        lambda: NotBefore(6, Patience("val_loss", patience=3)),
    ],
)
def test_state_through_json_gives_the_same_decisions(make):
    draw = random.Random(0)
    fired = 0
    for _ in range(100):
        rows = [{"loss": draw.uniform(0.5, 2), "val_loss": draw.uniform(0.5, 2)} for _ in range(20)]
        whole, first, then = make(), make(), make()
        decisions = [whole.update(epoch, row) for epoch, row in enumerate(rows, 1)]
        cut = draw.randrange(20)
        halves = [first.update(epoch, row) for epoch, row in enumerate(rows[:cut], 1)]
        then.set_state(json.loads(json.dumps(first.get_state())))
        halves += [then.update(epoch, row) for epoch, row in enumerate(rows[cut:], cut + 1)]
        assert halves == decisions
        fired += any(decisions)
    assert fired > 10


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: GeneralisationLoss(0), "threshold must be a finite number above 0. Received: threshold=0"),
        (lambda: ProgressQuotient(1, strip=0), "strip must be at least 1. Received: strip=0"),
        (lambda: SuccessiveRises(0), "rises must be at least 1. Received: rises=0"),
        (lambda: GeneralisationGap(1), "ratio must be a finite number above 1. Received: ratio=1"),
        (lambda: GeneralisationGap(math.inf), "ratio must be a finite number above 1. Received: ratio=inf"),
        (lambda: NotBefore(0, SuccessiveRises(1)), "epochs must be at least 1. Received: epochs=0"),
        (lambda: Divergence(1), "factor must be a finite number above 1. Received: factor=1"),
    ],
)
def test_refused_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()
