"""Pictures with a class for each pixel: made ones, folders of pictures and masks, PASCAL VOC, Oxford's pets.

A source gives `Scenes`: pictures (examples, height, width, channels) of 8 bits and masks (examples, height, width) of
whole numbers, 255 for pixels that do not count.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

IGNORED = 255
SPLITS = ("train", "validation", "test")
DIGITS = ("background", *map(str, range(10)))
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
PETS = ("background", "pet", "border")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True)
class Scenes:
    """Pictures with their masks.

    Attributes:
        pictures: (examples, height, width, channels) uint8.
        masks: (examples, height, width) uint8: classes, 255 for what does not count.
        classes: Names of the classes.
    """

    pictures: np.ndarray
    masks: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pictures)


def load(source: str, split: str, *, size: int | None = None, count: int | None = None, seed: int = 0) -> Scenes:
    """The scenes of a source.

    Args:
        source: `digits`: one or two handwritten digits on a photographed texture. `folder:PATH`: `PATH/train/images`
            with `PATH/train/masks`, PNGs of the same names whose numbers are classes, and the other splits likewise;
            `PATH/classes.txt` names the classes, one a line. `voc:PATH`: a `VOC2012` folder. `tfds:oxford_iiit_pet`.
        split: train, validation or test.
        size: Side to which pictures and masks are resized, bilinearly and to the nearest; for digits, of the scenes
            (default 32). Pictures of a folder need it where they differ in size.
        count: Most examples; for digits, how many are made (default 3,000, and 300 in the other splits).
        seed: Of the digits' scenes.

    Raises:
        ValueError: There is no such source or split, or pictures and masks do not fit together: with the file.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}. Received: {split!r}")
    kind, _, rest = source.partition(":")
    if source == "digits":
        return digits_on_textures(split, count or (3000 if split == "train" else 300), size=size or 32, seed=seed)
    if kind == "folder" and rest:
        return _folder(Path(rest), split, size, count)
    if kind == "voc" and rest:
        return _voc(Path(rest), split, size, count)
    if source == "tfds:oxford_iiit_pet":
        return _pets(split, size or 128, count)
    raise ValueError(f"Sources are digits, folder:PATH, voc:PATH and tfds:oxford_iiit_pet. Received: {source!r}")


@functools.cache
def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as 8-bit pictures, with labels; six tenths, two and two."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    cuts = [round(len(order) * part) for part in (0.6, 0.8)]
    chosen = dict(zip(SPLITS, np.split(order, cuts), strict=True))[split]
    return np.rint(digits.images[chosen] * 255 / 16).astype("uint8"), digits.target[chosen]


@functools.cache
def _textures(split: str) -> list[np.ndarray]:
    """Photographs of brick, grass and gravel: the left half to train, the right half's two parts for the others."""
    try:
        from skimage import data
    except ImportError as error:
        raise ImportError("Scenes of digits need scikit-image: pip install scikit-image") from error

    found = []
    for name in ("brick", "grass", "gravel"):
        photograph = getattr(data, name)()
        middle_row, middle_column = (side // 2 for side in photograph.shape)
        right = photograph[:, middle_column:]
        found.append(
            {"train": photograph[:, :middle_column], "validation": right[:middle_row], "test": right[middle_row:]}[
                split
            ]
        )
    return found


def digits_on_textures(split: str, count: int, *, size: int = 32, seed: int = 0) -> Scenes:
    """One or two handwritten digits of 12 to 18 pixels on a photographed texture, lighter or darker than it.

    The photograph has half of its contrast, from 64 to 191; ink is below 40 or above 215 where it is thick. No digit
    and no part of a photograph is in two splits.

    Args:
        split: train, validation or test.
        count: Number of scenes.
        size: Their side in pixels, at least 32.
        seed: Of what is drawn by lot.

    Returns:
        Grey scenes (count, size, size, 1); 0 is the background, 1 to 10 are the digits 0 to 9.
    """
    if size < 32:
        raise ValueError(f"Scenes of two digits have at least 32 pixels. Received: size={size}")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    digits, labels = _digits(split)
    textures = _textures(split)
    pictures, masks = np.zeros((count, size, size, 1), "uint8"), np.zeros((count, size, size), "uint8")
    for picture, mask in zip(pictures, masks, strict=True):
        texture = textures[rng.integers(len(textures))]
        top, left = (rng.integers(side - size + 1) for side in texture.shape)
        scene = 64 + texture[top : top + size, left : left + size] / 2
        taken = np.zeros((size, size), bool)
        for _ in range(rng.integers(1, 3)):
            side = int(rng.integers(12, 19))
            top, left = rng.integers(size - side + 1, size=2)
            place = slice(top, top + side), slice(left, left + side)
            if taken[place].any():
                continue
            taken[place] = True
            which = rng.integers(len(digits))
            ink = np.asarray(Image.fromarray(digits[which]).resize((side, side), Image.Resampling.BICUBIC)) / 255
            tone = rng.choice([rng.uniform(0, 40), rng.uniform(215, 255)])
            scene[place] += ink * (tone - scene[place])
            mask[place][ink > 0.5] = labels[which] + 1
        picture[..., 0] = np.rint(scene)
    return Scenes(pictures, masks, DIGITS)


def _folder(path: Path, split: str, size: int | None, count: int | None) -> Scenes:
    names = path / "classes.txt"
    if not names.is_file():
        raise ValueError(f"{names} must name the classes, one a line; it is not there.")
    classes = tuple(line.strip() for line in names.read_text(encoding="utf-8").splitlines() if line.strip())
    pictures = sorted(file for file in (path / split / "images").glob("*") if file.suffix.lower() in SUFFIXES)
    if not pictures:
        raise ValueError(f"There are no pictures in {path / split / 'images'}.")
    return _read([(file, path / split / "masks" / f"{file.stem}.png") for file in pictures[:count]], classes, size)


def _voc(path: Path, split: str, size: int | None, count: int | None) -> Scenes:
    """train.txt of ImageSets/Segmentation is cut nine to one for training and validation; val.txt is the test split."""
    listed = path / "ImageSets" / "Segmentation" / ("val.txt" if split == "test" else "train.txt")
    if not listed.is_file():
        raise ValueError(f"{path} is no folder of PASCAL VOC: {listed.relative_to(path)} is not there.")
    names = listed.read_text(encoding="utf-8").split()
    if split != "test":
        names = [name for place, name in enumerate(names) if (place % 10 == 9) == (split == "validation")]
    pairs = [
        (path / "JPEGImages" / f"{name}.jpg", path / "SegmentationClass" / f"{name}.png") for name in names[:count]
    ]
    return _read(pairs, VOC, size)


def _read(pairs: Sequence[tuple[Path, Path]], classes: tuple[str, ...], size: int | None) -> Scenes:
    pictures: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    for file, mask_file in pairs:
        if not mask_file.is_file():
            raise ValueError(f"{file} has no mask: {mask_file} is not there.")
        with Image.open(file) as picture, Image.open(mask_file) as mask:
            if picture.size != mask.size:
                raise ValueError(f"{file} has {picture.size} pixels, its mask {mask.size}: they must be of one size.")
            if mask.mode not in ("P", "L"):
                raise ValueError(f"Masks have one number for each pixel. Received: {mask_file} of mode {mask.mode}")
            colours = picture.convert("RGB")
            if size is not None:
                colours = colours.resize((size, size), Image.Resampling.BILINEAR)
            numbers = np.asarray(mask if size is None else mask.resize((size, size), Image.Resampling.NEAREST))
        worst = numbers[numbers != IGNORED].max(initial=0)
        if worst >= len(classes):
            raise ValueError(f"{mask_file} has the class {worst}, and there are {len(classes)}, from 0.")
        if pictures and pictures[0].shape[:2] != numbers.shape:
            raise ValueError(f"{file} has {numbers.shape} pixels, others {pictures[0].shape[:2]}. Give a size for all.")
        pictures.append(np.asarray(colours))
        masks.append(numbers.astype("uint8"))
    return Scenes(np.stack(pictures), np.stack(masks), classes)


def _pets(split: str, size: int, count: int | None) -> Scenes:
    import tensorflow_datasets as tfds

    parts = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    of_pets = np.array([1, 0, 2], "uint8")  # there 1 is the pet, 2 the background, 3 the border
    pictures, masks = [], []
    for number, example in enumerate(tfds.load("oxford_iiit_pet", split=parts[split])):
        if number == count:
            break
        picture = Image.fromarray(example["image"].numpy()).resize((size, size), Image.Resampling.BILINEAR)
        mask = Image.fromarray(example["segmentation_mask"].numpy()[..., 0])
        pictures.append(np.asarray(picture))
        masks.append(of_pets[np.asarray(mask.resize((size, size), Image.Resampling.NEAREST)) - 1])
    return Scenes(np.stack(pictures), np.stack(masks), PETS)
