"""The page of a run: test pictures with what was said of them, where the network looked, scores."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from applications.caption import baselines, drawing
from applications.caption.scenes import Captioned
from applications.caption.scores import cells, score
from zoo.report.summary import Sheet, Table, write_summary

SHEET, ATTENTION = "sheet.png", "attention.png"

# Pictures on a sheet.
_SHOWN = 16


def write(folder: Path, run: Any, part: Captioned, known: Captioned) -> Path:
    """Write the page of a trained network.

    Args:
        folder: The run folder.
        run: The `learning.Run`.
        part: The test split.
        known: The training split.

    Returns:
        Path of the page.
    """
    if run.config.network == "embedding":
        sheets, tables = _found(folder, run, part)
        about = "finds pictures and sentences by each other"
    else:
        sheets, tables = _said(folder, run, part, known)
        about = "says what a picture shows"
    return write_summary(folder, about, sheets=sheets, tables=tables, facts=dataclasses.asdict(run.config))


def _said(folder: Path, run: Any, part: Captioned, known: Captioned) -> tuple[list[Sheet], list[Table]]:
    pictures = part.pictures[np.arange(min(len(part), _SHOWN))]
    answers = run.captions(pictures)
    drawing.sheet(pictures, answers, part.captions[: len(pictures)], folder / SHEET)
    words = [*answers[0].split(), "(end)"]
    drawing.attention(pictures[0], words, run.attention(pictures[0], answers[0]), folder / ATTENTION)
    constant, hindsight = (
        dataclasses.asdict(score([baselines.constant(one)] * len(part), part.captions)) for one in (known, part)
    )
    rows = [
        ("the network", *cells(run.result)),
        ("most frequent training sentence", *cells(constant)),
        ("best single sentence in hindsight", *cells(hindsight)),
    ]
    heads = ("", "exact match", *(f"BLEU-{order}" for order in range(1, 5)), "CIDEr-D")
    return [
        Sheet("Test pictures", (folder / SHEET).read_bytes(), "Pictures, each with a sentence above it",
              "In red what is none of the picture's sentences, with one of these below."),
        Sheet("Where it looked for each word", (folder / ATTENTION).read_bytes(),
              "The first picture once for each word, lit where the network looked"),
    ], [Table("Scores on the test split", heads, rows,
              "Exact match: the sentence is one of the picture's, word for word.")]  # fmt: skip


def _found(folder: Path, run: Any, part: Captioned) -> tuple[list[Sheet], list[Table]]:
    sentence = part.captions[0][0]
    numbers = np.array([number for number, _ in run.retrieve(sentence, part, most=min(len(part), _SHOWN // 2))])
    texts = [part.captions[number] for number in numbers]
    same = [sentence if sentence in known else known[0] for known in texts]
    drawing.sheet(part.pictures[numbers], same, [(sentence,)] * len(same), folder / SHEET)
    rows = [(name, *cells(found)) for name, found in run.result.items() if name != "seconds"]
    return [
        Sheet("The pictures nearest to a sentence", (folder / SHEET).read_bytes(), "Pictures, the nearest first",
              f"“{sentence}”. In red a picture that shows something else, with its own sentence."),
    ], [Table("Retrieval on the test split", ("it finds", "R@1", "R@5", "R@10", "median rank"), rows,
              "R@10: the part of the queries with a right answer among the first ten.")]  # fmt: skip
