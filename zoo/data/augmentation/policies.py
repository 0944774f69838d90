"""Policies: which of Pillow's operations happens to a picture, and how strongly.

Each picks ONE operation at a time and runs that alone; running all of them and choosing among the results, as layers
for batches have to, costs twenty times as much. Chance and work are apart: `plan` draws which operations with which
numbers, in TensorFlow; `change` does that by Pillow, where pictures are read; `apply` does both in the graph.

Sources: AutoAugment, Cubuk et al. 2018 (arXiv 1805.09501), tables 7 to 9 of its appendix; RandAugment, Cubuk et al.
2019 (arXiv 1909.13719); TrivialAugment, Müller and Hutter 2021 (arXiv 2103.10158), its wide space. Where the papers
leave a choice open, the numbers are torchvision's, and for `space="timm"` timm's "increasing" ones, with which the
recipes of "ResNet strikes back" were run.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.augmentation import ops, pillow_ops
from zoo.data.augmentation.seeds import branch
from zoo.data.augmentation.steps import check_probability, uniform
from zoo.data.errors import DataError

Space = Literal["torchvision", "timm"]
PolicyName = Literal["imagenet", "cifar10", "svhn"]

# torchvision moves by up to 150 of 331 pixels, the size that the paper's networks took.
_TRANSLATION = 150 / 331


@dataclass(frozen=True)
class Row:
    """How the strength of an operation, 0 to 1, becomes the number that it takes: base ± gain * strength.

    Attributes:
        op: Name of the function in `ops`, of a geometric operation there, or "identity".
        base: The number at strength 0.
        gain: What full strength adds.
        signed: Whether the gain is subtracted for half of the pictures.
        whole: Whether `gain * strength` becomes whole: "round" or "truncate"; "" leaves it.
        per: "width" or "height" where the number is a part of that, in pixels.
    """

    op: str
    base: float = 0.0
    gain: float = 0.0
    signed: bool = False
    whole: Literal["", "round", "truncate"] = ""
    per: Literal["", "width", "height"] = ""


def _geometric(shear: float, translation: float, per_size: bool, degrees: float) -> tuple[Row, ...]:
    return (
        Row("shear_x", gain=shear, signed=True),
        Row("shear_y", gain=shear, signed=True),
        Row("translate_x", gain=translation, signed=True, per="width" if per_size else ""),
        Row("translate_y", gain=translation, signed=True, per="height" if per_size else ""),
        Row("rotate", gain=degrees, signed=True),
    )


def _enhancing(gain: float) -> tuple[Row, ...]:
    return tuple(Row(op, 1, gain, signed=True) for op in ("brightness", "color", "contrast", "sharpness"))


_TABLES = (Row("auto_contrast"), Row("equalize"))
_CLASSIC = (*_geometric(0.3, _TRANSLATION, True, 30), *_enhancing(0.9), Row("posterize", 8, -4, whole="round"),
            Row("solarize", 255, -255), *_TABLES)  # fmt: skip

RANDAUGMENT_ROWS: dict[Space, tuple[Row, ...]] = {
    "torchvision": (Row("identity"), *_CLASSIC),
    "timm": (
        *_TABLES,
        Row("invert"),
        Row("posterize", 4, -4, whole="truncate"),
        Row("solarize", 256, -256, whole="truncate"),
        Row("solarize_add", 0, 110, whole="truncate"),
        *_enhancing(0.9),
        *_geometric(0.3, 0.45, True, 30),
    ),
}
TRIVIALAUGMENT_ROWS = (
    Row("identity"), *_geometric(0.99, 32, False, 135), *_enhancing(0.99), Row("posterize", 8, -6, whole="round"),
    Row("solarize", 255, -255), *_TABLES,
)  # fmt: skip
AUTOAUGMENT_ROWS = (*_CLASSIC, Row("invert"), Row("identity"))

# What full strength is: RandAugment's M counts to 30 in torchvision and to 10 in timm; TrivialAugment has 31 strengths,
# AutoAugment ten.
FULL_MAGNITUDE: dict[Space, int] = {"torchvision": 30, "timm": 10}
TRIVIALAUGMENT_LEVELS, AUTOAUGMENT_LEVELS = 31, 10

# Strengths that are drawn from a normal distribution are rounded to so many steps.
_FINE = 1000

# A planned operation: which one, then what it takes, six numbers at most.
_PLANNED = 7


@dataclass(frozen=True)
class RandAugment:
    """N operations one after the other, each drawn from all alike, all of one strength.

    Attributes:
        n: Number of operations, at least 1.
        m: Strength, 0 to 30; for `space="timm"` 0 to 10.
        mstd: Standard deviation of the strength, drawn anew for each operation and cut off at both ends.
        p: How often each of the operations happens, 0 to 1; timm's own is 0.5.
        space: "torchvision": 14 operations with torchvision's ranges. "timm": 15 operations that all get stronger
            with M, of `rand-m9-mstd0.5-inc1` and its like.
        interpolation: Of shearing, moving and turning: "nearest" or "bilinear".
    """

    n: int = 2
    m: float = 9
    mstd: float = 0.0
    p: float = 1.0
    space: Space = "torchvision"
    interpolation: ops.Interpolation = "nearest"

    def __post_init__(self) -> None:
        if self.space not in RANDAUGMENT_ROWS:
            raise DataError(f'randaugment: space must be "torchvision" or "timm". Received: space={self.space!r}')
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise DataError(f"randaugment: n must be a whole number, at least 1. Received: n={self.n!r}")
        most = FULL_MAGNITUDE[self.space]
        if not isinstance(self.m, int | float) or not 0 <= self.m <= most:
            raise DataError(f"randaugment: m must be from 0 to {most} in {self.space}'s space. Received: m={self.m!r}")
        if not isinstance(self.mstd, int | float) or not 0 <= self.mstd <= most:
            raise DataError(f"randaugment: mstd must be from 0 to {most}. Received: mstd={self.mstd!r}")
        check_probability("randaugment", "p", self.p)
        _check_interpolation("randaugment", self.interpolation)

    @property
    def plan_size(self) -> int:
        return self.n * _PLANNED

    @property
    def _rows(self) -> tuple[Row, ...]:
        return (*RANDAUGMENT_ROWS[self.space], Row("identity"))

    def plan(self, seed: tf.Tensor, height: int, width: int) -> tf.Tensor:
        full, num_operations = FULL_MAGNITUDE[self.space], len(RANDAUGMENT_ROWS[self.space])
        levels = np.arange(_FINE + 1) / _FINE if self.mstd else np.array([self.m / full])
        planned = _planner(self._rows, levels, height, width)
        draws, plans = uniform(seed, 3 * self.n), []
        for number in range(self.n):
            happens, choice, sign = tf.unstack(draws[3 * number : 3 * number + 3])
            row = tf.cast(choice * num_operations, tf.int32)
            if self.p < 1:
                row = tf.where(happens < self.p, row, num_operations)
            level = tf.constant(0)
            if self.mstd:
                noise = tf.random.stateless_normal((), branch(seed, 1 + number))
                level = tf.cast(tf.round(tf.clip_by_value((self.m + self.mstd * noise) / full, 0, 1) * _FINE), tf.int32)
            plans.append(planned(row, level, sign < 0.5))
        return tf.concat(plans, 0)

    def change(self, image: Image.Image, plan: np.ndarray) -> Image.Image:
        return _change(image, plan, self._rows, self.interpolation)

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _apply(self, picture, seed, self._rows)


@dataclass(frozen=True)
class TrivialAugment:
    """One operation, one strength, both drawn from all alike: TrivialAugment Wide.

    Attributes:
        interpolation: Of shearing, moving and turning: "nearest" or "bilinear".
    """

    interpolation: ops.Interpolation = "nearest"

    def __post_init__(self) -> None:
        _check_interpolation("trivialaugment", self.interpolation)

    @property
    def plan_size(self) -> int:
        return _PLANNED

    def plan(self, seed: tf.Tensor, height: int, width: int) -> tf.Tensor:
        levels = np.arange(TRIVIALAUGMENT_LEVELS) / (TRIVIALAUGMENT_LEVELS - 1)
        planned = _planner(TRIVIALAUGMENT_ROWS, levels, height, width)
        row, level, sign = tf.unstack(uniform(seed, 3))
        row = tf.cast(row * len(TRIVIALAUGMENT_ROWS), tf.int32)
        return planned(row, tf.cast(level * TRIVIALAUGMENT_LEVELS, tf.int32), sign < 0.5)

    def change(self, image: Image.Image, plan: np.ndarray) -> Image.Image:
        return _change(image, plan, TRIVIALAUGMENT_ROWS, self.interpolation)

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _apply(self, picture, seed, TRIVIALAUGMENT_ROWS)


@dataclass(frozen=True)
class AutoAugment:
    """One of 25 pairs of operations that a search found to be good for a data set.

    Attributes:
        policy: The data set: "imagenet", "cifar10" or "svhn".
        interpolation: Of shearing, moving and turning: "nearest" or "bilinear".
    """

    policy: PolicyName = "imagenet"
    interpolation: ops.Interpolation = "nearest"

    def __post_init__(self) -> None:
        if self.policy not in AUTOAUGMENT_POLICIES:
            raise DataError(
                f'autoaugment: policy must be "imagenet", "cifar10" or "svhn". Received: policy={self.policy!r}'
            )
        _check_interpolation("autoaugment", self.interpolation)

    @property
    def plan_size(self) -> int:
        return 2 * _PLANNED

    def plan(self, seed: tf.Tensor, height: int, width: int) -> tf.Tensor:
        pairs = AUTOAUGMENT_POLICIES[self.policy]
        names = [row.op for row in AUTOAUGMENT_ROWS]
        levels = np.arange(AUTOAUGMENT_LEVELS) / (AUTOAUGMENT_LEVELS - 1)
        planned = _planner(AUTOAUGMENT_ROWS, levels, height, width)
        draws, plans = uniform(seed, 5), []
        pair = tf.cast(draws[0] * len(pairs), tf.int32)
        for number in range(2):
            row = tf.gather([names.index(pair[number][0]) for pair in pairs], pair)
            probability = tf.gather([pair[number][1] for pair in pairs], pair)
            level = tf.gather([pair[number][2] for pair in pairs], pair)
            row = tf.where(draws[1 + 2 * number] < probability, row, names.index("identity"))
            plans.append(planned(row, level, draws[2 + 2 * number] < 0.5))
        return tf.concat(plans, 0)

    def change(self, image: Image.Image, plan: np.ndarray) -> Image.Image:
        return _change(image, plan, AUTOAUGMENT_ROWS, self.interpolation)

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _apply(self, picture, seed, AUTOAUGMENT_ROWS)


def table(rows: tuple[Row, ...], levels: np.ndarray, height: int, width: int) -> np.ndarray:
    """What the operations take.

    Args:
        rows: The operations.
        levels: Strengths from 0 to 1, (levels,).
        height: Height of the pictures in pixels.
        width: Width of the pictures in pixels.

    Returns:
        (rows, levels, 2, 6) float64; the third axis says whether signed gains are subtracted. The last has six
        coefficients for geometric operations and, for the others, their number first.
    """
    result = np.zeros((len(rows), len(levels), 2, 6))
    for i, row in enumerate(rows):
        for j, level in enumerate(levels):
            for k, sign in enumerate((1, -1 if row.signed else 1)):
                gained = row.gain * {"": 1, "width": width, "height": height}[row.per] * level
                if row.whole:
                    gained = np.rint(gained) if row.whole == "round" else np.trunc(gained)
                number = row.base + sign * gained
                if row.op in ops.GEOMETRIC:
                    result[i, j, k] = ops.coefficients(row.op, number, height, width)
                else:
                    result[i, j, k, 0] = number
    return result


def _kinds(rows: tuple[Row, ...]) -> list[str]:
    """What each row runs. All geometric operations are one: each node of a branch not taken costs time, too."""
    return ["affine" if row.op in ops.GEOMETRIC else row.op for row in rows]


@functools.lru_cache(maxsize=64)
def _entries(rows: tuple[Row, ...], levels: tuple[float, ...], height: int, width: int) -> np.ndarray:
    """The planned operation of each row, level and sign, (rows * levels * 2, 7) float64."""
    kinds = _kinds(rows)
    which = np.array([_branches(rows).index(kind) for kind in kinds], np.float64)
    numbers = table(rows, np.array(levels), height, width)
    which = np.broadcast_to(which[:, None, None, None], (*numbers.shape[:3], 1))
    return np.concatenate([which, numbers], -1).reshape(-1, _PLANNED)


def _planner(
    rows: tuple[Row, ...], levels: np.ndarray, height: int, width: int
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """From row, level and sign to a planned operation, (7,) float64: all is looked up in a constant."""
    entries = tf.constant(_entries(rows, tuple(levels.tolist()), height, width))

    def planned(row: tf.Tensor, level: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
        return tf.gather(entries, (row * len(levels) + level) * 2 + tf.cast(negative, tf.int32))

    return planned


@functools.lru_cache(maxsize=64)
def _branches(rows: tuple[Row, ...]) -> tuple[str, ...]:
    """The operations of rows, in the order in which plans count them."""
    return tuple(sorted(set(_kinds(rows))))


def _change(
    image: Image.Image, plan: np.ndarray, rows: tuple[Row, ...], interpolation: ops.Interpolation
) -> Image.Image:
    """Do the planned operations by Pillow."""
    branches = _branches(rows)
    for planned in plan.reshape(-1, _PLANNED):
        image = pillow_ops.change(branches[int(planned[0])], image, planned[1:], interpolation)
    return image


def _apply(
    policy: "RandAugment | TrivialAugment | AutoAugment", picture: tf.Tensor, seed: tf.Tensor, rows: tuple[Row, ...]
) -> tf.Tensor:
    """Do the planned operations in TensorFlow, of each only its own branch."""
    height, width, _ = picture.shape
    for planned in tf.split(policy.plan(seed, height, width), policy.plan_size // _PLANNED):
        numbers = planned[1:]
        branches: dict[str, Callable[[], tf.Tensor]] = {
            "affine": functools.partial(ops.affine, picture, numbers, policy.interpolation),
            "identity": functools.partial(tf.identity, picture),
        }
        names = _branches(rows)
        for name in set(names) - set(branches):
            branches[name] = functools.partial(getattr(ops, name), picture, numbers[0])
        result = tf.switch_case(tf.cast(planned[0], tf.int32), [branches[name] for name in names])
        picture = tf.ensure_shape(result, picture.shape)
    return picture


def _check_interpolation(step: str, interpolation: str) -> None:
    if interpolation not in ("nearest", "bilinear"):
        raise DataError(
            f'{step}: interpolation must be "nearest" or "bilinear". Received: interpolation={interpolation!r}'
        )


# (operation, probability, strength 0 to 9) of both operations of each pair, in the paper's order.
_Pair = tuple[tuple[str, float, int], tuple[str, float, int]]
AUTOAUGMENT_POLICIES: dict[PolicyName, tuple[_Pair, ...]] = {
    "imagenet": (
        (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
        (("solarize", 0.6, 5), ("auto_contrast", 0.6, 0)),
        (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
        (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
        (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
        (("equalize", 0.4, 0), ("rotate", 0.8, 8)),
        (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
        (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
        (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
        (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
        (("rotate", 0.8, 8), ("color", 0.4, 0)),
        (("rotate", 0.4, 9), ("equalize", 0.6, 0)),
        (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
        (("invert", 0.6, 0), ("equalize", 1.0, 0)),
        (("color", 0.6, 4), ("contrast", 1.0, 8)),
        (("rotate", 0.8, 8), ("color", 1.0, 2)),
        (("color", 0.8, 8), ("solarize", 0.8, 7)),
        (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
        (("shear_x", 0.6, 5), ("equalize", 1.0, 0)),
        (("color", 0.4, 0), ("equalize", 0.6, 0)),
        (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
        (("solarize", 0.6, 5), ("auto_contrast", 0.6, 0)),
        (("invert", 0.6, 0), ("equalize", 1.0, 0)),
        (("color", 0.6, 4), ("contrast", 1.0, 8)),
        (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    ),
    "cifar10": (
        (("invert", 0.1, 0), ("contrast", 0.2, 6)),
        (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
        (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
        (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
        (("auto_contrast", 0.5, 0), ("equalize", 0.9, 0)),
        (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
        (("color", 0.4, 3), ("brightness", 0.6, 7)),
        (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
        (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
        (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
        (("color", 0.7, 7), ("translate_x", 0.5, 8)),
        (("equalize", 0.3, 0), ("auto_contrast", 0.4, 0)),
        (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
        (("brightness", 0.9, 6), ("color", 0.2, 8)),
        (("solarize", 0.5, 2), ("invert", 0.0, 0)),
        (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
        (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
        (("color", 0.9, 9), ("equalize", 0.6, 0)),
        (("auto_contrast", 0.8, 0), ("solarize", 0.2, 8)),
        (("brightness", 0.1, 3), ("color", 0.7, 0)),
        (("solarize", 0.4, 5), ("auto_contrast", 0.9, 0)),
        (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
        (("auto_contrast", 0.9, 0), ("solarize", 0.8, 3)),
        (("equalize", 0.8, 0), ("invert", 0.1, 0)),
        (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 0)),
    ),
    "svhn": (
        (("shear_x", 0.9, 4), ("invert", 0.2, 0)),
        (("shear_y", 0.9, 8), ("invert", 0.7, 0)),
        (("equalize", 0.6, 0), ("solarize", 0.6, 6)),
        (("invert", 0.9, 0), ("equalize", 0.6, 0)),
        (("equalize", 0.6, 0), ("rotate", 0.9, 3)),
        (("shear_x", 0.9, 4), ("auto_contrast", 0.8, 0)),
        (("shear_y", 0.9, 8), ("invert", 0.4, 0)),
        (("shear_y", 0.9, 5), ("solarize", 0.2, 6)),
        (("invert", 0.9, 0), ("auto_contrast", 0.8, 0)),
        (("equalize", 0.6, 0), ("rotate", 0.9, 3)),
        (("shear_x", 0.9, 4), ("solarize", 0.3, 3)),
        (("shear_y", 0.8, 8), ("invert", 0.7, 0)),
        (("equalize", 0.9, 0), ("translate_y", 0.6, 6)),
        (("invert", 0.9, 0), ("equalize", 0.6, 0)),
        (("contrast", 0.3, 3), ("rotate", 0.8, 4)),
        (("invert", 0.8, 0), ("translate_y", 0.0, 2)),
        (("shear_y", 0.7, 6), ("solarize", 0.4, 8)),
        (("invert", 0.6, 0), ("rotate", 0.8, 4)),
        (("shear_y", 0.3, 7), ("translate_x", 0.9, 3)),
        (("shear_x", 0.1, 6), ("invert", 0.6, 0)),
        (("solarize", 0.7, 2), ("translate_y", 0.6, 7)),
        (("shear_y", 0.8, 4), ("invert", 0.8, 0)),
        (("shear_x", 0.7, 9), ("translate_y", 0.8, 3)),
        (("shear_y", 0.8, 5), ("auto_contrast", 0.7, 0)),
        (("shear_x", 0.7, 2), ("invert", 0.1, 0)),
    ),
}
