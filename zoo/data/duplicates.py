"""Pictures that are the same to the eye: perceptual hashes, and pairs that nearly agree."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import scipy.fft
from PIL import Image

# Two pictures count as the same when so many of 64 bits differ at most, and small grey copies of them by so many of 255
# levels on average. Saving as JPEG again, resizing and light retouching stay below both.
MAX_BITS, MAX_LEVELS = 3, 6.0

THUMBNAIL = 16


def thumbnail(image: Image.Image) -> np.ndarray:
    """A small grey copy, (16, 16) uint8, whatever the picture's form."""
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that say which of the 8x8 lowest frequencies of a small grey copy are above their median (pHash)."""
    small = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float64)
    frequencies = scipy.fft.dctn(small, norm="ortho")[:8, :8]
    return int.from_bytes(np.packbits(frequencies > np.median(frequencies)).tobytes())


def near_duplicates(hashes: list[int], thumbnails: np.ndarray, parts: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of different parts that show the same.

    Hashes that differ in at most MAX_BITS bits agree in one of MAX_BITS + 1 sections at least, so only pictures that
    share a section are compared.

    Args:
        hashes: Perceptual hash of each picture.
        thumbnails: (n, 16, 16) uint8.
        parts: The part of each picture, such as the number of its split; pairs within one are not looked for.

    Yields:
        Indices of two pictures, the lower one first, each pair once, in rising order.
    """
    width = 64 // (MAX_BITS + 1)
    sections: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, value in enumerate(hashes):
        for section in range(MAX_BITS + 1):
            sections[section, value >> (width * section) & ((1 << width) - 1)].append(index)
    small = thumbnails.astype(np.int16)
    found = set()
    for members in sections.values():
        for first, second in combinations(members, 2):
            if (
                parts[first] != parts[second]
                and (first, second) not in found
                and (hashes[first] ^ hashes[second]).bit_count() <= MAX_BITS
                and np.abs(small[first] - small[second]).mean() <= MAX_LEVELS
            ):
                found.add((first, second))
    yield from sorted(found)
