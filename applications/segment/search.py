"""A search for a better segmentation, by lot over what a training is told, by mean IoU on validation scenes."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from applications.segment import learning, scenes
from applications.segment.config import Segmentation
from tuning import by_lot


def space(hp: Any, base: Segmentation) -> dict[str, Any]:
    """What a search changes of a training.

    Args:
        hp: keras-tuner's hyper-parameters.
        base: The training; its own values are the defaults.

    Returns:
        Fields of `Segmentation`.
    """
    counts = list(range(1, len(base.levels) + 1))
    return {
        "network": hp.Choice("network", ["fcn", "unet_over"], default=base.network),
        "levels": base.levels[: hp.Choice("levels", counts, default=counts[-1])],
        "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log", default=base.learning_rate),
        "weight_decay": hp.Float("weight_decay", 1e-5, 1e-2, sampling="log", default=base.weight_decay),
        "foreground": hp.Float("foreground", 1.0, 4.0, step=0.5, default=base.foreground),
        "batch_size": hp.Choice("batch_size", [16, 32, 64], default=base.batch_size),
    }


def search(
    base: Segmentation, folder: Path, *, trials: int = 10, seed: int = 0, tell: Callable[[str], None] = print
) -> tuple[Segmentation, float]:
    """Try configurations by lot, the base first; what was interrupted in the folder goes on.

    Args:
        base: The training that all take after.
        folder: Of the search; each trial has its run folder in it.
        trials: How many.
        seed: Of the lots.
        tell: Is told each trial, best first.

    Returns:
        The best training, and its mean IoU on the validation scenes.

    Raises:
        ValueError: There is no trial to make, the network is none that is searched, or the folder holds another search.
    """
    if base.network not in ("fcn", "unet_over"):
        raise ValueError(f"A search is about fcn and unet_over, over a body. Received: {base.network!r}")

    def mean_iou(fields: Mapping[str, Any], trial: Path) -> float:
        config = dataclasses.replace(base, **fields)
        model, _ = learning.train(config, trial)
        part = scenes.load(config.data, "validation", size=config.size, seed=config.seed)
        return float(learning.evaluate(model, config, part).mean_iou)

    found = by_lot.search(
        lambda hp: space(hp, base), mean_iou, folder, base=dataclasses.asdict(base), trials=trials, seed=seed,
        metric="mean_iou",
    )  # fmt: skip
    for score, fields in found:
        values = ", ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in fields.items()
        )
        tell(f"mean IoU {score:.3f} on validation; {values}")
    score, fields = found[0]
    return dataclasses.replace(base, **{**fields, "levels": tuple(fields["levels"])}), score
