"""Training: the step, the callbacks, the rules that end it."""

from zoo.training.callbacks import MetricsLog, ProgressBar, SaveBest, StopTraining
from zoo.training.checkpoints import Checkpoints, RunInUse
from zoo.training.devices import Devices, make_strategy
from zoo.training.early_stopping import EarlyStopping
from zoo.training.freezing import Frozen, freeze, unfreeze
from zoo.training.hyperparameters import Hyperparameters
from zoo.training.initialisers import initialise
from zoo.training.losses import Accuracy, BinaryCrossEntropy, CrossEntropy
from zoo.training.optimizers import LAMB, LARS, NovoGrad, TorchSGD
from zoo.training.parameter_groups import ParameterGroups, parameter_groups, with_groups
from zoo.training.recipes import (
    Recipe,
    list_recipes,
    paper_recipe,
    read_recipe,
    recipe,
    register_recipe,
    resolve_recipe,
)
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
    "LAMB",
    "LARS",
    "Accuracy",
    "BinaryCrossEntropy",
    "Checkpoints",
    "CrossEntropy",
    "Devices",
    "Divergence",
    "EarlyStopping",
    "ExampleBudget",
    "FlagFile",
    "Frozen",
    "GeneralisationGap",
    "GeneralisationLoss",
    "Hyperparameters",
    "Interruption",
    "LearningRateFloor",
    "MetricsLog",
    "NonFinite",
    "NonFiniteLossError",
    "NotBefore",
    "NovoGrad",
    "ParameterGroups",
    "Patience",
    "PlateauSlope",
    "ProgressBar",
    "ProgressQuotient",
    "Recipe",
    "Rule",
    "RunInUse",
    "SaveBest",
    "StepBudget",
    "StopTraining",
    "SuccessiveRises",
    "Target",
    "TimeBudget",
    "TorchSGD",
    "Trainer",
    "all_of",
    "any_of",
    "freeze",
    "initialise",
    "list_recipes",
    "make_strategy",
    "paper_recipe",
    "parameter_groups",
    "read_recipe",
    "recipe",
    "register_recipe",
    "resolve_recipe",
    "seed_everything",
    "unfreeze",
    "with_groups",
]
