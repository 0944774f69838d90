"""Training: the step, the callbacks, the rules that end it."""

from zoo.training.callbacks import MetricsLog, ProgressBar, SaveBest, StopTraining
from zoo.training.checkpoints import Checkpoints, RunInUse
from zoo.training.devices import Devices, make_strategy
from zoo.training.freezing import Frozen, freeze, unfreeze
from zoo.training.seeds import seed_everything
from zoo.training.signals import Interruption
from zoo.training.stopping import NonFinite, Patience, Rule, Target, TimeBudget, all_of, any_of
from zoo.training.trainer import NonFiniteLossError, Trainer

__all__ = [
    "Checkpoints",
    "Devices",
    "Frozen",
    "Interruption",
    "MetricsLog",
    "NonFinite",
    "NonFiniteLossError",
    "Patience",
    "ProgressBar",
    "Rule",
    "RunInUse",
    "SaveBest",
    "StopTraining",
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
