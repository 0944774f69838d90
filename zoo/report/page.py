"""The page: one HTML file with everything in it, which needs no network and no script, in light and in dark."""

import base64
import functools
import io
import json
import math
import shlex
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from zoo import files
from zoo.report import figures, scores
from zoo.report.looked_at import LookedAt
from zoo.report.scores import Evaluation
from zoo.report.theme import DARK, LIGHT, Theme

MAX_MISTAKES = 24
MAX_PAIRS = 12

# Longer sides are made smaller on the page, so that 24 photographs do not make it heavy.
MAX_PICTURE_SIDE = 256

# Those of what a network looked at hold two spectrograms, one above the other.
MAX_LOOK_SIDE = 512

# Unicode categories that no text of a page needs: controls, format marks, surrogates, line and paragraph separators.
_UNFIT = ("Cc", "Cf", "Cs", "Zl", "Zp")

# Format marks that scripts such as Persian, and emoji, are written with.
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"

# Keys whose spelled-out form says more than the key with spaces.
_LABELS = {
    "num_params": "Parameters",
    "num_state": "State (not trained)",
    "num_macs": "Multiply-accumulates",
    "macs": "Multiply-accumulates",
    "top1": "Top-1",
    "top5": "Top-5",
    "url": "URL",
}


@dataclass(frozen=True)
class Picture:
    """A figure on the page: the PNG bytes for light and dark surroundings, and what they show in words."""

    light: bytes
    dark: bytes
    alt: str

    @property
    def width(self) -> int:
        """Width on the page, in CSS pixels."""
        return Image.open(io.BytesIO(self.light)).width // figures.PIXEL_RATIO

    @property
    def height(self) -> int:
        """Height on the page, in CSS pixels."""
        return Image.open(io.BytesIO(self.light)).height // figures.PIXEL_RATIO


def write_report(
    folder: Path,
    *,
    config: dict[str, Any],
    history: list[dict[str, Any]],
    result: dict[str, Any],
    card: dict[str, Any],
    evaluation: Evaluation,
    filters: np.ndarray | None,
    looked_at: LookedAt | None = None,
) -> Path:
    """Write `report.html` and `figures/*.png` into a folder.

    Each file is written whole or not at all, the page last. Equal input gives equal bytes. Text in the input is not
    trusted: it appears on the page as text.

    Args:
        folder: The run folder; made if it is not there.
        config: What was trained: "model" and "data" with a "name", "command" (list of words), and anything else that
            is plain JSON.
        history: One dict an epoch: "epoch" (from 1), "step", "learning_rate", metrics by name, and "val_<name>" for
            the same on the validation split. Values may be missing, None or NaN.
        result: What came out: "stopped" ("rule", "explanation"), "best" ("epoch" and metrics), "evaluation" ("split"
            and metrics), "seconds", "epochs", "num_params" (of the trained model; without it, the card's number is
            shown as the card's). Each may be missing.
        card: Facts of the network, plain JSON.
        evaluation: The predictions on the test split.
        filters: Kernel of the first convolution, (height, width, channels, filters), or None if there is none.
        looked_at: What the network looked at in some examples; None for no such section.

    Returns:
        Path of the page.

    Raises:
        ValueError: `filters` is no such kernel, or `evaluation.image` returned no picture.
    """
    if filters is not None and (filters.ndim != 4 or not filters.size):
        raise ValueError(
            "filters must be a kernel of shape (height, width, channels, filters), none of them 0, or None. "
            f"Received: shape {filters.shape}"
        )
    best = result.get("best") or {}
    panels = figures.panels(history)
    telling = evaluation.telling(MAX_MISTAKES).tolist()
    calibration = scores.calibration(evaluation)
    right = int((~evaluation.wrong).sum())
    num_filters = 0 if filters is None else filters.shape[-1]
    curves = [
        picture(
            functools.partial(figures.curves, [panel], best.get("epoch")),
            f"Line chart of the {panel.title.lower()} over {len(history)} epochs",
        )
        for panel in panels
    ]
    confusion = picture(
        functools.partial(figures.confusion, evaluation),
        f"Confusion matrix of {len(evaluation.classes)} classes, {right} of {len(evaluation.labels)} on the diagonal",
    )
    reliability = picture(
        functools.partial(figures.reliability, calibration),
        f"Reliability diagram, expected calibration error {_percent(calibration.error)}",
    )
    kernels = filters is not None and picture(
        functools.partial(figures.filters, filters), f"The {num_filters} filters of the first convolution as tiles"
    )

    (folder / "figures").mkdir(parents=True, exist_ok=True)
    pictures = {
        "confusion": confusion.light,
        "reliability": reliability.light,
        "mistakes": figures.mistakes(evaluation, telling),
        **({"curves": figures.curves(panels, best.get("epoch"))} if panels else {}),
        **({"filters": kernels.light} if kernels else {}),
    }
    for name, content in pictures.items():
        files.write_atomic(folder / "figures" / f"{name}.png", content)

    class_scores = scores.class_scores(evaluation)
    page = template("report.html.jinja").render(
        light=asdict(LIGHT),
        dark=asdict(DARK),
        model=config.get("model", {}).get("name", "model"),
        data=config.get("data", {}).get("name", "data"),
        evaluation=evaluation,
        right=right,
        interval=scores.wilson_interval(right, len(evaluation.labels)),
        parameters=result.get("num_params", card.get("num_params")),
        result=result,
        best=best,
        final=result.get("evaluation") or {},
        curves=curves,
        confusion=confusion,
        reliability=reliability,
        calibration=calibration,
        pairs=scores.most_confused(evaluation, MAX_PAIRS),
        classes=class_scores,
        lowest=min((row.f1 for row in class_scores if row.f1 < 1), default=None),
        examples=[_example(evaluation, index) for index in telling],
        looks=None if looked_at is None else _looks(evaluation, looked_at),
        filters=filters,
        kernels=kernels,
        max_tiles=figures.MAX_FILTER_TILES,
        max_named=figures.MAX_NAMED_CLASSES,
        card=card,
        groups=_groups(config),
        command=shlex.join(config.get("command") or []),
    )
    path = folder / "report.html"
    files.write_atomic(path, page)
    return path


def picture(draw: Callable[[Theme], bytes], alt: str) -> Picture:
    """A figure in both looks; `draw` takes the theme."""
    return Picture(draw(LIGHT), draw(DARK), alt)


def _example(evaluation: Evaluation, index: int) -> dict[str, Any]:
    """One example as the template shows it."""
    picture = figures.image_of(evaluation, index)
    true, predicted = int(evaluation.labels[index]), int(evaluation.predicted[index])
    return {
        "png": figures.encode(picture, MAX_PICTURE_SIDE),
        "tiny": max(picture.shape[:2]) < 96,
        "name": evaluation.name(index),
        "true": evaluation.classes[true],
        "predicted": evaluation.classes[predicted],
        "true_probability": float(evaluation.probabilities[index, true]),
        "probability": float(evaluation.probabilities[index, predicted]),
        "right": true == predicted,
    }


def _looks(evaluation: Evaluation, looked_at: LookedAt) -> dict[str, Any]:
    """What the network looked at, as the template shows it."""
    shown: list[tuple[int, bytes | None, list[tuple[str, float]]]] = [
        (index, figures.encode(picture, MAX_LOOK_SIDE), []) for index, picture in looked_at.pictures
    ]
    shown += [(index, None, list(pieces)) for index, pieces in looked_at.texts]
    examples = []
    for index, png, pieces in shown:
        true, predicted = int(evaluation.labels[index]), int(evaluation.predicted[index])
        examples.append(
            {
                "png": png,
                "pieces": pieces,
                "name": evaluation.name(index),
                "true": evaluation.classes[true],
                "predicted": evaluation.classes[predicted],
                "probability": float(evaluation.probabilities[index, predicted]),
                "right": true == predicted,
            }
        )
    return {
        "note": looked_at.note,
        "examples": examples,
        "pieces": looked_at.pieces,
        "pieces_note": looked_at.pieces_note,
    }


def _groups(config: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """The configuration as titled lists of (dotted key, value); what is in no group comes under "run"."""
    nested = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    single = [(key, value) for key, value in config.items() if key not in nested and key != "command"]
    groups = {key: list(_flat(value)) for key, value in nested.items()}
    return {**groups, "run": single} if single else groups


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def template(name: str, *packages: str) -> Template:
    """A template of a page, with the style and the filters that all pages share.

    Args:
        name: Its file.
        packages: Where it is looked for before this package.

    Returns:
        The template; text that it is given is escaped.
    """
    return _environment((*packages, __package__)).get_template(name)


@functools.cache
def _environment(packages: tuple[str, ...]) -> Environment:
    environment = Environment(
        autoescape=True, finalize=_printable, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=ChoiceLoader([PackageLoader(package, "") for package in packages]),
    )  # fmt: skip
    environment.filters.update(
        percent=_percent,
        count=_count,
        number=_number,
        duration=_duration,
        label=_label,
        shorten=figures.shorten,
        data_uri=lambda png: "data:image/png;base64," + base64.b64encode(png).decode(),
        json=lambda value: json.dumps(value, ensure_ascii=False),
    )
    environment.tests.update(link=_is_link, records=_is_records, whole=_is_whole, absent=_is_absent)
    return environment


def _printable(value: Any) -> Any:
    """Text without what a page cannot carry or what would turn it about: lone surrogates, controls, overrides."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(
        c if c in _JOINERS or unicodedata.category(c) not in _UNFIT else "\N{REPLACEMENT CHARACTER}" for c in value
    )


def _percent(share: float, digits: int = 1) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def _count(value: float) -> str:
    """A whole number, in groups of three digits from 10 000 on."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if abs(value) >= 10_000 else f"{value}"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return _count(value) if isinstance(value, int) else f"{value:.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def _label(key: str) -> str:
    return _LABELS.get(key) or key.replace("_", " ").capitalize()


def _is_link(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and value.isprintable() and " " not in value


def _is_records(value: Any) -> bool:
    """Whether a value is a list of dicts, which makes a table."""
    return isinstance(value, Sequence) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_absent(value: Any) -> bool:
    """Whether a fact says nothing: None, or an empty text or list."""
    return value is None or (isinstance(value, str | Sequence | Mapping) and not value)
