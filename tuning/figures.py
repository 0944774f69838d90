"""The figures of a search's report, each a function from trials and a theme to the bytes of a PNG picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.ticker import MaxNLocator

from tuning.importance import Importance, encoded
from tuning.records import COMPLETED, Trial, sign
from zoo.report.figures import SMALL, TEXT, dress, legible, new_figure, png, shorten
from zoo.report.theme import LIGHT, Theme

# More axes than these are too close to read.
MAX_AXES = 10
MAX_CURVES = 10


def parallel(trials: Sequence[Trial], names: Sequence[str], objective: str, theme: Theme = LIGHT) -> bytes:
    """Parallel coordinates: an axis for each hyper-parameter and one for the score, a line for each trial.

    Args:
        trials: Completed trials, the best first.
        names: Hyper-parameters, at most `MAX_AXES` are drawn.
        objective: Name of the score.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    names = list(names)[:MAX_AXES]
    figure = new_figure(max(1.15 * (len(names) + 1), 5), 4.4, theme)
    axis = figure.add_subplot()
    dress(axis, theme, "")
    columns = [[trial.hyperparameters.get(name) for trial in trials] for name in names]
    scores = [trial.score or 0.0 for trial in trials]
    places = np.array([*(_heights(column) for column in columns), _spread(scores)])
    colours = LinearSegmentedColormap.from_list("rank", [to_rgb(theme.right), to_rgb(theme.line)])
    for rank in reversed(range(len(trials))):
        share = rank / max(len(trials) - 1, 1)
        colour = theme.wrong if rank == 0 else colours(share)
        width = 2.2 if rank == 0 else 1.4 - 0.7 * share
        axis.plot(range(len(places)), places[:, rank], color=colour, linewidth=width, zorder=3 if rank == 0 else 2)
    axis.vlines(range(len(places)), 0, 1, color=theme.muted, linewidth=0.9, zorder=4)
    drawn: list[Sequence[object]] = [*columns, scores]
    for place, column in enumerate(drawn):
        for height, text in _ticks(column):
            axis.text(
                place + 0.04, height, shorten(legible(text), 14), color=theme.ink, fontsize=7, va="center", zorder=5,
                parse_math=False, bbox={"facecolor": theme.surface, "alpha": 0.75, "linewidth": 0, "pad": 0.6},
            )  # fmt: skip
    labels = [shorten(legible(name), 20) for name in (*names, objective)]
    axis.set_xticks(range(len(places)), labels, rotation=30, ha="right", fontsize=SMALL, parse_math=False)
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_xlim(-0.2, len(places) - 0.25)
    axis.set_ylim(-0.05, 1.05)
    return png(figure)


def _heights(values: Sequence[object]) -> np.ndarray:
    """Places on an axis from 0 to 1; what is inactive stands below at 0, numbers over decades on a logarithmic one."""
    numbers = np.array(encoded(values))
    if _over_decades(values):
        numbers = np.array([np.nan if value is None else np.log10(float(str(value))) for value in values])
        numbers = np.where(np.isnan(numbers), np.nanmin(numbers) - 0.1 * np.ptp(numbers[~np.isnan(numbers)]), numbers)
    return _spread(numbers)


def _spread(numbers: Sequence[float] | np.ndarray) -> np.ndarray:
    numbers = np.asarray(numbers, float)
    span = np.ptp(numbers)
    return np.full(len(numbers), 0.5) if span == 0 else (numbers - numbers.min()) / span


def _over_decades(values: Sequence[object]) -> bool:
    known = [float(value) for value in values if isinstance(value, float)]
    return len(known) > 0 and all(value is None or isinstance(value, float) for value in values) and (
        min(known) > 0 and max(known) >= 10 * min(known)
    )  # fmt: skip


def _ticks(values: Sequence[object]) -> list[tuple[float, str]]:
    """What stands at an axis: each value where they are few, else the ends."""
    heights = _heights(values)
    shown = {float(height): "not used" if value is None else _short(value)
             for height, value in zip(heights, values, strict=True)}  # fmt: skip
    if len(shown) > 8:
        inactive = [height for height, text in shown.items() if text == "not used"]
        active = sorted(height for height in shown if height not in inactive)
        shown = {height: shown[height] for height in {active[0], active[-1], *inactive}}
    return sorted(shown.items())


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value) if value != "" else "none"


def bars(found: Importance, theme: Theme = LIGHT) -> bytes:
    """Importance of the hyper-parameters, the most important at the top, with the deviation over the shuffles."""
    names = [shorten(legible(name), 28) for name in found.names[:MAX_AXES]]
    figure = new_figure(6.2, 0.6 + 0.3 * len(names), theme)
    axis = figure.add_subplot()
    dress(axis, theme, "")
    rows = np.arange(len(names))
    shares, deviations = 100 * found.shares[: len(names)], 100 * found.deviations[: len(names)]
    axis.barh(rows, shares, color=theme.right, height=0.62)
    axis.hlines(rows, np.maximum(shares - deviations, 0), shares + deviations, color=theme.ink, linewidth=1)
    axis.set_yticks(rows, names, fontsize=TEXT, parse_math=False)
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0, labelcolor=theme.ink)
    axis.set_xlabel("part of the importance of all, %", color=theme.muted, fontsize=SMALL)
    return png(figure)


def learning_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]], objective: str, theme: Theme = LIGHT
) -> bytes:
    """The objective over the epochs, a line for each trial, the best one on top.

    Args:
        histories: The epochs of each trial, the best trial first.
        objective: Name of the metric.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    figure = new_figure(7.4, 3.4, theme)
    axis = figure.add_subplot()
    dress(axis, theme, objective.replace("_", " "))
    axis.grid(axis="y", color=theme.line, linewidth=0.8)
    for rank, (name, history) in reversed(list(enumerate(list(histories.items())[:MAX_CURVES]))):
        epochs = [record["epoch"] for record in history]
        line = [np.nan if record.get(objective) is None else record[objective] for record in history]
        colour, width = (theme.wrong, 2.0) if rank == 0 else (theme.right if rank < 3 else theme.muted, 1.1)
        axis.plot(
            epochs, line, color=colour, linewidth=width, alpha=1.0 if rank < 3 else 0.55,
            label=name if rank < 3 else None, marker="o" if len(epochs) < 3 else "", markersize=3,
        )  # fmt: skip
    if objective.endswith("loss"):
        axis.set_yscale("log")
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axis.set_xlabel("epoch", color=theme.muted, fontsize=SMALL)
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[::-1], labels[::-1], frameon=False, fontsize=SMALL, labelcolor=theme.muted)
    return png(figure)


def course(trials: Sequence[Trial], objective: str, theme: Theme = LIGHT) -> bytes:
    """The score of each trial in the order of their ends, and the best one so far."""
    figure = new_figure(7.4, 3.0, theme)
    axis = figure.add_subplot()
    dress(axis, theme, objective.replace("_", " "))
    axis.grid(axis="y", color=theme.line, linewidth=0.8)
    done = [(place, trial.score) for place, trial in enumerate(trials, start=1) if trial.status == COMPLETED]
    places, scores = np.array([place for place, _ in done]), np.array([score for _, score in done], float)
    pick = np.maximum if sign(objective) > 0 else np.minimum
    axis.step(places, pick.accumulate(scores), where="post", color=theme.wrong, linewidth=1.6, label="best so far")
    axis.plot(places, scores, "o", color=theme.right, markersize=4, label="trial")
    failed = [place for place, trial in enumerate(trials, start=1) if trial.status != COMPLETED]
    if failed:
        axis.plot(failed, np.full(len(failed), 0.03), "x", color=theme.muted, markersize=5, label="failed",
                  transform=axis.get_xaxis_transform())  # fmt: skip
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axis.set_xlabel("trial, in the order of their ends", color=theme.muted, fontsize=SMALL)
    axis.legend(frameon=False, fontsize=SMALL, labelcolor=theme.muted)
    return png(figure)


def front(trials: Sequence[Trial], best: Sequence[Trial], objective: str, cost: str, theme: Theme = LIGHT) -> bytes:
    """The objective over what the network costs; those that no other beats in both are joined.

    Args:
        trials: Completed trials.
        best: Those of the Pareto front, the cheapest first.
        objective: Name of the metric.
        cost: Which cost.
        theme: The colours.

    Returns:
        A PNG picture.
    """
    figure = new_figure(6.4, 3.4, theme)
    axis = figure.add_subplot()
    dress(axis, theme, objective.replace("_", " "))
    axis.grid(color=theme.line, linewidth=0.8)
    for group, colour, size in ((trials, theme.muted, 3.5), (best, theme.wrong, 5.5)):
        points = [(trial.costs[cost], trial.score) for trial in group if cost in trial.costs]
        if points:
            axis.plot(*zip(*points, strict=True), "o", color=colour, markersize=size)
    axis.step(
        [trial.costs[cost] for trial in best], [trial.score or 0.0 for trial in best], where="post", color=theme.wrong,
        linewidth=1.2,
    )  # fmt: skip
    axis.set_xscale("log")
    label = {"macs": "multiply-accumulates", "params": "parameters", "latency_ms": "milliseconds a picture"}[cost]
    axis.set_xlabel(label, color=theme.muted, fontsize=SMALL)
    return png(figure)
