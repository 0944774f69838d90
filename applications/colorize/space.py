"""What a search may change of a network that colours and of its training, by keras-tuner, and a search by lot."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from applications.colorize import learning, pictures, scores
from applications.colorize.config import DEFAULT, Colorization
from tuning import by_lot


def space(hp: Any, start: Colorization = DEFAULT) -> dict[str, Any]:
    """The space of a training; its defaults are those of `start`.

    Args:
        hp: keras-tuner's hyper-parameters.
        start: The training without a search.

    Returns:
        Fields of `Colorization`.

    Example:
        >>> import keras_tuner
        >>> from applications.colorize.space import space
        >>> space(keras_tuner.HyperParameters())["filters"]
        64
    """
    found: dict[str, Any] = {
        "filters": hp.Choice("filters", sorted({32, 64, 128, start.filters}), default=start.filters),
        "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log", default=start.learning_rate),
        "weight_decay": hp.Float("weight_decay", 1e-6, 1e-2, sampling="log", default=start.weight_decay),
        "batch_size": hp.Choice("batch_size", sorted({16, 32, 64, start.batch_size}), default=start.batch_size),
    }
    if start.target == "classes":
        found["mixing"] = hp.Choice("mixing", sorted({0.25, 0.5, 0.75, 1.0, start.mixing}), default=start.mixing)
        found["temperature"] = hp.Float("temperature", 0.1, 1.0, default=start.temperature)
    return found


def draw(config: Colorization, number: int) -> dict[str, Any]:
    """Configuration number 0 is the defaults, each other one a draw by lot that depends on the seed and its number."""
    return by_lot.draw(lambda hp: space(hp, config), number, seed=config.seed)


def search(config: Colorization, folder: str | Path, *, trials: int) -> list[tuple[float, Mapping[str, Any]]]:
    """Train configurations by lot, the first of them the defaults, and score each on the validation split.

    Args:
        config: What is not searched.
        folder: Folder of the search, with a run folder for each trial; what was interrupted goes on.
        trials: Number of configurations.

    Returns:
        The paper's accuracy on the validation split, and the fields, best first.

    Raises:
        ValueError: The folder holds another search, or there is nothing to search.
    """

    def accuracy(fields: Mapping[str, Any], trial: Path) -> float:
        chosen = dataclasses.replace(config, **fields)
        known, looked_at = (
            pictures.load(
                config.data, split, count=config.count, size=config.size, shorter_side=config.shorter_side,
                seed=config.seed,
            )
            for split in ("train", "validation")
        )  # fmt: skip
        colourist = learning.Colourist(learning.train(chosen, trial), chosen)
        return float(scores.table(looked_at, known, [("", colourist)], [chosen.temperature])[-1].accuracy)

    return by_lot.search(
        lambda hp: space(hp, config), accuracy, folder, base=dataclasses.asdict(config), trials=trials,
        seed=config.seed, metric="accuracy",
    )  # fmt: skip
