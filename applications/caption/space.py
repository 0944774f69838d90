"""What a search may change of a captioning network and its training, in keras-tuner's terms, and a random search."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from applications.caption import learning
from applications.caption.config import DEFAULT, Captioning
from tuning.spaces import declared
from zoo import files


def space(hp: Any, start: Captioning = DEFAULT) -> dict[str, Any]:
    """The space of a network that says sentences; its defaults are those of `start`.

    Args:
        hp: keras-tuner's hyper-parameters.
        start: The training without a search.

    Returns:
        Fields of `Captioning`.

    Example:
        >>> import keras_tuner
        >>> from applications.caption.space import space
        >>> space(keras_tuner.HyperParameters())["units"]
        96
    """
    found: dict[str, Any] = {
        "network": hp.Choice("network", ["gru", "transformer"], default=start.network),
        "units": hp.Choice("units", sorted({64, 128, 256, start.units}), default=start.units),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=start.dropout),
        "learning_rate": hp.Float("learning_rate", 3e-4, 1e-2, sampling="log", default=start.learning_rate),
        "weight_decay": hp.Float("weight_decay", 1e-6, 1e-2, sampling="log", default=start.weight_decay),
    }
    with hp.conditional_scope("network", ["transformer"]):
        if found["network"] == "transformer":
            found["blocks"] = hp.Int("blocks", 1, 4, default=start.blocks)
    return found


def draw(config: Captioning, number: int) -> dict[str, Any]:
    """Configuration number 0 is the defaults, each other one a draw by lot that depends on the seed and its number."""
    import keras_tuner

    known = declared(lambda hp: space(hp, config))
    if number:
        chance = np.random.default_rng([config.seed, number])
        known.values = {item.name: item.random_sample(int(chance.integers(2**31))) for item in known.space}
    hp = keras_tuner.HyperParameters()
    hp.values = dict(known.values)
    return space(hp, config)


def search(config: Captioning, folder: str | Path, *, trials: int) -> list[tuple[float, Mapping[str, Any]]]:
    """Train configurations by lot, the first of them the defaults, and score each on the validation split.

    Each trial is a run folder of its own, and its configuration a function of seed and number, so that a search that
    was interrupted goes on where it was, and one that has ended can be extended.

    Args:
        config: What is not searched.
        folder: Folder of the search; `best.json` in it has the best fields at the end.
        trials: Number of configurations.

    Returns:
        Part of the validation pictures that get one of their sentences, and the fields, best first.

    Raises:
        ValueError: The folder holds another search, or there is nothing to search.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1. Received: trials={trials}")
    if config.network == "embedding":
        raise ValueError("A search is for networks that say sentences, gru and transformer. Received: embedding")
    folder = Path(folder)
    validation = learning.load(config, "validation")
    found: list[tuple[float, Mapping[str, Any]]] = []
    for number in range(trials):
        fields = draw(config, number)
        run = learning.train(dataclasses.replace(config, **fields), folder / f"trial_{number:04d}")
        found.append((run.evaluate(validation)["exact"], fields))
        keras.utils.clear_session(free_memory=True)
    found.sort(key=lambda pair: -pair[0])
    files.write_json(folder / "best.json", {"exact": found[0][0], **found[0][1]})
    return found
