"""A run's answers on a split, plain or averaged over several views of each picture."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from zoo import runs, training
from zoo.report import Evaluation

View = Callable[[tf.Tensor], tf.Tensor]


def labels_of(run: runs.Run, split: str) -> np.ndarray:
    """The class of each example, (examples,) int32."""
    return np.concatenate([labels.numpy() for _, labels in run.pipeline(split).epoch()])


def probabilities(run: runs.Run, split: str, views: Sequence[View] = ()) -> np.ndarray:
    """What the network answers.

    Args:
        run: A finished run on pictures.
        split: "train", "validation" or "test".
        views: From a batch of pictures to another of the same shape; the answers to all are averaged, with the one to
            the pictures themselves. None: that alone.

    Returns:
        (examples, classes) float64, rows sum to 1.
    """
    trainer = training.Trainer(run.model, optimizer="sgd", loss=training.CrossEntropy(), metrics=())
    total: np.ndarray | float = 0.0
    for view in (None, *views):
        batches = run.pipeline(split).epoch()
        if view is not None:
            batches = batches.map(lambda pictures, labels, view=view: (view(pictures), labels))
        rows = trainer.predict(batches).astype(np.float64)
        total = total + rows / rows.sum(-1, keepdims=True)
    return np.asarray(total / (1 + len(views)))


def evaluation(run: runs.Run, split: str, rows: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Answers in the form that `zoo.report` scores; pictures are not drawn from it."""
    return Evaluation(
        split=split,
        classes=tuple(run.config["data"]["classes"]),
        labels=labels,
        probabilities=rows,
        image=lambda index: np.zeros((1, 1, 1), np.uint8),
        name=lambda index: run.dataset.example_name(split, index),
    )


def require_pictures(run: runs.Run) -> None:
    """Refuse a run that was not on pictures."""
    if "form" in run.config["data"]:
        raise ValueError(f"{run.folder} was not trained on pictures. Received: data {run.config['data']['name']!r}")
