"""The subcommand `zoo text`."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add `text` to the command line."""
    parser = commands.add_parser("text", help="baselines for text, what filters look for, text of manual pages")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    action = actions.add_parser("baselines", help="accuracy of linear classifiers on counts of words")
    action.add_argument("data", metavar="DATA", help="such as text:order or text:FILE, as `zoo train --data` takes it")
    action.add_argument("--split-seed", type=int, default=0, help="seed of the split of the data (default: 0)")
    action.set_defaults(run=_baselines)
    action = actions.add_parser("predict", help="name the class of each line of standard input")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder")
    action.set_defaults(run=_predict)
    action = actions.add_parser("telling", help="the pieces of text that a network's filters answer to most")
    action.add_argument("folder", type=Path, metavar="RUN", help="run folder of a kim_cnn network")
    action.add_argument("--top", type=int, default=10, metavar="N", help="pieces for each class (default: 10)")
    action.add_argument("--html", type=Path, metavar="FILE", help="page to write with test texts, telling words dark")
    action.set_defaults(run=_telling)
    action = actions.add_parser("manual-pages", help="write the beginnings of manual pages and their sections")
    action.add_argument("file", type=Path, metavar="FILE", help="JSON Lines file to write")
    action.add_argument("--root", type=Path, default=Path("/usr/share/man"), metavar="DIR",
        help="where pages lie (default: /usr/share/man)")  # fmt: skip
    action.set_defaults(run=_manual_pages)


def _baselines(arguments: argparse.Namespace) -> None:
    from applications.text.baselines import accuracies
    from zoo import data

    dataset = data.load(arguments.data, split_seed=arguments.split_seed)
    parts = {split: part for split, part in dataset.splits.items() if isinstance(part, data.Arrays)}
    if not isinstance(dataset, data.ArrayDataset) or dataset.modality != "text":
        raise ValueError(f"These baselines are for text. Received: {arguments.data}")
    known = parts["train"].joined(parts["validation"])
    test = parts["test"]
    for name, accuracy in accuracies(
        (known.values.tolist(), known.labels), (test.values.tolist(), test.labels)
    ).items():
        print(f"{name}: accuracy {100 * accuracy:.2f} %")


def _open(folder: Path) -> Any:
    """A run that was trained on text, and its encoder."""
    from zoo import runs
    from zoo.data.text import Encoder

    run = runs.open_run(folder)
    form = run.config["data"].get("form", {})
    if form.get("kind") not in ("words", "characters"):
        raise ValueError(f"{folder} was not trained on text.")
    return run, Encoder.from_form(form)


def _predict(arguments: argparse.Namespace) -> None:
    import sys

    import numpy as np

    from zoo.data.text.encoding import decode_text

    run, encoder = _open(arguments.folder)
    classes = run.config["data"]["classes"]
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = decode_text(line, "standard input").strip()
        except ValueError as error:
            raise ValueError(str(error).replace("input:1:", f"input:{number}:")) from None
        if not text:
            continue
        answer = np.asarray(run.model(encoder.encode(text)[None], training=False))[0]
        best = int(answer.argmax())
        print(f"{classes[best]}\t{answer[best]:.3f}\t{text}", flush=True)


def _telling(arguments: argparse.Namespace) -> None:
    import numpy as np

    from zoo import data
    from zoo.runs.telling import highlighted, most_telling

    run, encoder = _open(arguments.folder)
    classes = run.config["data"]["classes"]
    train, test = (part for split, part in run.dataset.splits.items() if split in ("train", "test"))
    for name, pieces in most_telling(run.model, encoder, train.values, classes, top=arguments.top).items():
        print(f"{name}:")
        for piece in pieces:
            print(f"  {piece.weight:6.2f}  {piece.words}  ({piece.filter_name})")
    if arguments.html is None:
        return
    facts = run.config["data"]
    texts = data.load(facts["name"], split_seed=facts["split_seed"]).splits["test"]
    chosen = np.random.default_rng(0).permutation(len(test))[:20]
    body = []
    for index in chosen.tolist():
        marked, label, probability = highlighted(run.model, encoder, texts.values[index], classes)  # type: ignore[attr-defined]
        truth = classes[int(test.labels[index])]
        body.append(f"<p><b>{label}</b> {100 * probability:.0f} % (is {truth})<br>{marked}</p>")
    page = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Telling words</title><body>{}</body></html>'
    arguments.html.write_text(page.format("\n".join(body)), encoding="utf-8")
    print(arguments.html)


def _manual_pages(arguments: argparse.Namespace) -> None:
    from applications.text.manual_pages import collect

    counts = collect(arguments.root, arguments.file)
    print(", ".join(f"section {section}: {count}" for section, count in counts.items()))
