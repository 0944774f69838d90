"""Examples that are no pictures: sound, text and signals, as arrays in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.augmentation import Augmentation, Mix
from zoo.data.dataset import Dataset
from zoo.data.errors import DataError, printable
from zoo.data.pipeline import Pipeline, visit_batches
from zoo.data.splits import SPLITS, stratified

# What samples of 16 bits are divided by.
SCALE = 32768


@dataclass(frozen=True)
class Arrays:
    """A split whose examples lie in memory.

    Attributes:
        labels: Class of each example, (n,) int32.
        names: Name of each example.
        values: The examples, (n, …) float32 or int32; sound of many clips int16, of which 32,768 stands for 1.
        groups: Group of each example, of which no two belong into different splits; None where all are independent.
    """

    labels: np.ndarray
    names: Sequence[str]
    values: np.ndarray
    groups: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, other: "Arrays") -> "Arrays":
        """The examples of both, those of the other one last."""
        return Arrays(
            np.concatenate([self.labels, other.labels]),
            [*self.names, *other.names],
            np.concatenate([self.values, other.values]),
            None if self.groups is None or other.groups is None else [*self.groups, *other.groups],
        )

    def chosen(self, indices: np.ndarray) -> "Arrays":
        """Some of the examples, in this order."""
        return Arrays(
            self.labels[indices],
            [self.names[index] for index in indices],
            self.values[indices],
            None if self.groups is None else [self.groups[index] for index in indices],
        )

    @property
    def scaled(self) -> np.ndarray:
        """The examples as a network or a step of the augmentation takes them: int16 as float32."""
        return self.values.astype(np.float32) / SCALE if self.values.dtype == np.int16 else self.values

    def examples(self, *_: Any) -> "_InMemory":
        """The examples as a pipeline takes them."""
        return _InMemory(self)


@dataclass(frozen=True, kw_only=True)
class ArrayDataset(Dataset):
    """A data set of sound, text or signals with its splits; `zoo.data.load` makes it.

    Attributes:
        modality: "audio", "text" or "signal".
        form: How an example is read, as plain JSON: what `zoo.data.example_reader` takes.
        model_arguments: What a network has to know of the data, such as the number of words.
        prepare: From a batch of stored examples to what the network takes, a spectrogram for example; None: as stored.
    """

    modality: str = "signal"
    form: Mapping[str, Any] = field(default_factory=dict)
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[tf.Tensor], tf.Tensor] | None = None

    def for_model(self, modality: str, input_shape: tuple[int, ...], symbols: str = "words") -> "ArrayDataset":
        """The data in the form that a network takes, see `zoo.data.Dataset.for_model`."""
        if modality != self.modality:
            raise DataError(f"{printable(self.name)} is {self.modality}, and the network takes {modality}.")
        return self

    def describe(self) -> dict[str, Any]:
        """The facts as plain JSON."""
        return {**super().describe(), "modality": self.modality, "form": dict(self.form)}

    def pipeline(  # type: ignore[override]
        self,
        split: str,
        *,
        batch_size: int,
        training: bool = False,
        seed: int = 0,
        augmentation: Augmentation | str | None = None,
        mix: Mix | None = None,
        balance: float = 0.0,
        repeats: int = 1,
    ) -> Pipeline:
        """Batches of a split; the arguments are those of `zoo.data.Dataset.pipeline`, without what is for pictures.

        Raises:
            DataError: An argument is illegal, or is for pictures alone.
        """
        source = self._split(split)
        assert isinstance(source, Arrays)
        if isinstance(augmentation, str):
            augmentation = Augmentation.parse(augmentation)
        self._check_order(batch_size, seed, training, augmentation, mix, balance, repeats)
        legal = augmentation.sound_steps if augmentation is not None and self.modality == "audio" else ()
        if augmentation is not None and len(legal) < len(augmentation.steps):
            raise DataError(
                f"{printable(self.name)} is {self.modality}. There are augmentations for pictures, and for sound "
                f"timeshift, speed, gain, noise and specaugment. Received: augmentation={str(augmentation)!r}"
            )
        if augmentation is not None and augmentation.masks is not None and self.prepare is None:
            raise DataError(
                f"specaugment masks spectrograms, and {printable(self.name)} is sound as it is; for_model makes "
                f"spectrograms of it. Received: augmentation={str(augmentation)!r}"
            )
        if mix is not None and (mix.cutmix or self.modality == "text"):
            raise DataError(f"{printable(self.name)} is {self.modality}, which cannot be mixed so. Received: mix={mix}")
        weights = None
        if balance:
            weights = (np.maximum(np.bincount(source.labels), 1.0) ** -balance)[source.labels]
        return Pipeline(
            source.examples(),
            source.values.shape[1:],
            batch_size=batch_size,
            value_range=None,
            training=training,
            seed=seed,
            augmentation=augmentation or Augmentation(),
            mix=mix,
            num_classes=len(self.classes),
            weights=weights,
            repeats=repeats,
            dtype=tf.float32 if source.values.dtype == np.int16 else tf.as_dtype(source.values.dtype),
            prepare=self.prepare,
        )


class _InMemory:
    """Examples that lie in memory as they are."""

    shuffles_itself = False

    def __init__(self, source: Arrays) -> None:
        with tf.device("CPU:0"):  # where tf.data works; captured by graphs, not copied into them
            self._values, self._labels = tf.constant(source.values), tf.constant(source.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def batches(
        self,
        order: tf.Tensor,
        batch_size: int,
        start: tf.Tensor,
        seed: tf.Tensor | None,
        chance: tf.Tensor | None,
    ) -> tf.data.Dataset:
        def fetch(visit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            index = visit % len(self)
            values = tf.gather(self._values, index)
            if values.dtype == tf.int16:
                values = tf.cast(values, tf.float32) / SCALE
            return visit, values, tf.gather(self._labels, index)

        return visit_batches(order, batch_size, start).map(fetch)


def carved(parts: Mapping[str, Arrays], split_seed: int, shown: str) -> dict[str, Arrays]:
    """The splits that there are, and the others carved out of the training examples.

    Args:
        parts: "all", or "train" and perhaps "validation" and "test".
        split_seed: Seed of what is carved.
        shown: What the data is called in an error.

    Returns:
        All three splits.

    Raises:
        DataError: A split would be empty.
    """
    first = parts["all"] if "all" in parts else parts["train"]
    fractions: dict[str, Any] = {split: 0.0 for split in ("validation", "test") if split in parts}
    indices = stratified(first.labels, list(first.names), seed=split_seed, groups=first.groups, **fractions)
    splits = {split: parts[split] if split != "train" and split in parts else first.chosen(indices[split])
              for split in SPLITS}  # fmt: skip
    if empty := [split for split in SPLITS if not len(splits[split])]:
        raise DataError(f"{shown} has too few examples for the split {', '.join(empty)}.")
    return splits
