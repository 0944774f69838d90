"""Which network a command means, and real examples for it: those of its data, or photographs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

import zoo
from zoo import runs
from zoo.data.errors import DataError, printable
from zoo.data.pictures import FORMATS
from zoo.deploy.exports import pixels_only, whole_pixels
from zoo.weights.imagenet import imagenet_classes
from zoo.weights.preprocessing import Preprocessing


class Source(Protocol):
    """A network with what belongs to it.

    Attributes:
        model: The network.
        classes: Names of what it tells apart.
    """

    model: keras.Model
    classes: list[str]

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From a picture to what the network takes; None where it takes no pictures."""

    def examples(
        self, data: str | None, split: str, count: int, *, pixels: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Examples with their classes, where those are known.

        Args:
            data: Other data than the network's own; None for its own.
            split: "train" or "test", where the data have splits.
            count: The largest number of examples.
            pixels: Whether they are pixels of 0…255, uint8, instead of what the network takes.
        """


def find(text: str) -> Source:
    """A run folder, or `MODEL[:TAG]` with published weights.

    Raises:
        ValueError: It is neither, or the model has no such weights.
    """
    is_model = text.partition(":")[0] in zoo.list_models() and not os.path.exists(text)
    return _Published(text) if is_model else _OfRun(text)


class _OfRun:
    def __init__(self, folder: str) -> None:
        self._run = runs.open_run(folder)
        self.model, self.preprocessing = self._run.model, self._run.preprocessing
        self.classes = list(self._run.config["data"]["classes"])

    def examples(
        self, data: str | None, split: str, count: int, *, pixels: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        values, labels = self._run.examples(split, count, data)
        if not pixels:
            return values, labels
        low, high = self._run.config["data"]["value_range"]
        return whole_pixels((values - low) * (255 / (high - low))).numpy(), labels


class _Published:
    def __init__(self, text: str) -> None:
        name, _, tag = text.partition(":")
        self.preprocessing = zoo.preprocessor(name, tag or None)
        shape = (*(self.preprocessing.size or ()), self.preprocessing.channels)
        self.model = zoo.create_model(name, weights=tag or "default", input_shape=shape)
        self.classes = [item.name for item in imagenet_classes()]

    def examples(
        self, data: str | None, split: str, count: int, *, pixels: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Pictures of `folder:PATH`, or parts of scikit-learn's two photographs; their classes are not known."""
        pictures = _parts_of_photographs(count) if data is None else _files(data, count)
        prepare = pixels_only(self.preprocessing) if pixels else self.preprocessing
        values = [prepare(picture) for picture in pictures]
        return np.stack([whole_pixels(value) if pixels else value for value in values]), None


def _parts_of_photographs(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    from sklearn.datasets import load_sample_images

    photographs, rng = load_sample_images().images, np.random.default_rng(seed)
    for index in range(count):
        photograph = photographs[index % len(photographs)]
        side = rng.integers(160, min(photograph.shape[:2]) + 1)
        top, left = (rng.integers(0, size - side + 1) for size in photograph.shape[:2])
        yield photograph[top : top + side, left : left + side]


def _files(data: str, count: int) -> list[Path]:
    kind, _, folder = data.partition(":")
    if kind != "folder" or not folder:
        raise ValueError(f"With published weights data are folder:PATH, a folder of pictures. Received: {data}")
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in FORMATS)
    if not found:
        raise DataError(f"{printable(folder)} holds no picture (known: {', '.join(FORMATS)}).")
    # Folders are in the order of their classes: some of all.
    return [found[index] for index in np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)]
