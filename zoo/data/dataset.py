"""Data sets by name."""

import contextlib
import difflib
import functools
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.augmentation import Augmentation, Mix
from zoo.data.augmentation.steps import crop_draws
from zoo.data.errors import DataError, printable
from zoo.data.pictures import Decoder, check_form, decode, decode_fitted, pixels, quiet_pillow, usable_cores
from zoo.data.pipeline import Examples, Pipeline, visit_batches, weakly
from zoo.data.splits import folds, group_names
from zoo.messages import DATA_FORMS

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

    def examples(self, form: "Form") -> Examples:
        """The examples, brought to a form."""
        ...


@dataclass(frozen=True)
class Form:
    """What becomes of a picture where it is read.

    Attributes:
        size: Height and width in pixels.
        channels: 1 for grey, 3 for colour.
        augmentation: Whose crop is made, and the steps of `Augmentation.num_read`.
        decoder: As `Dataset.pipeline` takes it.
    """

    size: tuple[int, int]
    channels: int
    augmentation: Augmentation
    decoder: Decoder

    def plans(self, visits: tf.Tensor, chance: tf.Tensor | None) -> tf.Tensor:
        """What chance decides about the steps done in reading, (batch, plan_size) float64."""
        if chance is None or not self.augmentation.plan_size:
            return tf.zeros((tf.size(visits), 0), tf.float64)
        return self.augmentation.plan(tf.stack([tf.fill(tf.shape(visits), chance), visits], 1), *self.size)

    def read(self, content: bytes, visit: int, chance: int, plan: np.ndarray) -> np.ndarray:
        """A picture file as it is wanted, (height, width, channels) uint8."""
        choose, crop = None, self.augmentation.crop
        if crop is not None:
            choose = functools.partial(crop.box, crop_draws(chance, visit))
        image = decode_fitted(content, self.size, self.channels, choose=choose, decoder=self.decoder)
        return pixels(self.augmentation.change(image, plan))


@dataclass(frozen=True)
class Source:
    """A split whose examples can be had in any order.

    Attributes:
        labels: Class of each example, (n,) int32.
        names: Name of each example.
        content: Index to the picture file.
        groups: Group of each example, of which no two belong into different splits; None where all are independent.
    """

    labels: np.ndarray
    names: Sequence[str]
    content: Callable[[int], bytes]
    groups: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, index: int) -> Image.Image:
        """The decoded picture, grey or colour of 8 bits."""
        content = self.content(index)
        with self.naming(index):
            return decode(content)

    @contextlib.contextmanager
    def naming(self, index: int) -> Iterator[None]:
        """Whatever cannot be decoded is an example with a name."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{self.names[index]} cannot be used: {error}.") from None

    def joined(self, other: "Source") -> "Source":
        """The examples of both, those of the other one last."""
        count = len(self)
        return Source(
            np.concatenate([self.labels, other.labels]),
            [*self.names, *other.names],
            lambda index: self.content(index) if index < count else other.content(index - count),
            None if self.groups is None or other.groups is None else [*self.groups, *other.groups],
        )

    def chosen(self, indices: np.ndarray) -> "Source":
        """Some of the examples, in this order."""
        return Source(
            self.labels[indices],
            [self.names[index] for index in indices],
            lambda index: self.content(int(indices[index])),
            None if self.groups is None else [self.groups[index] for index in indices],
        )

    def examples(self, form: Form) -> Examples:
        """The examples brought to a form, in memory where they fit and are not cropped."""
        if form.augmentation.crop is None and len(self) * math.prod(form.size) * form.channels <= CACHE_BYTES:
            return _Held(self, form)
        return _Decoded(self, form)


@dataclass(frozen=True)
class Dataset:
    """A data set with its splits; `zoo.data.load` makes it.

    Attributes:
        name: As it was asked for.
        classes: Names of the classes; a label is an index into them.
        image_shape: Height, width and channels of pictures, None where sizes vary; the shape of other examples.
        splits: "train", "validation" and "test", each with its examples.
        value_range: Lowest and highest value of a stored pixel; what a pipeline maps to its own `value_range`.
        source: Where the data comes from.
        licence: Under which terms.
        fingerprint: SHA-256 over the content, 64 hexadecimal digits: equal data, equal fingerprint.
        bad_files: Files that were left out, with the reason.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int | None, ...]
    splits: Mapping[str, Split] = field(repr=False)
    source: str
    licence: str
    fingerprint: str
    value_range: tuple[int, int] = (0, 255)
    bad_files: Mapping[str, str] = field(default_factory=dict)

    def for_model(self, modality: str, input_shape: tuple[int, ...], symbols: str = "words") -> "Dataset":
        """The data in the form that a network takes; pictures are given their size by `pipeline`.

        Args:
            modality: That of the network, as its card has it.
            input_shape: Its default input: a spectrogram gets as many bands and maps, a text at most so many symbols.
            symbols: "words" or "characters": what the numbers of a network for text stand for.

        Returns:
            The data set.

        Raises:
            DataError: The network is for another modality.
        """
        if modality not in ("image", "board"):
            raise DataError(f"{printable(self.name)} holds pictures, and the network takes {modality}.")
        return self

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

    def picture_of(self, example: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
        """An example of a pipeline as a picture, for reports.

        Args:
            example: (height, width, channels) float32.
            value_range: What the pipeline's lowest and highest value were.

        Returns:
            (height, width, 1 or 3) uint8.
        """
        low, high = value_range
        return np.clip(np.rint((example - low) / (high - low) * 255), 0, 255).astype(np.uint8)

    def example_name(self, split: str, index: int) -> str:
        """What an example is called, e.g. `digits/17` or a file's path below the folder."""
        return self._split(split).names[index]

    def fold(self, number: int, *, of: int, seed: int = 0, group_by: str | None = None) -> "Dataset":
        """The same data with training and validation examples divided anew, for cross-validation.

        The folds together use each example of the training and validation splits once for validation. The test split
        stays as it is, and so stays unseen while folds choose.

        Args:
            number: Which fold is the validation split, 0 to `of - 1`.
            of: Number of folds, at least 2.
            seed: Another seed gives other folds.
            group_by: Regular expression, searched in each example's name; examples of which its first group matches
                the same come into the same fold. None for the groups that the data was loaded with, if any.

        Returns:
            The data set; its fingerprint is the same.

        Raises:
            DataError: There is no such fold, there are too few examples, the data is read in sequence, or it is trained
                on its validation examples.

        Example:
            >>> import zoo
            >>> zoo.data.load("digits").fold(0, of=5).num_examples
            {'train': 1150, 'validation': 288, 'test': 359}
        """
        train, validation = self._split("train"), self._split("validation")
        if not hasattr(train, "joined") or not hasattr(validation, "joined"):
            raise DataError(f"{printable(self.name)} is read in sequence and has no folds.")
        if train is validation:
            raise DataError(f"{printable(self.name)} holds nothing out and has no folds. Leave validation=train out.")
        count = len(train) + len(validation)
        if not 2 <= of <= count or not 0 <= number < of:
            raise DataError(f"There are 2 to {count} folds, counted from 0. Received: number={number}, of={of}")
        both = train.joined(validation)
        groups = both.groups if group_by is None else group_names(both.names, group_by)
        parts = folds(both.labels, both.names, of, seed=seed, groups=groups)
        if not all(len(part) for part in parts):
            raise DataError(f"There are fewer groups than folds. Received: of={of}, group_by={group_by!r}")
        rest = np.sort(np.concatenate([part for index, part in enumerate(parts) if index != number]))
        splits = {**self.splits, "train": both.chosen(rest), "validation": both.chosen(parts[number])}
        return replace(self, splits=splits)

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
        augmentation: Augmentation | str | None = None,
        mix: Mix | None = None,
        balance: float = 0.0,
        repeats: int = 1,
        decoder: Decoder = "exact",
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
            augmentation: What happens to pictures in training: an Augmentation, or its text, such as
                "crop+flip+randaugment(n=2, m=9)".
            mix: Mixup and cutmix; labels are then (batch, classes) float32 that sum to one.
            balance: 0: each example comes once an epoch. 1: all classes are seen equally often, examples of rare
                ones several times an epoch and some of frequent ones never. Between: a class of n examples is seen
                in the share of n ** (1 - balance).
            repeats: Times that an example comes in a batch, each time changed in another way (repeated augmentation,
                Hoffer et al. 2019, arXiv 1901.09335); an epoch then has the n-th part of the examples.
            decoder: "exact": pixels are Pillow's, of the whole picture decoded in full. "scaled": JPEG files much
                larger than `image_size` are shrunk while they are decoded, in half the time or less; values then
                differ by less than 1 of 255 levels on average.

        Returns:
            The pipeline.

        Raises:
            DataError: An argument is illegal, or the pictures have no common size and `image_size` is not given.
        """
        source = self._split(split)
        if isinstance(augmentation, str):
            augmentation = Augmentation.parse(augmentation)
        self._check_order(batch_size, seed, training, augmentation, mix, balance, repeats)
        channels = self.image_shape[-1] if channels is None else channels
        assert channels is not None
        check_form(image_size, channels, value_range, decoder)
        height, width = image_size or self.image_shape[:2]
        if height is None or width is None:
            raise DataError(f"The pictures of {printable(self.name)} differ in size; give image_size.")
        if augmentation is not None and augmentation.sound_steps:
            raise DataError(
                f"timeshift, speed, gain, noise and specaugment are for sound, and {printable(self.name)} holds "
                "pictures."
            )
        if augmentation is not None and augmentation.shift >= min(height, width):
            raise DataError(
                "A shift must be smaller than the picture, or nothing of it is left. "
                f"Received: shift={augmentation.shift}, pictures of {height}x{width}"
            )
        augmentation = augmentation or Augmentation()
        examples = source.examples(Form((height, width), channels, augmentation, decoder))
        weights = None
        if (balance or repeats > 1) and (examples.shuffles_itself or not isinstance(source, Source)):
            raise DataError(
                f"{printable(self.name)} is read in sequence, so balance and repeats do not work. "
                f"Received: balance={balance}, repeats={repeats}"
            )
        if balance and isinstance(source, Source):
            weights = (np.maximum(np.bincount(source.labels), 1.0) ** -balance)[source.labels]
        return Pipeline(
            examples,
            (height, width, channels),
            batch_size=batch_size,
            value_range=value_range,
            training=training,
            seed=seed,
            augmentation=augmentation,
            mix=mix,
            num_classes=len(self.classes),
            weights=weights,
            repeats=repeats,
        )

    @staticmethod
    def _check_order(
        batch_size: int,
        seed: int,
        training: bool,
        augmentation: Augmentation | None,
        mix: Mix | None,
        balance: float,
        repeats: int,
    ) -> None:
        """Refuse what no pipeline can do."""
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        if not 0 <= seed < 1 << 32:
            raise DataError(f"seed must be from 0 to 2**32 - 1. Received: seed={seed}")
        only_training = {"augmentation": augmentation, "mix": mix, "balance": balance or None}
        for name, value in {**only_training, "repeats": repeats if repeats != 1 else None}.items():
            if value is not None and not training:
                raise DataError(
                    f"{name.capitalize()} is for training; set training=True or leave it out. "
                    f"Received: training=False, {name}={value}"
                )
        if not 0 <= balance <= 1:
            raise DataError(f"balance must be from 0 to 1. Received: balance={balance}")
        if repeats < 1:
            raise DataError(f"repeats must be at least 1. Received: repeats={repeats}")
        if balance and repeats > 1:
            raise DataError(f"balance and repeats exclude each other. Received: balance={balance}, repeats={repeats}")


def load(
    name: str,
    *,
    split_seed: int = 0,
    on_bad: OnBad = "raise",
    group_by: str | None = None,
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
) -> Dataset:
    """Find a data set and check it.

    Args:
        name: `digits` (1,797 handwritten digits of 8x8, embedded), `tfds:NAME[/CONFIG]` (TensorFlow Datasets),
            `folder:PATH` (a folder of class folders, or `train`, `validation` and `test` with class folders each) or
            `shards:DIR` (what `write_shards` wrote). Behind digits and folders may stand which part:
            `digits?classes=5,6,7&per_class=10&draw=3` (`zoo.data.subset.Part` has the keys).
            `go:PATH[:ENCODER[:plain]]` (games of Go: an SGF file, a folder
            of such, `gnugo9` for the embedded ones; `zoo.data.go.ENCODERS` has the encoders; "plain" trains without
            the board's symmetries). `signals:cbf`, `signals:synthetic_control` or `signals:PATH` (.npz, .csv, .tsv,
            or class folders of recordings, which `signals:PATH?window=256&hop=128` cuts into windows),
            `text:PATH` (.csv, .jsonl, or a folder of class folders), `wav:PATH` (a folder of class folders;
            `wav:PATH?bands=40` chooses the front-end). Sets of TensorFlow Datasets hold pictures, text, or sound with
            the feature `audio` (`tfds:speech_commands?bands=40&rule=warden` chooses the front-end and how much silence
            and how many unknown words there are, see `zoo.data.tfds_arrays.sound`).
        split_seed: Seed of the split where the source has none of its own.
        on_bad: What a broken file of a folder, or record of a shard, does: "raise" names the first; "skip" leaves it
            out, up to 10 or 1 % of all, whichever is more; "count" leaves out all of them. `Dataset.bad_files` lists
            them. Files are decoded at once; records are compared with their checksum, at once where they may be left
            out, else when they are read.
        group_by: Regular expression, searched in the name of each file of a folder; files of which its first group
            matches the same, such as "(person[0-9]+)", are correlated and come into the same split. None where all
            are independent.
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
    if group_by is not None and kind not in ("folder", "wav", "signals"):
        raise DataError(f"group_by is for folders, whose files have names. Received: {name!r}, group_by={group_by!r}")
    base, mark, query = name.rpartition("?")
    if mark and (base == "digits" or (kind == "folder" and not Path(rest).exists())):
        from zoo.data import subset

        part = subset.Part.parse(query, name)
        return subset.take(load(base, split_seed=split_seed, on_bad=on_bad, group_by=group_by), part, name)
    if name == "digits":
        from zoo.data import digits

        return digits.load(split_seed)
    if kind == "folder" and rest:
        from zoo.data import folder

        return folder.load(name, Path(rest), split_seed, on_bad, group_by)
    if kind == "tfds" and rest:
        from zoo.data import tfds

        return tfds.load(name, rest, split_seed, data_dir, download)
    if kind == "go" and rest:
        from zoo.data.go import positions

        return positions.load(name, rest, split_seed, on_bad)
    if kind == "shards" and rest:
        from zoo.data import shards

        return shards.load(name, Path(rest), on_bad)
    if kind == "signals" and rest:
        from zoo.data.signals import files

        return files.load(name, rest, split_seed, group_by)
    if kind == "text" and rest:
        from zoo.data.text import files as text_files

        return text_files.load(name, Path(rest), split_seed)
    if kind == "wav" and rest:
        from zoo.data.audio import files as audio_files

        return audio_files.load(name, rest, split_seed, on_bad, group_by)
    raise DataError(f"Data is {DATA_FORMS}. Received: {name!r}.{_hint(name)}")


def _hint(name: str) -> str:
    """What may have been meant by a name that is no data set."""
    if os.path.isfile(os.path.join(name, "index.json")):
        return f" Did you mean shards:{printable(name)}?"
    if os.path.isdir(name):
        return f" Did you mean folder:{printable(name)}?"
    kind, colon, rest = name.partition(":")
    forms = re.findall(r"(\w+):", DATA_FORMS) if colon else ["digits"]
    close = difflib.get_close_matches(kind, forms, n=1)
    return f" Did you mean {close[0]}{colon}{printable(rest)}?" if close and close[0] != kind else ""


class Compared:
    """Which examples have been compared with their checksums, in files that are still as they were then.

    A checksum takes a tenth of the time that decoding a picture takes. So it is computed when an example is first read,
    and again when the file's size, times or place on the disk are others.

    Args:
        count: Number of examples.
    """

    def __init__(self, count: int) -> None:
        self._states = np.zeros(count, np.int64)

    def is_due(self, index: int, status: os.stat_result) -> bool:
        """Whether an example has to be compared; `status` is its file's, taken before the reading."""
        return bool(self._states[index] != self._state(status))

    def note(self, index: int, status: os.stat_result) -> None:
        """An example is what it should be."""
        self._states[index] = self._state(status)

    @staticmethod
    def _state(status: os.stat_result) -> int:
        return hash((status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)) or 1


class _Threads:
    """Work on the examples of a batch, divided among the cores."""

    def __init__(self) -> None:
        # As many as can run: more would only push each other's pictures out of the processor's caches.
        self._count = usable_cores()
        self._pool = ThreadPoolExecutor(self._count)

    def map(self, work: Callable[..., np.ndarray], *arguments: Iterable) -> np.ndarray:
        """The results one above the other, in the order of the arguments."""
        calls = list(zip(*arguments, strict=True))
        size = -(-len(calls) // self._count)
        chunks = [calls[begin : begin + size] for begin in range(0, len(calls), size)]
        if len(chunks) == 1:
            return np.stack([work(*call) for call in calls])
        done = self._pool.map(lambda chunk: [work(*call) for call in chunk], chunks)
        return np.stack(list(itertools.chain.from_iterable(done)))


class _Held:
    """Examples that lie in memory, decoded and resized once."""

    shuffles_itself = False

    def __init__(self, source: Source, form: Form) -> None:
        pictures = np.empty((len(source), *form.size, form.channels), np.uint8)

        def read(index: int) -> np.ndarray:
            content = source.content(index)
            with source.naming(index):
                return pixels(decode_fitted(content, form.size, form.channels, decoder=form.decoder))

        with quiet_pillow(), ThreadPoolExecutor() as pool:
            for index, picture in enumerate(pool.map(read, range(len(pictures)))):
                pictures[index] = picture
        self._form, self._threads = form, _Threads()
        with tf.device("CPU:0"):  # where tf.data works; captured by graphs, not copied into them
            self._pictures, self._labels = tf.constant(pictures), tf.constant(source.labels)

    def __len__(self) -> int:
        return len(self._labels)

    def _change(self, pictures: np.ndarray, plans: np.ndarray) -> np.ndarray:
        def one(picture: np.ndarray, plan: np.ndarray) -> np.ndarray:
            image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
            return pixels(self._form.augmentation.change(image, plan))

        return self._threads.map(one, pictures, plans)

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
            pictures = tf.gather(self._pictures, index)
            if chance is not None and self._form.augmentation.plan_size:
                pictures = tf.numpy_function(
                    weakly(self._change), [pictures, self._form.plans(visit, chance)], tf.uint8
                )
            return visit, pictures, tf.gather(self._labels, index)

        return visit_batches(order, batch_size, start).map(fetch)


class _Decoded:
    """Examples that are decoded each time, a batch by several threads at once."""

    shuffles_itself = False

    def __init__(self, source: Source, form: Form) -> None:
        self._source, self._form, self._threads = source, form, _Threads()

    def __len__(self) -> int:
        return len(self._source)

    def _read(self, visits: np.ndarray, chance: np.ndarray, plans: np.ndarray) -> np.ndarray:
        def one(visit: int, plan: np.ndarray) -> np.ndarray:
            index = visit % len(self)
            content = self._source.content(index)
            with self._source.naming(index):
                return self._form.read(content, visit, int(chance), plan)

        return self._threads.map(one, visits.tolist(), plans)

    def batches(
        self,
        order: tf.Tensor,
        batch_size: int,
        start: tf.Tensor,
        seed: tf.Tensor | None,
        chance: tf.Tensor | None,
    ) -> tf.data.Dataset:
        labels = tf.constant(self._source.labels)
        key = tf.constant(0, tf.int64) if chance is None else chance

        def fetch(visit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            pictures = tf.numpy_function(weakly(self._read), [visit, key, self._form.plans(visit, chance)], tf.uint8)
            return visit, pictures, tf.gather(labels, visit % len(self))

        return visit_batches(order, batch_size, start).map(fetch, num_parallel_calls=2, deterministic=True)
