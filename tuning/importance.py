"""Which hyper-parameters the score depends on: permutation importance on a random forest that is fitted to the trials.

Breiman, "Random Forests", Machine Learning 45, 2001, https://doi.org/10.1023/A:1010933404324, section 10. As in fANOVA
(Hutter et al. 2014, https://proceedings.mlr.press/v32/hutter14.html) the forest stands for the score as a function of
the configuration; the importance of a hyper-parameter is what the forest loses when its values are shuffled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.records import COMPLETED, Trial

# With fewer completed trials a forest finds what is not there.
FEWEST_TRIALS = 8
_TREES, _SHUFFLES = 200, 20


@dataclass(frozen=True)
class Importance:
    """What the score depends on.

    Attributes:
        names: Hyper-parameters, the most important first; "epochs" stands for the rungs.
        shares: Their parts of the importance of all, 0 to 1.
        deviations: Standard deviations of the shares over the shuffles.
        explained: Part of the variance that the forest predicts for trials that its trees have not seen, at most 1;
            near 0 or below, the shares say nothing.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    deviations: np.ndarray
    explained: float


def importance(trials: Sequence[Trial]) -> Importance | None:
    """The importance of the hyper-parameters.

    Args:
        trials: Finished trials; failed ones are left out.

    Returns:
        The importance; None with fewer than `FEWEST_TRIALS` completed trials, or when all have one score.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    done = [trial for trial in trials if trial.status == COMPLETED]
    scores = np.array([trial.score for trial in done], float)
    if len(done) < FEWEST_TRIALS or np.ptp(scores) == 0:
        return None
    names, columns = table(done)
    if not names:
        return None
    # Scores of a failed optimizer lie far from all others; their order is what a tuner learns from.
    ranks = scores.argsort(kind="stable").argsort() / (len(scores) - 1)
    forest = RandomForestRegressor(_TREES, min_samples_leaf=2, oob_score=True, random_state=0)
    forest.fit(columns, ranks)
    found = permutation_importance(forest, columns, ranks, n_repeats=_SHUFFLES, random_state=0)
    means = np.maximum(found.importances_mean, 0)
    total = means.sum() or 1.0
    order = np.argsort(-means, kind="stable")
    return Importance(
        tuple(names[index] for index in order), means[order] / total, found.importances_std[order] / total,
        float(forest.oob_score_),
    )  # fmt: skip


def table(trials: Sequence[Trial]) -> tuple[list[str], np.ndarray]:
    """The hyper-parameters that differ between trials, as numbers.

    Texts become their place in the alphabet; what is inactive in a trial lies below all values.

    Returns:
        The names, and an array (trials, names).
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.hyperparameters))
    rows: dict[str, list[float]] = {name: encoded([trial.hyperparameters.get(name) for trial in trials])
                                    for name in names}  # fmt: skip
    rows["epochs"] = [float(trial.values.get("tuner/epochs", 0)) for trial in trials]
    kept = [name for name, column in rows.items() if len(set(column)) > 1]
    return kept, np.array([rows[name] for name in kept], float).reshape(len(kept), len(trials)).T


def encoded(values: Sequence[Any]) -> list[float]:
    """Numbers as they are, texts by their place among all, None below all of them."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) for value in known):
        low = min(map(float, known), default=0.0)
        span = max(map(float, known), default=0.0) - low
        return [low - 0.1 * span - 1e-9 if value is None else float(value) for value in values]
    places = {text: place for place, text in enumerate(sorted(map(str, known)))}
    ranks = {text: place for place, text in enumerate(places)}
    return [-1.0 if value is None else float(ranks[str(value)]) for value in values]
