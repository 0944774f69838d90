"""Losses for labels that are whole numbers or distributions over the classes, and the accuracy that goes with them.

Mixed pictures (mixup, cutmix) have labels that are distributions, the pictures of the validation split have whole
numbers; these take both, so that one training has one loss.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class _SoftLoss(keras.losses.Loss):
    """What both losses share: labels of either form become distributions, smoothed."""

    def __init__(self, *, label_smoothing: float, from_logits: bool, name: str) -> None:
        super().__init__(name=name)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be from 0 to below 1. Received: label_smoothing={label_smoothing}")
        self.label_smoothing = float(label_smoothing)
        self.from_logits = bool(from_logits)

    def _targets(self, y_true: Any, y_pred: Any) -> Any:
        """(batch, classes) float: the distribution, a part `label_smoothing` of it spread evenly over all classes."""
        classes = y_pred.shape[-1]
        targets = distributions(y_true, classes, y_pred.dtype)
        return targets * (1 - self.label_smoothing) + self.label_smoothing / classes

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "_SoftLoss":
        return cls(**config)


@keras.saving.register_keras_serializable(package="zoo")
class CrossEntropy(_SoftLoss):
    """Cross-entropy in nats with whole-number labels or distributions, with label smoothing for both.

    Args:
        label_smoothing: Part of each label that is spread evenly over all classes, its own included, 0 to below 1
            (Szegedy et al. 2015). Mixing smoothed labels and smoothing mixed ones is the same.
        from_logits: Whether the model gives logits instead of probabilities.
        name: Name of the loss.

    Example:
        >>> loss = CrossEntropy(label_smoothing=0.1)
        >>> [round(float(loss([label], [[0.7, 0.3]])), 4) for label in (0, [0.5, 0.5])]
        [0.399, 0.7803]
    """

    def __init__(self, *, label_smoothing: float = 0.0, from_logits: bool = False, name: str = "cross_entropy") -> None:
        super().__init__(label_smoothing=label_smoothing, from_logits=from_logits, name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each example.

        Args:
            y_true: (batch,) or (batch, 1) whole numbers, or (batch, classes) distributions.
            y_pred: (batch, classes) probabilities or logits.
        """
        y_pred = ops.convert_to_tensor(y_pred)
        if not self.label_smoothing and _are_indices(ops.convert_to_tensor(y_true), y_pred.shape[-1]):
            labels = ops.reshape(y_true, (-1,))
            return keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=self.from_logits)
        targets = self._targets(y_true, y_pred)
        return keras.losses.categorical_crossentropy(targets, y_pred, from_logits=self.from_logits)


@keras.saving.register_keras_serializable(package="zoo")
class LogitAdjustedCrossEntropy(CrossEntropy):
    """Cross-entropy with the classes' frequencies added to the logits, for classes that differ in number.

    Menon et al. 2020, "Long-tail learning via logit adjustment", https://arxiv.org/abs/2007.07314, equation 10: the
    network need not learn that a class is rare, and so answers as if all were equally frequent.

    Args:
        prior: Share of each class in the training examples, (classes,), all above 0.
        strength: What the logarithm of the shares is multiplied by; 1 in the paper, 0 changes nothing.
        label_smoothing: As in `CrossEntropy`.
        from_logits: Whether the model gives logits instead of probabilities.
        name: Name of the loss.

    Example:
        >>> loss = LogitAdjustedCrossEntropy(prior=[0.9, 0.1])
        >>> [round(float(loss([label], [[0.5, 0.5]])), 4) for label in (0, 1)]  # - log 0.9, - log 0.1
        [0.1054, 2.3026]
    """

    def __init__(
        self,
        *,
        prior: Sequence[float],
        strength: float = 1.0,
        label_smoothing: float = 0.0,
        from_logits: bool = False,
        name: str = "logit_adjusted_cross_entropy",
    ) -> None:
        super().__init__(label_smoothing=label_smoothing, from_logits=from_logits, name=name)
        self.prior, self.strength = tuple(map(float, prior)), float(strength)
        if not self.prior or min(self.prior) <= 0 or self.strength < 0:
            raise ValueError(
                "Each class must have a share above 0, and strength must be at least 0. "
                f"Received: prior={self.prior}, strength={strength}"
            )

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        added = ops.convert_to_tensor([self.strength * math.log(share) for share in self.prior], y_pred.dtype)
        if self.from_logits:
            return super().call(y_true, y_pred + added)
        weighted = y_pred * ops.exp(added)
        return super().call(y_true, weighted / ops.sum(weighted, axis=-1, keepdims=True))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "prior": self.prior, "strength": self.strength}


@keras.saving.register_keras_serializable(package="zoo")
class BinaryCrossEntropy(_SoftLoss):
    """One yes-or-no question for each class, the mean over the classes: "one against all" of Wightman et al. 2021.

    Args:
        label_smoothing: As in `CrossEntropy`.
        target_threshold: Labels above it become 1 and all others 0, so that all that a mixed picture shows counts in
            full; None to keep the fractions.
        from_logits: Whether the model gives logits; otherwise its last activation must be a sigmoid.
        name: Name of the loss.

    Example:
        >>> loss = BinaryCrossEntropy(target_threshold=0.2)
        >>> round(float(loss([[0.7, 0.3, 0.0]], [[0.9, 0.9, 0.1]])), 4)
        0.1054
    """

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        target_threshold: float | None = None,
        from_logits: bool = False,
        name: str = "binary_cross_entropy",
    ) -> None:
        super().__init__(label_smoothing=label_smoothing, from_logits=from_logits, name=name)
        if target_threshold is not None and not 0 <= target_threshold < 1:
            raise ValueError(
                f"target_threshold must be from 0 to below 1, or None. Received: target_threshold={target_threshold}"
            )
        self.target_threshold = target_threshold

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each example.

        Args:
            y_true: (batch,) or (batch, 1) whole numbers, or (batch, classes) from 0 to 1.
            y_pred: (batch, classes) from 0 to 1, or logits.
        """
        y_pred = ops.convert_to_tensor(y_pred)
        targets = self._targets(y_true, y_pred)
        if self.target_threshold is not None:
            targets = ops.cast(targets > self.target_threshold, y_pred.dtype)
        return keras.losses.binary_crossentropy(targets, y_pred, from_logits=self.from_logits)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_threshold": self.target_threshold}


@keras.saving.register_keras_serializable(package="zoo")
class Accuracy(keras.metrics.MeanMetricWrapper):
    """Part of the examples whose most probable class is right, for labels of both forms, 0 to 1.

    The label of a mixed picture is the class that most of it shows.

    Args:
        name: Name of the metric.
    """

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(_is_right, name=name)
        self._direction = "up"

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def _is_right(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if _are_indices(y_true, y_pred.shape[-1]):
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    else:
        labels = ops.cast(ops.argmax(y_true, axis=-1), "int32")
    return ops.cast(ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32")), "float32")


def distributions(labels: Any, classes: int, dtype: str = "float32") -> Any:
    """Labels as distributions over the classes.

    Args:
        labels: (batch,) or (batch, 1) whole numbers, or (batch, classes) distributions already.
        classes: Number of classes.
        dtype: Floating-point type of the result.

    Returns:
        (batch, classes) of that type.

    Raises:
        ValueError: The shape is none of these.
    """
    labels = ops.convert_to_tensor(labels)
    if _are_indices(labels, classes):
        return ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), classes, dtype=dtype)
    return ops.cast(labels, dtype)


def _are_indices(labels: Any, classes: int) -> bool:
    shape = tuple(labels.shape)
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1 and classes != 1):
        return True
    if len(shape) == 2 and shape[1] in (classes, None):
        return False
    raise ValueError(
        f"Labels must be (batch,) whole numbers or (batch, {classes}) distributions. Received: shape {shape}"
    )
