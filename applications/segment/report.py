"""The page of a run: test pictures with the true and the found classes over them, and scores."""

import dataclasses
from pathlib import Path

import numpy as np

from applications.segment import drawing
from applications.segment.config import Segmentation
from applications.segment.scenes import Scenes
from applications.segment.scores import Scores
from zoo.report.summary import Sheet, Table, write_summary

SHEET = "sheet.png"

# Pictures on the sheet.
_SHOWN = 8


def write(folder: Path, config: Segmentation, part: Scenes, answers: np.ndarray, found: Scores) -> Path:
    """Write the page of a trained network.

    Args:
        folder: The run folder.
        config: What it was trained by.
        part: The test split.
        answers: (pictures, height, width) the classes that the network gives its pixels.
        found: The scores on it.

    Returns:
        Path of the page.
    """
    drawn = {"truth": part.masks[:_SHOWN], "the network": answers[:_SHOWN]}
    drawing.sheet(part.pictures[:_SHOWN], drawn, part.classes, folder / SHEET)
    whole = {
        "mean IoU": found.mean_iou,
        "near borders": found.boundary_iou,
        "pixel accuracy": found.pixel_accuracy,
    }
    tables = [
        Table("Scores on the test split", ("", "score"), [(name, f"{value:.3f}") for name, value in whole.items()],
              "IoU: intersection over union, the mean over the classes; near borders: of the pixels there alone."),
        Table("Each class", ("class", "IoU"), [
            (name, "none there" if value != value else f"{value:.3f}")
            for name, value in zip(part.classes, found.iou, strict=True)
        ]),
    ]  # fmt: skip
    alt = "Pictures, with the true and the found classes over them"
    sheet = Sheet("Test pictures", (folder / SHEET).read_bytes(), alt)
    facts = dataclasses.asdict(config)
    return write_summary(folder, "gives each pixel a class", sheets=[sheet], tables=tables, facts=facts)
