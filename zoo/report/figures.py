"""The figures of a report, each a function from data and a theme to the bytes of a PNG picture.

Drawn on matplotlib's Agg canvas through its objects, not through pyplot: no global state, no display, safe in threads.
Text that comes from outside (names of classes, metrics and examples) passes through `legible`, and never as a formula.
"""

import functools
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, NullFormatter
from PIL import Image

from zoo.report.scores import Calibration, Evaluation
from zoo.report.theme import LIGHT, Theme

# Pixels to an inch of the files; a page shows two of them as one CSS pixel, so that fine screens get fine lines.
DPI = 200
PIXEL_RATIO = 2

# From so many classes on, the confusion matrix has no room for numbers and names.
MAX_NAMED_CLASSES = 30
MAX_FILTER_TILES = 512

# A loss that spans more than this factor is drawn on a logarithmic scale.
LOG_SPAN = 20

SMALL, TEXT, TITLE = 8, 9, 10


@dataclass(frozen=True)
class Panel:
    """One metric over the epochs; NaN where it was not recorded.

    Attributes:
        title: What it is.
        epochs: (n,), from 1.
        series: The line of each name ("training", "validation", or "" for the only one), (n,).
        diverged: Epochs with a value that is not finite.
        log: Whether a logarithmic scale suits it.
    """

    title: str
    epochs: np.ndarray
    series: dict[str, np.ndarray]
    diverged: np.ndarray
    log: bool


def panels(history: Sequence[dict[str, Any]]) -> list[Panel]:
    """The panels of a history: the loss, then each metric with its validation twin, the learning rate last.

    Args:
        history: One dict an epoch: "epoch", "step", and metrics by name. A value may be missing, None or NaN.

    Returns:
        The panels; none for an empty history.
    """
    names = dict.fromkeys(key.removeprefix("val_") for row in history for key in row if key not in ("epoch", "step"))
    order = sorted(names, key=lambda name: {"loss": 0, "learning_rate": 2}.get(name, 1))
    epochs = np.array([row.get("epoch", place) for place, row in enumerate(history, start=1)], dtype=float)
    return [_panel(name, epochs, history) for name in order]


def _panel(name: str, epochs: np.ndarray, history: Sequence[dict[str, Any]]) -> Panel:
    values: dict[str, np.ndarray] = {}
    diverged = np.zeros(len(epochs), dtype=bool)
    for label, key in (("training", name), ("validation", f"val_{name}")):
        recorded = np.array([row.get(key) is not None for row in history])
        if recorded.any():
            line = np.array(
                [row[key] if there else np.nan for row, there in zip(history, recorded, strict=True)], float
            )
            diverged |= recorded & ~np.isfinite(line)
            values[label] = np.where(np.isfinite(line), line, np.nan)
    series = {"": values["training"]} if name == "learning_rate" else values
    finite = np.concatenate([line[~np.isnan(line)] for line in values.values()] or [np.empty(0)])
    may_log = name == "learning_rate" or name.endswith("loss")
    log = bool(may_log and finite.size and finite.min() > 0 and finite.max() > LOG_SPAN * finite.min())
    return Panel(name.replace("_", " ").capitalize(), epochs, series, epochs[diverged], log)


def curves(parts: Sequence[Panel], best_epoch: int | None, theme: Theme = LIGHT) -> bytes:
    """Metrics over the epochs, at most three panels in a row.

    Args:
        parts: The panels, at least one.
        best_epoch: Epoch whose weights were kept, marked by a line; None for no mark.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    columns = min(len(parts), 3)
    rows = math.ceil(len(parts) / columns)
    figure = new_figure(3.7 * columns, 2.7 * rows, theme)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, panel in zip(axes, parts, strict=False):
        _draw_panel(axis, panel, best_epoch, theme)
    for axis in list(axes)[len(parts) :]:
        axis.set_visible(False)
    return png(figure)


def _draw_panel(axis: Axes, panel: Panel, best_epoch: int | None, theme: Theme) -> None:
    dress(axis, theme, panel.title)
    axis.grid(axis="y", color=theme.line, linewidth=0.8)
    marker = "o" if len(panel.epochs) <= 3 else ""
    for label, line in panel.series.items():
        colour, width = (theme.right, 1.8) if label == "validation" else (theme.muted, 1.3)
        axis.plot(panel.epochs, line, color=colour, linewidth=width, marker=marker, markersize=4, label=label or None)
    if len(panel.diverged):
        axis.plot(
            panel.diverged, np.full(len(panel.diverged), 0.03), "x", color=theme.wrong, markersize=5,
            transform=axis.get_xaxis_transform(), clip_on=False, label="not finite",
        )  # fmt: skip
    if best_epoch is not None:
        axis.axvline(
            best_epoch, color=theme.ink, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1, label=f"best: {best_epoch}"
        )
    if panel.log:
        axis.set_yscale("log")
        axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        axis.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    if "" in panel.series and not panel.log:
        axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_xlim(panel.epochs.min() - 0.5, panel.epochs.max() + 0.5)
    axis.set_xlabel("epoch", color=theme.muted, fontsize=SMALL)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, fontsize=SMALL,
            labelcolor=theme.muted, handlelength=1.3, handletextpad=0.5, columnspacing=1.1, borderaxespad=0.1,
            borderpad=0.3,
        )  # fmt: skip


def confusion(evaluation: Evaluation, theme: Theme = LIGHT) -> bytes:
    """The confusion matrix; a cell is the deeper, the larger its part of the true class.

    Up to `MAX_NAMED_CLASSES` classes come with names and counts, more as a map without.

    Args:
        evaluation: The predictions.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    counts = evaluation.confusion
    num_classes = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(num_classes, dtype=bool)
    # The root lets a single mistake among many examples be seen.
    strength = np.where(counts == 0, 0, np.where(diagonal, 0.1 + 0.8 * shares, 0.12 + 0.8 * np.sqrt(shares)))
    colours = np.where(diagonal[..., None], to_rgb(theme.right), to_rgb(theme.wrong))
    cells = (1 - strength[..., None]) * to_rgb(theme.surface) + strength[..., None] * colours

    named = num_classes <= MAX_NAMED_CLASSES
    side = float(np.clip(0.46 * num_classes, 2.0, 9.0)) if named else 6.2
    labels = class_labels(evaluation.classes) if named else []
    margin = 0.7 + 0.075 * max(map(len, labels), default=4)
    figure = new_figure(side + margin, side + margin, theme)
    axis = figure.add_subplot()
    dress(axis, theme, "")
    axis.imshow(cells, interpolation="nearest" if num_classes < 500 else "antialiased")
    axis.spines[:].set_visible(not named)
    if named:
        _name_cells(axis, counts, labels, cells, theme)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("predicted", color=theme.muted, fontsize=TEXT)
    axis.set_ylabel("true", color=theme.muted, fontsize=TEXT)
    return png(figure)


def _name_cells(axis: Axes, counts: np.ndarray, labels: list[str], cells: np.ndarray, theme: Theme) -> None:
    ticks = range(len(labels))
    upright = max(map(len, labels)) <= 3
    axis.set_xticks(ticks, labels, rotation=0 if upright else 90, parse_math=False)
    axis.set_yticks(ticks, labels, parse_math=False)
    edges = np.arange(len(labels) + 1) - 0.5
    axis.set_xticks(edges, minor=True)
    axis.set_yticks(edges, minor=True)
    axis.grid(which="minor", color=theme.line, linewidth=0.8)
    axis.tick_params(which="both", length=0)
    size = TEXT if len(labels) <= 15 else 6.5
    for row, column in np.argwhere(counts):
        colour = _readable(cells[row, column], theme)
        axis.text(column, row, f"{counts[row, column]}", color=colour, fontsize=size, ha="center", va="center")


def _readable(background: np.ndarray, theme: Theme) -> str:
    """Ink or surface, whichever stands out more (contrast about as the web's accessibility guidelines define it)."""

    def luminance(colour: Any) -> float:
        return float(np.power(colour, 2.2) @ (0.2126, 0.7152, 0.0722)) + 0.05

    behind = luminance(background)
    return max((theme.ink, theme.surface), key=lambda colour: abs(math.log(luminance(to_rgb(colour)) / behind)))


def reliability(result: Calibration, theme: Theme = LIGHT) -> bytes:
    """How often predictions are right, over how certain they are; the area of a dot is its part of the examples.

    Args:
        result: The bins.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    figure = new_figure(4.2, 3.6, theme)
    draw_reliability(figure.add_subplot(), result, theme)
    return png(figure)


def draw_reliability(axis: Axes, result: Calibration, theme: Theme) -> None:
    """Draw what `reliability` shows on an axis."""
    dress(axis, theme, "")
    axis.grid(color=theme.line, linewidth=0.8)
    axis.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
    filled = result.counts > 0
    centres, heights = result.confidence[filled], result.accuracy[filled]
    axis.vlines(centres, centres, heights, color=theme.wrong, linewidth=1.5)
    axis.plot(centres, heights, color=theme.right, linewidth=1.2)
    areas = 18 + 240 * result.counts[filled] / result.counts.sum()
    axis.scatter(centres, heights, areas, color=theme.right, edgecolor=theme.surface, linewidth=1, zorder=3)
    axis.set(xlim=(-0.02, 1.05), ylim=(-0.05, 1.07))
    axis.set_xlabel("mean probability of the prediction", color=theme.muted, fontsize=SMALL)
    axis.set_ylabel("share that is right", color=theme.muted, fontsize=SMALL)


def mistakes(evaluation: Evaluation, indices: Sequence[int], theme: Theme = LIGHT) -> bytes:
    """Pictures with their true and predicted class, six in a row; small ones are enlarged pixel by pixel.

    Args:
        evaluation: The predictions.
        indices: Which examples, at least one.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    columns, width, height, text, gap = 6, 1.75, 2.2, 0.55, 0.15  # inches
    rows = math.ceil(len(indices) / columns)
    figure = new_figure(columns * width, rows * height, theme)
    figure.set_layout_engine("none")
    inches = np.array([columns * width, rows * height])
    labels = class_labels(evaluation.classes)
    for place, index in enumerate(indices):
        row, column = divmod(place, columns)
        corner = np.array([column * width + gap / 2, (rows - 1 - row) * height + gap / 2])
        extent = np.array([width - gap, height - gap - text])
        axis = figure.add_axes((*(corner / inches), *(extent / inches)))
        axis.set_axis_off()
        axis.set_anchor("NW")
        picture = image_of(evaluation, index)
        axis.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)))
        true, predicted = int(evaluation.labels[index]), int(evaluation.predicted[index])
        chances = 100 * evaluation.probabilities[index]
        lines = (
            (f"{shorten(labels[true], 9)} → {shorten(labels[predicted], 9)}", theme.ink, TEXT),
            (f"{chances[true]:.1f} % → {chances[predicted]:.1f} %", theme.muted, 7),
            (shorten(legible(evaluation.name(index)), 24), theme.muted, 6.5),
        )
        x, top = corner[0], corner[1] + extent[1] + text - 0.1
        for line, (content, colour, size) in enumerate(lines):
            x_share, y_share = np.array([x, top - 0.17 * line]) / inches
            figure.text(x_share, y_share, content, color=colour, fontsize=size, va="center", parse_math=False)
    return png(figure)


def filters(kernel: np.ndarray, theme: Theme = LIGHT) -> bytes:
    """The kernels of a convolution as a mosaic, each filter scaled by its own largest weight, zero in the middle.

    Filters over three channels are colour pictures; of others each channel is a tile, blue below and red above zero.

    Args:
        kernel: (height, width, channels, filters).
        theme: The colours; only that behind the tiles is used.

    Returns:
        A PNG picture with at most `MAX_FILTER_TILES` tiles.
    """
    height, width, channels, count = kernel.shape
    finite = np.nan_to_num(kernel.astype(np.float64), posinf=0, neginf=0)
    scale = np.abs(finite).max(axis=(0, 1, 2), keepdims=True)
    scaled = finite / np.where(scale > 0, scale, 1)
    if channels == 3:
        tiles = (scaled.transpose(3, 0, 1, 2) + 1) / 2
    else:
        slices = scaled.transpose(3, 2, 0, 1).reshape(count * channels, height, width)
        tiles = colormaps["RdBu_r"]((slices[:MAX_FILTER_TILES] + 1) / 2)[..., :3]
    tiles = tiles[:MAX_FILTER_TILES]
    columns = min(len(tiles), 8 if len(tiles) <= 32 else 16 if len(tiles) <= 128 else 32)
    # Enlarged by a whole number, to about 1400 pixels of a full row at most and 96 a tile at least where they are few.
    zoom = max(1, round(min(112, 1400 / columns) / max(height, width)))
    gap = 14
    step_y, step_x = height * zoom + gap, width * zoom + gap
    rows = math.ceil(len(tiles) / columns)
    mosaic = np.empty((rows * step_y + gap, columns * step_x + gap, 3))
    mosaic[:] = to_rgb(theme.surface)
    for place, tile in enumerate(tiles):
        y, x = (place // columns) * step_y + gap, (place % columns) * step_x + gap
        mosaic[y : y + height * zoom, x : x + width * zoom] = tile.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return encode(np.rint(mosaic * 255).astype(np.uint8))


def encode(picture: np.ndarray, max_side: int | None = None) -> bytes:
    """A uint8 picture (height, width, 1 or 3 channels) as PNG, made smaller where a side is longer than `max_side`."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    if max_side is not None:
        image.thumbnail((max_side, max_side))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def image_of(evaluation: Evaluation, index: int) -> np.ndarray:
    """The picture of an example, checked: uint8, (height, width, 1 or 3); else a ValueError."""
    picture = evaluation.image(index)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] not in (1, 3) or not picture.size:
        raise ValueError(
            "image(index) must return uint8 of shape (height, width, 1 or 3). "
            f"Received: {picture.dtype} of {picture.shape} for index {index}"
        )
    return picture


def class_labels(classes: Sequence[str]) -> list[str]:
    """Short labels for figures: the name, or "#3" for a class whose name the figures' font cannot write."""
    return [
        shorten(name, 18) if name.strip() and legible(name) == name else f"#{index}"
        for index, name in enumerate(classes)
    ]


def legible(text: str) -> str:
    """The text with "□" for each character that the figures' font lacks."""
    return "".join(character if ord(character) in _characters() else "□" for character in text)


def shorten(text: str, length: int) -> str:
    """The text, with its middle left out where it is longer than `length` characters."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


@functools.cache
def _characters() -> frozenset[int]:
    """Code points of the printable characters that matplotlib's default font can write."""
    points = get_font(findfont(FontProperties())).get_charmap()
    return frozenset(point for point in points if chr(point).isprintable())


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure of that size in inches, which arranges its axes by itself."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    return Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor=theme.surface)


def dress(axis: Axes, theme: Theme, title: str) -> None:
    """Quiet axes in the theme's colours, with the title at the left."""
    axis.set_facecolor(theme.surface)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[:].set_color(theme.line)
    axis.tick_params(which="both", color=theme.line, labelcolor=theme.muted, labelsize=SMALL)
    axis.set_title(
        shorten(legible(title), 20), loc="left", color=theme.ink, fontsize=TITLE, fontweight="bold", parse_math=False
    )


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content, the same for the same figure."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
