"""How far answers are from those of Keras."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from zoo.deploy.engines import Answer
from zoo.deploy.graphs import output_names


def expected_of(model: keras.Model, examples: np.ndarray, size: int = 16) -> list[np.ndarray]:
    """What Keras answers for examples, `size` of them at once, as `flat` gives what an engine answers."""

    def answer(part: np.ndarray) -> Answer:
        return by_name(model, keras.tree.map_structure(np.asarray, model(part, training=False)))

    return in_batches(answer, examples, size)


def in_batches(answer: Callable[[np.ndarray], Answer], examples: np.ndarray, size: int) -> list[np.ndarray]:
    """What `flat` gives of the answers for examples, `size` of them at once."""
    parts = [flat(answer(examples[start : start + size])) for start in range(0, len(examples), size)]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def by_name(model: keras.Model, outputs: Any) -> Answer:
    """What a model gave, as `Predictor` gives it: a list becomes a dict by the names of the outputs."""
    if isinstance(outputs, (list, tuple)):
        return dict(zip(output_names(model), outputs, strict=True))
    return outputs


def flat(answer: Answer) -> list[np.ndarray]:
    """The outputs of an answer in the order of their names."""
    return [answer[name] for name in sorted(answer)] if isinstance(answer, dict) else [answer]


def relative_difference(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference of two lists of arrays, as a part of the largest value expected in its array.

    Infinite where a value that was found is not finite, NaN where one that was expected is not.
    """
    parts = [
        float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float32).tiny))
        if np.isfinite(one).all()
        else np.inf
        for one, other in zip(found, expected, strict=True)
    ]
    return float(np.max(parts))


def other_classes(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The part of the answers whose highest value along the last axis is another; of several outputs the largest.

    Where the last axis has one number, the part that is off by more than a tenth of the largest that was expected.
    """
    return max(_others(one, other) for one, other in zip(found, expected, strict=True))


def _others(found: np.ndarray, expected: np.ndarray) -> float:
    if not np.isfinite(found).all():
        return 1.0
    if expected.shape[-1] == 1:
        return float(np.mean(np.abs(found - expected) > 0.1 * np.abs(expected).max()))
    return float(np.mean(found.argmax(-1) != expected.argmax(-1)))
