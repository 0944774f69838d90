"""The subcommands `zoo visualize` and `zoo probes`."""

import argparse
from pathlib import Path
from typing import Any

# Said here again, as help comes before TensorFlow is imported.
SECTIONS = ("reasons", "rivals", "trust", "filters", "maps", "neurons", "wishes", "memories", "dreams")


def add(commands: Any) -> None:
    """Add `visualize` and `probes` to the command line."""
    parser = commands.add_parser("visualize", help="look into a network: maps, reasons, wishes, on one HTML page")
    parser.add_argument("model", metavar="RUN|MODEL|FILE.keras", help="run folder, registered name, or saved model")
    parser.add_argument(
        "picture", metavar="PICTURE", help="picture file; for a run also test:N, an example of its data"
    )
    parser.add_argument(
        "--weights", metavar="TAG|PATH", help="of a registered name: published or saved weights (default: none)"
    )
    parser.add_argument("--class", dest="target", metavar="NAME",
        help="class that is explained, by name or number (default: the most probable one)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE.html", default=Path("visualize.html"),
        help="page to write (default: visualize.html)")  # fmt: skip
    parser.add_argument("--sections", type=lambda text: text.split(","), metavar="A,B,…",
        help=f"parts of the page, of {', '.join(SECTIONS)} (default: all)")  # fmt: skip
    parser.add_argument("--value-range", type=float, nargs=2, metavar=("LOW", "HIGH"), default=(0.0, 1.0),
        help="what black and white become, for a saved model (default: 0 1)")  # fmt: skip
    parser.add_argument("--classes", type=Path, metavar="FILE",
        help="names of a saved model's classes, one a line (default: numbers)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is drawn by lot (default: 0)")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")
    parser.set_defaults(run=_visualize)
    parser = commands.add_parser("probes", help="what each level of a run knows: linear probes of class and picture")
    parser.add_argument("folder", metavar="RUN", help="run folder")
    parser.add_argument("--seed", type=int, default=0, help="seed of examples and untrained weights (default: 0)")
    parser.add_argument("--smoke", action="store_true", help="few examples, to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_probes)


def _visualize(arguments: argparse.Namespace) -> None:
    import dataclasses

    import rich.console
    import rich.progress

    from applications.visualize import config, sheet
    from applications.visualize.subject import open_subject

    if unknown := [name for name in arguments.sections or () if name not in SECTIONS]:
        raise ValueError(f"--sections must be of {', '.join(SECTIONS)}. Received: {', '.join(unknown)}")
    if not arguments.out.parent.is_dir():
        raise ValueError(f"--out must lie in a folder that is there. Received: {arguments.out}")
    names = None
    if arguments.classes is not None:
        names = [line.strip() for line in arguments.classes.read_text(encoding="utf-8").splitlines() if line.strip()]
    subject = open_subject(
        arguments.model,
        arguments.picture,
        weights=arguments.weights,
        value_range=tuple(arguments.value_range),
        classes=names,
    )
    target = None if arguments.target is None else subject.index_of(arguments.target)
    with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bar:
        bars: dict[str, rich.progress.TaskID] = {}

        def progress(name: str, part: float) -> None:
            if name not in bars:
                bars[name] = bar.add_task(name, total=1.0)
            bar.update(bars[name], completed=part)

        path = sheet.write_sheet(
            subject,
            arguments.out,
            target=target,
            config=dataclasses.replace(config.SMOKE if arguments.smoke else config.DEFAULT, seed=arguments.seed),
            sections=arguments.sections,
            command=_line(arguments),
            progress=progress,
        )
    print(path)


def _line(arguments: argparse.Namespace) -> list[str]:
    """The command line that makes the same page."""
    words = ["zoo", "visualize", arguments.model, arguments.picture, "--out", str(arguments.out)]
    for option, value in (
        ("--weights", arguments.weights),
        ("--class", arguments.target),
        ("--sections", arguments.sections and ",".join(arguments.sections)),
        ("--classes", arguments.classes),
        ("--seed", arguments.seed or None),
    ):
        words += [] if value is None else [option, str(value)]
    if tuple(arguments.value_range) != (0.0, 1.0):
        words += ["--value-range", *(f"{value:g}" for value in arguments.value_range)]
    return words + ["--smoke"] * arguments.smoke


def _probes(arguments: argparse.Namespace) -> None:
    import dataclasses
    import json

    from applications.visualize import config, probes
    from zoo import runs

    chosen = dataclasses.replace(config.PROBES_SMOKE if arguments.smoke else config.PROBES, seed=arguments.seed)
    rows = probes.probe(runs.open_run(arguments.folder), chosen)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    print(probes.markdown(rows))
