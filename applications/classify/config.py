"""What is fine-tuned, on what, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PROBES = ("linear", "knn")

# For pictures by the dozen: the head first and fast, then the body slowly, with the statistics that it has.
STAGES: Mapping[str, Any] = {
    "epochs": 40, "batch_size": 16, "learning_rate": 3e-3, "weight_decay": 0.01, "decay_on": "kernels",
    "layer_decay": 0.8, "schedule": "cosine", "head_epochs": 20, "head_learning_rate": 1e-2, "batch_norm": "frozen",
    "patience": None,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """A fine-tuning.

    Attributes:
        body: Registered network for pictures.
        weights: What it begins with: the tag of published weights, a run folder, or a folder of weights; None for
            random ones, training from scratch.
        data: Source, as `zoo.data.load` takes it.
        recipe: Name or file of a recipe that takes the place of `STAGES`; None for those.
        changes: Hyper-parameters and knobs of the body that differ.
        seed: Of the head, order and augmentation.
    """

    body: str
    weights: str | None
    data: str = "digits"
    recipe: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A few-shot curve.

    Attributes:
        counts: Training pictures of each class.
        seeds: Draws of the pictures; with each all methods are tried.
        methods: Of `applications.classify.curves.METHODS`.
    """

    counts: tuple[int, ...] = (5, 10, 50)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    methods: tuple[str, ...] = ("finetune", "scratch", "linear", "knn", "pixels_knn", "pixels_svm")

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 1 or not self.seeds:
            raise ValueError(
                "A curve needs numbers of pictures, each at least 1, and seeds. "
                f"Received: counts={self.counts}, seeds={self.seeds}"
            )


DEFAULT = Curve()
SMOKE = Curve(counts=(3,), seeds=(0,))
SMOKE_CHANGES: Mapping[str, Any] = {"epochs": 1, "head_epochs": 1}
