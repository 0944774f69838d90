"""Pictures that are the same to the eye: perceptual hashes, and pairs that nearly agree."""

import numpy as np
import scipy.fft
from PIL import Image

# Two pictures count as the same when so many of 64 bits differ at most, and small grey copies of them by so many of 255
# levels on average. Saving as JPEG again, resizing and light retouching stay below both, except for pictures that are
# almost of one colour, such as a clear sky, where noise decides most bits.
MAX_BITS, MAX_LEVELS = 8, 6.0

THUMBNAIL = 16


def thumbnail(image: Image.Image) -> np.ndarray:
    """A small grey copy, (16, 16) uint8, whatever the picture's form."""
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that say which of the 8x8 lowest frequencies of a small grey copy are above their median (pHash)."""
    small = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float64)
    frequencies = scipy.fft.dctn(small, norm="ortho")[:8, :8]
    return int.from_bytes(np.packbits(frequencies > np.median(frequencies)).tobytes())


def near_duplicates(hashes: list[int], thumbnails: np.ndarray, parts: list[int]) -> list[tuple[int, int]]:
    """Pairs of different parts that show the same.

    All pairs are compared, a hundred million in a second or so.

    Args:
        hashes: Perceptual hash of each picture.
        thumbnails: (n, 16, 16) uint8.
        parts: The part of each picture, such as the number of its split; pairs within one are not looked for.

    Returns:
        Indices of two pictures, the lower one first, each pair once, in rising order.
    """
    bits, part_of = np.array(hashes, np.uint64), np.array(parts)
    small = thumbnails.astype(np.int16)
    found = []
    for first, own in enumerate(bits):
        close = np.bitwise_count(bits[first + 1 :] ^ own) <= MAX_BITS
        others = first + 1 + np.flatnonzero(close & (part_of[first + 1 :] != part_of[first]))
        levels = np.abs(small[others] - small[first]).mean((1, 2))
        found += [(first, int(other)) for other in others[levels <= MAX_LEVELS]]
    return found
