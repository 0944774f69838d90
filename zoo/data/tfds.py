"""TensorFlow Datasets by name. The package is an extra and is imported when such a name is asked for."""

import hashlib
import os
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.dataset import CACHE_BYTES, Dataset, Source, Split
from zoo.data.errors import DataError
from zoo.data.pictures import fit
from zoo.data.splits import SPLITS, TEST, VALIDATION, stratified

# A set that does not fit into memory is shuffled by its files and by a buffer of so many examples.
SHUFFLE_BUFFER = 10_000


def load(name: str, builder_name: str, split_seed: int, data_dir: str | os.PathLike | None, download: bool) -> Dataset:
    """A set of pictures with labels. Its own splits are kept; those that it lacks are carved out of "train"."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise DataError(f'{name} needs TensorFlow Datasets: pip install "cnn-zoo[data]".') from None
    try:
        builder = tfds.builder(builder_name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise DataError(f"TensorFlow Datasets has no {builder_name!r}: {str(error).splitlines()[0]}") from None
    if not builder.info.splits:
        if not download:
            raise DataError(
                f"{name} is not prepared in {builder.data_path}. Fetch it once, where there is a network, by "
                f'zoo.data.load("{name}", download=True).'
            )
        builder.download_and_prepare()
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict) or not {"image", "label"} <= set(features):
        raise DataError(f"{name} is no set of pictures with labels; its features are {', '.join(features or ())}.")
    own = [split for split in SPLITS if split in builder.info.splits] or ["train"]
    if "train" not in own:
        raise DataError(f'{name} has no split "train"; it has {", ".join(builder.info.splits)}.')
    height, width, channels = features["image"].shape
    count = sum(builder.info.splits[split].num_examples for split in own if split in builder.info.splits)
    # Where sizes vary, a photograph's usual 500x500 stands for them.
    num_bytes = count * (height or 500) * (width or 500) * channels
    splits: dict[str, Any] = (
        _in_memory(builder, own, split_seed) if num_bytes <= CACHE_BYTES else _streamed(builder, own)
    )
    return Dataset(
        name=name,
        classes=tuple(features["label"].names),
        image_shape=(height, width, channels),
        splits=splits,
        source=f"TensorFlow Datasets {builder.info.full_name}",
        licence=getattr(builder.info.redistribution_info, "license", "") or "as its authors say",
        fingerprint=hashlib.sha256(f"{builder.info.full_name} {builder.info.dataset_size}".encode()).hexdigest(),
    )


def _in_memory(builder: Any, own: list[str], split_seed: int) -> dict[str, Split]:
    """All examples in arrays; splits that the set lacks are carved out of "train", each class alike."""
    read = {split: list(builder.as_dataset(split=split).as_numpy_iterator()) for split in own}
    read = {split: examples for split, examples in read.items() if split == "train" or _is_labelled(examples)}
    lacking = {name: 0.0 for name in ("validation", "test") if name in read}
    train = read["train"]
    keys = [f"{builder.name}/train/{index}" for index in range(len(train))]
    labels = np.array([example["label"] for example in train])
    parts = stratified(labels, keys, seed=split_seed, **lacking)
    splits: dict[str, Split] = {
        split: _source([train[index] for index in indices], [keys[index] for index in indices])
        for split, indices in parts.items()
    }
    for split in set(read) - {"train"}:
        splits[split] = _source(read[split], [f"{builder.name}/{split}/{index}" for index in range(len(read[split]))])
    return splits


def _is_labelled(examples: list[dict[str, Any]]) -> bool:
    """Some sets publish a test split without its labels and write -1 there."""
    return all(example["label"] >= 0 for example in examples)


def _source(examples: list[dict[str, Any]], names: list[str]) -> Source:
    labels = np.array([example["label"] for example in examples], np.int32)
    return Source(labels, names, lambda index: _image(examples[index]["image"]))


def _image(array: np.ndarray) -> Image.Image:
    if array.dtype == np.uint16:
        array = np.rint(array / 257).astype(np.uint8)
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


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
    return list(builder.as_dataset(split=split).take(1).as_numpy_iterator())


class _Stream:
    """One split of a set that is too large for memory."""

    def __init__(self, builder: Any, instruction: str) -> None:
        self.builder, self.instruction = builder, instruction
        self.names = _Names(f"{builder.name}/{instruction}")

    def __len__(self) -> int:
        return self.builder.info.splits[self.instruction].num_examples

    def examples(self, size: tuple[int, int], channels: int) -> "_Sequence":
        return _Sequence(self, size, channels)


class _Names:
    """Names of examples that are counted, not listed."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __getitem__(self, index: int) -> str:
        return f"{self._prefix}/{index}"


class _Sequence:
    """Examples in an order of files and of a buffer, both a function of the seed."""

    shuffles_itself = True

    def __init__(self, stream: _Stream, size: tuple[int, int], channels: int) -> None:
        self._stream, self._size, self._channels = stream, size, channels

    def __len__(self) -> int:
        return len(self._stream)

    def _prepare(self, picture: np.ndarray) -> np.ndarray:
        return fit(_image(picture), self._size, self._channels)

    def batches(self, order: None, batch_size: int, start: tf.Tensor, seed: tf.Tensor | None) -> tf.data.Dataset:
        import tensorflow_datasets as tfds

        chance = None if seed is None else int(np.random.default_rng(seed.numpy()).integers(2**31))
        dataset = self._stream.builder.as_dataset(
            split=self._stream.instruction,
            shuffle_files=chance is not None,
            read_config=tfds.ReadConfig(shuffle_seed=chance, try_autocache=False),
        )
        options = tf.data.Options()
        options.deterministic = True
        dataset = dataset.with_options(options)
        if chance is not None:
            dataset = dataset.shuffle(SHUFFLE_BUFFER, seed=chance)

        def prepare(index: tf.Tensor, example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            picture = tf.numpy_function(self._prepare, [example["image"]], tf.uint8)
            return index, tf.ensure_shape(picture, (*self._size, self._channels)), tf.cast(example["label"], tf.int32)

        dataset = dataset.enumerate().skip(start * batch_size)
        return dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
