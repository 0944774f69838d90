"""Picture files to arrays. One way for checking, training and predicting, so that all see the same pixels.

Files are decoded by Pillow, in full precision ("exact"). Of a JPEG file of which only a part is wanted, TensorFlow's
`decode_and_crop_jpeg` decodes that part alone, by the same library with the same arithmetic: the pixels are equal, the
time is less. "scaled" lets the decoder shrink photographs that are much larger than what is wanted.
"""

import contextlib
import io
import math
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zoo.data.errors import DataError, printable

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}
MAX_PIXELS = 64_000_000
# More than any picture of MAX_PIXELS needs, four channels of 16 bits without compression.
MAX_BYTES = 8 * MAX_PIXELS + (1 << 20)

Decoder = Literal["exact", "scaled"]
DECODERS = ("exact", "scaled")

# Left, upper, right and lower edge in pixels, as Pillow counts them.
Box = tuple[int, int, int, int]

# "scaled" leaves so many times the size that is wanted for the reduction with antialiasing that follows, as Pillow's
# thumbnails do.
GAP = 2

# Chroma is interpolated between neighbours; at the edge of a part that is decoded alone, one is missing.
_MARGIN = 1

_ACCEPTED = tuple(sorted(set(FORMATS.values())))
_GREY = ("1", "L", "LA")
_PLAIN = ("L", "RGB")


def read(path: Path) -> bytes:
    """The content of a regular file; raises as `read_with_status`."""
    return read_with_status(path)[0]


def read_with_status(path: Path) -> tuple[bytes, os.stat_result]:
    """The content of a regular file, and its status before it was read.

    Raises:
        DataError: It cannot be read, is a pipe or a device, which might never end, or is larger than any picture of
            legal size; says which.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError("it is no regular file")
        if status.st_size > MAX_BYTES:
            raise DataError(f"it has more than {MAX_BYTES >> 20} MiB ({status.st_size >> 20} MiB)")
        return path.read_bytes(), status
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror}") from None


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
        with _open(content) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(_too_large(f"{image.width}x{image.height}"))
            if image.format == "PNG":
                # Decoding stops at the last pixel and misses a cut or a flipped bit behind it.
                with _open(content) as whole:
                    whole.verify()
            image.load()
            # In place: each copy of a photograph costs a tenth of the time that decoding it takes.
            ImageOps.exif_transpose(image, in_place=True)
            return _eight_bits(image)
    except Image.DecompressionBombError:
        raise DataError(_too_large("its header")) from None
    except UnidentifiedImageError:
        raise DataError(f"it is no picture of a known format ({', '.join(_ACCEPTED)})") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"it is truncated or damaged: {printable(str(error))}") from None


def decode_fitted(
    content: bytes,
    size: tuple[int, int] | None,
    channels: int,
    *,
    choose: Callable[[int, int], Box] | None = None,
    decoder: Decoder = "exact",
) -> Image.Image:
    """Decode what is wanted of a picture file, and bring it to a size and a number of channels.

    Args:
        content: The whole file.
        size: As `fit` takes it.
        channels: As `fit` takes it.
        choose: From height and width in pixels to the box that is wanted; None for all.
        decoder: "exact": as `decode` and `fit` do it, to the bit. "scaled": a JPEG file is reduced by 2, 4 or 8 while
            it is decoded, as long as twice `size` is left; on photographs the values differ by less than 1 of 255
            levels on average.

    Returns:
        Grey or colour picture of 8 bits.

    Raises:
        DataError: As `decode` raises it.
    """
    whole = None if choose is None and decoder == "exact" else _plain_jpeg_size(content)
    if whole is not None:
        part = _jpeg_part(content, *whole, size, choose, decoder)
        if part is not None:
            return _fit(*part, size, channels)
    image = decode(content)
    return _fit(image, choose(image.height, image.width) if choose else None, size, channels)


def _plain_jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of an upright JPEG file in grey or RGB; all else, also what is wrong, is left to Pillow."""
    try:
        with _open(content) as header:
            plain = header.format == "JPEG" and header.mode in _PLAIN and header.width * header.height <= MAX_PIXELS
            upright = plain and header.getexif().get(ExifTags.Base.Orientation, 1) == 1
            return (header.height, header.width) if upright else None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None


def _jpeg_part(
    content: bytes,
    height: int,
    width: int,
    size: tuple[int, int] | None,
    choose: Callable[[int, int], Box] | None,
    decoder: Decoder,
) -> tuple[Image.Image, tuple[float, float, float, float]] | None:
    """A part of a JPEG file, decoded alone or smaller than it is, and where in that lies what is wanted.

    None where Pillow has to decode all of it.
    """
    box = choose(height, width) if choose else (0, 0, width, height)
    ratio = 1
    if decoder == "scaled" and size is not None:
        times = min((box[3] - box[1]) / size[0], (box[2] - box[0]) / size[1]) / GAP
        ratio = next((number for number in (8, 4, 2) if number <= times), 1)
    if ratio == 1 and box == (0, 0, width, height):
        return None  # Pillow is as fast, and needs no copy of the pixels
    left, top = max(box[0] // ratio - _MARGIN, 0), max(box[1] // ratio - _MARGIN, 0)
    right = min(-(-box[2] // ratio) + _MARGIN, -(-width // ratio))
    bottom = min(-(-box[3] // ratio) + _MARGIN, -(-height // ratio))
    try:
        with tf.device("CPU:0"):
            part = tf.io.decode_and_crop_jpeg(
                content, [top, left, bottom - top, right - left], ratio=ratio, dct_method="INTEGER_ACCURATE"
            ).numpy()
    except tf.errors.InvalidArgumentError:
        return None  # it is stricter than Pillow in a few cases
    if ratio == 1:
        part = part[box[1] - top : box[3] - top, box[0] - left : box[2] - left]
        left, top = box[:2]
    image = Image.fromarray(part[..., 0] if part.shape[2] == 1 else part)
    return image, (box[0] / ratio - left, box[1] / ratio - top, box[2] / ratio - left, box[3] / ratio - top)


def fit(
    image: Image.Image,
    size: tuple[int, int] | None,
    channels: int,
    box: Box | None = None,
) -> np.ndarray:
    """Bring a decoded picture to a size and a number of channels.

    Args:
        image: Grey or colour picture of 8 bits.
        size: Height and width in pixels; None keeps the picture's own. The aspect ratio is not kept. Bilinear, with
            antialiasing where the picture shrinks.
        channels: 1 for grey (luma after ITU-R 601) or 3 for colour.
        box: Left, upper, right and lower edge in pixels of what is used; None for all.

    Returns:
        (height, width, channels) uint8.
    """
    return pixels(_fit(image, box, size, channels))


def pixels(image: Image.Image) -> np.ndarray:
    """The values of a grey or colour picture, (height, width, channels) uint8."""
    return np.asarray(image, np.uint8).reshape(image.height, image.width, -1)


def _fit(
    image: Image.Image, box: tuple[float, float, float, float] | None, size: tuple[int, int] | None, channels: int
) -> Image.Image:
    if box is not None and all(float(edge).is_integer() for edge in box):
        # What lies outside must not shine in. A box of a reduced picture may end within a pixel, and is left as it is.
        image, box = image if box == (0, 0, *image.size) else image.crop(box), None
    if image.mode != (mode := "L" if channels == 1 else "RGB"):
        image = image.convert(mode)
    if size is not None and (box is not None or (image.height, image.width) != tuple(size)):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
    return image


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
    decoder: Decoder = "exact",
) -> np.ndarray:
    """Read one picture file just as the pipelines do.

    Args:
        path: JPEG, PNG, BMP, GIF or WebP.
        image_size: Height and width in pixels; None keeps the picture's own.
        channels: 1 for grey, 3 for colour.
        value_range: What black and white become.
        decoder: As `Dataset.pipeline` takes it.

    Returns:
        (height, width, channels) float32.

    Raises:
        DataError: An argument is illegal, or the file cannot be used; the message names it and says why.
    """
    check_form(image_size, channels, value_range, decoder)
    try:
        with quiet_pillow():
            image = decode_fitted(read(Path(path)), image_size, channels, decoder=decoder)
            return scale(pixels(image), value_range)
    except DataError as error:
        raise DataError(f"{printable(str(path))} cannot be used: {error}.") from None


def check_form(
    image_size: tuple[int, int] | None, channels: int, value_range: tuple[float, float], decoder: Decoder = "exact"
) -> None:
    """Refuse sizes, channels and ranges that no picture can be brought to, and decoders that there are not."""
    if decoder not in DECODERS:
        raise DataError(f'decoder must be "exact" or "scaled". Received: decoder={decoder!r}')
    if channels not in (1, 3):
        raise DataError(f"Pictures have 1 channel (grey) or 3 (colour). Received: channels={channels}")
    if image_size is not None and min(image_size) < 1:
        raise DataError(f"image_size must be at least 1x1. Received: image_size={tuple(image_size)}")
    if not (value_range[0] < value_range[1] and all(map(math.isfinite, value_range))):
        raise DataError(f"value_range must rise and be finite. Received: value_range={tuple(value_range)}")


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, of damaged EXIF data and the like: what counts is said by an error.

    The filters belong to the whole process and are not safe to change in several threads at once. So whoever starts
    threads to decode enters this around them; `decode` itself does not.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def usable_cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(content: bytes) -> Image.Image:
    """Read a picture's header."""
    return Image.open(io.BytesIO(content), formats=_ACCEPTED)


def _too_large(received: str) -> str:
    return f"it has more than {MAX_PIXELS // 1_000_000} megapixels ({received})"


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        wide = np.asarray(image, np.float64)
        return Image.fromarray(np.clip(np.rint(wide / 257), 0, 255).astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    mode = "L" if image.mode in _GREY else "RGB"
    return image if image.mode == mode else image.convert(mode)
