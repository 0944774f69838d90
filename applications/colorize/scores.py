"""How near colours come, and how colourful they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from applications.colorize import pictures
from applications.colorize.learning import Colourist, parts_of

# Of the paper's "raw accuracy": distances up to which a pixel is right, whose parts are averaged.
_THRESHOLDS = np.arange(0, 151)

# How near a colour must come to one that a shape may have: a third of the way from grey to it.
NEAR = pictures.CHROMA / 3

TEMPERATURES = (1.0, 0.77, 0.58, 0.38, 0.29, 0.14, 0.0)

# From L (height, width) to (a, b).
Answer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """Scores of a way to colour, over all pixels that count.

    Attributes:
        name: What coloured.
        rmse: Root of the mean square of the distance in the plane of a and b.
        chroma: Mean distance from grey, as a part of the true mean.
        accuracy: Part of the pixels that are nearer than a distance, averaged over the distances 0 to 150.
        chroma_of: Chroma of each kind of shapes, likewise; None for photographs.
        legal_of: Part of the pixels of each kind whose colour is near one that it may have; None for photographs.
    """

    name: str
    rmse: float
    chroma: float
    accuracy: float
    chroma_of: tuple[float, ...] | None = None
    legal_of: tuple[float, ...] | None = None


class _Sums:
    """What a row is made from, picture by picture."""

    def __init__(self) -> None:
        self.pixels = 0
        self.squares = self.found = self.true = 0.0
        self.near = np.zeros(len(_THRESHOLDS))
        # Of each kind: legal pixels, pixels, chroma that was found, true chroma.
        self.kinds = np.zeros((len(pictures.KINDS), 4))

    def add(self, answer: np.ndarray, ab: np.ndarray, kinds: np.ndarray | None) -> None:
        if kinds is not None:
            for kind, colours in enumerate(pictures.COLOURS):
                own, true = answer[kinds == kind + 1], ab[kinds == kind + 1]
                away = np.linalg.norm(own[:, None] - np.array(colours)[None], axis=-1).min(axis=1, initial=np.inf)
                chroma = [np.linalg.norm(one, axis=-1).sum() for one in (own, true)]
                self.kinds[kind] += (away <= NEAR).sum(), len(own), *chroma
            answer, ab = answer[kinds > 0], ab[kinds > 0]
        distance = np.linalg.norm(answer - ab, axis=-1).ravel()
        self.pixels += len(distance)
        self.squares += float((distance**2).sum())
        self.found += float(np.linalg.norm(answer, axis=-1).sum())
        self.true += float(np.linalg.norm(ab, axis=-1).sum())
        self.near += np.searchsorted(np.sort(distance), _THRESHOLDS, side="right")

    def row(self, name: str) -> Row:
        shapes = bool(self.kinds.any())
        legal, count, found, true = self.kinds.T
        return Row(
            name,
            float(np.sqrt(self.squares / self.pixels)),
            self.found / max(self.true, 1e-9),
            float(np.mean(self.near / self.pixels)),
            tuple((found / np.maximum(true, 1e-9)).tolist()) if shapes else None,
            tuple((legal / np.maximum(count, 1)).tolist()) if shapes else None,
        )


class MeanOfLightness:
    """The strongest simple baseline: for each lightness the mean colour that training pixels of it have.

    Args:
        known: The training pictures.
        most: Pictures that are looked at, at most: the first ones.
    """

    def __init__(self, known: pictures.Pictures, most: int = 500) -> None:
        sums, counts = np.zeros((101, 2)), np.zeros(101)
        for number, (_, lightness, ab) in enumerate(parts_of(known)):
            if number == most:
                break
            places = np.rint(lightness).astype(int).ravel()
            counts += np.bincount(places, minlength=101)
            for axis in (0, 1):
                sums[:, axis] += np.bincount(places, ab[..., axis].ravel(), 101)
        # Lightness that was never seen has the colour of the nearest one that was.
        seen = np.flatnonzero(counts)
        nearest = seen[np.argmin(np.abs(np.arange(101)[:, None] - seen), axis=1)]
        self._table = (sums[nearest] / counts[nearest, None]).astype(np.float32)

    def __call__(self, lightness: np.ndarray) -> np.ndarray:
        return self._table[np.rint(lightness).astype(int)]


def table(
    part: pictures.Pictures,
    known: pictures.Pictures,
    colourists: Sequence[tuple[str, Colourist]],
    temperatures: Sequence[float] = TEMPERATURES,
    only: str | None = None,
) -> list[Row]:
    """Scores of grey, of the mean colour of each lightness, and of networks at several temperatures.

    Args:
        part: Pictures that are looked at; of shapes the pixels of the ground do not count.
        known: Training pictures, for the baseline.
        colourists: Networks with their names.
        temperatures: Of those that classify.
        only: The group of pictures that is looked at; None for all.

    Returns:
        A row for each.
    """
    baseline = MeanOfLightness(known)
    sums: dict[str, _Sums] = {}
    for number, (name, lightness, ab) in enumerate(parts_of(part)):
        if only is not None and pictures.group(name) != only:
            continue
        kinds = None if part.kinds is None else part.kinds[number]
        answers = {"grey": np.zeros_like(ab), "mean colour of the lightness": baseline(lightness)}
        for label, colourist in colourists:
            scores = colourist.scores(lightness)
            if colourist.config.target == "l2":
                answers[label] = colourist.colours(scores, lightness.shape)
                continue
            for temperature in temperatures:
                found = colourist.colours(scores, lightness.shape, temperature)
                answers[f"{label}, T = {temperature:g}"] = found
        for label, answer in answers.items():
            sums.setdefault(label, _Sums()).add(answer, ab, kinds)
    return [found.row(label) for label, found in sums.items()]


def markdown(rows: Sequence[Row]) -> str:
    """The table as text; for shapes, chroma and legal pixels of each kind behind it."""
    heads = ["", "RMSE of a, b", "chroma", "accuracy"]
    if rows[0].chroma_of is not None:
        heads += [
            f"{kind} {':'.join(map(str, shares))}" for kind, shares in zip(pictures.KINDS, pictures.SHARES, strict=True)
        ]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        cells = [row.name, f"{row.rmse:.1f}", f"{row.chroma:.2f}", f"{row.accuracy:.3f}"]
        pairs = zip(row.chroma_of or (), row.legal_of or (), strict=True)
        lines.append(cells + [f"{chroma:.2f} / {legal:.2f}" for chroma, legal in pairs])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
