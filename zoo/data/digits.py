"""scikit-learn's handwritten digits: real data that needs no network."""

import hashlib

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from zoo.data.dataset import Dataset, Source
from zoo.data.splits import stratified

# Pixels count the dark points in squares of 4x4.
VALUE_RANGE = (0, 16)


def load(split_seed: int) -> Dataset:
    """1,797 digits of 13 people, 8x8 pixels of 17 grey levels."""
    bunch = load_digits()
    pictures = bunch.images.astype(np.uint8)
    labels = bunch.target.astype(np.int32)
    names = [f"digits/{index}" for index in range(len(labels))]

    def source(indices: np.ndarray) -> Source:
        def picture(index: int) -> Image.Image:
            # In 8 bits, as every other picture: a digit that was saved as a PNG file is then the same to the pixel.
            return Image.fromarray(np.rint(pictures[indices[index]] * (255 / VALUE_RANGE[1])).astype(np.uint8))

        return Source(labels[indices], [names[i] for i in indices], picture)

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
