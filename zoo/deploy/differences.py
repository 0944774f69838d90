"""How far answers are from those of Keras."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from zoo.deploy.engines import Answer


def by_name(model: keras.Model, outputs: Any) -> Answer:
    """What a model gave, as `Predictor` gives it: a list becomes a dict by the names of the outputs."""
    if isinstance(outputs, (list, tuple)):
        return dict(zip(model.output_names, outputs, strict=True))
    return outputs


def flat(answer: Answer) -> list[np.ndarray]:
    """The outputs of an answer in the order of their names."""
    return [answer[name] for name in sorted(answer)] if isinstance(answer, dict) else [answer]


def relative_difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference of two lists of arrays, as a part of the largest value expected in its array.

    Infinite where a value that was found is not finite.
    """
    return max(
        float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float32).tiny))
        if np.isfinite(one).all()
        else np.inf
        for one, other in zip(found, expected, strict=True)
    )


def other_classes(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The part of the answers whose highest value along the last axis is another; of several outputs the largest."""
    return max(
        float(np.mean(one.argmax(-1) != other.argmax(-1))) if np.isfinite(one).all() else 1.0
        for one, other in zip(found, expected, strict=True)
    )
