"""Training: the step, the callbacks, the rules that end it."""

from zoo.training.callbacks import MetricsLog, ProgressBar, SaveBest, StopTraining
from zoo.training.checkpoints import Checkpoints, RunInUse
from zoo.training.devices import Devices, make_strategy
from zoo.training.early_stopping import EarlyStopping
from zoo.training.freezing import Frozen, freeze, unfreeze
from zoo.training.seeds import seed_everything
from zoo.training.signals import Interruption
from zoo.training.stopping import (
    Divergence,
    ExampleBudget,
    FlagFile,
    GeneralisationGap,
    GeneralisationLoss,
    LearningRateFloor,
    NonFinite,
    NotBefore,
    Patience,
    PlateauSlope,
    ProgressQuotient,
    Rule,
    StepBudget,
    SuccessiveRises,
    Target,
    TimeBudget,
    all_of,
    any_of,
)
from zoo.training.trainer import NonFiniteLossError, Trainer

__all__ = [
    "Checkpoints",
    "Devices",
    "Divergence",
    "EarlyStopping",
    "ExampleBudget",
    "FlagFile",
    "Frozen",
    "GeneralisationGap",
    "GeneralisationLoss",
    "Interruption",
    "LearningRateFloor",
    "MetricsLog",
    "NonFinite",
    "NonFiniteLossError",
    "NotBefore",
    "Patience",
    "PlateauSlope",
    "ProgressBar",
    "ProgressQuotient",
    "Rule",
    "RunInUse",
    "SaveBest",
    "StepBudget",
    "StopTraining",
    "SuccessiveRises",
    "Target",
    "TimeBudget",
    "Trainer",
    "all_of",
    "any_of",
    "freeze",
    "make_strategy",
    "seed_everything",
    "unfreeze",
]
