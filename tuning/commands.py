"""The command `zoo tune`, which joins through the entry-point group `zoo.commands`."""

import argparse
import json
import sys
from typing import Any

from zoo.cli import knob as _knob
from zoo.cli import parse_devices as _devices

# What `tuning.plan` and `tuning.spaces` take; said here again, as help comes before TensorFlow is imported.
TUNERS = ("random", "grid", "bayesian", "hyperband", "successive_halving", "tpe")
OBJECTIVES = ("val_accuracy", "val_loss", "accuracy", "loss")
COSTS = ("params", "macs", "latency_ms")


def add_tune(commands: Any) -> None:
    """Add `zoo tune` to the subparsers of `zoo`."""
    parser = commands.add_parser("tune", help="search for hyper-parameters, write a leaderboard, a recipe and a report")
    add = parser.add_argument
    add("model", help="registered name")
    add("--data", default="digits", help="digits, tfds:NAME or folder:PATH (default: digits)")
    add("--out", required=True, metavar="DIR", help="folder of the search; one that was begun there goes on")
    add("--space", default="all", metavar="PART",
        help='what is searched: model, training, all, free (the layers of plain_cnn), or "module:function" (default: '
             "all)")  # fmt: skip
    add("--tuner", choices=TUNERS, default="random", metavar="NAME",
        help=f"{', '.join(TUNERS)}; tpe needs Optuna (default: random)")  # fmt: skip
    add("--objective", choices=OBJECTIVES, default="val_accuracy", metavar="NAME",
        help=f"{', '.join(OBJECTIVES)}, of the epoch with the lowest validation loss "
             "(default: val_accuracy)")  # fmt: skip
    add("--at-most", dest="limits", type=_limit, action="append", default=[], metavar="COST=NUMBER",
        help="train no network above this: params=1e5, macs=2e6 or latency_ms=5 (milliseconds a picture); may be "
             "repeated (default: no ceiling)")  # fmt: skip
    add("--trials", type=int, default=20, metavar="N", help="number of configurations to try (default: 20)")
    add("--budget", type=float, metavar="MINUTES", help="begin no trial after so many minutes (default: no limit)")
    add("--epochs", type=int, metavar="N",
        help="largest number of epochs of a trial (default: the recipe's, else 150)")  # fmt: skip
    add("--factor", type=int, default=3, metavar="N",
        help="hyperband and successive halving: of so many trials of a rung one goes on (default: 3)")  # fmt: skip
    add("--pareto", choices=COSTS, metavar="COST",
        help="search for the best at every cost, params, macs or latency_ms: two objectives, for tpe "
             "(default: the objective alone)")  # fmt: skip
    add("--finalists", type=int, default=0, metavar="N",
        help="train the best N configurations, and the defaults, to their end on each fold; the highest mean wins "
             "(default: 0, no final round)")  # fmt: skip
    add("--folds", type=int, default=5, metavar="N", help="folds of the final round (default: 5)")
    add("--seed", type=int, default=0, help="seed of the search; trial N trains with seed + N (default: 0)")
    add("--workers", type=int, default=1, metavar="N",
        help="processes of this machine that train trials at the same time (default: 1)")  # fmt: skip
    add("--devices", type=_devices, default="auto", metavar="N|LIST",
        help="devices of each trial, as zoo train takes them (default: all GPUs, else the processor)")  # fmt: skip
    add("--recipe", metavar="NAME|FILE", help="recipe that the trials start from (default: none)")
    add("--set", dest="values", type=_knob, action="append", default=[], metavar="NAME=VALUE",
        help="a hyper-parameter, a setting or an argument of the model's family for all trials, such as lr=0.05 or "
             "patience=5; may be repeated (default: none)")  # fmt: skip
    add("--json", action="store_true", help="print the best trial as JSON")
    parser.set_defaults(run=_tune)


def _limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if name not in COSTS or not value > 0:
        raise argparse.ArgumentTypeError(f"expected {', '.join(COSTS)}=NUMBER, a number above 0; received {text!r}")
    return name, value


def _tune(arguments: argparse.Namespace) -> None:
    import dataclasses
    import shlex

    from zoo import runs
    from zoo.training.hyperparameters import ALIASES

    known = {field.name for field in dataclasses.fields(runs.Settings)} | set(ALIASES)
    settings = {name: value for name, value in arguments.values if name in known}
    if knobs := {name: value for name, value in arguments.values if name not in known}:
        settings["knobs"] = knobs
    if arguments.epochs is not None:
        settings["epochs"] = arguments.epochs
    _require_engine(arguments.tuner)
    import tuning

    found = tuning.search(
        arguments.model,
        arguments.data,
        out=arguments.out,
        space=arguments.space,
        tuner=arguments.tuner,
        objective=arguments.objective,
        limits=dict(arguments.limits),
        trials=arguments.trials,
        budget=None if arguments.budget is None else 60 * arguments.budget,
        seed=arguments.seed,
        workers=arguments.workers,
        factor=arguments.factor,
        pareto=arguments.pareto,
        finalists=arguments.finalists,
        folds=arguments.folds,
        devices=arguments.devices,
        recipe=arguments.recipe,
        **settings,
    )
    best = found.best
    if arguments.json:
        print(json.dumps({"trial": best.id, "score": best.score, **dataclasses.asdict(best)}))
        return
    from tuning.finals import summary

    if finals := summary(found):
        print(finals)
    if arguments.pareto:
        for trial in found.pareto(arguments.pareto):
            cost = f"{trial.costs[arguments.pareto]:,.6g}"
            print(f"front: trial {trial.id}, {found.objective} {trial.score:.4f}, {arguments.pareto} {cost}")
    print(f"best: trial {best.id}, {found.objective} {best.score:.4f}, {best.epochs} epochs")
    print(", ".join(f"{name}={value}" for name, value in best.hyperparameters.items()))
    print(f"train it again and test it: {shlex.join(found.command())}")
    print(found.folder / "report.html")


def _require_engine(tuner: str) -> None:
    """Say in one line what has to be installed."""
    import importlib.util

    needed = {"keras_tuner": "tune", **({"optuna": "optuna"} if tuner == "tpe" else {})}
    for module, extra in needed.items():
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"zoo tune needs {module}: pip install 'cnn-zoo[{extra}]' ({sys.executable})")
