"""The subcommand `zoo segment`."""

import argparse
from pathlib import Path
from typing import Any

from zoo.options import add_export, pairs


def add(commands: Any) -> None:
    """Add `segment` to the command line."""
    parser = commands.add_parser("segment", help="give each pixel a class: train, evaluate, draw, compare")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    action = actions.add_parser("train", help="train a network over a body of the zoo, and score it")
    _add_training(action)
    action.add_argument("--network", metavar="NAME", help="fcn, unet, unet_over or deeplab_v3")
    action.add_argument("--option", action="append", metavar="NAME=VALUE", help="of the network, such as filters=16")
    action.add_argument("--seed", type=int, metavar="N")
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="new run folder, or an interrupted one")
    action.set_defaults(run=_train)
    action = actions.add_parser(
        "compare", help="FCN-32s, 16s, 8s, U-Net and DeepLab v3 over one body: a table, a sheet"
    )
    _add_training(action)
    action.add_argument("--networks", metavar="A,B,…", help='such as "FCN-32s,FCN-8s" (default: all)')
    action.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each network (default: 3)")
    action.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="folder; one that was begun there goes on"
    )
    action.set_defaults(run=_compare)
    action = actions.add_parser("tune", help="search for a better training, by mean IoU on the validation split")
    _add_training(action)
    action.add_argument("--trials", type=int, default=10, metavar="N", help="trainings (default: 10)")
    action.add_argument("--seed", type=int, metavar="N")
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder; a search begun there goes on")
    action.set_defaults(run=_tune)
    action = actions.add_parser(
        "evaluate", help="scores of a run on a split, the baseline beside it where there is one"
    )
    action.add_argument("folder", type=Path, metavar="RUN")
    action.add_argument("--split", default="test", choices=["train", "validation", "test"])
    action.set_defaults(run=_evaluate)
    action = actions.add_parser("predict", help="draw the classes of a picture's pixels over it")
    action.add_argument("folder", type=Path, metavar="RUN")
    action.add_argument("picture", type=Path, metavar="PICTURE", help="of any size")
    action.add_argument("--out", type=Path, metavar="FILE.png", default=Path("segmented.png"))
    action.set_defaults(run=_predict)
    add_export(actions, "the network", _export, "that of the training")


def _add_training(action: Any) -> None:
    """What every training can be told."""
    add = action.add_argument
    add("--data", metavar="SOURCE", help="digits, folder:PATH, voc:PATH or tfds:oxford_iiit_pet")
    add("--size", type=int, metavar="N", help="side of the pictures in pixels")
    add("--count", type=int, metavar="N", help="most training examples")
    add("--body", metavar="MODEL", help="registered network under it")
    add("--knob", action="append", metavar="NAME=VALUE", help="of the body, such as output_stride=8")
    add("--levels", metavar="A,B,…", help="endpoints of the body, from the coarsest to finer ones")
    add("--weights", metavar="TAG|RUN", help="weights of the body: published ones, or those of a run")
    add("--epochs", type=int, metavar="N")
    add("--batch-size", type=int, metavar="N")
    add("--learning-rate", type=float, metavar="RATE")
    add("--foreground", type=float, metavar="W", help="weight of pixels that are not of class 0")
    add("--mirror", action="store_true", default=None, help="mirror training pictures by lot")
    add("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")


def _settings(arguments: argparse.Namespace, smoke: Any) -> Any:
    import dataclasses

    from applications.segment import config

    plain = (
        "data", "size", "count", "network", "body", "weights", "epochs", "batch_size", "learning_rate", "foreground",
        "mirror", "seed",
    )  # fmt: skip
    given = {name: getattr(arguments, name, None) for name in plain}
    changes = {name: value for name, value in given.items() if value is not None}
    if arguments.body is not None or arguments.knob:
        changes["knobs"] = pairs(arguments.knob, "--knob")
    if getattr(arguments, "option", None):
        changes["options"] = pairs(arguments.option, "--option")
    if arguments.levels is not None:
        changes["levels"] = tuple(arguments.levels.split(","))
    return dataclasses.replace(smoke if arguments.smoke else config.DEFAULT, **changes)


def _train(arguments: argparse.Namespace) -> None:
    from applications.segment import config, learning
    from zoo.report.summary import PAGE

    _, found = learning.train(_settings(arguments, config.SMOKE), arguments.out)
    _, _, classes, _ = learning.open_run(arguments.out)
    _print(found, classes)
    print(arguments.out / PAGE)


def _compare(arguments: argparse.Namespace) -> None:
    from applications.segment import comparison, config

    if arguments.seeds < 1:
        raise ValueError(f"--seeds must be at least 1. Received: --seeds {arguments.seeds}")
    rows = comparison.compare(
        _settings(arguments, config.SMOKE_COMPARED),
        arguments.out,
        seeds=range(arguments.seeds),
        names=arguments.networks.split(",") if arguments.networks else None,
    )
    print(comparison.markdown(rows))
    print(arguments.out / comparison.SHEET)


def _tune(arguments: argparse.Namespace) -> None:
    import importlib.util

    if importlib.util.find_spec("keras_tuner") is None:
        raise ValueError("zoo segment tune needs keras_tuner: pip install 'cnn-zoo[tune]'")
    from applications.segment import config, search

    base = _settings(arguments, config.SMOKE_COMPARED)
    best, score = search.search(base, arguments.out, trials=arguments.trials, seed=base.seed)
    changed = {name: value for name, value in vars(best).items() if value != getattr(base, name)}
    print(f"best: mean IoU {score:.3f} on validation with {changed or 'the defaults'}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from applications.segment import learning, scenes
    from applications.segment.baseline import Baseline
    from applications.segment.scores import score

    model, config, classes, _ = learning.open_run(arguments.folder)
    part = scenes.load(config.data, arguments.split, size=config.size, seed=config.seed)
    _print(learning.evaluate(model, config, part), classes)
    if config.data == "digits":
        known = scenes.load(config.data, "train", size=config.size, count=config.count, seed=config.seed)
        found = score(part.masks, Baseline(known)(part.pictures), len(classes))
        print(f"threshold, components and SVM: mean IoU {found.mean_iou:.3f}, boundaries {found.boundary_iou:.3f}")


def _print(found: Any, classes: tuple[str, ...]) -> None:
    for name, value in zip(classes, found.iou, strict=True):
        print(f"{name:16s} IoU {value:.3f}")
    print(
        f"mean IoU {found.mean_iou:.3f}, boundaries {found.boundary_iou:.3f}, pixel accuracy {found.pixel_accuracy:.3f}"
    )


def _predict(arguments: argparse.Namespace) -> None:
    from applications.segment import drawing, learning
    from zoo.data.pictures import read_image

    model, config, classes, channels = learning.open_run(arguments.folder)
    values = read_image(arguments.picture, image_size=None, channels=channels, value_range=(0, 255)).astype("uint8")
    answer = learning.answers(model, config, values[None])[0]
    drawing.overlay(values, answer, classes, arguments.out)
    print(arguments.out)


def _export(arguments: argparse.Namespace) -> None:
    from applications.segment.exporting import export_run
    from zoo.deploy.commands import export_application

    export_application(arguments, export_run)
