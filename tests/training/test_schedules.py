"""Each schedule against Keras's where it has one, at chosen times, and through its configuration."""

import math

import keras
import numpy as np
import pytest

from zoo.training import schedules
from zoo.training.schedules import Constant, Cosine, Exponential, MultiStep, OneCycle, Polynomial, WarmUp


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


STEPS = range(1, 130, 6)  # odd, so that none is where a period of 12 ends, which rounding decides


def test_cosine_is_that_of_keras():
    expected = rates(keras.optimizers.schedules.CosineDecay(0.3, 100, alpha=0.1), STEPS)
    np.testing.assert_allclose(rates(Cosine(0.3, 100, final=0.1), STEPS), expected, rtol=1e-5)
    np.testing.assert_allclose(rates(Cosine(0.3, 10, final=0.1, steps_per_epoch=10), STEPS), expected, rtol=1e-5)


def test_polynomial_is_that_of_keras():
    expected = rates(keras.optimizers.schedules.PolynomialDecay(0.3, 100, 0.03, power=0.5), STEPS)
    np.testing.assert_allclose(rates(Polynomial(0.3, 100, power=0.5, final=0.1), STEPS), expected, rtol=1e-5)


def test_polynomial_may_hold_its_first_rate():
    schedule = Polynomial(0.05, 190, power=2.0, final=0.02, hold=90)
    assert rates(schedule, [0, 90, 140, 190, 300]) == pytest.approx([0.05, 0.05, 0.001 + 0.049 / 4, 0.001, 0.001])
    with pytest.raises(ValueError, match="hold must be from 0 to below duration, 9. Received: hold=9"):
        Polynomial(0.1, 9, hold=9)


@pytest.mark.parametrize("staircase", [False, True])
def test_exponential_is_that_of_keras(staircase):
    expected = rates(keras.optimizers.schedules.ExponentialDecay(0.3, 12, 0.94, staircase=staircase), STEPS)
    found = rates(Exponential(0.3, decay=0.94, period=1.2, staircase=staircase, steps_per_epoch=10), STEPS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_multi_step_falls_at_its_milestones():
    schedule = MultiStep(0.1, [91, 136], steps_per_epoch=352)
    assert rates(schedule, [0, 91 * 352 - 1, 91 * 352, 136 * 352 - 1, 136 * 352]) == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001]
    )
    # LeNet-5's: 0.0005, 0.0002, 0.0001, 0.00005, 0.00001 from the passes 0, 2, 5, 8, 12 on.
    lenet = MultiStep(5e-4, [2, 5, 8, 12], decay=[0.4, 0.2, 0.1, 0.02])
    assert rates(lenet, [0, 1, 2, 5, 8, 12, 19]) == pytest.approx([5e-4, 5e-4, 2e-4, 1e-4, 5e-5, 1e-5, 1e-5])


def test_one_cycle_goes_up_and_down():
    schedule = OneCycle(1.0, 10, rise=0.2, start=0.1, final=0.0, shape="linear", steps_per_epoch=10)
    assert rates(schedule, [0, 10, 20, 60, 100, 200]) == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0, 0.0], abs=1e-7)
    cosine = OneCycle(1.0, 100, rise=0.5, start=0.0, final=0.0)
    assert rates(cosine, [0, 25, 50, 75, 100]) == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-6)


def test_warm_up_covers_the_beginning_or_comes_before():
    below = WarmUp(MultiStep(0.4, [4]), 2, start=0.25)
    assert rates(below, [0, 1, 2, 3, 4]) == pytest.approx([0.1, 0.25, 0.4, 0.4, 0.04])
    before = WarmUp(MultiStep(0.4, [4]), 2, shift=True)
    assert rates(before, [0, 1, 2, 5, 6]) == pytest.approx([0.0, 0.2, 0.4, 0.4, 0.04])
    assert rates(WarmUp(Constant(0.4), 2), [0, 1, 2, 50]) == pytest.approx([0, 0.2, 0.4, 0.4])


def test_the_rate_is_held_within_an_epoch():
    schedule = WarmUp(Cosine(0.1, 4, steps_per_epoch=10, every="epoch"), 2)
    expected = [0, 0.05, 0.05 * (1 + math.cos(math.pi / 2)), 0.05 * (1 + math.cos(3 * math.pi / 4)), 0]
    for epoch, rate in enumerate(expected):
        assert rates(schedule, [10 * epoch, 10 * epoch + 9]) == pytest.approx([rate, rate], abs=1e-8)


SCHEDULES = [
    Constant(0.1, steps_per_epoch=3),
    Cosine(0.1, 9, final=0.2, steps_per_epoch=3, every="epoch"),
    Polynomial(0.1, 9, power=2.0, hold=3),
    Exponential(0.1, decay=0.9, period=2.4, staircase=True),
    MultiStep(0.1, [2, 5], decay=[0.5, 0.2]),
    OneCycle(0.1, 9, shape="linear"),
    WarmUp(Cosine(0.1, 9, steps_per_epoch=3), 2, start=0.1, shift=True),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda item: type(item).__name__)
def test_a_schedule_comes_back_from_its_configuration(schedule):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    np.testing.assert_array_equal(rates(again, range(30)), rates(schedule, range(30)))
    optimizer = keras.optimizers.SGD(schedule)
    assert float(type(optimizer).from_config(optimizer.get_config()).learning_rate) == pytest.approx(float(schedule(0)))


def test_every_schedule_is_in_the_list_above():
    classes = {
        item for item in vars(schedules).values() if isinstance(item, type) and issubclass(item, schedules.Schedule)
    }
    assert {type(item) for item in SCHEDULES} == classes - {schedules.Schedule}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Cosine(0, 3), ValueError, "learning_rate must be above 0. Received: learning_rate=0"),
        (lambda: Cosine(0.1, 0), ValueError, "duration must be above 0. Received: duration=0"),
        (lambda: Cosine(0.1, 3, final=2), ValueError, "final must be from 0 to 1. Received: final=2"),
        (lambda: Cosine(0.1, 3, steps_per_epoch=0), ValueError, "steps_per_epoch must be at least 1"),
        (lambda: Cosine(0.1, 3, every="day"), ValueError, 'every must be "step" or "epoch". Received: every=\'day\''),
        (lambda: MultiStep(0.1, [3, 2]), ValueError, r"milestones must be above 0 and rise. Received: .*\[3, 2\]"),
        (lambda: MultiStep(0.1, []), ValueError, "milestones must be above 0 and rise"),
        (lambda: MultiStep(0.1, [1, 2], decay=[0.1]), ValueError, "one factor, or one for each milestone"),
        (lambda: OneCycle(0.1, 3, rise=1), ValueError, "rise must be above 0 and below 1. Received: rise=1"),
        (lambda: OneCycle(0.1, 3, shape="square"), ValueError, 'shape must be "cosine" or "linear"'),
        (lambda: Exponential(0.1, decay=0), ValueError, "decay must be above 0"),
        (lambda: WarmUp(0.1, 3), TypeError, "schedule must be one of zoo.training's schedules. Received: float"),
    ],
)
def test_illegal_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
