"""The subcommand `zoo style`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.options import act_by_default, add_export

if TYPE_CHECKING:
    import numpy as np

    from applications.style.body import Body

ACTIONS = ("paint", "train", "transform", "export")


def add(commands: Any) -> None:
    """Add `style` to the command line."""
    parser = commands.add_parser("style", help="paint a picture in the manner of another")
    act_by_default(parser, "paint", ACTIONS)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do (default: paint)")
    action = actions.add_parser("paint", help="optimise a picture: zoo style PICTURE STYLE --body vgg19:torchvision")
    action.add_argument("picture", type=Path, metavar="PICTURE", help="what is shown")
    action.add_argument("style", type=Path, metavar="STYLE", help="picture in whose manner")
    _add_body(action)
    action.add_argument("--out", type=Path, metavar="FILE.png", default=Path("styled.png"),
        help="what is written (default: styled.png)")  # fmt: skip
    action.add_argument("--run", type=Path, metavar="DIR", dest="folder",
        help="run folder for state and report; what was interrupted there goes on (default: none)")  # fmt: skip
    action.add_argument("--size", type=int, metavar="N", help="longer side of the picture (default: 384)")
    action.add_argument("--style-size", type=int, metavar="N", help="longer side of the style (default: 384)")
    action.add_argument("--solver", metavar="NAME", help="lbfgs or adam (default: lbfgs)")
    action.add_argument("--start", metavar="NAME", help="content, noise or style (default: content)")
    action.add_argument("--iterations", type=int, metavar="N", help="of the solver (default: 300)")
    action.add_argument("--learning-rate", type=float, metavar="RATE", help="of Adam, for pixels of 0 to 1 "
        "(default: 0.02)")  # fmt: skip
    _add_weights(action, style=1000)
    action.set_defaults(run=_paint)
    action = actions.add_parser("train", help="train a network that paints any picture in one style")
    action.add_argument("style", type=Path, metavar="STYLE", help="picture in whose manner")
    _add_body(action)
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="new run folder, or an interrupted one")
    action.add_argument("--data", metavar="SOURCE", help="photographs or folder:PATH (default: photographs)")
    action.add_argument("--size", type=int, metavar="N", help="side of the training crops (default: 64)")
    action.add_argument("--crops", type=int, metavar="N", help="of each picture in an epoch (default: 100)")
    action.add_argument("--shorter-side", type=int, metavar="N", help="of the training pictures (default: 160)")
    action.add_argument("--style-size", type=int, metavar="N", help="longer side of the style (default: 160)")
    action.add_argument("--filters", type=int, metavar="N", help="of the first convolution (default: 32)")
    action.add_argument("--blocks", type=int, metavar="N", help="residual blocks (default: 5)")
    action.add_argument("--normalization", metavar="NAME", help="instance, or batch as in the paper "
        "(default: instance)")  # fmt: skip
    action.add_argument("--padding", metavar="NAME", help="each, or once as in the paper (default: each)")
    action.add_argument("--epochs", type=int, metavar="N", help="of training (default: 10)")
    action.add_argument("--batch-size", type=int, metavar="N", help="crops in a batch (default: 4)")
    action.add_argument("--learning-rate", type=float, metavar="RATE", help="of Adam (default: 0.001)")
    _add_weights(action, style=100)
    action.set_defaults(run=_train)
    action = actions.add_parser("transform", help="paint pictures by a network that was trained")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder of `zoo style train`")
    action.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="of any size")
    action.add_argument("--out", type=Path, metavar="DIR", default=Path(),
        help="folder for NAME-styled.png (default: here)")  # fmt: skip
    action.set_defaults(run=_transform)
    add_export(actions, "a trained network", _export, "256")


def _add_body(action: argparse.ArgumentParser) -> None:
    action.add_argument("--body", metavar="NAME[:TAG]|RUN", required=True,
        help="whose maps are compared: a registered name with the tag of its weights, or a run folder")  # fmt: skip
    action.add_argument("--content-layers", type=_words, metavar="A,B,…", help="(default: second of the fourth size)")
    action.add_argument("--style-layers", type=_words, metavar="A,B,…", help="(default: first of each size)")
    action.add_argument("--pooling", default="max", metavar="NAME",
        help="max, or average as the paper prefers (default: max)")  # fmt: skip
    action.add_argument("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")


def _add_weights(action: argparse.ArgumentParser, style: int) -> None:
    action.add_argument("--content-weight", type=float, metavar="W", help="of what is shown (default: 1)")
    action.add_argument("--style-weight", type=float, metavar="W", help=f"of the Gram matrices (default: {style})")
    action.add_argument("--variation-weight", type=float, metavar="W", help="of the total variation (default: 0.02)")
    action.add_argument("--seed", type=int, metavar="N", help="of all that is drawn by lot (default: 0)")


def _words(text: str) -> list[str]:
    return text.split(",")


def _changes(arguments: argparse.Namespace, kind: type) -> dict[str, Any]:
    import dataclasses

    names = [field.name for field in dataclasses.fields(kind)]
    return {name: value for name in names if (value := getattr(arguments, name, None)) is not None}


def _read(path: Path, size: int | None) -> "np.ndarray":
    """A picture whose longer side is at most so long."""
    from zoo.data.crops import reduced
    from zoo.data.pictures import read_image

    values = read_image(path, value_range=(0, 255)).round().astype("uint8")
    height, width = values.shape[:2]
    if size is None or max(height, width) <= size:
        return values
    return reduced(values, max(round(min(height, width) * size / max(height, width)), 1))


def _body(arguments: argparse.Namespace) -> "Body":
    import sys

    from applications.style.body import open_body

    body = open_body(
        arguments.body, content=arguments.content_layers, style=arguments.style_layers, pooling=arguments.pooling
    )
    if body.warning:
        print(f"zoo style: warning: {body.warning}", file=sys.stderr)
    return body


def _paint(arguments: argparse.Namespace) -> None:
    import dataclasses
    import hashlib

    import rich.console
    import rich.progress

    from applications.style import config, gatys, report
    from zoo import files
    from zoo.report.figures import encode

    chosen = dataclasses.replace(
        config.SMOKE if arguments.smoke else config.DEFAULT, **_changes(arguments, config.Transfer)
    )
    if not arguments.out.parent.is_dir():
        raise ValueError(f"--out must lie in a folder that is there. Received: {arguments.out}")
    content, style = _read(arguments.picture, chosen.size), _read(arguments.style, chosen.style_size)
    body = _body(arguments)
    facts = {
        **dataclasses.asdict(chosen), "body": body.title, "content_layers": list(body.content),
        "style_layers": list(body.style), "pooling": arguments.pooling,
        "pictures": [hashlib.sha256(one.tobytes()).hexdigest() for one in (content, style)],
    }  # fmt: skip
    folder = arguments.folder
    if folder is not None:
        _claim(folder, facts)
    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("painting", total=chosen.iterations)
        painting = gatys.paint(
            content, style, body, chosen, folder=folder,
            progress=lambda done, loss: bar.update(task, completed=done, description=f"loss {loss:.4f}"),
        )  # fmt: skip
    files.write_atomic(arguments.out, encode(painting.picture))
    if folder is not None:
        shown = {"content": content, "style": style, "painted": painting.picture}
        facts |= {name: round(value, 6) for name, value in painting.parts.items()}
        print(report.write(folder, shown, painting.history, facts, warning=body.warning))
    parts = ", ".join(f"{name} {value:.4f}" for name, value in painting.parts.items())
    print(f"loss {painting.history[0]:.4f} to {painting.history[-1]:.4f}; {parts}")
    print(arguments.out)


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    """Make a run folder, or see that it holds what shall go on."""
    import json

    from zoo import files

    path = folder / "config.json"
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != facts:
            raise ValueError(f"{folder} holds another transfer. Choose another folder, or remove it.")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and holds no transfer.")
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(path, facts)


def _train(arguments: argparse.Namespace) -> None:
    import dataclasses
    import hashlib
    import json

    from applications.style import config, johnson, report
    from zoo import files
    from zoo.report.figures import encode

    chosen = dataclasses.replace(
        config.FEED_FORWARD_SMOKE if arguments.smoke else config.FEED_FORWARD,
        **_changes(arguments, config.FeedForward),
    )
    style = _read(arguments.style, chosen.style_size)
    body = _body(arguments)
    digest = hashlib.sha256(style.tobytes()).hexdigest()
    model = johnson.train(style, body, chosen, arguments.out, digest=digest)
    first = johnson.pictures_of(chosen.data, chosen.shorter_side).read(0)
    painted = johnson.transform(model, first)
    files.write_atomic(arguments.out / johnson.PAINTED, encode(painted))
    lines = (arguments.out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line)["loss"] for line in lines]
    facts = {**dataclasses.asdict(chosen), "body": body.title, "content_layers": list(body.content),
             "style_layers": list(body.style)}  # fmt: skip
    shown = {"style": style, "a picture it was trained on": first, "painted": painted}
    print(report.write(arguments.out, shown, history, facts, label="epochs", warning=body.warning))


def _transform(arguments: argparse.Namespace) -> None:
    from applications.style import johnson
    from zoo import files
    from zoo.report.figures import encode

    if not arguments.out.is_dir():
        raise ValueError(f"--out must be a folder that is there. Received: {arguments.out}")
    targets = [arguments.out / f"{path.stem}-styled.png" for path in arguments.pictures]
    if len(set(targets)) < len(targets):
        raise ValueError("Pictures must differ in name, as their names name what is written.")
    model = johnson.open_run(arguments.folder)
    for path, target in zip(arguments.pictures, targets, strict=True):
        files.write_atomic(target, encode(johnson.transform(model, _read(path, None))))
        print(target)


def _export(arguments: argparse.Namespace) -> None:
    from applications.style.exporting import export_run
    from zoo.deploy.commands import export_application

    export_application(arguments, export_run)
