"""The page of a transfer or of a training: what was painted, by what, and how the loss fell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from zoo import files
from zoo.report import figures
from zoo.report.page import picture, template
from zoo.report.theme import DARK, LIGHT, Theme

PAGE = "report.html"

_SIDE = 480


def falling(history: Sequence[float], label: str, theme: Theme) -> bytes:
    """A loss over its iterations, on a logarithmic scale."""
    figure = figures.new_figure(6.4, 3.0, theme)
    axis = figure.add_subplot()
    figures.dress(axis, theme, "Loss")
    axis.grid(axis="y", color=theme.line, linewidth=0.8)
    axis.plot(range(len(history)), history, color=theme.right, linewidth=1.6)
    axis.set_yscale("log")
    axis.set_xlabel(label, color=theme.muted, fontsize=figures.SMALL)
    return figures.png(figure)


def write(
    folder: Path,
    shown: Mapping[str, np.ndarray],
    history: Sequence[float],
    facts: Mapping[str, Any],
    *,
    label: str = "iterations",
    warning: str = "",
) -> Path:
    """Write the page of a run folder.

    Args:
        folder: The run.
        shown: Pictures (height, width, 3) uint8 with their titles.
        history: Loss at the beginning and after each iteration or epoch.
        facts: What was done, plain JSON.
        label: What the loss is drawn over.
        warning: What makes the picture other than it might be; "" for nothing.

    Returns:
        Path of the page.
    """
    page = template("style.html.jinja", "applications.style").render(
        light=asdict(LIGHT), dark=asdict(DARK), title=folder.name, warning=warning, facts=json.loads(json.dumps(facts)),
        tiles=[(title, figures.encode(one, _SIDE)) for title, one in shown.items()],
        curve=picture(lambda theme: falling(history, label, theme), f"The loss over {label}") if len(history) else None,
    )  # fmt: skip
    files.write_atomic(folder / PAGE, page)
    return folder / PAGE
