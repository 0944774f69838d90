"""What batch norms do in fine-tuning: follow the new pictures, stay as they were, or be measured anew and stay."""

from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from zoo.training.freezing import body_batch_norms

BatchNorm = Literal["train", "frozen", "recalibrate"]


def freeze_batch_norms(model: keras.Model) -> int:
    """Let the body's batch norms normalise by the statistics that they have, in training too.

    Gamma and beta stay as well: Keras has one switch for both. Call it before `compile` or `Trainer`;
    `zoo.training.unfreeze` takes it back.

    Args:
        model: A functional or sequential model with endpoints.

    Returns:
        How many batch norms there are.
    """
    found = body_batch_norms(model)
    for layer in found:
        layer.trainable = False
    return len(found)


def recalibrate(model: keras.Model, batches: Iterable[Any], *, max_batches: int = 200) -> int:
    """Put the statistics of the body's batch norms anew: mean and variance over the pictures given.

    Li et al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation", https://arxiv.org/abs/1603.04779,
    and the "precise" statistics of Wu, Johnson 2021, https://arxiv.org/abs/2105.07576. Each layer sees what the layers
    before it give when they normalise by the batch, so that batches should be as large as in training. Of the batches
    the means are averaged, and the variances with the spread of the means; batches count by their number of examples.

    Args:
        model: A functional or sequential model with endpoints.
        batches: Batches of pictures, or pairs of pictures and labels.
        max_batches: How many are used at most.

    Returns:
        How many batch norms were put anew.

    Raises:
        ValueError: There are no batches.
    """
    found = body_batch_norms(model)
    before = [(layer, layer.momentum, layer.trainable) for layer in found]
    head = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    others = [(layer, [variable.numpy() for variable in layer.non_trainable_variables]) for layer in head
              if all(layer is not own for own in found)]  # fmt: skip
    sums = [np.zeros((2, layer.moving_mean.shape[0])) for layer in found]
    count = 0
    try:
        for layer in found:
            layer.momentum, layer.trainable = 0.0, True

        @tf.function(reduce_retracing=True)
        def pass_through(pictures: tf.Tensor) -> None:
            model(pictures, training=True)

        for number, batch in enumerate(batches):
            if number == max_batches:
                break
            pictures = batch[0] if isinstance(batch, tuple | list) else batch
            pass_through(pictures)
            examples = int(pictures.shape[0])
            for total, layer in zip(sums, found, strict=True):
                mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
                total += examples * np.stack([mean, variance + mean.astype(np.float64) ** 2])
            count += examples
    finally:
        for layer, momentum, trainable in before:
            layer.momentum, layer.trainable = momentum, trainable
        for layer, values in others:
            for variable, value in zip(layer.non_trainable_variables, values, strict=True):
                variable.assign(value)
    if not count:
        raise ValueError("Statistics need at least one batch of pictures. Received: none")
    for total, layer in zip(sums, found, strict=True):
        mean, square = total / count
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(np.maximum(square - mean**2, 0))
    return len(found)
