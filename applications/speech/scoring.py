"""Accuracy in noise and on other speakers, and the classical classifier beside it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.svm import SVC

from zoo import data, runs
from zoo.data.audio import ClipReader, FrontEnd

# Frames of the features that the support vector machine sees are averaged four by four: 25 x 40 numbers a clip.
_POOLED_FRAMES = 4

# It learns each clip twice, clean and in noise: silence is otherwise a place that no noisy clip comes near.
_LEARNED_DECIBELS = 10.0


@dataclasses.dataclass(frozen=True)
class Clips:
    """Sound and its classes.

    Attributes:
        sound: (clips, samples) float32.
        labels: (clips,) int32.
    """

    sound: np.ndarray
    labels: np.ndarray

    def in_noise(self, decibels: float, seed: int) -> "Clips":
        """The same with white noise at a ratio of the powers of clip and noise."""
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=self.sound.shape)
        power = np.mean(self.sound**2, axis=1, keepdims=True) * 10 ** (-decibels / 10)
        return Clips((self.sound + np.sqrt(power) * noise).astype(np.float32), self.labels)


def clips(dataset: data.Dataset, split: str) -> Clips:
    """The clips of a split, as they sound."""
    part = dataset.splits[split]
    if not isinstance(dataset, data.ArrayDataset) or not isinstance(part, data.Arrays):
        raise ValueError(f"{dataset.name} holds no sound.")
    return Clips(part.scaled, part.labels)


def everything(folder: Path, classes: tuple[str, ...]) -> Clips:
    """All clips of a folder of class folders, whatever its splits.

    Raises:
        ValueError: Its classes are not those that are asked for.
    """
    dataset = data.load(f"wav:{folder}")
    if sorted(dataset.classes) != sorted(classes):
        raise ValueError(f"{folder} has other classes. Expected: {', '.join(classes)}. "
                         f"Received: {', '.join(dataset.classes)}")  # fmt: skip
    parts = [clips(dataset, split) for split in dataset.splits]
    places = np.array([classes.index(name) for name in dataset.classes])
    labels = places[np.concatenate([part.labels for part in parts])]
    return Clips(np.concatenate([part.sound for part in parts]), labels.astype(np.int32))


def network(run: runs.Run) -> Callable[[np.ndarray], np.ndarray]:
    """From sound to classes, by the network of a run."""
    reader = ClipReader.from_form(run.config["data"]["form"])

    def answer(sound: np.ndarray) -> np.ndarray:
        batches = tf.data.Dataset.from_tensor_slices(sound).batch(64)
        return np.concatenate([np.argmax(run.model(reader.front_end(batch), training=False), -1) for batch in batches])

    return answer


def support_vectors(train: Clips, *, strength: float = 10.0) -> Callable[[np.ndarray], np.ndarray]:
    """From sound to classes, by a support vector machine on log-mel bands: the strongest simple baseline.

    Args:
        train: What it learns from.
        strength: Its parameter C.
    """
    front_end = FrontEnd()

    def features(sound: np.ndarray) -> np.ndarray:
        bands = np.concatenate(
            [front_end(part).numpy()[..., 0] for part in np.array_split(sound, len(sound) // 64 + 1)]
        )
        whole = bands.shape[1] // _POOLED_FRAMES * _POOLED_FRAMES
        return bands[:, :whole].reshape(len(bands), -1, _POOLED_FRAMES, bands.shape[2]).mean(2).reshape(len(bands), -1)

    noisy = train.in_noise(_LEARNED_DECIBELS, seed=len(train.sound))
    machine = SVC(C=strength).fit(
        np.concatenate([features(train.sound), features(noisy.sound)]), np.concatenate([train.labels] * 2)
    )
    return lambda sound: machine.predict(features(sound))


def table(
    methods: dict[str, Callable[[np.ndarray], np.ndarray]], tested: dict[str, Clips]
) -> dict[str, dict[str, float]]:
    """Accuracy, 0 to 1, of each method on each set of clips."""
    return {
        name: {what: float(np.mean(method(own.sound) == own.labels)) for what, own in tested.items()}
        for name, method in methods.items()
    }
