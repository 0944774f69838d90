"""Picture files to arrays. One decoder for checking, training and predicting, so that all see the same pixels."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.data.errors import DataError, printable

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}
MAX_PIXELS = 64_000_000

_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def decode(content: bytes) -> Image.Image:
    """Decode a picture file to grey ("L") or colour ("RGB") of 8 bits, upright.

    The size is read from the header and checked before anything is decoded. Of an animation the first frame counts,
    transparency is dropped, 16 bits are reduced to 8.

    Args:
        content: The whole file.

    Raises:
        DataError: The file is empty, damaged, no picture of a known format, or too large; says which.
    """
    if not content:
        raise DataError("the file is empty")
    try:
        with strict_pillow(), Image.open(io.BytesIO(content), formats=tuple(set(FORMATS.values()))) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(_too_large(f"{image.width}x{image.height}"))
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _eight_bits(upright)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(_too_large("its header")) from None
    except UnidentifiedImageError:
        raise DataError(f"it is no picture of a known format ({', '.join(sorted(set(FORMATS.values())))})") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"it is truncated or damaged: {printable(str(error))}") from None


def fit(image: Image.Image, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Bring a decoded picture to a size and a number of channels.

    Args:
        image: Grey or colour picture of 8 bits.
        size: Height and width in pixels; None keeps the picture's own. The aspect ratio is not kept. Bilinear, with
            antialiasing where the picture shrinks.
        channels: 1 for grey (luma after ITU-R 601) or 3 for colour.

    Returns:
        (height, width, channels) uint8.
    """
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and (image.height, image.width) != tuple(size):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)


def scale(pictures: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Map 0…255 linearly to `value_range`, as float32."""
    low, high = value_range
    return pictures.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)


def read_image(
    path: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int = 3,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Read one picture file just as the pipelines do.

    Args:
        path: JPEG, PNG, BMP, GIF or WebP.
        image_size: Height and width in pixels; None keeps the picture's own.
        channels: 1 for grey, 3 for colour.
        value_range: What black and white become.

    Returns:
        (height, width, channels) float32.

    Raises:
        DataError: The file cannot be read; the message names it and says why.
    """
    check_channels(channels)
    try:
        return scale(fit(decode(Path(path).read_bytes()), image_size, channels), value_range)
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read: {error.strerror}.") from None
    except DataError as error:
        raise DataError(f"{printable(str(path))} cannot be used: {error}.") from None


def check_channels(channels: int) -> None:
    """Refuse anything but grey and colour."""
    if channels not in (1, 3):
        raise DataError(f"Pictures have 1 channel (grey) or 3 (colour). Received: channels={channels}")


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Let Pillow's warning of decompression bombs be an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _too_large(received: str) -> str:
    return f"it has more than {MAX_PIXELS // 1_000_000} megapixels ({received})"


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        wide = np.asarray(image, np.float64)
        return Image.fromarray(np.clip(np.rint(wide / 257), 0, 255).astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("L" if image.mode in _GREY else "RGB")
