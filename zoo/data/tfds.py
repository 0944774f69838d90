"""TensorFlow Datasets by name. The package is an extra and is imported when such a name is asked for.

Pictures stay encoded until they are needed, and are decoded as files are. A set that fits into memory has an exact
permutation each epoch; a larger one is read in sequence, in an order of files and of a shuffle buffer that are both
functions of (seed, epoch). Sound and text are read by `zoo.data.tfds_arrays`.
"""

import hashlib
import os
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.dataset import Dataset, Form, Source, Split
from zoo.data.errors import DataError, printable
from zoo.data.pipeline import weakly
from zoo.data.splits import SPLITS, TEST, VALIDATION, stratified

# A set of up to so many bytes on the disk is read into memory, as it is encoded there.
MEMORY_BYTES = 1 << 29

# What TFRecord adds to each record: length and two checksums.
_RECORD_BYTES = 16

# A larger one is shuffled by its files and by a buffer of so many examples.
SHUFFLE_BUFFER = 10_000


def load(name: str, builder_name: str, split_seed: int, data_dir: str | os.PathLike | None, download: bool) -> Dataset:
    """A set of pictures, sound or text with labels. Its own splits are kept, what it lacks is carved out of "train".

    Behind a question mark options for sound may stand, see `zoo.data.tfds_arrays.sound`.
    """
    builder_name, _, options = builder_name.partition("?")
    try:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.download import download_manager
    except ImportError:
        raise DataError(f'{name} needs TensorFlow Datasets: pip install "cnn-zoo[data]".') from None
    try:
        builder = tfds.builder(builder_name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise DataError(f"TensorFlow Datasets has no {builder_name!r}: {_first_line(error)}") from None
    if not builder.info.splits:
        if not download:
            raise DataError(
                f"{name} is not prepared in {builder.data_path}. Fetch it once, where there is a network, by "
                f'zoo.data.load("{name}", download=True).'
            )
        try:
            builder.download_and_prepare()
        except (OSError, tfds.download.DownloadError, download_manager.NonMatchingChecksumError) as error:
            raise DataError(f"{name} could not be fetched: {_first_line(error)}") from None
    features = builder.info.features
    fields = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = fields.get("image"), fields.get("label")
    is_sound = isinstance(fields.get("audio"), tfds.features.Audio)
    texts = [key for key, feature in fields.items() if isinstance(feature, tfds.features.Text)]
    if not isinstance(label, tfds.features.ClassLabel) or not (
        isinstance(image, tfds.features.Image) or is_sound or texts
    ):
        raise DataError(
            f"{name} is no set of pictures, sound or text with labels; its features are {', '.join(fields)}."
        )
    if options and not is_sound:
        raise DataError(f"Options are for sound, and {name.partition('?')[0]} holds none. Received: {options!r}")
    if not isinstance(image, tfds.features.Image):
        own = _own_splits(name, builder)
        from zoo.data import tfds_arrays

        if is_sound:
            return tfds_arrays.sound(name, builder, own, split_seed, options)
        return tfds_arrays.text(name, builder, own, split_seed, texts)
    if image.np_dtype not in (np.uint8, np.uint16):
        raise DataError(f"{name} has pictures of {image.np_dtype.__name__}; expected 8 or 16 bits.")
    own = _own_splits(name, builder)
    infos = [builder.info.splits[split] for split in own if split in builder.info.splits]
    small = sum(info.num_bytes for info in infos) <= MEMORY_BYTES
    splits = _in_memory(builder, own, split_seed) if small else _streamed(builder, own)
    if empty := [split for split in SPLITS if not len(splits[split])]:
        raise DataError(f"{name} has too few examples for the split {', '.join(empty)}.")
    height, width, channels = image.shape
    checksums = sorted(f"{url} {info.checksum}" for url, info in (builder.url_infos or {}).items())
    identity = [builder.info.full_name, *(f"{info.name} {info.num_examples}" for info in infos), *checksums]
    return Dataset(
        name=name,
        classes=tuple(label.names),
        image_shape=(height, width, 1 if channels == 1 else 3),
        splits=splits,
        source=f"TensorFlow Datasets {builder.info.full_name}",
        licence=licence(builder),
        fingerprint=hashlib.sha256("\n".join(identity).encode()).hexdigest(),
    )


def _own_splits(name: str, builder: Any) -> list[str]:
    """The splits that the set has, with files that are as they were written."""
    own = [split for split in SPLITS if split in builder.info.splits] or ["train"]
    if "train" not in own:
        raise DataError(f'{name} has no split "train"; it has {", ".join(builder.info.splits)}.')
    _check_files(name, builder, own)
    return own


def _in_memory(builder: Any, own: list[str], split_seed: int) -> dict[str, Split]:
    """All examples, pictures encoded; splits that the set lacks are carved out of "train", each class alike."""
    read = {split: _all(builder, split) for split in own}
    read = {split: examples for split, examples in read.items() if split == "train" or _is_labelled(examples)}
    lacking = {name: 0.0 for name in ("validation", "test") if name in read}
    train = read["train"]
    keys = [f"{builder.name}/train/{index}" for index in range(len(train))]
    labels = np.array([example["label"] for example in train])
    fractions = {"validation": VALIDATION, "test": TEST, **lacking}
    parts = stratified(labels, keys, seed=split_seed, validation=fractions["validation"], test=fractions["test"])
    splits: dict[str, Split] = {
        split: _source([train[index] for index in indices], [keys[index] for index in indices])
        for split, indices in parts.items()
    }
    for split in set(read) - {"train"}:
        splits[split] = _source(read[split], [f"{builder.name}/{split}/{index}" for index in range(len(read[split]))])
    return splits


def _check_files(name: str, builder: Any, own: list[str]) -> None:
    """Compare the files with the sizes that were noted when they were written. Records have checksums of their own."""
    if builder.info.file_format.value != "tfrecord" or not os.path.isdir(builder.data_path):
        return
    again = f"Delete {builder.data_path} and fetch it again."
    for split in own:
        info, size = builder.info.splits[split], 0
        for path in info.filepaths:
            try:
                size += os.path.getsize(path)
            except OSError as error:
                raise DataError(f"{name} is damaged: {path} cannot be read: {error.strerror}. {again}") from None
        expected = int(info.num_bytes) + _RECORD_BYTES * info.num_examples
        if size != expected:
            raise DataError(
                f"{name} is damaged: the files of {split} have {size} bytes. Expected: {expected} bytes. {again}"
            )


def _all(builder: Any, split: str) -> list[dict[str, Any]]:
    """All examples of a split, encoded."""
    examples = []
    try:
        for example in _encoded(builder, split).as_numpy_iterator():
            examples.append(example)
    except tf.errors.OpError as error:
        raise DataError(
            f"tfds:{builder.name} is damaged: {split} cannot be read after its example {len(examples)}: "
            f"{_first_line(error)} Delete {builder.data_path} and fetch it again."
        ) from None
    return examples


def _is_labelled(examples: list[dict[str, Any]]) -> bool:
    """Some sets publish a test split without its labels and write -1 there."""
    return all(example["label"] >= 0 for example in examples)


def _encoded(builder: Any, split: str, **options: Any) -> tf.data.Dataset:
    """Examples with pictures as they lie on the disk."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()}, **options)


def _source(examples: list[dict[str, Any]], names: list[str]) -> Source:
    labels = np.array([example["label"] for example in examples], np.int32)
    return Source(labels, names, lambda index: examples[index]["image"])


def licence(builder: Any) -> str:
    """Under which terms a set is."""
    return getattr(builder.info.redistribution_info, "license", "") or "as its authors say"


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return printable(next(iter(text.splitlines()), type(error).__name__))


def _streamed(builder: Any, own: list[str]) -> dict[str, Split]:
    """Splits that are read from the disk in sequence; those that the set lacks are the last parts of "train"."""
    own = [split for split in own if split == "train" or _is_labelled(_first(builder, split))]
    end = 100
    ranges = {}
    for split, fraction in (("test", TEST), ("validation", VALIDATION)):
        if split not in own:
            ranges[split] = f"train[{end - round(100 * fraction)}%:{end}%]"
            end -= round(100 * fraction)
    ranges["train"] = f"train[:{end}%]"
    return {split: _Stream(builder, ranges.get(split, split)) for split in SPLITS}


def _first(builder: Any, split: str) -> list[dict[str, Any]]:
    return list(_encoded(builder, split).take(1).as_numpy_iterator())


class _Stream:
    """One split of a set that is too large for memory."""

    def __init__(self, builder: Any, instruction: str) -> None:
        self.builder, self.instruction = builder, instruction
        self.names = _Names(f"{builder.name}/{instruction}")

    def __len__(self) -> int:
        return self.builder.info.splits[self.instruction].num_examples

    def examples(self, form: Form) -> "_Sequence":
        return _Sequence(self, form)


class _Names:
    """Names of examples that are counted, not listed."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __getitem__(self, index: int) -> str:
        return f"{self._prefix}/{index}"


class _Sequence:
    """Examples in an order of files and of a buffer, both a function of the seed."""

    shuffles_itself = True

    def __init__(self, stream: _Stream, form: Form) -> None:
        self._stream, self._form = stream, form

    def __len__(self) -> int:
        return len(self._stream)

    def _prepare(self, content: bytes, visit: int, key: int, plan: np.ndarray) -> np.ndarray:
        try:
            return self._form.read(content, int(visit), int(key), plan)
        except DataError as error:
            raise DataError(f"A picture of {self._stream.builder.name} cannot be used: {error}.") from None

    def batches(
        self, order: None, batch_size: int, start: tf.Tensor, seed: tf.Tensor | None, chance: tf.Tensor | None
    ) -> tf.data.Dataset:
        import tensorflow_datasets as tfds

        shuffle_seed = None if seed is None else int(np.random.default_rng(seed.numpy()).integers(2**31))
        dataset = _encoded(
            self._stream.builder,
            self._stream.instruction,
            shuffle_files=shuffle_seed is not None,
            read_config=tfds.ReadConfig(shuffle_seed=shuffle_seed, try_autocache=False),
        )
        options = tf.data.Options()
        options.deterministic = True
        dataset = dataset.with_options(options)
        if shuffle_seed is not None:
            dataset = dataset.shuffle(SHUFFLE_BUFFER, seed=shuffle_seed)
        key = tf.constant(0, tf.int64) if chance is None else chance

        def prepare(index: tf.Tensor, example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            plan = self._form.plans(index[None], chance)[0]
            picture = tf.numpy_function(weakly(self._prepare), [example["image"], index, key, plan], tf.uint8)
            picture = tf.ensure_shape(picture, (*self._form.size, self._form.channels))
            return index, picture, tf.cast(example["label"], tf.int32)

        dataset = dataset.enumerate().skip(start * batch_size)
        return dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
