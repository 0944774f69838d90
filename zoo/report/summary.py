"""The page of an application's run: sheets of pictures, tables of scores, curves, and what was trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo import files
from zoo.report import figures
from zoo.report.page import picture, template
from zoo.report.theme import DARK, LIGHT

PAGE, METRICS = "report.html", "metrics.jsonl"

# A sheet is not shown wider than this, in CSS pixels.
_SHEET_WIDTH = 1152


@dataclass(frozen=True)
class Sheet:
    """A drawn picture, on white.

    Attributes:
        title: Its heading.
        png: The PNG file's content.
        alt: What it shows, in words.
        note: A sentence above it; "" for none.
    """

    title: str
    png: bytes
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Scores as text.

    Attributes:
        title: Its heading.
        heads: Heads of the columns, that of the rows' names first.
        rows: Name and cells of each row.
        note: What the numbers are; "" for none.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def write_summary(
    folder: Path, about: str, *, sheets: Sequence[Sheet], tables: Sequence[Table], facts: Mapping[str, Any]
) -> Path:
    """Write `report.html` into a run folder, with the curves of its `metrics.jsonl` if it has one.

    Args:
        folder: The run.
        about: What the network does, in a few words.
        sheets: Pictures, in their order.
        tables: Scores, below the pictures.
        facts: What was trained, plain JSON.

    Returns:
        Path of the page.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from zoo.report.summary import Table, write_summary
        >>> scores = Table("Scores", ("", "mean IoU"), [("network", "0.88")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_summary(Path(folder), "finds digits", sheets=(), tables=(scores,), facts={"epochs": 4})
        ...     "0.88" in page.read_text(encoding="utf-8")
        True
    """
    history = []
    if (folder / METRICS).is_file():
        history = [json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
    panels = figures.panels(history)
    curves = panels and picture(lambda theme: figures.curves(panels, None, theme), "Curves over the epochs")
    page = template("summary.html.jinja").render(
        light=asdict(LIGHT), dark=asdict(DARK), title=folder.resolve().name, about=about, sheets=sheets, tables=tables,
        curves=curves, facts=json.loads(json.dumps(facts)), sheet_width=_SHEET_WIDTH,
    )  # fmt: skip
    files.write_atomic(folder / PAGE, page)
    return folder / PAGE
