"""Pictures before and after, side by side, and the page of a run."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from applications.colorize import learning, pictures
from applications.colorize.learning import CONFIG, Colourist, lightness_of, with_colours
from applications.colorize.scores import Row
from zoo import files
from zoo.report import figures
from zoo.report.summary import Sheet, Table, write_summary

SHEET, SCORES = "sheet.png", "scores.json"

# Rows of a sheet, at most, and the pixels of a picture on it.
_ROWS, _SIDE = 8, 220


def sheet(
    part: pictures.Pictures,
    colourists: Sequence[tuple[str, Colourist]],
    temperatures: Sequence[float | None] = (None,),
    rows: int = _ROWS,
) -> bytes:
    """Each picture in grey, as each network colours it, and as it is.

    Args:
        part: The pictures; of many the first are shown.
        colourists: Networks with their names.
        temperatures: Of those that classify; None for that of the training.
        rows: Most pictures.

    Returns:
        A PNG file's content.
    """
    heads = ["what it sees"]
    for label, colourist in colourists:
        if colourist.config.target == "l2":
            heads.append(f"{label}\nregression")
        else:
            heads += [f"{label}\nT = {colourist.config.temperature if t is None else t:g}" for t in temperatures]
    heads.append("the original")
    shown = min(rows, len(part))
    lines: list[list[np.ndarray]] = []
    for number in range(shown):
        whole = part.read(number)
        lightness = lightness_of(whole)
        line = [with_colours(lightness, np.zeros((*lightness.shape, 2), np.float32))]
        for _, colourist in colourists:
            scores = colourist.scores(lightness)
            for temperature in temperatures if colourist.config.target == "classes" else (None,):
                line.append(with_colours(lightness, colourist.colours(scores, lightness.shape, temperature)))
        lines.append([*line, whole])
    sides = [max(line[0].shape[0] / line[0].shape[1], 0.4) for line in lines]
    figure = Figure(figsize=(2.2 * len(heads), 2.2 * sum(sides) + 0.6), dpi=100, layout="constrained")
    grid = figure.subplots(shown, len(heads), squeeze=False, height_ratios=sides)
    for place, (axes, line) in enumerate(zip(grid, lines, strict=True)):
        for axis, head, one in zip(axes, heads, line, strict=True):
            axis.imshow(one, interpolation="nearest" if max(one.shape) < _SIDE else "antialiased")
            axis.set_xticks(())
            axis.set_yticks(())
            if place == 0:
                axis.set_title("\n".join(map(figures.legible, head.splitlines())), fontsize=9, parse_math=False)
        axes[0].set_ylabel(figures.legible(part.names[place]), fontsize=8, parse_math=False)
    return figures.png(figure)


def write(folder: Path, tables: Sequence[tuple[str, Sequence[Row]]], drawn: bytes) -> Path:
    """Write the scores and the page of a run.

    Args:
        folder: The run.
        tables: Scores, each with a title.
        drawn: The sheet, a PNG file's content.

    Returns:
        Path of the page.
    """
    files.write_atomic(folder / SHEET, drawn)
    files.write_json(folder / SCORES, {title: [asdict(row) for row in rows] for title, rows in tables})
    facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["training"]
    sheets = [Sheet("Before and after", drawn, "Pictures in grey, coloured by the network, and as they are")]
    return write_summary(folder, "colours grey pictures", sheets=sheets, tables=[_table(*one) for one in tables],
                         facts=facts)  # fmt: skip


def _table(title: str, rows: Sequence[Row]) -> Table:
    heads = ["coloured by", "RMSE", "chroma", "accuracy"]
    note = (
        "Chroma is the mean distance from grey, as a part of the true one. Accuracy is the part of the pixels nearer "
        "than a distance in the plane of a and b, averaged over 0 to 150."
    )
    if rows[0].chroma_of:
        note += " Of each kind of shapes: chroma, and the part of the pixels whose colour is near one that it may have."
        heads += [
            f"{kind}, {':'.join(map(str, shares))}"
            for kind, shares in zip(pictures.KINDS, pictures.SHARES, strict=True)
        ]
    cells = []
    for row in rows:
        of_kinds = zip(row.chroma_of or (), row.legal_of or (), strict=True)
        parts = [f"{chroma:.2f} / {legal:.2f}" for chroma, legal in of_kinds]
        cells.append((row.name, f"{row.rmse:.1f}", f"{row.chroma:.2f}", f"{row.accuracy:.3f}", *parts))
    return Table(f"Scores: {title}", heads, cells, note)


def evaluated(
    folders: Sequence[Path], split: str
) -> tuple[list[tuple[str, Colourist]], pictures.Pictures, pictures.Pictures]:
    """Networks of runs that were trained on the same data, with pictures to look at and training pictures.

    Raises:
        ValueError: A folder holds no training, or their data differ.
    """
    opened = [(folder.name, *learning.open_run(folder)) for folder in folders]
    data = {(config.data, config.count, config.size, config.shorter_side, config.seed) for _, _, config in opened}
    if len(data) > 1:
        raise ValueError(f"Runs are compared on the same data. Received: {', '.join(sorted(map(str, data)))}")
    config = opened[0][2]
    part, known = (
        pictures.load(
            config.data, one, count=config.count, size=config.size, shorter_side=config.shorter_side, seed=config.seed
        )
        for one in (split, "train")
    )
    return [(name, Colourist(model, config)) for name, model, config in opened], part, known
