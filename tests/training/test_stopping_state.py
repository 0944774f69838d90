"""The state of every rule, through JSON at any moment, gives the same later decisions."""

import json
import math
import random

import pytest

from zoo.training import stopping
from zoo.training.stopping import (
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
    SuccessiveRises,
    Target,
    TimeBudget,
    all_of,
    any_of,
)


class World:
    """What rules can see besides the metrics."""

    def __init__(self, flag):
        self.now, self.flag = 0.0, flag

    def becomes(self, event):
        self.now = event["now"]
        if event["flag"]:
            self.flag.touch()
        else:
            self.flag.unlink(missing_ok=True)


# With limits at which they fire in the midst of the sequences.
RULES = {
    "patience": lambda world: Patience("val_loss", patience=8),
    "patience, relative": lambda world: Patience("val_loss", patience=8, min_delta=0.1, relative=True),
    "patience, rising": lambda world: Patience("val_accuracy", patience=8, min_delta=0.01),
    "target": lambda world: Target("val_loss", 0.52),
    "finite": lambda world: NonFinite(),
    "time": lambda world: TimeBudget(50, clock=lambda: world.now),
    "time, forecast": lambda world: TimeBudget(55, forecast=True, clock=lambda: world.now),
    "GL": lambda world: GeneralisationLoss(180),
    "PQ": lambda world: ProgressQuotient(1, strip=3),
    "UP": lambda world: SuccessiveRises(3, strip=2),
    "divergence": lambda world: Divergence(3.5),
    "gap": lambda world: GeneralisationGap(3),
    "plateau": lambda world: PlateauSlope("val_loss", window=9, confidence=0.5),
    "steps": lambda world: StepBudget(100),
    "examples": lambda world: ExampleBudget(1000, batch_size=16, epoch_examples=50),
    "rate": lambda world: LearningRateFloor(0.02),
    "flag": lambda world: FlagFile(world.flag),
    "not before": lambda world: NotBefore(12, Patience("val_loss", patience=6)),
    "any": lambda world: any_of(Patience("val_loss", patience=9), StepBudget(120), Target("val_loss", 0.51)),
    "all": lambda world: all_of(Patience("val_loss", patience=4), NotBefore(3, StepBudget(70)) | FlagFile(world.flag)),
}  # fmt: skip


def test_every_rule_is_here(tmp_path):
    made = {type(make(World(tmp_path / "stop"))) for make in RULES.values()}
    assert made == {
        item for item in vars(stopping).values()
        if isinstance(item, type) and issubclass(item, stopping.Rule) and item.__name__[0] != "_"
    } - {stopping.Rule}  # fmt: skip


def events(draw):
    """Twenty epochs, each with up to three looks before its end."""
    now, step, found = 0.0, 0, []
    for epoch in range(1, 21):
        for kind in ["within"] * draw.randrange(4) + ["update"]:
            now, step = now + draw.uniform(0, 2), step + draw.randrange(1, 4)
            logs = {
                name: draw.choice([math.nan, math.inf, -math.inf]) if draw.random() < 0.004 else draw.uniform(0.5, 2)
                for name in ("loss", "val_loss", "val_accuracy")
                if kind == "update" or name == "loss"
            }
            logs |= {"step": step, "batches": step, "learning_rate": draw.uniform(0, 1)}
            found.append({"kind": kind, "epoch": epoch, "logs": logs, "now": now, "flag": draw.random() < 0.02})
    return found


def run(rule, world, events):
    """Up to the first decision to stop."""
    decisions = []
    for event in events:
        world.becomes(event)
        decisions.append(getattr(rule, event["kind"])(event["epoch"], event["logs"]))
        if decisions[-1]:
            break
    return decisions


@pytest.mark.parametrize("name", RULES)
def test_the_state_at_any_moment_gives_the_same_decisions(name, tmp_path):
    draw, world = random.Random(0), World(tmp_path / "stop")
    fired_after = 0
    for _ in range(60):
        sequence = events(draw)
        cut = draw.randrange(len(sequence))
        world.now = 0.0
        whole = RULES[name](world)
        whole.start()
        expected = run(whole, world, sequence)
        expected_words = whole.explain()
        world.now = 0.0
        first, second = RULES[name](world), RULES[name](world)
        first.start()
        decisions = run(first, world, sequence[:cut])
        if not any(decisions):
            second.set_state(json.loads(json.dumps(first.get_state(), allow_nan=False)))
            assert second.get_state() == first.get_state()
            second.start()
            decisions += run(second, world, sequence[cut:])
            assert second.explain() == expected_words
            assert second.name == whole.name
            fired_after += decisions[-1]
        assert decisions == expected
    assert fired_after >= 5, "a rule that never fires on its restored state shows nothing"


@pytest.mark.parametrize("name", [name for name in RULES if name not in ("time", "time, forecast", "flag")])
def test_the_state_is_a_copy(name, tmp_path):
    draw, world = random.Random(1), World(tmp_path / "stop")
    rule, sequence = RULES[name](world), events(draw)
    run(rule, world, sequence[:9])
    state = rule.get_state()
    text = json.dumps(state)
    run(rule, world, sequence[9:])
    assert json.dumps(state) == text
