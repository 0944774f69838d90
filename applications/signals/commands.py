"""The subcommand `zoo signals`."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add `signals` to the command line."""
    parser = commands.add_parser(
        "signals", help="take the noise off electrocardiograms; compare on time series; look through recordings"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    action = actions.add_parser("denoise", help="train denoisers and compare them with filters")
    action.add_argument("--out", type=Path, metavar="DIR", help="folder for model, figure and numbers (default: none)")
    action.add_argument("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")
    action.add_argument("--seed", type=int, default=0, help="seed of patients, noise and weights (default: 0)")
    action.set_defaults(run=_denoise)
    action = actions.add_parser("nearest", help="accuracy of nearest neighbours, the baseline of time series")
    action.add_argument("data", metavar="DATA", help="such as signals:cbf, or a file, as `zoo train --data` takes it")
    action.add_argument("--warping", type=float, default=0.1, metavar="PART",
        help="part of the length by which dynamic time warping moves samples (default: 0.1)")  # fmt: skip
    action.set_defaults(run=_nearest)
    action = actions.add_parser("windows", help="name the class of each window of a long recording")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder of a network for signals")
    action.add_argument("file", type=Path, metavar="FILE", help="recording: .csv, .npy or the .hea of a record")
    action.add_argument("--hop", type=int, metavar="N",
        help="samples from one window to the next (default: that of the run)")  # fmt: skip
    action.set_defaults(run=_windows)


def _denoise(arguments: argparse.Namespace) -> None:
    import dataclasses

    from applications.signals import config, denoising

    chosen = dataclasses.replace(config.SMOKE if arguments.smoke else config.DEFAULT, seed=arguments.seed)
    scores = denoising.compare(chosen, arguments.out)
    tested = [f"{decibels:g}" for decibels in chosen.tested]
    print("decibels behind | " + " | ".join(f"{decibels} dB before" for decibels in tested))
    for name, found in scores.items():
        print(f"{name:28s} | " + " | ".join(f"{found[decibels]:.1f}" for decibels in tested))


def _nearest(arguments: argparse.Namespace) -> None:
    import numpy as np

    from applications.signals.nearest import nearest_neighbour
    from zoo import data

    dataset = data.load(arguments.data)
    if not isinstance(dataset, data.ArrayDataset) or dataset.modality != "signal":
        raise ValueError(f"Nearest neighbours are for signals. Received: {arguments.data}")
    parts = {split: part for split, part in dataset.splits.items() if isinstance(part, data.Arrays)}
    known = parts["train"].joined(parts["validation"])
    for name, warping in (("Euclidean distance", 0.0), (f"warping by {arguments.warping:g}", arguments.warping)):
        answers = nearest_neighbour(known.values, known.labels, parts["test"].values, warping=warping)
        right = float(np.mean(answers == parts["test"].labels))
        print(f"nearest neighbour, {name}: accuracy {100 * right:.2f} %")


def _windows(arguments: argparse.Namespace) -> None:
    import numpy as np

    from zoo import runs
    from zoo.data.signals import read_windows

    run = runs.open_run(arguments.folder)
    form = dict(run.config["data"].get("form", {}))
    if form.get("kind") != "signal":
        raise ValueError(f"{arguments.folder} was not trained on signals.")
    if arguments.hop is not None:
        form["hop"] = arguments.hop
    windows, begins = read_windows(arguments.file, form)
    classes = run.config["data"]["classes"]
    answers = np.concatenate(
        [np.asarray(run.model(windows[start : start + 64], training=False)) for start in range(0, len(windows), 64)]
    )
    for begin, answer in zip(begins.tolist(), answers, strict=True):
        print(f"{begin}\t{begin + windows.shape[1]}\t{classes[int(answer.argmax())]}\t{answer.max():.3f}")
    mean = answers.mean(0)
    print(f"all\t{classes[int(mean.argmax())]}\t{mean.max():.3f}")
