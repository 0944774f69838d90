"""scikit-learn's handwritten digits: real data that needs no network."""

import hashlib

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from zoo.data.dataset import Dataset, Source
from zoo.data.splits import stratified


def load(split_seed: int) -> Dataset:
    """1,797 digits of 13 people, 8x8 pixels; the 17 grey levels 0…16 are spread over 0…255."""
    bunch = load_digits()
    pictures = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int32)
    names = [f"digits/{index}" for index in range(len(labels))]
    digest = hashlib.sha256(pictures.tobytes() + labels.tobytes()).hexdigest()

    def source(indices: np.ndarray) -> Source:
        return Source(
            labels[indices], [names[i] for i in indices], lambda index: Image.fromarray(pictures[indices[index]])
        )

    return Dataset(
        name="digits",
        classes=tuple(map(str, bunch.target_names)),
        image_shape=(8, 8, 1),
        splits={split: source(indices) for split, indices in stratified(labels, names, seed=split_seed).items()},
        source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, test set; with scikit-learn",
        licence="CC BY 4.0",
        fingerprint=digest,
    )
