"""What a comparison looks like: a table in Markdown, JSON, a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.deploy.benchmark import peers
from zoo.deploy.benchmark.measuring import Comparison, Measured

if TYPE_CHECKING:
    from zoo.report.theme import Theme

_HEADER = ("form", "precision", "batch", "p50 ms", "p95 ms", "images/s", "peak MB", "import s", "build s", "ready s")


def markdown(comparison: Comparison) -> str:
    """A table of all forms, what failed below it, and how the best of ours compares with the best of the peers."""
    lines = [_HEADER, ("---", "---", *["---:"] * 8)]
    for row in comparison.measured:
        lines.append((
            f"{row.form.who}, {row.form.form}", row.form.precision, str(row.batch), f"{row.p50_ms:.2f}",
            f"{row.p95_ms:.2f}", f"{row.images_per_s:.1f}", f"{row.peak_mb:.0f}", f"{row.import_s:.1f}",
            f"{row.build_s:.2f}", f"{row.ready_s:.1f}",
        ))  # fmt: skip
    text = [f"### {comparison.model}, {'×'.join(map(str, comparison.shape))}", ""]
    text += ["| " + " | ".join(line) + " |" for line in lines]
    notes = [f"- {form}: failed, {why}" for form, why in comparison.failed.items()]
    notes += [sentence(*found) for found in ratios(comparison)]
    return "\n".join([*text, *([""] if notes else []), *notes])


def ratios(comparison: Comparison) -> list[tuple[Measured, Measured]]:
    """At each precision and batch size the fastest form of ours and the fastest of the peers, where there are both."""
    found = []
    for precision in dict.fromkeys(row.form.precision for row in comparison.measured):
        for batch in dict.fromkeys(row.batch for row in comparison.measured):
            ours = best(comparison.measured, precision, batch, is_ours=True)
            theirs = best(comparison.measured, precision, batch, is_ours=False)
            if ours and theirs:
                found.append((ours, theirs))
    return found


def best(rows: Sequence[Measured], precision: str, batch: int, *, is_ours: bool) -> Measured | None:
    """The form with the lowest median latency; None where nothing was measured."""
    able = [
        row
        for row in rows
        if (row.form.precision, row.batch, row.form.who == peers.OURS) == (precision, batch, is_ours)
    ]
    return min(able, key=lambda row: row.p50_ms, default=None)


def sentence(ours: Measured, theirs: Measured) -> str:
    """How many times as fast the best of ours is."""
    return (
        f"- {ours.form.precision}, batch {ours.batch}: {ours.form.form} {ours.p50_ms:.2f} ms, best peer "
        f"({theirs.form.who}, {theirs.form.form}) {theirs.p50_ms:.2f} ms: {theirs.p50_ms / ours.p50_ms:.2f} times"
    )


def page(comparisons: Sequence[Comparison], machine: dict[str, Any], command: str) -> str:
    """The whole file: command, machine, and a table for each network."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = "" if machine["load"] is None else f"; load at the start {machine['load']:.1f}"
    if machine["load"] is not None and machine["load"] > 0.5:
        load += ", so other work was done too: take no number for granted"
    extensions = ", ".join(machine["extensions"]) or "none of AMX, AVX512-BF16, VNNI"
    notes = (
        f"    {command}",
        f"{machine['processor']}, {machine['processors']} processors ({extensions}){load}; {machine['date']}; Python "
        f"{machine['python']}, {versions}.",
        "Each form has a process of its own; forms take turns round by round. Latency: median of the rounds' medians, "
        "and what 95 % of all calls keep below. Peak: the most memory in use until the first calls at that batch size, "
        "building and compiling included. Ready: compiling and the first call.",
    )
    return "\n\n".join(["# Benchmark", *notes, *map(markdown, comparisons)]) + "\n"


def picture(comparison: Comparison, theme: "Theme | None" = None) -> bytes:
    """Latencies as bars, a panel for each batch size, the fastest at the top; ours in blue. The line reaches to p95.

    Returns:
        A PNG picture.
    """
    from zoo.report import figures
    from zoo.report.theme import LIGHT

    theme = theme or LIGHT
    sizes = list(dict.fromkeys(row.batch for row in comparison.measured))
    count = max(sum(row.batch == size for row in comparison.measured) for size in sizes)
    figure = figures.new_figure(6.2 * len(sizes), 0.9 + 0.26 * count, theme)
    for axis, size in zip(figure.subplots(1, len(sizes), squeeze=False).flat, sizes, strict=True):
        rows = sorted((row for row in comparison.measured if row.batch == size), key=lambda row: -row.p50_ms)
        figures.dress(axis, theme, f"batch {size}")
        axis.grid(axis="x", color=theme.line, linewidth=0.8)
        colours = [theme.right if row.form.who == peers.OURS else theme.muted for row in rows]
        places = range(len(rows))
        axis.barh(places, [row.p50_ms for row in rows], color=colours, height=0.62)
        axis.hlines(places, [row.p50_ms for row in rows], [row.p95_ms for row in rows], color=theme.ink, linewidth=1)
        for place, row in enumerate(rows):
            told = f"{row.p50_ms:,.0f}" if row.p50_ms >= 100 else f"{row.p50_ms:.3g}"
            end = max(row.p95_ms, row.p50_ms)
            axis.text(end, place, f"  {told}", va="center", color=theme.ink, fontsize=figures.SMALL)
        axis.set_yticks(places, [str(row.form) for row in rows], parse_math=False)
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(0, 1.2 * max(row.p95_ms for row in rows))
        axis.set_xlabel(
            f"{comparison.model}: milliseconds a call, median and p95", color=theme.muted, fontsize=figures.SMALL
        )
    return figures.png(figure)
