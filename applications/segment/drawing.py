"""Pictures with the classes of their pixels drawn over them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def overlay(picture: np.ndarray, answer: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Draw a picture, and beside it the same with a colour for each class but the first, and a legend.

    Args:
        picture: (height, width, 1 or 3) uint8.
        answer: (height, width) classes.
        classes: Their names.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    colours, mixed = _mixed(picture, answer, len(classes))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for axis, shown in zip(figure.subplots(1, 2), (colours, mixed), strict=True):
        axis.imshow(shown)
        axis.axis("off")
    there = [number for number in np.unique(answer) if number > 0]
    patches = [Patch(color=_palette(len(classes))[number], label=classes[number]) for number in there]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6), frameon=False)
    figure.savefig(path, dpi=100)


def sheet(pictures: np.ndarray, answers: Mapping[str, np.ndarray], classes: Sequence[str], path: Path) -> None:
    """Draw a row for each picture: itself, then each answer over it, and a legend of all classes but the first.

    Args:
        pictures: (pictures, height, width, 1 or 3) uint8.
        answers: (pictures, height, width) classes, by the title of the column.
        classes: Their names.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    palette = _palette(len(classes))
    count = len(answers) + 1
    figure = Figure(figsize=(1.7 * count, 1.7 * len(pictures) + 0.6), layout="constrained")
    axes = figure.subplots(len(pictures), count, squeeze=False)
    for row, picture in enumerate(pictures):
        shown = [_mixed(picture, answer[row], len(classes))[1] for answer in answers.values()]
        for axis, image in zip(axes[row], [_colours(picture), *shown], strict=True):
            axis.imshow(image, interpolation="nearest")
            axis.axis("off")
    for axis, title in zip(axes[0], ("picture", *answers), strict=True):
        axis.set_title(title, fontsize=9)
    patches = [Patch(color=palette[number], label=classes[number]) for number in range(1, len(classes))]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 10), frameon=False, fontsize=8)
    figure.savefig(path, dpi=100)


def _palette(count: int) -> np.ndarray:
    from matplotlib import colormaps

    return np.array([colormaps["tab20"](number % 20)[:3] for number in range(count)])


def _mixed(picture: np.ndarray, answer: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture in colour, and with the classes over it, (height, width, 3) from 0 to 1."""
    colours = _colours(picture)
    return colours, np.where((answer > 0)[..., None], 0.35 * colours + 0.65 * _palette(classes)[answer], colours)


def _colours(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture, 3, 2)[..., :3] / 255 if picture.shape[2] == 1 else picture / 255
