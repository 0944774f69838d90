"""Pictures with sentences: made scenes of digits, manifests, COCO's captions.

A source gives `Captioned`: pictures (examples, height, width, channels) of 8 bits, and for each several sentences.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo.data.pictures import fit, read_image

SPLITS = ("train", "validation", "test")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Lowest and highest side of a digit, in pixels of a scene of 40.
SIDES = {"small": (8, 9), "large": (12, 13)}
SCENE, PICTURE = 40, 224
TRAINING_SCENES, OTHER_SCENES = 12_000, 500


class Files:
    """Pictures that are read when they are asked for.

    Args:
        paths: The files.
        size: Side that they are brought to.
    """

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self._paths, self._size = tuple(paths), size
        self.shape = (len(self._paths), size, size, 3)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, which: np.ndarray) -> np.ndarray:
        """(pictures, size, size, 3) uint8; raises a DataError that names a file which cannot be used."""
        size = (self._size, self._size)
        found = [read_image(self._paths[number], image_size=size, value_range=(0, 255)) for number in which]
        return np.stack(found).astype("uint8")


@dataclass(frozen=True)
class Captioned:
    """Pictures with their sentences.

    Attributes:
        pictures: (examples, height, width, channels) uint8, or what gives that for an array of numbers.
        captions: For each picture its sentences, at least one; the first is the canonical one.
    """

    pictures: "np.ndarray | Files"
    captions: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.captions)


def load(source: str, split: str, *, size: int | None = None, count: int | None = None, seed: int = 0) -> Captioned:
    """The pictures and sentences of a source.

    Args:
        source: `digits`: scenes of one to three handwritten digits. `manifest:FILE.jsonl`: a line of JSON for each
            picture, {"picture": "path from the file's folder", "captions": ["…"], "split": "train"}.
            `tfds:coco_captions`.
        split: train, validation or test.
        size: Side of the pictures in pixels; None for 40 of scenes, and 224 of others.
        count: Most examples; for digits, how many are made (default 12,000), at most 500 in the other splits.
        seed: Of the digits' scenes.

    Raises:
        ValueError: There is no such source or split, or a line of a manifest is not as it must be: with its number.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}. Received: {split!r}")
    kind, _, rest = source.partition(":")
    if source == "digits":
        most = count or TRAINING_SCENES
        return digits(split, most if split == "train" else min(most, OTHER_SCENES), size=size or SCENE, seed=seed)
    if kind == "manifest" and rest:
        return _manifest(Path(rest), split, size or PICTURE, count)
    if source == "tfds:coco_captions":
        return _coco(split, size or PICTURE, count)
    raise ValueError(f"Sources are digits, manifest:FILE.jsonl and tfds:coco_captions. Received: {source!r}")


@functools.cache
def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as 8-bit pictures, with labels; six tenths, two and two."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    cuts = [round(len(order) * part) for part in (0.6, 0.8)]
    chosen = dict(zip(SPLITS, np.split(order, cuts), strict=True))[split]
    return np.rint(bunch.images[chosen] * 255 / 16).astype("uint8"), bunch.target[chosen]


def digits(split: str, count: int, *, size: int = SCENE, seed: int = 0) -> Captioned:
    """Scenes of one to three handwritten digits, small or large, and all sentences that are true of them.

    One digit in two of ten scenes, in a corner; two in four of ten, beside or above each other; three in four of ten,
    in a row or a column. Ground and ink have a grey of their own in each scene, and there is noise. No digit is in two
    splits.

    Args:
        split: train, validation or test.
        count: Number of scenes.
        size: Their side in pixels, at least 40.
        seed: Of what is drawn by lot.

    Returns:
        Grey scenes (count, size, size, 1), with three sentences each.
    """
    if size < SCENE:
        raise ValueError(f"Scenes of three digits have at least {SCENE} pixels. Received: size={size}")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    known, labels = _digits(split)
    pictures = np.empty((count, size, size, 1), "uint8")
    captions = []
    for picture in pictures:
        scene = np.full((size, size), rng.uniform(0, 70))
        number = int(rng.choice([1, 2, 3], p=[0.2, 0.4, 0.4]))
        drawn = rng.integers(len(known), size=number)
        kinds = [("small", "large")[which] for which in rng.integers(2, size=number)]
        sides = [round(rng.integers(SIDES[kind][0], SIDES[kind][1] + 1) * size / SCENE) for kind in kinds]
        vertical = bool(rng.integers(2))
        places = _corner(rng, size, sides[0]) if number == 1 else _in_line(rng, size, sides, vertical)
        for which, side, (top, left) in zip(drawn, sides, places, strict=True):
            ink = np.asarray(Image.fromarray(known[which]).resize((side, side), Image.Resampling.BICUBIC)) / 255
            piece = scene[top : top + side, left : left + side]
            piece += ink * (rng.uniform(160, 255) - piece)
        picture[..., 0] = np.clip(np.rint(scene + rng.normal(0, 4, scene.shape)), 0, 255)
        names = [f"a {kind} {NUMBERS[labels[which]]}" for kind, which in zip(kinds, drawn, strict=True)]
        low, right = (2 * places[0][0] + sides[0] > size, 2 * places[0][1] + sides[0] > size)
        captions.append(sentences(names, vertical=vertical, low=low, right=right))
    return Captioned(pictures, tuple(captions))


def _corner(rng: np.random.Generator, size: int, side: int) -> list[tuple[int, int]]:
    """Top and left edge of a digit, whose middle is a tenth of the scene or more from both of the scene's midlines."""
    far = size // 2 + size // 10 - side // 2
    top, left = (int(rng.choice([rng.integers(0, size - side - far + 1), rng.integers(far, size - side + 1)]))
                 for _ in range(2))  # fmt: skip
    return [(top, left)]


def _in_line(rng: np.random.Generator, size: int, sides: Sequence[int], vertical: bool) -> list[tuple[int, int]]:
    """Top and left edges of digits one after the other, with gaps by lot, about one line."""
    room = size - sum(sides)
    cuts = np.sort(rng.integers(0, room + 1, size=len(sides)))
    begins = [int(cut) + sum(sides[:number]) for number, cut in enumerate(cuts)]
    middle = rng.uniform(10, size - 10)
    across = [int(np.clip(round(middle + rng.uniform(-3, 3) - side / 2), 0, size - side)) for side in sides]
    pairs = list(zip(begins, across, strict=True))
    return pairs if vertical else [(top, left) for left, top in pairs]


def sentences(
    names: Sequence[str], *, vertical: bool = False, low: bool = False, right: bool = False
) -> tuple[str, ...]:
    """All sentences of the grammar that are true of a scene; each says everything about it.

    Args:
        names: Of one to three digits, such as "a large seven", from left to right or from top to bottom.
        vertical: Whether they stand above each other.
        low: Whether a single digit is at the bottom.
        right: Whether a single digit is on the right.

    Example:
        >>> for sentence in sentences(["a large seven", "a small two"]):
        ...     print(sentence)
        a large seven is left of a small two
        a small two is right of a large seven
        two digits, a large seven on the left and a small two on the right
    """
    if len(names) == 1:
        place = f"at the {'bottom' if low else 'top'} {'right' if right else 'left'}"
        return f"{names[0]} {place}", f"{place} is {names[0]}", f"one digit, {names[0]}, {place}"
    if len(names) == 2:
        before, after = ("above", "below") if vertical else ("left of", "right of")
        begin, end = ("at the top", "at the bottom") if vertical else ("on the left", "on the right")
        return (
            f"{names[0]} is {before} {names[1]}",
            f"{names[1]} is {after} {names[0]}",
            f"two digits, {names[0]} {begin} and {names[1]} {end}",
        )
    begin, end = ("top", "bottom") if vertical else ("left", "right")
    first, second, third = names
    return (
        f"{first}, {second} and {third} from {begin} to {end}",
        f"{third}, {second} and {first} from {end} to {begin}",
        f"three digits from {begin} to {end}, {first}, {second} and {third}",
    )


def _manifest(path: Path, split: str, size: int, count: int | None) -> Captioned:
    if not path.is_file():
        raise ValueError(f"There is no manifest {path}.")
    paths: list[Path] = []
    captions: list[tuple[str, ...]] = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            picture, sentences_found, part = _entry(line, where)
            if part != split or len(paths) == count:
                continue
            file = path.parent / picture
            _check_picture(file, where)
            paths.append(file)
            captions.append(sentences_found)
    if not paths:
        raise ValueError(f"{path} has no picture of the split {split!r}.")
    return Captioned(Files(paths, size), tuple(captions))


def _entry(line: str, where: str) -> tuple[str, tuple[str, ...], str]:
    """Picture, sentences and split of a line."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON: {error.msg}.") from None
    form = '{"picture": "a.jpg", "captions": ["a dog runs"], "split": "train"}'
    if not isinstance(entry, dict) or not isinstance(entry.get("picture"), str):
        raise ValueError(f"{where} names no picture. A line is such as {form}")
    found: Any = entry.get("captions")
    if not isinstance(found, list) or not found or not all(isinstance(text, str) and text.strip() for text in found):
        raise ValueError(f"{where}: captions must be a list of sentences, none of them empty. Received: {found!r}")
    if entry.get("split") not in SPLITS:
        raise ValueError(f"{where}: split must be one of {', '.join(SPLITS)}. Received: {entry.get('split')!r}")
    return entry["picture"], tuple(found), entry["split"]


def _check_picture(file: Path, where: str) -> None:
    """A file whose header is that of a picture; the rest is read when it is needed."""
    if not file.is_file():
        raise ValueError(f"{where}: there is no picture {file}.")
    try:
        with Image.open(file):
            pass
    except OSError:
        raise ValueError(f"{where}: {file} is no picture of a known format.") from None


def _coco(split: str, size: int, count: int | None) -> Captioned:
    """Karpathy's splits, as TensorFlow Datasets has them; pictures are kept in memory at the size that is asked for."""
    import tensorflow_datasets as tfds

    parts = {"train": "train+restval", "validation": "val", "test": "test"}
    pictures, captions = [], []
    for number, example in enumerate(tfds.load("coco_captions", split=parts[split])):
        if number == count:
            break
        pictures.append(fit(Image.fromarray(example["image"].numpy()), (size, size), 3))
        captions.append(tuple(text.decode() for text in example["captions"]["text"].numpy()))
    return Captioned(np.stack(pictures), tuple(captions))
