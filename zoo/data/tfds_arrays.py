"""Sound and text of TensorFlow Datasets, in memory, in the same form as sound and text from files."""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.signal
import tensorflow as tf

from zoo.data.arrays import SCALE, Arrays, carved
from zoo.data.audio.files import CLIP_SECONDS, RATE, SoundDataset, fitted, front_end_options
from zoo.data.errors import DataError, printable
from zoo.data.splits import hash_order
from zoo.data.text.files import Row, TextDataset, from_rows
from zoo.data.tfds import licence

SILENCE, UNKNOWN = "_silence_", "_unknown_"

# Warden 2018, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", https://arxiv.org/abs/1804.03209,
# and the code that it comes with: for every 10 clips of words one of silence and one of other words.
_SHARE = 0.1


def sound(name: str, builder: Any, own: list[str], split_seed: int, options: str) -> SoundDataset:
    """The clips of a set with the features `audio` and `label`.

    Args:
        name: What was asked for.
        builder: The prepared set.
        own: Its splits.
        split_seed: Seed of the splits that it lacks, and of the rule's choice.
        options: Values of the front-end, such as `bands=40`, and `rule=warden`: of the training and the validation
            split so many clips of `_unknown_` are kept, and so many of `_silence_` are kept or repeated at another
            loudness, that there is one of each for every ten clips of words. The test split stays as it was published.

    Raises:
        DataError: An option is wrong, or the rule is asked for where there are no such classes.
    """
    parts = [part for part in options.split("&") if part]
    rules = [part.partition("=")[2] for part in parts if part.startswith("rule=")]
    front_end = front_end_options("&".join(part for part in parts if not part.startswith("rule=")))
    classes = tuple(builder.info.features["label"].names)
    if rules and (rules != ["warden"] or not {SILENCE, UNKNOWN} <= set(classes)):
        raise DataError(
            f"The rule is warden, for sets with the classes {SILENCE} and {UNKNOWN}. Received: rule={rules[-1]}, "
            f"classes {', '.join(map(printable, classes))}"
        )
    samples = round(CLIP_SECONDS * RATE)
    rate = builder.info.features["audio"].sample_rate or RATE
    digest = hashlib.sha256()
    splits = {}
    for split in own:
        labels = np.array([example["label"] for example in _examples(builder, split)], np.int32)
        if (labels < 0).any():  # published without its labels
            continue
        copies = np.ones(len(labels), np.int64)
        if rules and split != "test":
            copies = warden_copies(labels, classes, [f"{split}/{index}" for index in range(len(labels))], split_seed)
        values = np.empty((int(copies.sum()), samples), np.int16)
        names: list[str] = []
        for index, example in enumerate(_examples(builder, split)):
            clip = _clip(example["audio"], rate, samples) if copies[index] else np.empty(0, np.int16)
            for copy in range(copies[index]):
                # The same silence again, softer each time.
                values[len(names)] = np.round(clip * (1 - copy / copies[index]))
                names.append(f"{builder.name}/{split}/{index}" + (f"/{copy}" if copy else ""))
        splits[split] = Arrays(np.repeat(labels, copies), names, values)
        digest.update(values.tobytes() + splits[split].labels.tobytes())
    if list(splits) == ["train"]:
        splits = {"all": splits["train"]}
    return SoundDataset(
        name=name,
        classes=tuple(map(printable, classes)),
        image_shape=(samples,),
        splits=carved(splits, split_seed, name),
        source=f"TensorFlow Datasets {builder.info.full_name}",
        licence=licence(builder),
        fingerprint=digest.hexdigest(),
        front_end=front_end,
    )


def warden_copies(labels: np.ndarray, classes: tuple[str, ...], keys: list[str], seed: int) -> np.ndarray:
    """How often each clip is taken, so that silence and unknown words are a tenth of the words each.

    Args:
        labels: Class of each clip, (n,).
        classes: Names of the classes, `_silence_` and `_unknown_` among them.
        keys: A name for each clip, from which with the seed follows which ones are taken.
        seed: Another seed takes others.

    Returns:
        (n,) int64: 1 for words, 0 or 1 for unknown words, 0 or more for silence.
    """
    silence, unknown = (labels == classes.index(name) for name in (SILENCE, UNKNOWN))
    wanted = math.ceil(_SHARE * np.sum(~silence & ~unknown))
    copies = np.ones(len(labels), np.int64)
    for members, repeats in ((np.flatnonzero(unknown), False), (np.flatnonzero(silence), True)):
        if not len(members):
            continue
        order = members[hash_order([keys[index] for index in members], seed)]
        whole, rest = divmod(wanted, len(order))
        copies[order] = whole if repeats else min(whole, 1)
        copies[order[:rest]] += 1 if repeats or not whole else 0
    return copies


def text(name: str, builder: Any, own: list[str], split_seed: int, fields: list[str]) -> TextDataset:
    """The texts of a set with `label` and one or more features of text; a title comes first, the others behind it.

    Args:
        name: What was asked for.
        builder: The prepared set.
        own: Its splits.
        split_seed: Seed of the splits that it lacks.
        fields: Names of the features of text.
    """
    fields = sorted(fields, key=lambda field: field != "title")
    classes = tuple(builder.info.features["label"].names)
    rows: list[Row] = []
    for split in own:
        part = "all" if own == ["train"] else split
        examples = [
            (" ".join(example[field].decode("utf-8", "replace") for field in fields), int(example["label"]))
            for example in _examples(builder, split)
        ]
        if any(label < 0 for _, label in examples):  # published without its labels
            continue
        rows += [
            (part, f"{builder.name}/{split}/{index}", content, classes[label])
            for index, (content, label) in enumerate(examples)
        ]
    source = f"TensorFlow Datasets {builder.info.full_name}"
    return from_rows(name, rows, split_seed, source, licence(builder), classes)


def _examples(builder: Any, split: str) -> Iterator[dict[str, Any]]:
    """The examples of a split, in the order of its files."""
    count = 0
    try:
        for example in builder.as_dataset(split=split).as_numpy_iterator():
            yield example
            count += 1
    except tf.errors.OpError as error:
        raise DataError(
            f"tfds:{builder.name} is damaged: {split} cannot be read after its example {count}: "
            f"{printable(error.message.splitlines()[0])} Delete {builder.data_path} and fetch it again."
        ) from None


def _clip(sound: np.ndarray, rate: int, samples: int) -> np.ndarray:
    """A clip of 16 bits at the common rate, of the common length: (samples,) int16."""
    whole = np.issubdtype(sound.dtype, np.integer)
    values = sound.astype(np.float32) / (SCALE if whole else 1)
    values = values.mean(-1) if values.ndim == 2 else values
    if rate != RATE:
        common = math.gcd(rate, RATE)
        values = scipy.signal.resample_poly(values, RATE // common, rate // common)
    return np.clip(np.round(fitted(values, samples) * SCALE), -SCALE, SCALE - 1).astype(np.int16)
