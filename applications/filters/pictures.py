"""The pictures that are filtered: those that courses use, or the user's own."""

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zoo import data

# Photographs that lie in the wheel of scikit-image, so that no network is needed.
BUNDLED = (
    "astronaut",
    "brick",
    "camera",
    "cat",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "moon",
    "page",
    "rocket",
    "text",
)


@dataclass(frozen=True)
class Named:
    """A picture and what it is called; (height, width, 1 or 3) float32 of 0 to 255."""

    name: str
    values: np.ndarray


def load(name: str, side: int) -> Named:
    """Read a picture.

    Args:
        name: A picture file, or one of `BUNDLED`.
        side: Longest side in pixels; a larger picture is made smaller.

    Returns:
        The picture, grey where it is grey.

    Raises:
        ValueError: There is no such picture, or scikit-image is needed and not there.
    """
    if os.path.exists(name) or name not in BUNDLED:
        if not os.path.exists(name):
            raise ValueError(
                f"There is no picture {name!r}. Expected: a picture file, or one of {', '.join(BUNDLED)}."
            )  # fmt: skip
        values = data.read_image(name, value_range=(0.0, 255.0))
        if np.array_equal(values[..., :1].repeat(3, axis=-1), values):
            values = values[..., :1]
    else:
        values = _bundled(name)
    height, width = values.shape[:2]
    if max(height, width) > side:
        part = side / max(height, width)
        size = (max(1, round(width * part)), max(1, round(height * part)))
        image = Image.fromarray(np.rint(values).astype(np.uint8).squeeze())
        values = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)
    return Named(os.path.basename(name), values.reshape(*values.shape[:2], -1).astype(np.float32))


def _bundled(name: str) -> np.ndarray:
    try:
        import skimage.data
    except ImportError:
        raise ValueError(
            f"The picture {name!r} comes with scikit-image, which is not installed. "
            'Run: pip install "cnn-zoo[vision]", or give a picture file.'
        ) from None
    values = np.asarray(getattr(skimage.data, name)(), np.float32)
    return values.reshape(*values.shape[:2], -1)
