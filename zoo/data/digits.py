"""scikit-learn's handwritten digits: real data that needs no network."""

import functools
import hashlib
import io

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from zoo.data.dataset import Dataset, Source
from zoo.data.splits import stratified

# Pixels count the dark points in squares of 4x4.
VALUE_RANGE = (0, 16)


@functools.cache
def _files() -> list[bytes]:
    """The digits as PNG files, in 8 bits, as every other picture."""
    files = []
    for picture in load_digits().images:
        file = io.BytesIO()
        Image.fromarray(np.rint(picture * (255 / VALUE_RANGE[1])).astype(np.uint8)).save(file, "PNG", compress_level=1)
        files.append(file.getvalue())
    return files


def load(split_seed: int) -> Dataset:
    """1,797 digits of 13 people, 8x8 pixels of 17 grey levels."""
    bunch = load_digits()
    pictures = bunch.images.astype(np.uint8)
    labels = bunch.target.astype(np.int32)
    names = [f"digits/{index}" for index in range(len(labels))]

    def source(indices: np.ndarray) -> Source:
        def content(index: int) -> bytes:
            return _files()[indices[index]]

        return Source(labels[indices], [names[i] for i in indices], content)

    return Dataset(
        name="digits",
        classes=tuple(map(str, bunch.target_names)),
        image_shape=(8, 8, 1),
        splits={split: source(indices) for split, indices in stratified(labels, names, seed=split_seed).items()},
        source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, test set; with scikit-learn",
        licence="CC BY 4.0",  # https://archive.ics.uci.edu/dataset/80
        fingerprint=hashlib.sha256(pictures.tobytes() + labels.tobytes()).hexdigest(),
        value_range=VALUE_RANGE,
    )
