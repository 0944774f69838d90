"""Maps as pictures of 8 bits."""

import functools

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from applications.visualize.attribution import enlarged
from zoo.report.figures import SMALL, dress, encode, new_figure, png
from zoo.report.theme import Theme

# Pictures on a page: small ones are enlarged to about this many pixels, larger ones made smaller.
SIDE = 224

# The part of a map's values that its colours span: single extreme pixels would leave the rest grey.
SPANNED = 99.5

_LINES = ("#0b63a8", "#b84a00", "#2b8a3e", "#8a3fa0", "#586474")


def natural(picture: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """A picture as it is, (height, width, 1 or 3) uint8."""
    low, high = value_range
    return np.clip(np.rint((picture - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def strength(values: np.ndarray) -> np.ndarray:
    """A map (height, width) of 0 or more: black for 0, then red, yellow and white."""
    top = float(np.percentile(values, SPANNED)) or float(values.max()) or 1.0
    return _coloured("inferno", values / top)


def signed(values: np.ndarray) -> np.ndarray:
    """A map (height, width) or (height, width, channels), whose channels are summed: red for, blue against."""
    if values.ndim == 3:
        values = values.sum(axis=-1)
    size = np.abs(values)
    top = float(np.percentile(size, SPANNED)) or float(size.max()) or 1.0
    return _coloured("RdBu_r", (values / top + 1) / 2)


def sent_back(values: np.ndarray) -> np.ndarray:
    """What was sent back to the pixels (height, width, channels): colours around a grey zero, one channel as signed."""
    if values.shape[-1] != 3:
        return signed(values)
    size = np.abs(values)
    top = float(np.percentile(size, SPANNED)) or float(size.max()) or 1.0
    return np.clip(np.rint((values / top + 1) * 127.5), 0, 255).astype(np.uint8)


def over(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A map (rows, columns) of 0 or more laid over a picture (height, width, 1 or 3) uint8."""
    height, width = picture.shape[:2]
    spread = enlarged(values / (float(values.max()) or 1.0), (height, width)).clip(0, 1)
    grey = picture.astype(np.float64).mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    colours = colormaps["inferno"](spread)[..., :3] * 255
    part = 0.25 + 0.5 * spread[..., None]
    return np.rint(grey * (1 - part) + colours * part).astype(np.uint8)


def framed(picture: np.ndarray, seen: tuple[int, int, int, int]) -> np.ndarray:
    """The part of a picture uint8, with one row and column more around it where there are some."""
    top, bottom, left, right = seen
    return picture[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]


def tile(picture: np.ndarray) -> bytes:
    """A picture uint8 as PNG of about `SIDE` pixels, small ones enlarged by whole numbers so that pixels stay sharp."""
    times = max(1, SIDE // max(picture.shape[:2]))
    return encode(picture.repeat(times, axis=0).repeat(times, axis=1), SIDE if times == 1 else None)


def falling(found: dict[str, list[float]], theme: Theme) -> bytes:
    """How alike maps stay while layers are lost, as lines."""
    figure = new_figure(6.4, 3.2, theme)
    axis = figure.add_subplot()
    dress(axis, theme, "")
    axis.grid(axis="y", color=theme.line, linewidth=0.8)
    for place, (name, values) in enumerate(found.items()):
        share = np.linspace(0, 100, len(values))
        axis.plot(share, values, "o-", color=_LINES[place % len(_LINES)], linewidth=1.6, markersize=4, label=name)
    axis.axhline(0, color=theme.muted, linewidth=0.8)
    axis.set_ylim(min(-0.1, min(map(min, found.values())) - 0.05), 1.05)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_xlabel("layers lost, from the output on, %", color=theme.muted, fontsize=SMALL)
    axis.set_ylabel("rank correlation", color=theme.muted, fontsize=SMALL)
    axis.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=SMALL, labelcolor=theme.muted
    )  # fmt: skip
    return png(figure)


@functools.cache
def _table(name: str) -> np.ndarray:
    """The 256 colours of a colour map, uint8."""
    return np.rint(colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8)


def _coloured(name: str, values: np.ndarray) -> np.ndarray:
    """Values of 0 to 1 as colours; what is not finite as 0."""
    places = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)
    return _table(name)[places]
