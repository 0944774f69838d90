"""What a training can be told."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import zoo
from zoo import data, training
from zoo.builder import check_knobs, smallest_size
from zoo.data import Decoder, OnBad
from zoo.data.pictures import DECODERS
from zoo.training.hyperparameters import NAMES, Hyperparameters, check_names


@dataclass(frozen=True, kw_only=True)
class Settings(Hyperparameters):
    """All choices of a training: those of `zoo.training.Hyperparameters`, and what follows.

    Attributes:
        model: Registered name. For what is no picture, the default of `augment` is none.
        data: Name of the data set, as `zoo.data.load` takes it.
        weights: The weights to begin with: what `weights=` of `zoo.create_model` takes; None for random ones. The
            model then includes their preprocessing, and has the knobs that they need. Those of another run, whose
            folder is named, bring that run's.
        seed: Seed of initial weights, order, augmentation and dropout, 0 to 2**32 - 1.
        split_seed: Seed of the split into train, validation and test.
        fold: (k, n): training and validation examples together are divided into n parts, of which part k (0, 1, …) is
            the validation split, as `zoo.data.Dataset.fold` has it; None for the data's own split.
        target: Validation accuracy, 0 to 1, at which training ends; None for no target.
        max_minutes: Minutes after which training ends with the epoch; None for no limit.
        on_bad: What a broken file of a folder does: "raise", "skip" or "count".
        decoder: "exact", or "scaled" for photographs much larger than the network's input, as `Dataset.pipeline`
            takes it.
        recipe: For the record: name, title and URL of the recipe that the settings are from, and what was changed.
    """

    model: str
    data: str = "digits"
    weights: str | None = None
    seed: int = 0
    split_seed: int = 0
    fold: tuple[int, int] | None = None
    target: float | None = None
    max_minutes: float | None = None
    on_bad: OnBad = "raise"
    decoder: Decoder = "exact"
    recipe: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what no training can use, before any data is read."""
        super().__post_init__()
        if zoo.model_card(self.model).modality != "image" and self.augment == Hyperparameters.augment:
            object.__setattr__(self, "augment", "")
        check_knobs(self.model, self.knobs)
        self._check_auxiliary()
        data.Augmentation.parse(self.augment)
        if self.decoder not in DECODERS:
            raise ValueError(f'decoder must be "exact" or "scaled". Received: decoder={self.decoder!r}')
        for name in ("seed", "split_seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0. Received: {name}={getattr(self, name)}")
        if self.fold is not None and not 0 <= self.fold[0] < self.fold[1] >= 2:
            raise ValueError(f"fold is (k, n): part k, from 0 to n - 1, of n >= 2 parts. Received: fold={self.fold}")
        if self.target is not None and not 0 < self.target <= 1:
            raise ValueError(f"target must be above 0 and at most 1. Received: target={self.target}")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ValueError(f"max_minutes must be above 0, or None. Received: max_minutes={self.max_minutes}")
        if self.weights is not None and self.initializer != "own":
            raise ValueError(
                "initializer draws kernels anew, which would undo weights. Give one of them. "
                f"Received: initializer={self.initializer!r}, weights={str(self.weights)!r}"
            )
        if self.weights is not None and self.normalization != "own":
            raise ValueError(
                "Published weights see pictures as they did before. Leave out normalization. "
                f"Received: normalization={self.normalization!r}, weights={str(self.weights)!r}"
            )
        if self.batch_norm != "train" and self.weights is None:
            raise ValueError(
                "Only weights bring statistics of batch norms. Give weights, or leave out batch_norm. "
                f"Received: batch_norm={self.batch_norm!r}, weights=None"
            )
        smallest = smallest_size(self.model, self.knobs)
        if self.train_size is not None and min(self.train_size) < smallest:
            raise ValueError(
                f"{self.model} takes pictures of at least {smallest}x{smallest}. Received: train_size={self.train_size}"
            )

    def _check_auxiliary(self) -> None:
        """Auxiliary classifiers are there if and only if they are trained."""
        if self.knobs.get("aux"):
            raise ValueError("Give auxiliary_weight, such as 0.3, instead of the knob aux=True.")
        if self.auxiliary_weight:
            try:
                check_knobs(self.model, {"aux": True})
            except TypeError:
                raise ValueError(
                    f"{self.model} has no auxiliary classifiers. Received: auxiliary_weight={self.auxiliary_weight}"
                ) from None

    @classmethod
    def from_recipe(cls, recipe: "str | os.PathLike | training.Recipe", *, model: str, **changes: Any) -> "Settings":
        """The settings of a recipe for a model.

        Args:
            recipe: Name of a recipe, "paper" for that of the model's own paper, a `.json` or `.toml` file, or a
                `zoo.training.Recipe`.
            model: Registered name.
            **changes: Settings and hyper-parameters that differ from the recipe's; another number of `epochs` stretches
                the schedule with it (`zoo.training.Recipe.changed`). A knob with the value None is left out.

        Returns:
            The settings, with the recipe noted.

        Raises:
            ValueError: There is no such recipe or setting, or the model has not the knobs that the recipe sets.

        Example:
            >>> from zoo import runs
            >>> settings = runs.Settings.from_recipe("resnet_cifar", model="resnet20", epochs=91)
            >>> settings.schedule_options["milestones"], settings.recipe["changed"]
            ([45.5, 68.0], {'epochs': 91})
        """
        zoo.model_card(model)
        found = training.resolve_recipe(recipe, model)
        own = {item.name for item in fields(cls)} - set(NAMES)
        others = {name: value for name, value in changes.items() if name in own}
        numbers = check_names({name: value for name, value in changes.items() if name not in own})
        hyper = found.changed(**numbers).hyperparameters
        knobs = {name: value for name, value in hyper.knobs.items() if value is not None}
        try:
            check_knobs(model, knobs)
        except TypeError as error:
            if set(knobs) <= set(numbers.get("knobs", {})):
                raise
            raise ValueError(
                f"The recipe {found.name!r} sets {', '.join(knobs)}. {error} Leave a knob out by the value None: "
                "knobs={'drop_path': None}, or --set drop_path=None."
            ) from None
        record = {"name": found.name, "title": found.source.title, "url": found.source.url, "changed": numbers}
        values = {**{name: getattr(hyper, name) for name in NAMES}, "knobs": knobs, **others}
        return cls(model=model, recipe=record, **values)
