"""The subcommand `zoo colorize`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.options import act_by_default, add_export, pairs

if TYPE_CHECKING:
    from applications.colorize.config import Colorization

ACTIONS = ("apply", "evaluate", "train", "tune", "export")


def add(commands: Any) -> None:
    """Add `colorize` to the command line."""
    parser = commands.add_parser("colorize", help="give a grey picture colours: train, tune, evaluate, apply")
    act_by_default(parser, "apply", ACTIONS)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do (default: apply)")
    action = actions.add_parser("train", help="train a network over a body of the zoo, or the paper's, and score it")
    _add_training(action)
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="new run folder, or an interrupted one")
    action.set_defaults(run=_train)
    action = actions.add_parser("tune", help="search for hyper-parameters by lot, by accuracy on the validation split")
    _add_training(action)
    action.add_argument("--trials", type=int, default=10, metavar="N", help="configurations to try (default: 10)")
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder of the search; it may be begun")
    action.set_defaults(run=_tune)
    action = actions.add_parser("evaluate", help="scores of runs at several temperatures, the baselines beside them")
    action.add_argument("folders", type=Path, nargs="+", metavar="RUN", help="run folders with the same data")
    action.add_argument("--split", default="test", choices=["train", "validation", "test"], help="(default: test)")
    action.add_argument("--temperatures", type=_numbers, metavar="A,B,…", help="(default: 1 to 0 in seven steps)")
    action.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw the pictures, each network beside others")
    action.set_defaults(run=_evaluate)
    action = actions.add_parser("apply", help="colour pictures: zoo colorize RUN PICTURE …")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder")
    action.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="of any size, grey or not")
    action.add_argument("--temperature", type=float, metavar="T",
        help="1 for the mean colour, 0 for the most probable one (default: the run's)")  # fmt: skip
    action.add_argument("--shorter-side", type=int, metavar="N",
        help="pixels at which the network looks; the picture stays as large as it is (default: its own)")  # fmt: skip
    action.add_argument("--out", type=Path, metavar="DIR", default=Path(),
        help="folder for NAME-colorized.png (default: here)")  # fmt: skip
    action.set_defaults(run=_apply)
    add_export(actions, "the network", _export, "that of the training")


def _add_training(action: argparse.ArgumentParser) -> None:
    action.add_argument("--data", metavar="SOURCE", help="shapes, photographs or folder:PATH (default: shapes)")
    action.add_argument("--size", type=int, metavar="N", help="side of the training crops in pixels (default: 32)")
    action.add_argument("--count", type=int, metavar="N", help="most training pictures (default: all, or 2,000 made)")
    action.add_argument("--crops", type=int, metavar="N", help="of each picture in an epoch (default: 1)")
    action.add_argument("--shorter-side", type=int, metavar="N",
        help="pixels that photographs are reduced to (default: their own)")  # fmt: skip
    action.add_argument("--network", metavar="NAME", help="over_body or zhang2016 (default: over_body)")
    action.add_argument("--body", metavar="MODEL", help="registered network under it (default: resnet20)")
    action.add_argument("--knob", action="append", metavar="NAME=VALUE", help="of the body, such as stem=cifar")
    action.add_argument("--levels", metavar="A,B,…",
        help="endpoints of the body, from the coarsest (default: stride4,stride2)")  # fmt: skip
    action.add_argument("--enlarged", type=int, metavar="N", help="factor behind the finest level (default: 1)")
    action.add_argument("--filters", type=int, metavar="N", help="of the head (default: 64)")
    action.add_argument("--weights", metavar="TAG", help="published weights of the body (default: none)")
    action.add_argument("--target", metavar="NAME", help="classes or l2, the regression (default: classes)")
    action.add_argument("--mixing", type=float, metavar="L", help="of the rebalancing, 1 for none (default: 0.5)")
    action.add_argument("--temperature", type=float, metavar="T", help="of the annealed mean (default: 0.38)")
    action.add_argument("--epochs", type=int, metavar="N", help="of training (default: 8)")
    action.add_argument("--batch-size", type=int, metavar="N", help="crops in a batch (default: 32)")
    action.add_argument("--learning-rate", type=float, metavar="RATE", help="of AdamW (default: 0.002)")
    action.add_argument("--seed", type=int, metavar="N", help="of all that is drawn by lot (default: 0)")
    action.add_argument("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _chosen(arguments: argparse.Namespace) -> "Colorization":
    import dataclasses

    from applications.colorize import config

    plain = (
        "data", "size", "count", "crops", "shorter_side", "network", "body", "enlarged", "filters", "weights", "target",
        "mixing", "temperature", "epochs", "batch_size", "learning_rate", "seed",
    )  # fmt: skip
    changes = {name: getattr(arguments, name) for name in plain if getattr(arguments, name) is not None}
    if arguments.knob:
        changes["knobs"] = pairs(arguments.knob, "--knob")
    if arguments.levels is not None:
        changes["levels"] = tuple(arguments.levels.split(","))
    return dataclasses.replace(config.SMOKE if arguments.smoke else config.DEFAULT, **changes)


def _train(arguments: argparse.Namespace) -> None:
    from applications.colorize import learning, pictures, report, scores

    learning.train(_chosen(arguments), arguments.out)
    colourists, part, known = report.evaluated([arguments.out], "test")
    groups = sorted({pictures.group(name) for name in part.names})
    titles = [name or part.names[0].partition(" ")[0] for name in groups]
    tables = [
        (title, scores.table(part, known, colourists, only=name or None))
        for title, name in zip(titles, groups, strict=True)
    ]
    drawn = report.sheet(part, colourists, (1.0, None, 0.0))
    for title, rows in tables:
        print(f"{title}\n{scores.markdown(rows)}")
    print(report.write(arguments.out, tables, drawn))


def _tune(arguments: argparse.Namespace) -> None:
    from applications.colorize import space

    for accuracy, fields in space.search(_chosen(arguments), arguments.out, trials=arguments.trials):
        said = ", ".join(f"{name}={value:g}" for name, value in fields.items())
        print(f"accuracy {accuracy:.3f}  {said}")
    print(arguments.out / "best.json")


def _evaluate(arguments: argparse.Namespace) -> None:
    from applications.colorize import pictures, report, scores
    from zoo import files

    colourists, part, known = report.evaluated(arguments.folders, arguments.split)
    temperatures = arguments.temperatures or scores.TEMPERATURES
    for name in sorted({pictures.group(name) for name in part.names}):
        print(name or arguments.split)
        print(scores.markdown(scores.table(part, known, colourists, temperatures, only=name or None)))
    if arguments.sheet is not None:
        shown = (1.0, None, 0.0) if arguments.temperatures is None else arguments.temperatures
        files.write_atomic(arguments.sheet, report.sheet(part, colourists, shown))
        print(arguments.sheet)


def _apply(arguments: argparse.Namespace) -> None:
    from applications.colorize import learning
    from zoo import files
    from zoo.data.pictures import read_image
    from zoo.report.figures import encode

    if not arguments.out.is_dir():
        raise ValueError(f"--out must be a folder that is there. Received: {arguments.out}")
    if arguments.temperature is not None and arguments.temperature < 0:
        raise ValueError(f"--temperature must be 0 or more. Received: {arguments.temperature}")
    targets = [arguments.out / f"{path.stem}-colorized.png" for path in arguments.pictures]
    if len(set(targets)) < len(targets):
        raise ValueError("Pictures must differ in name, as their names name what is written.")
    model, config = learning.open_run(arguments.folder)
    colourist = learning.Colourist(model, config, shorter_side=arguments.shorter_side)
    for path, target in zip(arguments.pictures, targets, strict=True):
        values = read_image(path, value_range=(0, 255)).round().astype("uint8")
        files.write_atomic(target, encode(colourist.colour(values, arguments.temperature)))
        print(target)


def _export(arguments: argparse.Namespace) -> None:
    from applications.colorize.exporting import export_run
    from zoo.deploy.commands import export_application

    export_application(arguments, export_run)
