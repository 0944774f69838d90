"""What a search is told, and what that makes of a trial's values."""

import dataclasses
import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuning import spaces
from tuning.records import COSTS, FORMAT
from zoo.messages import some
from zoo.runs import Settings
from zoo.training.hyperparameters import ALIASES, NAMES

TUNERS = ("random", "grid", "bayesian", "hyperband", "successive_halving", "tpe")
OBJECTIVES = ("val_accuracy", "val_loss", "accuracy", "loss")

# Of these the number of trials decides which brackets there are, so that it cannot change later.
IN_RUNGS = ("hyperband", "successive_halving")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides what the trials of a search are; what may change from one session to the next is left out.

    Attributes:
        model: Registered name.
        data: Name of the data set, as `zoo.data.load` takes it.
        space: A part of `tuning.spaces.PARTS`, or "module:function".
        tuner: One of `TUNERS`.
        objective: One of `OBJECTIVES`, of the epoch with the lowest validation loss.
        limits: Ceilings of "params", "macs" and "latency_ms": a network above one is not trained.
        seed: Seed of the search; trial N trains with seed + N.
        recipe: Name or file of the recipe that the trials start from, or None.
        settings: Settings of all trials that the space leaves alone.
        trials: Number of configurations, for tuners that train in rungs; else None, as a search may be extended.
        factor: Of how many trials of a rung one goes on, in rungs.
        pareto: "params", "macs" or "latency_ms": what the search makes small beside the objective, for "tpe"; or None.
    """

    model: str
    data: str = "digits"
    space: str = "all"
    tuner: str = "random"
    objective: str = "val_accuracy"
    limits: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    recipe: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    factor: int = 3
    pareto: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no search can use, before any data is read."""
        for name, known in (("tuner", TUNERS), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {_any_of(known)}. Received: {name}={getattr(self, name)!r}")
        for name, limit in self.limits.items():
            if name not in COSTS or not limit > 0:
                raise ValueError(
                    f"limits are numbers above 0 for {_any_of(COSTS)}. Received: limits={dict(self.limits)}"
                )
        if self.tuner == "tpe" and importlib.util.find_spec("optuna") is None:
            raise ValueError("tuner='tpe' needs Optuna: pip install 'cnn-zoo[optuna]'.")
        if self.pareto is not None and (self.pareto not in COSTS or self.tuner != "tpe"):
            raise ValueError(
                f"pareto must be {_any_of(COSTS)}, and needs tuner='tpe'. Received: pareto={self.pareto!r}, "
                f"tuner={self.tuner!r}"
            )
        if self.factor < 2:
            raise ValueError(f"factor must be at least 2. Received: factor={self.factor}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2**31 - 1. Received: seed={self.seed}")
        object.__setattr__(self, "settings", {ALIASES.get(name, name): value for name, value in self.settings.items()})
        legal = {item.name for item in dataclasses.fields(Settings)} - {"model", "data", "recipe"}
        if unknown := [name for name in self.settings if name not in legal]:
            raise ValueError(f"There is no setting {some(unknown)}. There are: {', '.join(sorted(legal))}.")
        if "seed" in self.settings:
            raise ValueError("Each trial has a seed of its own, from the seed of the search. Leave it out of settings.")
        self.base  # noqa: B018  raises where the settings do not fit
        self._refuse_double()
        # The default configuration is the first trial of most searches.
        self.training({})

    def _refuse_double(self) -> None:
        """What is set for all trials cannot be searched as well."""
        import keras_tuner

        searched = self._space(keras_tuner.HyperParameters())
        if not isinstance(searched, Mapping):
            raise ValueError(f"A space returns a dict of settings. Received: {searched!r}")
        knobs = set(self.settings.get("knobs", {})) & set(searched.get("knobs", {}))
        double = [*sorted(knobs), *sorted(set(self.settings) & set(searched) - {"knobs"})]
        if double:
            raise ValueError(
                f"{some(double)}: searched by the space {self.space!r} and set for all trials. Leave out the setting, "
                'or choose another space: "model", "training" or a function of yours.'
            )

    @functools.cached_property
    def base(self) -> Settings:
        """The settings that every trial starts from."""
        if self.recipe is None:
            return Settings(model=self.model, data=self.data, **self.settings)
        return Settings.from_recipe(self.recipe, model=self.model, data=self.data, **self.settings)

    @functools.cached_property
    def _space(self) -> spaces.Space:
        """The space, about the recipe where there is one."""
        return spaces.space(self.model, self.space, start=self.base if self.recipe else None)

    @property
    def measures_latency(self) -> bool:
        """Whether each trial's network is timed."""
        return "latency_ms" in (*self.limits, self.pareto)

    def training(self, values: Mapping[str, Any], number: int = 0) -> Settings:
        """The training of a configuration.

        Args:
            values: Values of hyper-parameters, by name; those that are left out have their defaults.
            number: Number of the configuration.

        Returns:
            The settings.

        Raises:
            ValueError: The space gives what is no setting, or a value that no training can use.
        """
        import keras_tuner

        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        found = dict(self._space(hp))
        if unknown := [name for name in found if name not in ("model", *NAMES)]:
            raise ValueError(f"The space gives {some(unknown)}, which is no hyper-parameter and not model or knobs.")
        base = self.base
        knobs = {**base.knobs, **found.pop("knobs", {})}
        seed = (self.seed + number) % 2**32
        return dataclasses.replace(base, **found, knobs=knobs, seed=seed, recipe=None)

    def declared(self) -> Any:
        """All hyper-parameters of the space with their defaults, as `keras_tuner.HyperParameters`."""
        return self._declared.copy()

    @functools.cached_property
    def _declared(self) -> Any:
        return spaces.declared(self._space)

    def to_json(self) -> dict[str, Any]:
        """What `search.json` holds.

        It says what the space is, and what the trials start from, so that another version's space and a recipe that was
        changed are noticed.
        """
        space = self.declared().get_config()["space"]
        text = json.dumps(space, sort_keys=True)
        plan = {**dataclasses.asdict(self), "hyperparameters": hashlib.sha256(text.encode()).hexdigest()[:16]}
        plan["base"] = {name: getattr(self.base, name) for name in NAMES}
        return json.loads(json.dumps({"format": FORMAT, **plan}))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Plan":
        """The plan of a `search.json`."""
        names = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in names})


def _any_of(names: tuple[str, ...]) -> str:
    quoted = [repr(name) for name in names]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
