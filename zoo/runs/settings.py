"""What a training can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import zoo
from zoo import data
from zoo.builder import check_knobs
from zoo.data import OnBad

Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["constant", "cosine"]
OnNonFinite = Literal["stop", "skip", "lower"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All choices of a training.

    Attributes:
        model: Registered name.
        data: Name of the data set, as `zoo.data.load` takes it.
        knobs: The model family's own arguments.
        image_size: Height and width that pictures are resized to, in pixels. None: the data's own size where the
            model allows it, else the card's.
        seed: Seed of initial weights, order, augmentation and dropout, 0 to 2**32 - 1.
        split_seed: Seed of the split into train, validation and test.
        epochs: Largest number of epochs.
        batch_size: Examples of a batch.
        optimizer: "adamw" or "sgd" (momentum 0.9, Nesterov).
        learning_rate: Learning rate at the start.
        weight_decay: Decoupled weight decay.
        schedule: "constant", or "cosine" from the learning rate down to 0 over all epochs, which leaves out `plateau`.
        plateau: Epochs without a lower validation loss after which the learning rate is multiplied by 0.3; 0: never.
        average: Momentum, 0 to below 1, of a moving average of the weights, which is then what is evaluated and kept;
            0 for none.
        clip_norm: Norm that the gradient of all weights together is clipped to; None for no clipping.
        accumulate: Batches whose gradients are averaged for one update, at least 1.
        on_nonfinite: What a training loss that is NaN or infinite does, after going back to the last checkpoint:
            "stop" the training, "skip" the batch, "lower" the learning rate by half.
        patience: Epochs without a lower validation loss after which training ends.
        target: Validation accuracy, 0 to 1, at which training ends; None for no target.
        max_minutes: Minutes after which training ends with the epoch; None for no limit.
        augment: Augmentations, as `zoo.data.Augmentation.parse` takes them, e.g. "flip+trivialaugment"; "" for none.
        on_bad: What a broken file of a folder does: "raise", "skip" or "count".
    """

    model: str
    data: str = "digits"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    seed: int = 0
    split_seed: int = 0
    epochs: int = 150
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    schedule: Schedule = "constant"
    plateau: int = 6
    average: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    on_nonfinite: OnNonFinite = "stop"
    patience: int = 20
    target: float | None = None
    max_minutes: float | None = None
    augment: str = "shift=1"
    on_bad: OnBad = "raise"

    def __post_init__(self) -> None:
        """Refuse what no training can use, before any data is read."""
        zoo.model_card(self.model)
        check_knobs(self.model, self.knobs)
        data.Augmentation.parse(self.augment)
        limits = {"epochs": 1, "batch_size": 1, "patience": 1, "accumulate": 1, "plateau": 0}
        limits |= {"seed": 0, "split_seed": 0}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}. Received: {name}={getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0. Received: learning_rate={self.learning_rate}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must be at least 0. Received: weight_decay={self.weight_decay}")
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer must be 'adamw' or 'sgd'. Received: optimizer={self.optimizer!r}")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"schedule must be 'constant' or 'cosine'. Received: schedule={self.schedule!r}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be from 0 to below 1. Received: average={self.average}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0. Received: clip_norm={self.clip_norm}")
        if self.on_nonfinite not in ("stop", "skip", "lower"):
            raise ValueError(
                f"on_nonfinite must be 'stop', 'skip' or 'lower'. Received: on_nonfinite={self.on_nonfinite!r}"
            )
        if self.on_nonfinite == "lower" and self.schedule != "constant":
            raise ValueError(
                'on_nonfinite="lower" needs schedule="constant": a schedule computes the rate from the step. '
                f"Received: schedule={self.schedule!r}"
            )
        if self.target is not None and not 0 < self.target <= 1:
            raise ValueError(f"target must be above 0 and at most 1. Received: target={self.target}")
