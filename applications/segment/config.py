"""What is trained, on what, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NETWORKS = ("fcn", "unet", "unet_over", "deeplab_v3")


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """A training.

    Attributes:
        data: Source, as `applications.segment.scenes.load` takes it.
        size: Side of the pictures in pixels; None for the source's own.
        count: Most training examples, or how many scenes are made; None for all, or 3,000.
        network: One of `NETWORKS`.
        body: Registered network under it; `unet` has its own.
        knobs: Of the body, such as {"stem": "cifar"}.
        levels: Endpoints of the body, from the coarsest; none for the network's own.
        options: Further arguments of the network, such as {"filters": 16} of `unet`.
        weights: Weights of the body: the tag of published ones, or a run folder; None for none.
        epochs: Of training.
        batch_size: Pictures in a batch.
        learning_rate: Of AdamW, at the beginning of a cosine.
        weight_decay: Of AdamW.
        foreground: Weight of pixels that are not of class 0, which is most of many pictures.
        mirror: Whether every other training picture is mirrored, by lot.
        seed: Of weights, order and made scenes.
    """

    data: str = "digits"
    size: int | None = None
    count: int | None = None
    network: str = "fcn"
    body: str = "resnet20"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    levels: tuple[str, ...] = ("stride4", "stride2", "stride1")
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    foreground: float = 1.5
    mirror: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}. Received: {self.network!r}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if self.foreground <= 0:
            raise ValueError(f"foreground must be above 0. Received: {self.foreground}")


DEFAULT = Segmentation()
SMOKE = Segmentation(count=64, epochs=1, levels=("stride4", "stride2"))
SMOKE_COMPARED = Segmentation(count=64, epochs=1)
