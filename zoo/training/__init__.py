"""Training: the step, the callbacks, the rules that end it."""

from zoo.training.callbacks import MetricsLog, ProgressBar, SaveBest, StopTraining
from zoo.training.early_stopping import EarlyStopping
from zoo.training.freezing import Frozen, freeze, unfreeze
from zoo.training.seeds import seed_everything
from zoo.training.stopping import NonFinite, Patience, Rule, Target, TimeBudget, all_of, any_of
from zoo.training.trainer import Trainer

__all__ = [
    "EarlyStopping",
    "Frozen",
    "MetricsLog",
    "NonFinite",
    "Patience",
    "ProgressBar",
    "Rule",
    "SaveBest",
    "StopTraining",
    "Target",
    "TimeBudget",
    "Trainer",
    "all_of",
    "any_of",
    "freeze",
    "seed_everything",
    "unfreeze",
]
