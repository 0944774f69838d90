"""A search by lot over the fields of an application's training, for what is no classification by `zoo train`.

Each configuration is a function of seed and number: a search that was interrupted goes on where it was, one that has
ended can be extended, and the same search finds the same.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tuning.spaces import declared
from zoo import files

Space = Callable[[Any], dict[str, Any]]

BASE = "base.json"


def draw(space: Space, number: int, *, seed: int = 0) -> dict[str, Any]:
    """Configuration number 0 is the defaults, each other one a draw by lot that depends on the seed and its number.

    Args:
        space: From keras-tuner's hyper-parameters to values by name.
        number: From 0 on.
        seed: Of the lots.

    Returns:
        What the space makes of the values drawn.

    Example:
        >>> from tuning import by_lot
        >>> by_lot.draw(lambda hp: {"units": hp.Choice("units", [16, 32], default=32)}, 0)
        {'units': 32}
    """
    import keras_tuner

    known = declared(space)
    if number:
        chance = np.random.default_rng([seed, number])
        known.values = {item.name: item.random_sample(int(chance.integers(2**31))) for item in known.space}
    hp = keras_tuner.HyperParameters()
    hp.values = dict(known.values)
    return space(hp)


def search(
    space: Space,
    score: Callable[[Mapping[str, Any], Path], float],
    folder: str | Path,
    *,
    base: Mapping[str, Any],
    trials: int,
    seed: int = 0,
    metric: str = "score",
) -> list[tuple[float, Mapping[str, Any]]]:
    """Try configurations by lot, the first of them the defaults.

    Args:
        space: As for `draw`.
        score: From a configuration and the trial's folder, which an interrupted trial may have begun, to how good it is
            on validation data; more is better.
        folder: Folder of the search. Each trial leaves `trial_NUMBER.json` and is not tried again; `best.json` has the
            best configuration at the end.
        base: What all trials have in common, as plain JSON, such as the fields of the training that is searched; it is
            kept beside the trials.
        trials: Number of configurations.
        seed: Of the lots.
        metric: Name of the score in the files.

    Returns:
        Scores and configurations, best first.

    Raises:
        ValueError: There is nothing to try, or the folder holds another search.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1. Received: trials={trials}")
    folder, common = Path(folder), json.loads(json.dumps(base))
    _refuse_other(folder, common)
    found: list[tuple[float, Mapping[str, Any]]] = []
    for number in range(trials):
        drawn = draw(space, number, seed=seed)
        fields = json.loads(json.dumps(drawn))  # as the record has it
        name = f"trial_{number:04d}"
        record = folder / f"{name}.json"
        known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
        if known is not None and known["values"] != fields:
            raise ValueError(f"{folder} holds another search: {name} was {known['values']}. Received: {fields}. Give "
                             "another folder.")  # fmt: skip
        if known is None:
            known = {metric: score(drawn, folder / name), "values": fields}
            folder.mkdir(parents=True, exist_ok=True)
            files.write_json(folder / BASE, common)
            files.write_json(record, known)
            keras.utils.clear_session(free_memory=True)
        found.append((known[metric], fields))
    found.sort(key=lambda pair: -pair[0])
    files.write_json(folder / "best.json", {metric: found[0][0], **found[0][1]})
    return found


def _refuse_other(folder: Path, base: Mapping[str, Any]) -> None:
    """Refuse a folder whose trials have something else in common, or do not say what."""
    there = folder / BASE
    if there.exists():
        known = json.loads(there.read_text(encoding="utf-8"))
        names = [name for name in {**known, **base} if known.get(name) != base.get(name)]
        if names:
            was, now = ({name: facts.get(name) for name in names} for facts in (known, base))
            raise ValueError(f"{folder} holds another search: {BASE} has {was}. Received: {now}. Give another folder.")
    elif any(folder.glob("trial_*.json")):
        raise ValueError(f"{folder} holds trials without a {BASE}, which would say what of. Give another folder.")
