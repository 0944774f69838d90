"""Coloured pictures: shapes whose grey does not say their colour, photographs that are at hand, and folders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from applications.colorize.lab import lab_to_rgb
from zoo.data.crops import Gallery, gallery, photograph, reduced

SPLITS = ("train", "validation", "test")

# Kinds of shapes, with the colours (a, b) that each may have, and how often it has them. All have the same lightness
# and chroma; the colours of a kind are opposite, or a third of the circle apart.
LIGHTNESS, CHROMA = 70.0, 38.0
KINDS = ("disc", "square", "triangle", "ring")
_HUES = ((70.0,), (30.0, 210.0), (0.0, 120.0, 240.0), (120.0, 300.0))
SHARES = ((1,), (2, 1), (3, 2, 1), (1, 1))
COLOURS = tuple(
    tuple((CHROMA * np.cos(np.radians(hue)), CHROMA * np.sin(np.radians(hue))) for hue in hues) for hues in _HUES
)

# Photographs of scikit-image and scikit-learn. Of the first, the left part is trained on and the rest looked at.
_KNOWN = ("astronaut", "coffee", "chelsea", "china")
_UNKNOWN = ("rocket", "flower")
_PARTS = {"train": (0.0, 0.6), "validation": (0.6, 0.75), "test": (0.75, 1.0)}


@dataclass(frozen=True)
class Pictures(Gallery):
    """Coloured pictures of any size; names that end alike after " / " are a group.

    Attributes:
        kinds: For shapes, (pictures, height, width) uint8: 0 for the ground, else the kind's place in `KINDS` and 1
            more; None for photographs.
    """

    kinds: np.ndarray | None = None


def load(
    source: str, split: str, *, count: int | None = None, size: int = 32, shorter_side: int | None = None, seed: int = 0
) -> Pictures:
    """The pictures of a source.

    Args:
        source: `shapes`: those whose grey does not say their colour, as `shapes` draws them.
            `photographs`: those of scikit-image and scikit-learn; what is looked at are other parts of them, and two
            whole ones. `folder:PATH`: all pictures below `PATH/train`, `PATH/validation` and `PATH/test`, or, without
            these folders, of all below `PATH` every tenth to look at, every tenth to test, the others to train. Those
            to train come in an order by lot, so that the first ones stand for all.
        split: train, validation or test.
        count: Most pictures of the split; for shapes, how many are made (2,000, and at most 300 in the other splits).
        size: Side of the shapes' pictures in pixels.
        shorter_side: Pixels that the shorter side of a photograph is reduced to; None for its own.
        seed: Of the shapes, and of the order of a folder's training pictures.

    Raises:
        ValueError: There is no such source or split, or there are no pictures.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}. Received: {split!r}")
    kind, _, rest = source.partition(":")
    if source == "shapes":
        made = 2000 if split == "train" else 300
        return shapes(split, made if count is None else count if split == "train" else min(count, made), size=size,
                      seed=seed)  # fmt: skip
    if source == "photographs":
        return _photographs(split, shorter_side)
    if kind == "folder" and rest:
        return _folder(Path(rest), split, count, shorter_side, seed)
    raise ValueError(f"Sources are shapes, photographs and folder:PATH. Received: {source!r}")


def shapes(split: str, count: int, *, size: int = 32, seed: int = 0) -> Pictures:
    """One or two shapes on a dark grey ground with noise.

    A disc has one colour, a square one of two opposite ones, 2 to 1, a triangle one of three, 3 to 2 to 1, a ring one
    of two opposite ones, 1 to 1: by lot, and nothing in the grey picture says which. All have a lightness of 70 and a
    chroma of 38.

    Args:
        split: train, validation or test; each has other pictures.
        count: Number of pictures.
        size: Their side in pixels, at least 16.
        seed: Of what is drawn by lot.
    """
    if size < 16:
        raise ValueError(f"Pictures of shapes have at least 16 pixels a side. Received: size={size}")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    lab = np.zeros((count, size, size, 3), np.float32)
    kinds = np.zeros((count, size, size), np.uint8)
    rows, columns = np.mgrid[:size, :size]
    for picture, where in zip(lab, kinds, strict=True):
        picture[..., 0] = rng.uniform(20, 40) + rng.normal(0, 2, (size, size))
        for _ in range(rng.integers(1, 3)):
            radius = rng.uniform(0.16, 0.26) * size
            row, column = rng.uniform(radius, size - radius, 2)
            kind = int(rng.integers(len(KINDS)))
            inside = _inside(kind, (rows - row) / radius, (columns - column) / radius)
            if where[inside].any():
                continue
            where[inside] = kind + 1
            chance = np.array(SHARES[kind]) / sum(SHARES[kind])
            picture[inside] = (LIGHTNESS, *COLOURS[kind][rng.choice(len(chance), p=chance)])
            picture[inside, 0] += rng.normal(0, 2, inside.sum())
    found = np.rint(255 * lab_to_rgb(lab).numpy()).astype(np.uint8)
    return Pictures(tuple(f"{split} {number}" for number in range(count)), lambda number: found[number], kinds)


def _inside(kind: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    if KINDS[kind] in ("disc", "ring"):
        return (x**2 + y**2 <= 1) & (x**2 + y**2 >= (0.25 if KINDS[kind] == "ring" else 0))
    if KINDS[kind] == "square":
        return np.maximum(abs(x), abs(y)) <= 0.85
    return (abs(x) <= (y + 1) / 2) & (y <= 0.9)


def _photographs(split: str, shorter_side: int | None) -> Pictures:
    found, names = [], []
    begin, end = _PARTS[split]
    for name in _KNOWN:
        whole = reduced(photograph(name), shorter_side)
        width = whole.shape[1]
        found.append(whole[:, round(begin * width) : round(end * width)])
        names.append(f"{name} / known")
    if split == "test":
        found += [reduced(photograph(name), shorter_side) for name in _UNKNOWN]
        names += [f"{name} / unknown" for name in _UNKNOWN]
    return Pictures(tuple(names), lambda number: found[number])


def _folder(path: Path, split: str, count: int | None, shorter_side: int | None, seed: int) -> Pictures:
    parted = (path / "train").is_dir()
    found = gallery(path / split if parted else path, shorter_side=shorter_side)
    place = {"validation": 8, "test": 9}.get(split)
    chosen = [
        number for number in range(len(found))
        if parted or (number % 10 == place if place else number % 10 < 8)
    ]  # fmt: skip
    if split == "train":
        np.random.default_rng(seed).shuffle(chosen)
    chosen = chosen[:count]
    if not chosen:
        where = path / split if parted else path
        raise ValueError(f"There are no pictures for the split {split!r} in {where}: ten or more are needed without "
                         "folders train, validation and test.")  # fmt: skip
    return Pictures(tuple(found.names[number] for number in chosen), lambda number: found.read(chosen[number]))


def group(name: str) -> str:
    """The group of a picture, "" for none."""
    return name.rpartition(" / ")[2] if " / " in name else ""
