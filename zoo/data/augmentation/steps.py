"""Single random changes: flips, crops, colours, erasing.

A step is a frozen dataclass. Its `apply` takes a picture, (height, width, channels) uint8, and a seed, two int64, and
returns a picture of the same shape and type: a pure function, so that an example of an epoch is changed in the same
way in every run, by any number of threads, and after any interruption.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.augmentation import ops
from zoo.data.augmentation.seeds import branch
from zoo.data.errors import DataError

Fill = Literal["mean", "noise", "black"]

# ImageNet's mean and standard deviation, 0 to 1, of which 0 is the mean after the usual normalisation.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# How often a random box is tried before there is none, in torchvision and timm alike.
_ATTEMPTS = 10

# Eigenvalues and eigenvectors of the colours of ImageNet, for values 0 to 1, as published with fb.resnet.torch and
# used for AlexNet's lighting since.
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


class Step(Protocol):
    """One change of a picture."""

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Change a picture, (height, width, channels) uint8, by chance that `seed`, (2,) int64, decides."""
        ...


@runtime_checkable
class PlannedStep(Step, Protocol):
    """A step whose chance and work are apart, so that Pillow can do it where a picture is read."""

    @property
    def plan_size(self) -> int:
        """How many numbers a plan has."""
        ...

    def plan(self, seed: tf.Tensor, height: int, width: int) -> tf.Tensor:
        """What chance decides for a picture of this size, (plan_size,) float64."""
        ...

    def change(self, image: Image.Image, plan: np.ndarray) -> Image.Image:
        """What `apply` does, to a picture of Pillow's, grey or colour of 8 bits."""
        ...


@dataclass(frozen=True)
class Flip:
    """Swap left and right.

    Attributes:
        p: How often, 0 to 1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("flip", "p", self.p)

    @property
    def plan_size(self) -> int:
        return 1

    def plan(self, seed: tf.Tensor, height: int, width: int) -> tf.Tensor:
        return tf.cast(uniform(seed, 1) < self.p, tf.float64)

    def change(self, image: Image.Image, plan: np.ndarray) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if plan[0] else image

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        flips = self.plan(seed, *picture.shape[:2])[0] > 0
        return tf.cond(flips, lambda: picture[:, ::-1], lambda: picture)


@dataclass(frozen=True)
class Shift:
    """Pad the border with black and cut a window of the old size out at random.

    Attributes:
        pixels: Width of the border, the largest shift in each direction; at least 0.
    """

    pixels: int

    def __post_init__(self) -> None:
        if isinstance(self.pixels, bool) or not isinstance(self.pixels, int) or self.pixels < 0:
            raise DataError(f"shift must be at least 0 pixels. Received: shift={self.pixels}")

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        begin = tf.cast(uniform(seed, 2) * (2 * self.pixels + 1), tf.int32)
        padded = tf.pad(picture, [[self.pixels] * 2, [self.pixels] * 2, [0, 0]])
        return tf.slice(padded, tf.concat([begin, [0]], 0), picture.shape)


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cut a box of random area and form out of the picture as it is stored, and resize that.

    The rule is torchvision's, after Szegedy et al. 2015: ten boxes are tried, and the first that fits is taken; if
    none fits, the largest in the middle whose form is allowed. It comes first of all steps.

    Attributes:
        scale: Least and largest area of the box, as part of the picture's, above 0 to 1.
        ratio: Least and largest width divided by height.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        check_pair("crop", "scale", self.scale, 0, 1)
        check_pair("crop", "ratio", self.ratio, 0, math.inf)

    def box(self, draws: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
        """Choose a box.

        Args:
            draws: (22,) float64 in [0, 1): ten areas, ten forms, the place.
            height: Height of the picture in pixels.
            width: Width of the picture in pixels.

        Returns:
            Left, upper, right and lower edge in pixels, as Pillow counts them.
        """
        low, high = (math.log(ratio) for ratio in self.ratio)
        for number in range(_ATTEMPTS):
            area = height * width * (self.scale[0] + draws[number] * (self.scale[1] - self.scale[0]))
            form = math.exp(low + draws[_ATTEMPTS + number] * (high - low))
            box_width, box_height = round(math.sqrt(area * form)), round(math.sqrt(area / form))
            if 0 < box_width <= width and 0 < box_height <= height:
                top = int(draws[-2] * (height - box_height + 1))
                left = int(draws[-1] * (width - box_width + 1))
                return left, top, left + box_width, top + box_height
        form = min(max(width / height, self.ratio[0]), self.ratio[1])
        box_width, box_height = min(width, round(height * form)), min(height, round(width / form))
        left, top = (width - box_width) // 2, (height - box_height) // 2
        return left, top, left + box_width, top + box_height

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Nothing: pictures are cropped when they are read, before they are resized."""
        return picture


@dataclass(frozen=True)
class RandomErasing:
    """Cover a random box, after Zhong et al. 2017 (arXiv 1708.04896), with timm's way to choose it.

    Attributes:
        p: How often, 0 to 1.
        scale: Least and largest area of the box, as part of the picture's.
        ratio: Least and largest height divided by width.
        fill: "mean" is ImageNet's mean colour, 0 after the usual normalisation; "noise" is normal noise with
            ImageNet's mean and deviation for each pixel; "black" is 0.
    """

    p: float = 0.25
    scale: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    fill: Fill = "mean"

    def __post_init__(self) -> None:
        check_probability("erase", "p", self.p)
        check_pair("erase", "scale", self.scale, 0, 1)
        check_pair("erase", "ratio", self.ratio, 0, math.inf)
        if self.fill not in ("mean", "noise", "black"):
            raise DataError(f'erase: fill must be "mean", "noise" or "black". Received: fill={self.fill!r}')

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.cond(uniform(seed, 1)[0] < self.p, lambda: self._erase(picture, branch(seed, 1)), lambda: picture)

    def _erase(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width, _ = picture.shape
        draws = uniform(seed, 2 * _ATTEMPTS + 2)
        area = height * width * (self.scale[0] + draws[:_ATTEMPTS] * (self.scale[1] - self.scale[0]))
        low, high = (math.log(ratio) for ratio in self.ratio)
        form = tf.exp(low + draws[_ATTEMPTS:-2] * (high - low))
        heights = tf.cast(tf.round(tf.sqrt(area * form)), tf.int32)
        widths = tf.cast(tf.round(tf.sqrt(area / form)), tf.int32)
        fits = (heights < height) & (widths < width)
        first = tf.argmax(fits)
        any_fits = tf.cast(tf.reduce_any(fits), tf.int32)
        box_height, box_width = heights[first] * any_fits, widths[first] * any_fits
        top = tf.cast(draws[-2] * tf.cast(height - box_height + 1, tf.float32), tf.int32)
        left = tf.cast(draws[-1] * tf.cast(width - box_width + 1, tf.float32), tf.int32)
        return tf.where(
            _box(height, width, top, left, box_height, box_width), self._cover(picture, branch(seed, 1)), picture
        )

    def _cover(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        channels = picture.shape[2]
        if self.fill == "black":
            return tf.zeros((channels,), tf.uint8)
        mean, std = _per_channel(MEAN, channels), _per_channel(STD, channels)
        if self.fill == "mean":
            return tf.constant(np.rint(mean), tf.uint8)
        noise = mean + std * tf.random.stateless_normal(picture.shape, seed)
        return tf.cast(tf.clip_by_value(tf.round(noise), 0, 255), tf.uint8)


@dataclass(frozen=True)
class Cutout:
    """Cover a square about a random point, cut off at the border, after DeVries and Taylor 2017 (arXiv 1708.04552).

    Attributes:
        pixels: Side of the square; at least 1.
    """

    pixels: int

    def __post_init__(self) -> None:
        if isinstance(self.pixels, bool) or not isinstance(self.pixels, int) or self.pixels < 1:
            raise DataError(f"cutout must be at least 1 pixel. Received: cutout({self.pixels!r})")

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width, channels = picture.shape
        middle = tf.cast(uniform(seed, 2) * (height, width), tf.int32)
        mean = np.rint(_per_channel(MEAN, channels))
        top, left = middle[0] - self.pixels // 2, middle[1] - self.pixels // 2
        return tf.where(_box(height, width, top, left, self.pixels, self.pixels), tf.constant(mean, tf.uint8), picture)


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast, saturation and hue in random order, as torchvision does.

    Attributes:
        brightness: The factor lies within 1 - brightness, at least 0, and 1 + brightness.
        contrast: The same for the contrast.
        saturation: The same for the saturation of the colours.
        hue: The hue turns by at most this part of the circle, 0 to 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"jitter: {name} must be at least 0. Received: {name}={getattr(self, name)!r}")
        if not 0 <= self.hue <= 0.5:
            raise DataError(f"jitter: hue must be from 0 to 0.5. Received: hue={self.hue!r}")

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draws = uniform(seed, 8)
        order = tf.argsort(draws[:4])
        levels = tf.cast(draws[4:], tf.float64)
        for place in range(4):
            picture = self._change(picture, order[place], levels)
        return picture

    def _change(self, picture: tf.Tensor, which: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """One of the four changes."""
        turn = (2 * levels[3] - 1) * self.hue
        branches = [lambda: ops.hue(picture, turn) if self.hue else picture]
        for number, (op, strength) in enumerate(
            ((ops.brightness, self.brightness), (ops.contrast, self.contrast), (ops.color, self.saturation))
        ):
            low = max(0.0, 1 - strength)
            factor = low + levels[number] * (1 + strength - low)
            branches.append(functools.partial(op, picture, factor) if strength else lambda: picture)
        return tf.ensure_shape(tf.switch_case(which, branches), picture.shape)


@dataclass(frozen=True)
class Lighting:
    """Add a random colour along the principal components of ImageNet's colours, as AlexNet's authors did.

    Attributes:
        std: Standard deviation of the normal factors; 0.1 in the paper.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.std < math.inf:
            raise DataError(f"lighting: std must be at least 0. Received: std={self.std!r}")

    def apply(self, picture: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if picture.shape[2] == 1:
            return picture
        factors = self.std * tf.random.stateless_normal((3,), seed) * _EIGENVALUES
        color = 255 * tf.linalg.matvec(tf.constant(_EIGENVECTORS), factors)
        return tf.cast(tf.clip_by_value(tf.round(tf.cast(picture, tf.float32) + color), 0, 255), tf.uint8)


def crop_draws(chance: int | np.ndarray, visit: int) -> np.ndarray:
    """The random numbers of a crop, (22,) float64 in [0, 1), by NumPy, as pictures are read outside of TensorFlow."""
    bits = np.random.Philox(key=np.array([chance, visit], np.uint64)).random_raw(2 * _ATTEMPTS + 2)
    return (bits >> np.uint64(11)) * 2.0**-53


def _per_channel(numbers: tuple[float, ...], channels: int) -> np.ndarray:
    """A number for each of 3 channels, or their mean for one, as grey levels of 255."""
    levels = 255 * np.asarray(numbers, np.float32)
    return levels if channels == 3 else levels.mean(keepdims=True)


def uniform(seed: tf.Tensor, count: int) -> tf.Tensor:
    """So many random numbers, float32 in [0, 1)."""
    return tf.random.stateless_uniform((count,), seed)


def check_probability(step: str, name: str, value: float) -> None:
    """Refuse what is no probability."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(f"{step}: {name} must be from 0 to 1. Received: {name}={value!r}")


def check_pair(step: str, name: str, value: tuple[float, float], above: float, most: float) -> None:
    """Refuse what is no rising pair of numbers."""
    numbers = isinstance(value, tuple) and len(value) == 2 and all(isinstance(one, int | float) for one in value)
    if not numbers or not above < value[0] <= value[1] <= most:
        raise DataError(
            f"{step}: {name} must be two rising numbers above {above:g}"
            + (f" and at most {most:g}" if most < math.inf else "")
            + f". Received: {name}={value!r}"
        )


def _box(height: int, width: int, top: tf.Tensor, left: tf.Tensor, box_height: tf.Tensor, box_width: tf.Tensor):
    """Where a box lies, (height, width, 1) bool."""
    down, across = tf.range(height)[:, None, None] - top, tf.range(width)[None, :, None] - left
    return (down >= 0) & (down < box_height) & (across >= 0) & (across < box_width)
