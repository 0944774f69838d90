"""What is trained, on what, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NETWORKS = ("over_body", "zhang2016")
TARGETS = ("classes", "l2")


@dataclass(frozen=True, kw_only=True)
class Colorization:
    """A training.

    Attributes:
        data: Source, as `applications.colorize.pictures.load` takes it.
        size: Side of the training crops in pixels.
        count: Most pictures of each split, or how many are made; None for all, or 2,000 to train on and 300 others.
        crops: Crops of each picture in an epoch.
        shorter_side: Pixels that the shorter side of a photograph is reduced to; None for its own.
        network: One of `NETWORKS`.
        body: Registered network under `over_body`; the other has its own.
        knobs: Of the body, such as {"stem": "cifar"}.
        levels: Endpoints of the body, from the coarsest.
        enlarged: Factor by which the head enlarges the finest of them.
        filters: Of the head; for `zhang2016`, of its first group.
        weights: Published weights of the body, a tag; None for none.
        target: "classes" for a distribution over 313 colours, "l2" for the mean colour.
        mixing: Of the rebalancing of rare colours, the paper's lambda; 1 for none.
        temperature: Of the annealed mean, above 0.
        epochs: Of training.
        batch_size: Crops in a batch.
        learning_rate: Of AdamW, at the beginning of a cosine.
        weight_decay: Of AdamW.
        mirror: Whether every other training crop is mirrored, by lot.
        seed: Of weights, order, crops and made pictures.
    """

    data: str = "shapes"
    size: int = 32
    count: int | None = None
    crops: int = 1
    shorter_side: int | None = None
    network: str = "over_body"
    body: str = "resnet20"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[str, ...] = ("stride4", "stride2")
    enlarged: int = 1
    filters: int = 64
    weights: str | None = None
    target: str = "classes"
    mixing: float = 0.5
    temperature: float = 0.38
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    mirror: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, legal in (("network", NETWORKS), ("target", TARGETS)):
            if getattr(self, name) not in legal:
                raise ValueError(f"{name} must be one of {', '.join(legal)}. Received: {getattr(self, name)!r}")
        for name in ("size", "crops", "epochs", "batch_size", "filters", "enlarged"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if not 0 < self.mixing <= 1:
            raise ValueError(f"mixing must be above 0 and at most 1. Received: {self.mixing}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0. Received: {self.temperature}")


DEFAULT = Colorization()
SMOKE = Colorization(count=32, epochs=1, filters=8)
