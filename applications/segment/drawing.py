"""A picture with the classes of its pixels drawn over it."""

from collections.abc import Sequence
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
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    palette = np.array([colormaps["tab20"](number % 20)[:3] for number in range(len(classes))])
    colours = np.repeat(picture, 3, 2)[..., :3] / 255 if picture.shape[2] == 1 else picture / 255
    mixed = np.where((answer > 0)[..., None], 0.35 * colours + 0.65 * palette[answer], colours)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for axis, shown in zip(figure.subplots(1, 2), (colours, mixed), strict=True):
        axis.imshow(shown)
        axis.axis("off")
    there = [number for number in np.unique(answer) if number > 0]
    patches = [Patch(color=palette[number], label=classes[number]) for number in there]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6), frameon=False)
    figure.savefig(path, dpi=100)
