"""What a search may change of a captioning network and its training, in keras-tuner's terms, and a random search."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from applications.caption import learning
from applications.caption.config import DEFAULT, Captioning
from tuning import by_lot


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
    return by_lot.draw(lambda hp: space(hp, config), number, seed=config.seed)


def search(config: Captioning, folder: str | Path, *, trials: int) -> list[tuple[float, Mapping[str, Any]]]:
    """Train configurations by lot, the first of them the defaults, and score each on the validation split.

    Args:
        config: What is not searched.
        folder: Folder of the search, with a run folder for each trial; what was interrupted goes on.
        trials: Number of configurations.

    Returns:
        Part of the validation pictures that get one of their sentences, and the fields, best first.

    Raises:
        ValueError: The folder holds another search, or there is nothing to search.
    """
    if config.network == "embedding":
        raise ValueError("A search is for networks that say sentences, gru and transformer. Received: embedding")

    def exact(fields: Mapping[str, Any], trial: Path) -> float:
        run = learning.train(dataclasses.replace(config, **fields), trial)
        return run.evaluate(learning.load(config, "validation"))["exact"]

    return by_lot.search(
        lambda hp: space(hp, config), exact, folder, base=dataclasses.asdict(config), trials=trials, seed=config.seed,
        metric="exact",
    )  # fmt: skip
