"""The subcommand `zoo caption`."""

import argparse
from pathlib import Path
from typing import Any

from zoo.options import act_by_default, pairs

ACTIONS = ("train", "compare", "describe", "score", "retrieve", "export", "tune")


def add(commands: Any) -> None:
    """Add `caption` to the command line."""
    parser = commands.add_parser(
        "caption",
        help="say what a picture shows: train, describe, score",
        epilog="zoo caption RUN PICTURE is zoo caption describe RUN PICTURE.",
    )
    act_by_default(parser, "describe", ACTIONS)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    action = actions.add_parser("train", help="train a network over a body of the zoo, and score it")
    _add_settings(action)
    action.add_argument("--network", metavar="NAME", help="gru, transformer or embedding (default: gru)")
    action.add_argument("--blind", action="store_true", default=None, help="show it black pictures, as a baseline")
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="new run folder, or an interrupted one")
    action.set_defaults(run=_train)
    action = actions.add_parser("compare", help="train all networks, and print a table of them and of the baselines")
    _add_settings(action)
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder of the runs")
    action.set_defaults(run=_compare)
    action = actions.add_parser("describe", help="say what a picture shows, the most probable sentences first")
    action.add_argument("folder", type=Path, metavar="RUN")
    action.add_argument("picture", type=Path, metavar="PICTURE", help="of any size")
    action.add_argument("--beams", type=int, metavar="N", help="sentences to search and print (default: the run's)")
    action.add_argument("--attention", type=Path, metavar="FILE.png", help="draw where each word of the first looked")
    action.set_defaults(run=_describe)
    action = actions.add_parser("score", help="scores of a run on a split, with those of the baselines")
    action.add_argument("folder", type=Path, metavar="RUN")
    action.add_argument("--split", default="test", choices=["train", "validation", "test"], help="(default: test)")
    action.add_argument("--beams", type=int, metavar="N", help="of the search (default: the run's)")
    action.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw some pictures with what was said of them")
    action.set_defaults(run=_score)
    action = actions.add_parser("retrieve", help="pictures of the test split for a sentence, by an embedding")
    action.add_argument("folder", type=Path, metavar="RUN")
    action.add_argument("sentence", metavar="SENTENCE")
    action.add_argument("--most", type=int, default=5, metavar="N", help="number of pictures (default: 5)")
    action.add_argument("--out", type=Path, metavar="FILE.png", help="draw them")
    action.set_defaults(run=_retrieve)
    action = actions.add_parser("export", help="write a SavedModel that says sentences by itself")
    action.add_argument("folder", type=Path, metavar="RUN")
    action.add_argument("--beams", type=int, metavar="N", help="of its search (default: the run's)")
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="new folder")
    action.set_defaults(run=_export)
    action = actions.add_parser("tune", help="search for hyper-parameters, by exact match on the validation split")
    _add_settings(action)
    action.add_argument("--trials", type=int, default=10, metavar="N", help="configurations (default: 10)")
    action.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder of the search; it may be begun")
    action.set_defaults(run=_tune)


def _add_settings(action: argparse.ArgumentParser) -> None:
    action.add_argument("--data", metavar="SOURCE", help="digits, manifest:FILE.jsonl or tfds:coco_captions")
    action.add_argument("--size", type=int, metavar="N", help="side of the pictures in pixels")
    action.add_argument("--count", type=int, metavar="N", help="most training examples")
    action.add_argument("--body", metavar="MODEL", help="registered network under it")
    action.add_argument("--knob", action="append", metavar="NAME=VALUE", help="of the body, such as alpha=0.5")
    action.add_argument("--endpoint", metavar="NAME", help="feature map of the body (default: its last)")
    action.add_argument("--weights", metavar="TAG", help="published weights of the body")
    action.add_argument("--units", type=int, metavar="N", help="width of the decoder")
    action.add_argument("--dropout", type=float, metavar="RATE", help="in the decoder")
    action.add_argument("--max-words", type=int, metavar="N", help="most words that are known")
    action.add_argument("--max-length", type=int, metavar="N", help="most words of a sentence")
    action.add_argument("--epochs", type=int, metavar="N")
    action.add_argument("--batch-size", type=int, metavar="N")
    action.add_argument("--learning-rate", type=float, metavar="RATE")
    action.add_argument("--seed", type=int, metavar="N")
    action.add_argument("--smoke", action="store_true", help="seconds instead of minutes, to see that it works")


_PLAIN = (
    "data", "size", "count", "body", "endpoint", "weights", "units", "dropout", "max_words", "max_length", "epochs",
    "batch_size", "learning_rate", "seed", "network", "blind",
)  # fmt: skip


def _settings(arguments: argparse.Namespace) -> Any:
    import dataclasses

    from applications.caption import config

    given = {name: getattr(arguments, name, None) for name in _PLAIN}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if arguments.body is not None or arguments.knob:
        changes["knobs"] = pairs(arguments.knob, "--knob")
    return dataclasses.replace(config.SMOKE if arguments.smoke else config.DEFAULT, **changes)


def _train(arguments: argparse.Namespace) -> None:
    from applications.caption import learning
    from zoo.report.summary import PAGE

    run = learning.train(_settings(arguments), arguments.out)
    print("\n".join(lines(run.result)))
    print(arguments.out / PAGE)


def lines(result: dict[str, Any]) -> list[str]:
    """Scores as text."""
    if "exact" in result:
        return [scores_line(result)]
    return [
        f"{name}: R@1 {found['recall'][0]:.3f}, R@5 {found['recall'][1]:.3f}, R@10 {found['recall'][2]:.3f}, "
        f"median rank {found['median_rank']:g}"
        for name, found in result.items()
        if name != "seconds"
    ]


def scores_line(result: dict[str, Any]) -> str:
    """Scores of sentences as text."""
    bleu = ", ".join(f"BLEU-{order} {value:.3f}" for order, value in enumerate(result["bleu"], start=1))
    return f"exact match {result['exact']:.3f}, {bleu}, CIDEr-D {result['cider']:.2f}"


def _compare(arguments: argparse.Namespace) -> None:
    from applications.caption import comparing

    print(comparing.table(comparing.compare(_settings(arguments), arguments.out)))


def _describe(arguments: argparse.Namespace) -> None:
    import math

    from applications.caption import drawing, learning
    from zoo.data.pictures import read_image

    run = learning.open_run(arguments.folder)
    height, width, channels = run.picture_shape
    size = (height, width)
    picture = read_image(arguments.picture, image_size=size, channels=channels, value_range=(0, 255)).astype("uint8")
    found = run.search(beams=arguments.beams)(picture[None])
    told = [run.words.text(words) for words in found.words[0].numpy()]
    for sentence, log_probability in zip(told, found.log_probability[0].numpy(), strict=True):
        if math.isfinite(log_probability):
            print(f"{math.exp(log_probability):.3f}  {sentence}")
    if arguments.attention:
        words = [*told[0].split(), "(end)"]
        drawing.attention(picture, words, run.attention(picture, told[0]), arguments.attention)
        print(arguments.attention)


def _score(arguments: argparse.Namespace) -> None:
    import dataclasses

    import numpy as np

    from applications.caption import baselines, drawing, learning
    from applications.caption.scores import score

    run = learning.open_run(arguments.folder)
    part = learning.load(run.config, arguments.split)
    if run.config.network == "embedding":
        print("\n".join(lines(run.evaluate(part))))
        return
    answers = run.captions(part.pictures, beams=arguments.beams)
    known = learning.load(run.config, "train")
    told = {
        "network": answers,
        "nearest": baselines.nearest(known, part.pictures[np.arange(len(part))]),
        "constant": [baselines.constant(known)] * len(part),
        "hindsight": [baselines.constant(part)] * len(part),
    }
    for name, sentences in told.items():
        print(f"{name:9s} {scores_line(dataclasses.asdict(score(sentences, part.captions)))}")
    if arguments.sheet:
        some = min(len(part), 16)
        drawing.sheet(part.pictures[np.arange(some)], answers[:some], part.captions[:some], arguments.sheet)
        print(arguments.sheet)


def _retrieve(arguments: argparse.Namespace) -> None:
    from applications.caption import drawing, learning

    run = learning.open_run(arguments.folder)
    part = learning.load(run.config, "test")
    found = run.retrieve(arguments.sentence, part, most=arguments.most)
    for number, similarity in found:
        print(f"{similarity:.3f}  {number:5d}  {part.captions[number][0]}")
    if arguments.out:
        import numpy as np

        numbers = np.array([number for number, _ in found])
        texts = [part.captions[number] for number in numbers]
        drawing.sheet(part.pictures[numbers], [text[0] for text in texts], texts, arguments.out)
        print(arguments.out)


def _export(arguments: argparse.Namespace) -> None:
    from applications.caption import exporting, learning

    exporting.export(learning.open_run(arguments.folder), arguments.out, beams=arguments.beams)
    print(arguments.out)


def _tune(arguments: argparse.Namespace) -> None:
    from applications.caption import space

    for exact, fields in space.search(_settings(arguments), arguments.out, trials=arguments.trials):
        print(f"{exact:.3f}  " + ", ".join(f"{name}={value}" for name, value in fields.items()))
    print(arguments.out / "best.json")
