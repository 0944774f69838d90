"""How far probabilities can be believed, and one number that mends most of it.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, https://arxiv.org/abs/1706.04599: the
logits are divided by a temperature that is chosen on the validation split; no answer changes, only how sure it is.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from applications.classify import answers
from zoo import files, runs
from zoo.report import figures, scores

RESULT, FIGURE = "calibration.json", "calibration.png"
BINS = 15
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Scored:
    """How good probabilities are, on a split.

    Attributes:
        accuracy: Part of the answers that is right.
        nll: Mean negative log-likelihood, in nats.
        brier: Mean squared distance from the truth (Brier 1950), 0 to 2.
        ece: Expected calibration error, 15 bins (Naeini 2015), 0 to 1.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float


@dataclass(frozen=True)
class Calibrated:
    """A temperature and what it does on the test split.

    Attributes:
        temperature: Above 1 it makes answers less sure.
        before: Scores as they are.
        after: Scores with the temperature.
    """

    temperature: float
    before: Scored
    after: Scored


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by a temperature.

    Args:
        probabilities: (examples, classes), rows sum to 1.
        temperature: Above 0.

    Example:
        >>> import numpy as np
        >>> at_temperature(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
        [[0.6667, 0.3333]]
    """
    logits = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def temperature_of(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood, between 0.05 and 20.

    Args:
        probabilities: (examples, classes) of the validation split.
        labels: (examples,) whole numbers.
    """

    def loss(logarithm: float) -> float:
        return _nll(at_temperature(probabilities, float(np.exp(logarithm))), labels)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def calibrate(run: runs.Run) -> Calibrated:
    """Choose a run's temperature on the validation split, score it on the test split, write both into the run folder.

    Args:
        run: A finished run on pictures.

    Raises:
        ValueError: It is not on pictures.
    """
    answers.require_pictures(run)
    temperature = temperature_of(answers.probabilities(run, "validation"), answers.labels_of(run, "validation"))
    rows, labels = answers.probabilities(run, "test"), answers.labels_of(run, "test")
    parts = [answers.evaluation(run, "test", each, labels) for each in (rows, at_temperature(rows, temperature))]
    found = Calibrated(temperature, *map(score, parts))
    files.write_json(run.folder / RESULT, dataclasses.asdict(found))
    draw(parts, run.folder / FIGURE, temperature)
    return found


def score(evaluation: scores.Evaluation) -> Scored:
    """Scores of an evaluation."""
    rows, labels = evaluation.probabilities, evaluation.labels
    truth = np.eye(rows.shape[1])[labels]
    return Scored(
        accuracy=float((~evaluation.wrong).mean()),
        nll=_nll(rows, labels),
        brier=float(((rows - truth) ** 2).sum(-1).mean()),
        ece=scores.calibration(evaluation, BINS).error,
    )


def draw(parts: list[scores.Evaluation], path: Path, temperature: float) -> None:
    """Reliability diagrams before and after, side by side."""
    figure = figures.new_figure(8.4, 3.9, figures.LIGHT)
    titles = ("as trained", f"temperature {temperature:.2f}")
    for axis, title, part in zip(figure.subplots(1, 2), titles, parts, strict=True):
        found = scores.calibration(part, BINS)
        figures.draw_reliability(axis, found, figures.LIGHT)
        axis.set_title(f"{title}: expected error {100 * found.error:.1f} %", color=figures.LIGHT.ink, fontsize=9)
    files.write_atomic(path, figures.png(figure))


def _nll(rows: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(rows[np.arange(len(labels)), labels], _SMALLEST)).mean())
