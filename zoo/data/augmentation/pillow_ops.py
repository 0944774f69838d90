"""The operations of the policies by Pillow itself, for pictures that are Pillow's already.

`ops` repeats the same arithmetic in TensorFlow, for graphs. Here a picture costs a fourth of the time: Pillow reads
tables of 8 bits where TensorFlow gathers, and nothing is spent on branches that are not taken.
"""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from zoo.data.augmentation.ops import Interpolation

Change = Callable[[Image.Image, np.ndarray, Interpolation], Image.Image]

_LEVELS = np.arange(256)
_FILTERS: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
}


def change(name: str, image: Image.Image, numbers: np.ndarray, interpolation: Interpolation) -> Image.Image:
    """Do one operation.

    Args:
        name: Name of a function in `ops`: "affine", a point operation, an enhancing one; or "identity".
        image: Grey or colour picture of 8 bits.
        numbers: What the operation takes, (6,) float64: six coefficients for "affine", else one number first.
        interpolation: Of "affine": "nearest" or "bilinear".

    Returns:
        A picture of the same size and mode; the same object where nothing changes.
    """
    return _CHANGES[name](image, numbers, interpolation)


def _affine(image: Image.Image, numbers: np.ndarray, interpolation: Interpolation) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, numbers.tolist(), _FILTERS[interpolation])


def _by_table(table: Callable[[float], np.ndarray]) -> Change:
    """An operation that looks each value up in 256 levels."""
    levels = functools.lru_cache(maxsize=64)(lambda number: table(number).tolist())

    def change_levels(image: Image.Image, numbers: np.ndarray, _: Interpolation) -> Image.Image:
        return image.point(levels(float(numbers[0])) * len(image.getbands()))

    return change_levels


def _enhanced(enhancer: type) -> Change:
    def enhance(image: Image.Image, numbers: np.ndarray, _: Interpolation) -> Image.Image:
        return enhancer(image).enhance(float(numbers[0]))

    return enhance


_CHANGES: dict[str, Change] = {
    "identity": lambda image, numbers, interpolation: image,
    "affine": _affine,
    "invert": _by_table(lambda number: 255 - _LEVELS),
    # By a table, as Pillow's own refuses to keep no bit, which timm's policy asks for.
    "posterize": _by_table(lambda bits: _LEVELS & 256 - (1 << 8 - int(bits))),
    "solarize": _by_table(lambda threshold: np.where(threshold > _LEVELS, _LEVELS, 255 - _LEVELS)),
    "solarize_add": _by_table(lambda addition: _LEVELS + (_LEVELS < 128) * int(addition)),
    "auto_contrast": lambda image, numbers, interpolation: ImageOps.autocontrast(image),
    "equalize": lambda image, numbers, interpolation: ImageOps.equalize(image),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
}
