"""How good features are without training the body: a linear probe, and the nearest neighbours.

Both choose their one number on the validation split and are scored on the test split. The linear probe is the usual
one (Kornblith, Shlens, Le 2019, https://arxiv.org/abs/1805.08974, section 3): logistic regression of pooled features.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from zoo.report.scores import wilson_interval

Features = Mapping[str, tuple[np.ndarray, np.ndarray]]

C = tuple(10.0**power for power in range(-4, 4))
NEIGHBOURS = (1, 3, 5, 9, 15, 25)
COSTS = tuple(10.0**power for power in range(-1, 4))


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Attributes:
        kind: "linear", "knn" or "svm".
        chosen: The number chosen on the validation split: C, or how many neighbours.
        tried: Accuracy on the validation split by that number, 0 to 1.
        accuracy: On the test split, 0 to 1.
        interval: Of 95 % (Wilson).
        examples: Number of test examples.
        predicted: Class of each test example.
    """

    kind: str
    chosen: float
    tried: Mapping[float, float]
    accuracy: float
    interval: tuple[float, float]
    examples: int
    predicted: np.ndarray


def linear(features: Features) -> Probed:
    """Logistic regression of standardised features, C chosen on the validation split.

    Args:
        features: (examples, features) and classes of "train", "validation" and "test".

    Returns:
        Scores; of equally good ones the smallest C.
    """

    def make(c: float) -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # large C that has not settled is one more candidate
        return _best("linear", features, make, C)


def knn(features: Features) -> Probed:
    """The nearest neighbours by the cosine, their number chosen on the validation split.

    Args:
        features: As `linear` takes them.

    Returns:
        Scores; of equally good ones the fewest neighbours.
    """
    most = len(features["train"][1])

    def make(count: float) -> Any:
        return KNeighborsClassifier(int(count), metric="cosine", weights="distance", algorithm="brute")

    shifted = {split: (values + 1e-12, labels) for split, (values, labels) in features.items()}
    return _best("knn", shifted, make, [count for count in NEIGHBOURS if count <= most])


def svm(features: Features) -> Probed:
    """A support vector machine with a Gaussian kernel of scikit-learn's width, its cost chosen on validation.

    Args:
        features: As `linear` takes them.
    """
    return _best("svm", features, lambda cost: SVC(C=cost), COSTS)


KINDS: Mapping[str, Callable[[Features], Probed]] = {"linear": linear, "knn": knn, "svm": svm}


def _best(kind: str, features: Features, make: Callable[[float], Any], numbers: Any) -> Probed:
    values, labels = features["train"]
    if len(np.unique(labels)) < 2:
        raise ValueError(f"A probe needs training examples of at least two classes. Received: {len(labels)} of one")
    fitted = {number: make(number).fit(values, labels) for number in numbers}
    tried = {number: float(model.score(*features["validation"])) for number, model in fitted.items()}
    chosen = max(tried, key=lambda number: tried[number])  # the first of equals
    values, labels = features["test"]
    predicted = fitted[chosen].predict(values)
    right = int((predicted == labels).sum())
    return Probed(kind, chosen, tried, right / len(labels), wilson_interval(right, len(labels)), len(labels), predicted)
