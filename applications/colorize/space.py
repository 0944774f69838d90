"""What a search may change of a network that colours and of its training, by keras-tuner, and a search by lot."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from applications.colorize import learning, pictures, scores
from applications.colorize.config import DEFAULT, Colorization
from tuning.spaces import declared
from zoo import files


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
    import keras_tuner

    known = declared(lambda hp: space(hp, config))
    if number:
        chance = np.random.default_rng([config.seed, number])
        known.values = {item.name: item.random_sample(int(chance.integers(2**31))) for item in known.space}
    hp = keras_tuner.HyperParameters()
    hp.values = dict(known.values)
    return space(hp, config)


def search(config: Colorization, folder: str | Path, *, trials: int) -> list[tuple[float, Mapping[str, Any]]]:
    """Train configurations by lot, the first of them the defaults, and score each on the validation split.

    Each trial is a run folder of its own, and its configuration a function of seed and number, so that a search that
    was interrupted goes on where it was, and one that has ended can be extended.

    Args:
        config: What is not searched.
        folder: Folder of the search; `best.json` in it has the best fields at the end.
        trials: Number of configurations.

    Returns:
        The paper's accuracy on the validation split, and the fields, best first.

    Raises:
        ValueError: A trial's folder holds another training, or there is nothing to search.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1. Received: trials={trials}")
    folder = Path(folder)
    known, looked_at = (
        pictures.load(
            config.data, split, count=config.count, size=config.size, shorter_side=config.shorter_side, seed=config.seed
        )
        for split in ("train", "validation")
    )
    found: list[tuple[float, Mapping[str, Any]]] = []
    for number in range(trials):
        fields = draw(config, number)
        chosen = dataclasses.replace(config, **fields)
        colourist = learning.Colourist(learning.train(chosen, folder / f"trial_{number:04d}"), chosen)
        rows = scores.table(looked_at, known, [("", colourist)], [chosen.temperature])
        found.append((rows[-1].accuracy, fields))
        keras.utils.clear_session(free_memory=True)
    found.sort(key=lambda pair: -pair[0])
    files.write_json(folder / "best.json", {"accuracy": found[0][0], **found[0][1]})
    return found
