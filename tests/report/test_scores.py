import numpy as np
import pytest

from zoo.report import Evaluation
from zoo.report.scores import calibration, class_scores, most_confused, wilson_interval


def evaluation(labels, probabilities, classes=("a", "b", "c")):
    return Evaluation(
        split="test",
        classes=classes,
        labels=np.array(labels),
        probabilities=np.array(probabilities, dtype=np.float32),
        image=lambda index: np.zeros((2, 2, 1), np.uint8),
        name=lambda index: f"example {index}",
    )


# True:      a    a    a    b    b         Predicted: a    a    b    b    a
HAND = evaluation(
    [0, 0, 0, 1, 1],
    [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.1, 0.7, 0.2], [0.95, 0.05, 0]],
)


def test_class_scores_equal_a_hand_computed_case():
    a, b, c = class_scores(HAND)
    assert (a.index, a.name, a.support) == (0, "a", 3)
    assert (a.precision, a.recall, a.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert c.support == 0
    assert np.isnan([c.precision, c.recall, c.f1]).all()


def test_confusion_has_true_classes_in_rows():
    np.testing.assert_array_equal(HAND.confusion, [[2, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_most_confused_pairs_come_first_and_zeros_not_at_all():
    pairs = [(pair.true, pair.predicted, pair.count, pair.share) for pair in most_confused(HAND, 9)]
    assert pairs == [(0, 1, 1, pytest.approx(1 / 3)), (1, 0, 1, pytest.approx(1 / 2))]
    assert len(most_confused(HAND, 1)) == 1


def test_telling_examples_are_the_surest_mistakes():
    assert HAND.telling(9).tolist() == [4, 2]
    assert HAND.telling(1).tolist() == [4]


def test_telling_examples_are_the_least_certain_ones_when_all_are_right():
    right = evaluation([0, 1, 2], [[0.9, 0.1, 0], [0.2, 0.5, 0.3], [0, 0.4, 0.6]])
    assert right.telling(2).tolist() == [1, 2]


def test_wilson_interval_equals_a_hand_computed_case():
    # z = 1.959964: centre 0.992073 / 1.384146 = 0.716740, half width 1.416011 * 0.160011 = 0.226577
    assert wilson_interval(8, 10) == pytest.approx((0.490163, 0.943317), abs=2e-6)


@pytest.mark.parametrize("total", [1, 7, 1000])
def test_wilson_interval_stays_in_range(total):
    low, high = wilson_interval(0, total)
    assert low == pytest.approx(0, abs=1e-12)
    assert 0 < high < 1
    assert wilson_interval(total, total) == pytest.approx((1 - high, 1))


def test_calibration_equals_a_hand_computed_case():
    result = calibration(HAND)
    assert result.counts.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 2]
    assert result.confidence[[6, 7, 8, 9]] == pytest.approx([0.6, 0.7, 0.8, 0.925])
    assert result.accuracy[[6, 7, 8, 9]] == pytest.approx([1, 1, 0, 0.5])
    assert np.isnan(result.accuracy[0])
    assert result.error == pytest.approx((0.4 + 0.3 + 0.8 + 2 * 0.425) / 5)


def test_a_probability_of_one_falls_into_the_last_bin():
    assert calibration(evaluation([0], [[1, 0, 0]])).counts.tolist() == [0] * 9 + [1]


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([[0]], [[1, 0, 0]], r"labels must be integers of shape \(n,\)\. Received: int64 of \(1, 1\)"),
        ([0.0], [[1, 0, 0]], r"labels must be integers of shape \(n,\)\. Received: float64 of \(1,\)"),
        (np.empty(0, int), np.empty((0, 3)), "at least one example. Received: none in split 'test'"),
        ([0], [[1, 0]], r"shape \(examples, classes\), here \(1, 3\)\. Received: float32 of \(1, 2\)"),
        ([0, 1], [[1, 0, 0]], r"here \(2, 3\)\. Received: float32 of \(1, 3\)"),
        ([3], [[1, 0, 0]], "labels must lie between 0 and 2, as there are 3 classes. Received: 3 to 3"),
        ([-1], [[1, 0, 0]], "Received: -1 to -1"),
        ([0, 0], [[1, 0, 0], [3, 1, 0]], r"apply softmax to logits\)\. Received: row 1 with sum 4 and lowest value 0"),
        ([0], [[1.5, -0.5, 0]], "row 0 with sum 1 and lowest value -0.5"),
        ([0], [[np.nan, 0, 0]], "row 0 with sum nan"),
    ],
)
def test_evaluation_refuses_what_cannot_be_scored(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        evaluation(labels, probabilities)


def test_evaluation_refuses_integer_probabilities():
    with pytest.raises(ValueError, match="probabilities must be floating point"):
        Evaluation("test", ("a", "b"), np.array([0]), np.array([[1, 0]]), image=None, name=None)
