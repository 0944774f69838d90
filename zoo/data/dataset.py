"""Data sets by name."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.augmentation import Augmentation
from zoo.data.errors import DataError, printable
from zoo.data.pictures import check_form, fit, quiet_pillow
from zoo.data.pipeline import Examples, Pipeline, index_batches

OnBad = Literal["raise", "skip", "count"]

# Pictures of up to so many bytes, decoded and resized, are kept in memory.
CACHE_BYTES = 1 << 29


class Names(Protocol):
    """What examples are called, by index."""

    def __getitem__(self, index: int, /) -> str: ...


class Split(Protocol):
    """One split of a data set, as it is found."""

    @property
    def names(self) -> Names: ...

    def __len__(self) -> int: ...

    def examples(self, size: tuple[int, int], channels: int) -> Examples:
        """The examples brought to a size and a number of channels."""
        ...


@dataclass(frozen=True)
class Source:
    """A split whose examples can be had in any order.

    Attributes:
        labels: Class of each example, (n,) int32.
        names: Name of each example.
        picture: Index to the decoded picture, grey or colour of 8 bits.
    """

    labels: np.ndarray
    names: Sequence[str]
    picture: Callable[[int], Image.Image]

    def __len__(self) -> int:
        return len(self.labels)

    def examples(self, size: tuple[int, int], channels: int) -> Examples:
        """The examples brought to a size and a number of channels, in memory where they fit."""
        if len(self) * size[0] * size[1] * channels <= CACHE_BYTES:
            return _Held(self, size, channels)
        return _Decoded(self, size, channels)


@dataclass(frozen=True)
class Dataset:
    """A data set with its splits; `zoo.data.load` makes it.

    Attributes:
        name: As it was asked for.
        classes: Names of the classes; a label is an index into them.
        image_shape: Height, width and channels; None where sizes vary.
        splits: "train", "validation" and "test", each with its examples.
        value_range: Lowest and highest value of a stored pixel; what a pipeline maps to its own `value_range`.
        source: Where the data comes from.
        licence: Under which terms.
        fingerprint: SHA-256 over the content, 64 hexadecimal digits: equal data, equal fingerprint.
        bad_files: Files that were left out, with the reason.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int | None, int | None, int]
    splits: Mapping[str, Split] = field(repr=False)
    source: str
    licence: str
    fingerprint: str
    value_range: tuple[int, int] = (0, 255)
    bad_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_examples(self) -> dict[str, int]:
        """Number of examples of each split."""
        return {split: len(source) for split, source in self.splits.items()}

    @property
    def num_bad_files(self) -> dict[str, int]:
        """Number of files that were left out, for each reason without its details."""
        return dict(Counter(re.split(r": | \(", reason)[0] for reason in self.bad_files.values()))

    def describe(self) -> dict[str, Any]:
        """The facts as plain JSON."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "image_shape": list(self.image_shape),
            "num_examples": self.num_examples,
            "value_range": list(self.value_range),
            "source": self.source,
            "licence": self.licence,
            "fingerprint": self.fingerprint,
            "bad_files": len(self.bad_files),
            "bad_file_reasons": self.num_bad_files,
        }

    def example_name(self, split: str, index: int) -> str:
        """What an example is called, e.g. `digits/17` or a file's path below the folder."""
        return self._split(split).names[index]

    def _split(self, split: str) -> Split:
        if split not in self.splits:
            raise DataError(f"{printable(self.name)} has no split {split!r}. Splits: {', '.join(self.splits)}")
        return self.splits[split]

    def pipeline(
        self,
        split: str,
        *,
        batch_size: int,
        image_size: tuple[int, int] | None = None,
        channels: int | None = None,
        value_range: tuple[float, float] = (0.0, 1.0),
        training: bool = False,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> Pipeline:
        """Batches of a split.

        Args:
            split: "train", "validation" or "test".
            batch_size: Examples of a batch, at least 1; the last batch may be smaller.
            image_size: Height and width in pixels; None for the data's own.
            channels: 1 for grey, 3 for colour; None for the data's own.
            value_range: What black and white become.
            training: Whether each epoch has its own order. Without, each example comes once, in the stored order.
            seed: What order and augmentation depend on, with the epoch; 0 to 2**32 - 1.
            augmentation: What happens to pictures in training.

        Returns:
            The pipeline.

        Raises:
            DataError: An argument is illegal, or the pictures have no common size and `image_size` is not given.
        """
        source = self._split(split)
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        if not 0 <= seed < 1 << 32:
            raise DataError(f"seed must be from 0 to 2**32 - 1. Received: seed={seed}")
        if augmentation is not None and not training:
            raise DataError(
                "Augmentation is for training; set training=True or leave it out. "
                f"Received: training=False, augmentation={augmentation}"
            )
        channels = self.image_shape[-1] if channels is None else channels
        check_form(image_size, channels, value_range)
        height, width = image_size or self.image_shape[:2]
        if height is None or width is None:
            raise DataError(f"The pictures of {printable(self.name)} differ in size; give image_size.")
        if augmentation is not None and augmentation.shift >= min(height, width):
            raise DataError(
                "A shift must be smaller than the picture, or nothing of it is left. "
                f"Received: shift={augmentation.shift}, pictures of {height}x{width}"
            )
        return Pipeline(
            source.examples((height, width), channels),
            (height, width, channels),
            batch_size=batch_size,
            value_range=value_range,
            training=training,
            seed=seed,
            augmentation=augmentation or Augmentation(),
        )


def load(
    name: str,
    *,
    split_seed: int = 0,
    on_bad: OnBad = "raise",
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> Dataset:
    """Find a data set and check it.

    Args:
        name: `digits` (1,797 handwritten digits of 8x8, embedded), `tfds:NAME[/CONFIG]` (TensorFlow Datasets) or
            `folder:PATH` (a folder of class folders, or `train`, `validation` and `test` with class folders each).
        split_seed: Seed of the split where the source has none of its own.
        on_bad: What a broken file of a folder does: "raise" names the first; "skip" leaves it out, up to 10 files or
            1 % of all, whichever is more; "count" leaves out all of them. `Dataset.bad_files` lists them.
        data_dir: Where TensorFlow Datasets keeps its data; None for its own default.
        download: Whether TensorFlow Datasets may download what is missing.

    Returns:
        The data set with the splits "train", "validation" and "test".

    Raises:
        DataError: There is no such data, or it cannot be used; the message names what and where.

    Example:
        >>> import zoo
        >>> zoo.data.load("digits").num_examples
        {'train': 1169, 'validation': 269, 'test': 359}
    """
    if on_bad not in ("raise", "skip", "count"):
        raise DataError(f"on_bad must be 'raise', 'skip' or 'count'. Received: on_bad={on_bad!r}")
    kind, _, rest = name.partition(":")
    if name == "digits":
        from zoo.data import digits

        return digits.load(split_seed)
    if kind == "folder" and rest:
        from zoo.data import folder

        return folder.load(name, Path(rest), split_seed, on_bad)
    if kind == "tfds" and rest:
        from zoo.data import tfds

        return tfds.load(name, rest, split_seed, data_dir, download)
    raise DataError(f"Data is digits, tfds:NAME or folder:PATH. Received: {name!r}.{_hint(name)}")


def _hint(name: str) -> str:
    """What may have been meant by a name that is no data set."""
    if os.path.isdir(name):
        return f" Did you mean folder:{printable(name)}?"
    kind, colon, rest = name.partition(":")
    forms = ("folder", "tfds") if colon else ("digits",)
    close = difflib.get_close_matches(kind, forms, n=1)
    return f" Did you mean {close[0]}{colon}{printable(rest)}?" if close and close[0] != kind else ""


class _Held:
    """Examples that lie in memory, decoded and resized once."""

    shuffles_itself = False

    def __init__(self, source: Source, size: tuple[int, int], channels: int) -> None:
        pictures = np.empty((len(source), *size, channels), np.uint8)
        with quiet_pillow(), ThreadPoolExecutor() as pool:
            fitted = pool.map(lambda index: fit(source.picture(index), size, channels), range(len(pictures)))
            for index, picture in enumerate(fitted):
                pictures[index] = picture
        with tf.device("CPU:0"):  # where tf.data works; captured by graphs, not copied into them
            self._pictures, self._labels = tf.constant(pictures), tf.constant(source.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, order: tf.Tensor, batch_size: int, start: tf.Tensor, seed: tf.Tensor | None) -> tf.data.Dataset:
        return index_batches(order, batch_size, start).map(
            lambda index: (index, tf.gather(self._pictures, index), tf.gather(self._labels, index))
        )


class _Decoded:
    """Examples that are decoded each time, a batch by several threads at once."""

    shuffles_itself = False

    def __init__(self, source: Source, size: tuple[int, int], channels: int) -> None:
        self._source, self._size, self._channels = source, size, channels
        self._pool = ThreadPoolExecutor()

    def __len__(self) -> int:
        return len(self._source)

    def _read(self, indices: np.ndarray) -> np.ndarray:
        def one(index: int) -> np.ndarray:
            return fit(self._source.picture(index), self._size, self._channels)

        return np.stack(list(self._pool.map(one, indices)))

    def batches(self, order: tf.Tensor, batch_size: int, start: tf.Tensor, seed: tf.Tensor | None) -> tf.data.Dataset:
        labels = tf.constant(self._source.labels)
        return index_batches(order, batch_size, start).map(
            lambda index: (index, tf.numpy_function(self._read, [index], tf.uint8), tf.gather(labels, index)),
            num_parallel_calls=2,
            deterministic=True,
        )
