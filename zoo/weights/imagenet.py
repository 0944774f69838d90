"""ImageNet-1k's 1000 classes: what the outputs of the published weights mean.

The order is that of the ILSVRC 2012 synset ids, sorted, which torchvision, timm and keras.applications share. Ids as in
timm's `imagenet_synsets.txt`, names as in torchvision's `_meta.py`, where no two are the same: the bird at 134 is a
"crane bird" beside the machine "crane" at 517.
"""

import csv
import functools
from importlib import resources
from typing import Any, NamedTuple

import keras
import numpy as np

NUM_CLASSES = 1000


class ImageNetClass(NamedTuple):
    """A class: its WordNet id and its name."""

    wnid: str
    name: str


class Prediction(NamedTuple):
    """A class and what a network gave it."""

    wnid: str
    name: str
    score: float


@functools.cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """The 1000 classes in the order of a network's outputs.

    Example:
        >>> from zoo.weights.imagenet import imagenet_classes
        >>> imagenet_classes()[1]
        ImageNetClass(wnid='n01443537', name='goldfish')
    """
    text = resources.files("zoo.weights").joinpath("imagenet.csv").read_text(encoding="utf-8")
    return tuple(ImageNetClass(row["wnid"], row["name"]) for row in csv.DictReader(text.splitlines()))


def decode_predictions(predictions: Any, top: int = 5) -> list[list[Prediction]]:
    """The best classes of each example, by the names of ImageNet-1k.

    Args:
        predictions: (batch, 1000), array or tensor: probabilities, or logits.
        top: Number of classes for each example, 1 to 1000.

    Returns:
        For each example a list of `(wnid, name, score)`, best first; equal scores in the order of the classes. Scores
        are the predictions as given: of logits, they are logits.

    Raises:
        ValueError: The shape is not (batch, 1000), a value is not a number, or `top` is out of range.

    Example:
        >>> import numpy as np, zoo
        >>> zoo.decode_predictions(np.eye(1000)[[207]], top=1)
        [[Prediction(wnid='n02099601', name='golden retriever', score=1.0)]]
    """
    scores = np.asarray(keras.ops.convert_to_numpy(predictions))
    if scores.ndim != 2 or scores.shape[1] != NUM_CLASSES:
        hint = " Add the batch axis: predictions[None]." if scores.shape == (NUM_CLASSES,) else ""
        raise ValueError(
            f"predictions must have the shape (batch, {NUM_CLASSES}), ImageNet-1k's classes. "
            f"Received: shape {scores.shape}.{hint}"
        )
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or not 1 <= top <= NUM_CLASSES:
        raise ValueError(f"top must be a whole number from 1 to {NUM_CLASSES}. Received: top={top!r}")
    if np.isnan(scores).any():
        raise ValueError("predictions hold values that are not numbers (NaN): the network's input or weights are bad.")
    classes = imagenet_classes()
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(classes[index].wnid, classes[index].name, float(row[index])) for index in indices]
        for row, indices in zip(scores.astype(float), best, strict=True)
    ]
