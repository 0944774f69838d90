"""A search for a better segmentation: keras-tuner over what a training is told, by mean IoU on validation scenes."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from applications.segment import learning, scenes
from applications.segment.config import Segmentation

OBJECTIVE = "val_mean_iou"


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


class _BaseFirst(keras_tuner.oracles.RandomSearchOracle):
    """By lot, but for the first trial, which has the defaults."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if not self.start_order:
            return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": self.hyperparameters.values}
        return super().populate_space(trial_id)


class _Tuner(keras_tuner.Tuner):
    """Trains by `applications.segment.learning` instead of `fit`."""

    def __init__(self, base: Segmentation, **options: Any) -> None:
        self._base = base
        super().__init__(**options)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        config = dataclasses.replace(self._base, **space(trial.hyperparameters, self._base))
        model, _ = learning.train(config, Path(self.get_trial_dir(trial.trial_id)) / "run")
        part = scenes.load(config.data, "validation", size=config.size, seed=config.seed)
        return {OBJECTIVE: learning.evaluate(model, config, part).mean_iou}

    def load_model(self, trial: Any) -> Any:
        return learning.open_run(Path(self.get_trial_dir(trial.trial_id)) / "run")[0]


def search(
    base: Segmentation, folder: Path, *, trials: int = 10, seed: int = 0, tell: Callable[[str], None] = print
) -> tuple[Segmentation, float]:
    """Try configurations by lot, the base first; what was interrupted in the folder goes on.

    Args:
        base: The training that all take after.
        folder: Of the search; each trial has its run folder in it.
        trials: How many.
        seed: Of the lots.
        tell: Is told each trial.

    Returns:
        The best training, and its mean IoU on the validation scenes.

    Raises:
        ValueError: There is no trial to make, or the network is none that is searched.
    """
    if trials < 1:
        raise ValueError(f"A search has at least one trial. Received: trials={trials}")
    if base.network not in ("fcn", "unet_over"):
        raise ValueError(f"A search is about fcn and unet_over, over a body. Received: {base.network!r}")

    def declared(hp: Any) -> Any:
        space(hp, base)

    tuner = _Tuner(
        base,
        hypermodel=_Space(declared),
        oracle=_BaseFirst(objective=keras_tuner.Objective(OBJECTIVE, "max"), max_trials=trials, seed=seed),
        overwrite=False,
        directory=str(folder),
        project_name="segment",
    )
    tuner.search()
    every: Mapping[str, Any] = tuner.oracle.trials
    for name, trial in sorted(every.items()):
        if trial.score is not None:
            values = ", ".join(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
                               for key, value in trial.hyperparameters.values.items())  # fmt: skip
            tell(f"trial {name}: mean IoU {trial.score:.3f} on validation; {values}")
    best = tuner.oracle.get_best_trials(1)[0]
    return dataclasses.replace(base, **space(best.hyperparameters, base)), float(best.score)


class _Space(keras_tuner.HyperModel):
    """Declares the hyper-parameters; the network is built where it is trained."""

    def __init__(self, declare: Callable[[Any], Any]) -> None:
        super().__init__()
        self._declare = declare

    def build(self, hp: Any) -> Any:
        self._declare(hp)
