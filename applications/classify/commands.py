"""The subcommand `zoo finetune`."""

import argparse
from pathlib import Path
from typing import Any

from zoo.cli import knob
from zoo.messages import DATA_FORMS

METHODS = "finetune, linear, knn, scratch, pixels_svm, pixels_knn"


class _ActionOrBody(argparse._SubParsersAction):
    """`zoo finetune BODY …` is `zoo finetune train BODY …`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        vars(self)["choices"] = None  # any word may be a body's name

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        words = list(values)
        super().__call__(parser, namespace, words if words[0] in self._name_parser_map else ["train", *words])


def add(commands: Any) -> None:
    """Add `finetune` to the command line."""
    parser = commands.add_parser("finetune", help="train a trained network on for classes of one's own; probes, curves")
    actions = parser.add_subparsers(
        dest="action", metavar="BODY[:WEIGHTS]|ACTION", required=True, action=_ActionOrBody,
        help="resnet50:torchvision.v2 (published weights), resnet20:runs/x or runs/x (those of a run), resnet20:none; "
             "or what else to do",
    )  # fmt: skip
    action = actions.add_parser("train", help="BODY: the head alone, then everything; or a probe (the default action)")
    _add_training(action)
    action.add_argument("--probe", choices=("linear", "knn"),
        help="train nothing: logistic regression or nearest neighbours on the body's features")  # fmt: skip
    action.add_argument("--overwrite", action="store_true", help="delete the run that the folder holds")
    action.set_defaults(run=_train)
    action = actions.add_parser("curve", help="BODY: accuracy by the number of pictures, against scratch and pixels")
    _add_training(action)
    action.add_argument("--pretrain", metavar="SOURCE",
        help="data of other classes, on which BODY:none is trained first (default: the weights of BODY)")  # fmt: skip
    action.add_argument("--pretrain-set", dest="pretrain_values", type=knob, action="append", default=[],
        metavar="NAME=VALUE", help="a hyper-parameter of that training; may be repeated (default: none)")  # fmt: skip
    action.add_argument("--counts", type=_numbers, metavar="N,N,…",
        help="training pictures of each class (default: 5,10,50)")  # fmt: skip
    action.add_argument("--seeds", type=int, metavar="N", help="draws for each number (default: 5)")
    action.add_argument("--methods", metavar="A,B,…", help=f"of {METHODS} (default: all)")
    action.set_defaults(run=_curve)
    action = actions.add_parser("imbalance", help="BODY: remedies for rare classes, against none")
    _add_training(action)
    action.add_argument("--seeds", type=int, metavar="N", help="trainings of each remedy (default: 3)")
    action.set_defaults(run=_imbalance)
    action = actions.add_parser("rate", help="BODY: find a learning rate by one short training in which it rises")
    _add_training(action)
    action.add_argument("--low", type=float, default=1e-6, metavar="RATE", help="first rate (default: 1e-6)")
    action.add_argument("--high", type=float, default=1.0, metavar="RATE", help="last rate (default: 1)")
    action.add_argument("--steps", type=int, metavar="N", help="number of batches (default: 100)")
    action.set_defaults(run=_rate)
    action = actions.add_parser(
        "calibrate", help="RUN: choose a temperature, draw how far probabilities can be believed"
    )
    action.add_argument("folder", metavar="RUN", help="run folder")
    action.set_defaults(run=_calibrate)
    action = actions.add_parser("views", help="RUN: answers averaged over several views of each picture")
    action.add_argument("folder", metavar="RUN", help="run folder")
    action.add_argument("--views", default="shift=1", metavar="A+B+…",
        help='flip, shift=PIXELS, crop=PART, joined by "+" (default: shift=1)')  # fmt: skip
    action.set_defaults(run=_views)


def _add_training(action: Any) -> None:
    """What all that trains can be told."""
    add = action.add_argument
    add("body", metavar="BODY[:WEIGHTS]", help="what to begin with, see above")
    add("--data", default="digits", help=f"{DATA_FORMS}; digits?classes=5,6,7 for some classes (default: digits)")
    add("--out", type=Path, metavar="DIR", required=True, help="new folder, or one whose work was interrupted")
    add("--recipe", metavar="NAME|FILE",
        help="such as finetune_two_stage, for photographs by the thousand (default: for few pictures)")  # fmt: skip
    add("--set", dest="values", type=knob, action="append", default=[], metavar="NAME=VALUE",
        help="any hyper-parameter, such as layer_decay=0.7 or head_epochs=5, or argument of the body's family; may be "
             "repeated (default: none)")  # fmt: skip
    add("--epochs", type=int, metavar="N", help="epochs of the second stage (default: 40, or the recipe's)")
    add("--head-epochs", type=int, metavar="N", help="epochs of the head alone (default: 20, or the recipe's)")
    add("--batch-norm", choices=("frozen", "train", "recalibrate"),
        help="statistics of the body's batch norms: those of the weights, followed in training, or measured anew "
             "first (default: frozen, or the recipe's)")  # fmt: skip
    add("--class-weight", type=float, metavar="E",
        help="weight each class by its number to the power of -E, 0 to 1 (default: 0)")  # fmt: skip
    add("--balance", type=float, metavar="PART", help="show rare classes more often; 1: all equally (default: 0)")
    add("--logit-adjustment", type=float, metavar="T", help="add T log(share) to the logits in the loss (default: 0)")
    add("--image-size", type=int, metavar="N", help="side of the pictures in pixels (default: the data's)")
    add("--seed", type=int, default=0, metavar="N",
        help="seed of head, order and augmentation; of several, that of the first (default: 0)")  # fmt: skip
    add("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 5,10,50, received {text!r}") from None


def _config(arguments: argparse.Namespace) -> Any:
    from applications.classify import bodies
    from applications.classify.config import SMOKE_CHANGES, FineTuning

    names = ("epochs", "head_epochs", "batch_norm", "class_weight", "balance", "logit_adjustment", "image_size")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    body, weights = bodies.named(arguments.body)
    return FineTuning(
        body=body,
        weights=weights,
        data=arguments.data,
        recipe=arguments.recipe,
        changes={**(SMOKE_CHANGES if arguments.smoke else {}), **given, **dict(arguments.values)},
        seed=arguments.seed,
    )


def _train(arguments: argparse.Namespace) -> None:
    import sys

    from applications.classify import bodies
    from zoo import runs, training

    chosen = bodies.settings(_config(arguments))
    if arguments.probe:
        _probe(arguments, chosen)
        return
    print(bodies.replaced(chosen))
    with training.ProgressBar(chosen.batch_size) as progress:
        run = runs.train(
            chosen,
            arguments.out,
            overwrite=arguments.overwrite,
            command=["zoo", *sys.argv[1:]],
            callbacks=[progress],
        )
    if run is None:  # a worker of several; the first one writes
        return
    result = run.result()
    test = result["evaluation"]
    wrong = round(test["examples"] * (1 - test["accuracy"]))
    print(f"stopped after {result['epochs']} epochs, {result['seconds']:.0f} s: {result['stopped']['explanation']}")
    print(
        f"{test['data']} test: accuracy {100 * test['accuracy']:.2f} % ({wrong} of {test['examples']} wrong), "
        f"loss {test['loss']:.4f}"
    )
    print(run.folder / "report.html")


def _probe(arguments: argparse.Namespace, chosen: Any) -> None:
    from applications.classify import bodies, probes
    from zoo import files, runs

    run = runs.prepare(chosen)
    found = probes.KINDS[arguments.probe](bodies.features(chosen, run))
    arguments.out.mkdir(parents=True, exist_ok=True)
    facts = {name: getattr(found, name) for name in ("kind", "chosen", "tried", "accuracy", "interval", "examples")}
    files.write_json(arguments.out / "probe.json", {"body": arguments.body, "data": chosen.data, **facts})
    what = f"C = {found.chosen:g}" if found.kind == "linear" else f"{found.chosen:g} neighbours"
    low, high = (100 * end for end in found.interval)
    print(f"{bodies.replaced(chosen)}, {found.kind} probe, {what}, chosen on validation")
    print(
        f"{chosen.data} test: accuracy {100 * found.accuracy:.2f} % of {found.examples} (95 %: {low:.1f} to {high:.1f})"
    )


def _curve(arguments: argparse.Namespace) -> None:
    import dataclasses

    from applications.classify import config, curves

    chosen = _config(arguments)
    usual = config.SMOKE if arguments.smoke else config.DEFAULT
    draws = len(usual.seeds) if arguments.seeds is None else arguments.seeds
    given = {
        "counts": arguments.counts,
        "seeds": tuple(range(arguments.seed, arguments.seed + draws)),
        "methods": None if arguments.methods is None else tuple(arguments.methods.split(",")),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    shape = dataclasses.replace(usual, **changes)
    if arguments.pretrain is not None:
        if chosen.weights is not None:
            raise ValueError(f"--pretrain makes the weights; give {chosen.body}:none. Received: {arguments.body}")
        before = {**({"epochs": 1} if arguments.smoke else {}), **dict(arguments.pretrain_values)}
        chosen = dataclasses.replace(chosen, weights=str(arguments.out / curves.PRETRAINED))
        curves.known(chosen, shape, arguments.out)  # refuses what cannot be before it takes time
        curves.pretrain(chosen.body, arguments.pretrain, arguments.out, changes=before, seed=arguments.seed)
    print(curves.table(curves.curve(chosen, shape, arguments.out)))
    print(arguments.out / curves.FIGURE)


def _imbalance(arguments: argparse.Namespace) -> None:
    from applications.classify import curves

    count = arguments.seeds or (1 if arguments.smoke else 3)
    seeds = range(arguments.seed, arguments.seed + count)
    print(curves.imbalance_table(curves.imbalance(_config(arguments), arguments.out, seeds=seeds)))


def _rate(arguments: argparse.Namespace) -> None:
    import rich.console
    import rich.progress

    from applications.classify import bodies, rates

    chosen = bodies.settings(_config(arguments))
    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("searching", total=1.0)
        found = rates.find(
            chosen,
            low=arguments.low,
            high=arguments.high,
            steps=arguments.steps or (20 if arguments.smoke else 100),
            tell=lambda part: bar.update(task, completed=part),
        )
    rates.write(found, arguments.out)
    print(rates.table(found))
    print(f"falls fastest at {found.steepest:.2e}; lowest at {found.lowest:.2e}")
    print(f"zoo finetune {arguments.body} --data {chosen.data} --set learning_rate={found.steepest:.1e} --out DIR")


def _calibrate(arguments: argparse.Namespace) -> None:
    from applications.classify import calibration
    from zoo import runs

    found = calibration.calibrate(runs.open_run(arguments.folder))
    print(f"temperature {found.temperature:.3f}, chosen on validation; on the test split, before and after:")
    for name, what in (("accuracy", "accuracy"), ("nll", "negative log-likelihood"), ("brier", "Brier score"),
                       ("ece", "expected calibration error")):  # fmt: skip
        print(f"{what:27s} {getattr(found.before, name):.4f} {getattr(found.after, name):.4f}")
    print(Path(arguments.folder) / calibration.FIGURE)


def _views(arguments: argparse.Namespace) -> None:
    from applications.classify import views
    from zoo import runs

    found = views.compare(runs.open_run(arguments.folder), arguments.views)
    print(
        f"test: accuracy {100 * found.alone.accuracy:.2f} % alone, {100 * found.averaged.accuracy:.2f} % over "
        f"{found.views} views; negative log-likelihood {found.alone.nll:.4f}, {found.averaged.nll:.4f}"
    )
