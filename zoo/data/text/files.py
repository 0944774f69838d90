"""Text from files, checked whole before the first step."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.arrays import ArrayDataset, Arrays, carved
from zoo.data.errors import DataError, printable
from zoo.data.folder import split_folders
from zoo.data.splits import SPLITS
from zoo.data.text.encoding import ALPHABET, Encoder, fit_words, read_text
from zoo.data.text.makers import make_order_task
from zoo.messages import some

# Words that a vocabulary has at most, and positions of a text of words: networks that read words take any number.
MAX_WORDS, MAX_LENGTH = 20_000, 400

# Longest cell of a CSV file, in characters: a document.
csv.field_size_limit(1 << 26)


@dataclass(frozen=True, kw_only=True)
class TextDataset(ArrayDataset):
    """A data set of texts as they are; `for_model` turns them into numbers."""

    modality: str = "text"

    def for_model(self, modality: str, input_shape: tuple[int, ...], symbols: str = "words") -> ArrayDataset:
        """The texts as numbers, by a vocabulary of the training texts alone, or by characters."""
        super().for_model(modality, input_shape)
        if symbols == "characters":
            return self.in_form(Encoder("characters", tuple(ALPHABET), input_shape[0]).form)
        texts = list(self.splits["train"].values)  # type: ignore[attr-defined]
        return self.in_form(fit_words(texts, max_words=MAX_WORDS, max_length=MAX_LENGTH).form)

    def in_form(self, form: Mapping[str, Any]) -> ArrayDataset:
        """The texts as the numbers of a form."""
        encoder = Encoder.from_form(form)
        splits = {}
        for split, part in self.splits.items():
            assert isinstance(part, Arrays)
            splits[split] = Arrays(part.labels, part.names, encoder.encode_all(list(part.values)))
        facts = {name: getattr(self, name) for name in ("name", "classes", "source", "licence", "fingerprint")}
        # The numbers that there are; of characters 0 stands for none of the symbols.
        arguments = {"vocabulary": len(encoder.symbols) + (encoder.kind == "characters")}
        return ArrayDataset(
            **facts,
            image_shape=(encoder.length,),
            splits=splits,
            modality="text",
            form=encoder.form,
            model_arguments=arguments,
        )


def load(name: str, path: Path, split_seed: int) -> TextDataset:
    """Texts with their classes: `order`, a .csv or .jsonl file, or a folder of class folders of text files.

    A CSV file has the columns `text` and `label`, a JSON Lines file objects with these keys; a column or key `split` of
    train, validation or test is kept to, and so are folders of these names around the class folders.
    """
    if str(path) == "order":
        texts, numbers = make_order_task(2000, seed=0)
        # Partners stay together: one of them in training would say that the other one is of the other class.
        splits = ["train", "train", "train", "validation", "test"]
        rows = [
            (splits[index // 2 % 5], f"order/{index}", text, str(number))
            for index, (text, number) in enumerate(zip(texts, numbers, strict=True))
        ]
        return from_rows(name, rows, split_seed, "made: the same words in two orders", "none: made")
    shown = printable(str(path))
    if path.is_dir():
        rows = _folder(path)
    elif path.suffix == ".csv":
        rows = _table(path)
    elif path.suffix == ".jsonl":
        rows = _lines(path)
    else:
        raise DataError(f"Text is a .csv or .jsonl file, a folder of class folders, or order. Received: {shown}")
    return from_rows(name, rows, split_seed, shown, "as its owner says")


# Split or "all", name, text, label.
Row = tuple[str, str, str, str]


def _folder(root: Path) -> list[Row]:
    shown = printable(str(root))
    folders = {
        split: sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        for split, place in split_folders(root, ignore_files=True).items()
    }
    classes = {split: {folder.name for folder in own} for split, own in folders.items()}
    for split, own in classes.items():
        if odd := sorted(own ^ classes.get("train", own)):
            raise DataError(f"{shown}: the classes of {split} are not those of train: {some(map(printable, odd))}.")
    rows: list[Row] = []
    for split, folder in ((split, folder) for split, own in folders.items() for folder in own):
        for path in sorted(entry for entry in folder.rglob("*") if entry.is_file() and not entry.name.startswith(".")):
            rows.append((split, path.relative_to(root).as_posix(), read_text(path), folder.name))
    if not rows:
        raise DataError(f"{shown} holds no text. Expected class folders with text files.")
    return rows


def _table(path: Path) -> list[Row]:
    shown = printable(str(path))
    rows: list[Row] = []
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    if missing := [key for key in ("text", "label") if key not in (reader.fieldnames or ())]:
        raise DataError(f"{shown}:1: expected the columns text and label. Missing: {', '.join(missing)}")
    try:
        for row in reader:
            place = f"{shown}:{reader.line_num}"
            if None in row:
                raise DataError(
                    f"{place}: expected {len(row) - 1} cells, one for each column. "
                    f"Received: {len(row) - 1 + len(row[None])}. Put texts with commas into quotes."
                )
            rows.append(_row(row, place, len(rows)))
    except csv.Error as error:
        raise DataError(f"{shown}:{reader.line_num}: {error}.") from None
    return rows


def _lines(path: Path) -> list[Row]:
    shown = printable(str(path))
    rows: list[Row] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{shown}:{number}: this is no JSON: {error}.") from None
        if not isinstance(row, dict):
            raise DataError(f"{shown}:{number}: expected an object with text and label. Received: {type(row).__name__}")
        rows.append(_row(row, f"{shown}:{number}", len(rows)))
    return rows


def _row(row: Mapping[str, Any], place: str, index: int) -> Row:
    text, label, split = row.get("text"), row.get("label"), row.get("split") or "all"
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{place}: the text is empty or missing.")
    if label is None or isinstance(label, (dict, list)) or not str(label).strip():
        raise DataError(f"{place}: the label is empty or missing.")
    if split not in (*SPLITS, "all"):
        raise DataError(f"{place}: the split must be train, validation or test. Received: {printable(str(split))}")
    return split, f"{split}/{index}", text, str(label).strip()


def from_rows(
    name: str,
    rows: Sequence[Row],
    split_seed: int,
    source: str,
    licence: str,
    classes: Sequence[str] | None = None,
) -> TextDataset:
    """A data set of rows.

    Args:
        name: What was asked for.
        rows: Split or "all", name, text and label of each example.
        split_seed: Seed of the splits that no row names.
        source: Where the data comes from.
        licence: Under which terms.
        classes: The classes in their order; None for those of the rows, in the order of the alphabet.

    Raises:
        DataError: There are fewer than two classes, or too few examples for a split.
    """
    classes = sorted({label for *_, label in rows}) if classes is None else classes
    if len(classes) < 2:
        raise DataError(f"{source} has {len(classes)} classes; classifying needs two.")
    numbers = {label: index for index, label in enumerate(classes)}
    given = {part for part, *_ in rows}
    if len(given) > 1 and ("all" in given or "train" not in given):
        raise DataError(
            f"{source}: either all rows have a split or none, and some are of train. Received: {sorted(given)}"
        )
    parts = {}
    for part in given:
        own = [row for row in rows if row[0] == part]
        values = np.empty(len(own), object)
        values[:] = [text for _, _, text, _ in own]
        parts[part] = Arrays(np.array([numbers[row[3]] for row in own], np.int32), [row[1] for row in own], values)
    digest = hashlib.sha256("\n".join(json.dumps(row) for row in rows).encode())
    return TextDataset(
        name=name,
        classes=tuple(printable(label) for label in classes),
        image_shape=(None,),
        splits=carved(parts, split_seed, source),
        source=source,
        licence=licence,
        fingerprint=digest.hexdigest(),
    )
