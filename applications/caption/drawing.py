"""Where a network looked for each word, and a sheet of pictures with what was said of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def attention(picture: np.ndarray, words: Sequence[str], looked: np.ndarray, path: Path) -> None:
    """Draw a picture once for each word, lit where the network looked for it.

    Args:
        picture: (height, width, 1 or 3) uint8.
        words: The words of the sentence, and its end.
        looked: (words, rows, columns), as `Run.attention` gives it.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure

    columns = min(len(words) + 1, 6)
    rows = -(-(len(words) + 1) // columns)
    figure = Figure(figsize=(1.8 * columns, 2.05 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = _colours(picture)
    extent = (-0.5, picture.shape[1] - 0.5, picture.shape[0] - 0.5, -0.5)
    axes[0].imshow(colours)
    for axis, word, weights in zip(axes[1:], words, looked, strict=False):
        axis.imshow(colours * 0.45)
        axis.imshow(
            weights, extent=extent, cmap="inferno", alpha=0.65, interpolation="bilinear", vmin=0, vmax=weights.max()
        )
        axis.set_title(word, fontsize=10)
    for axis in axes:
        axis.axis("off")
    figure.savefig(path, dpi=100)


def sheet(pictures: np.ndarray, answers: Sequence[str], references: Sequence[Sequence[str]], path: Path) -> None:
    """Draw pictures with what was said of them; in red, with the first reference below, where it is none of these.

    Args:
        pictures: (pictures, height, width, 1 or 3) uint8.
        answers: A sentence for each.
        references: For each its sentences.
        path: The PNG file to write.
    """
    import textwrap

    from matplotlib.figure import Figure

    from zoo.data.text.encoding import words

    columns = 4
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, picture, answer, known in zip(axes, pictures, answers, references, strict=False):
        right = words(answer) in [words(text) for text in known]
        text = textwrap.fill(answer, 34) + ("" if right else "\n" + textwrap.fill(f"({known[0]})", 34))
        axis.imshow(_colours(picture))
        axis.set_title(text, fontsize=8, color="black" if right else "firebrick")
    figure.savefig(path, dpi=100)


def _colours(picture: np.ndarray) -> np.ndarray:
    """(height, width, 3), from 0 to 1."""
    return np.repeat(picture, 3, 2)[..., :3] / 255 if picture.shape[2] == 1 else picture / 255
