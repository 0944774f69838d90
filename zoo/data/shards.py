"""Shards: a data set in a few large files, for sets of which opening and scanning every file takes too long.

A folder of shards holds TFRecord files of `tf.train.Example`s, which any reader of that format takes (`image`, the
picture file as it was; `label`; `class`; `name`; and `group`, where the data has groups), and beside them for each
split an index: where each picture lies, its SHA-256, label, name and group. By the index any example is read at once,
so the order stays a permutation that is a function of (seed, epoch), as for a folder, and a run can go on anywhere.
`index.json` holds the rest and the checksums of the indices. Every picture is compared with its checksum when it is
first read, and again if its file is another by then.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo import files
from zoo.data.dataset import Compared, Dataset, OnBad, Source
from zoo.data.errors import DataError, printable
from zoo.data.folder import refuse_too_many
from zoo.data.splits import SPLITS

FORMAT = 1
INDEX = "index.json"

# A file is closed when it has so many bytes.
SHARD_BYTES = 128 << 20

# What TFRecord writes before and after each record: length, its checksum; the record's checksum.
_HEAD, _TAIL = 12, 4


def write_shards(
    dataset: Dataset,
    folder: str | os.PathLike,
    *,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int], Any] = lambda count: None,
) -> None:
    """Write a data set as shards, whole or not at all: the folder appears under its name when all of it is there.

    Args:
        dataset: The data; its splits, classes, names and groups are kept, pictures stay encoded as they are.
        folder: The folder to make; it must be new or empty.
        shard_bytes: A file is closed when it has so many bytes; at least 1.
        progress: Called after each example with the number of those written.

    Raises:
        DataError: The data is read in sequence, an argument is illegal, the folder is there already, or an example
            cannot be read.
        OSError: The folder cannot be written, such as on a full disk. Nothing of it is left.

    Example:
        >>> import tempfile, zoo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     zoo.data.write_shards(zoo.data.load("digits"), f"{folder}/digits")
        ...     zoo.data.load(f"shards:{folder}/digits").num_examples
        {'train': 1169, 'validation': 269, 'test': 359}
    """
    sources = {split: dataset.splits[split] for split in SPLITS}
    if not all(isinstance(source, Source) for source in sources.values()):
        raise DataError(f"{printable(dataset.name)} is read in sequence; it lies in large files already.")
    if shard_bytes < 1:
        raise DataError(f"shard_bytes must be at least 1. Received: shard_bytes={shard_bytes}")
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{printable(str(folder))} is there already; shards need a new or empty folder.")
    partial = folder.with_name(f".{folder.name}{files.TEMPORARY_SUFFIX}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.mkdir()
    except FileExistsError:
        raise DataError(
            f"{printable(str(partial))} is left of a writing that was broken off, or belongs to one that goes on. "
            "Delete it if nothing writes there."
        ) from None
    try:
        begun, splits = 0, {}
        for split, source in sources.items():
            assert isinstance(source, Source)
            splits[split] = _write_split(partial, split, source, dataset.classes, shard_bytes, progress, begun)
            begun += len(source)
        content = {
            "classes": list(dataset.classes),
            "image_shape": list(dataset.image_shape),
            "made_from": dataset.name,
            "source": dataset.source,
            "licence": dataset.licence,
            "splits": splits,
        }
        files.write_json(partial / INDEX, {"format": FORMAT, "sha256": _digest_of(content), "content": content})
        files.sync_folder(partial)
        os.rename(partial, folder)
        files.sync_folder(folder.parent)
    except tf.errors.OpError as error:
        raise OSError(f"{printable(str(folder))} cannot be written: {printable(str(error.message))}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_split(
    folder: Path,
    split: str,
    source: Source,
    classes: Sequence[str],
    shard_bytes: int,
    progress: Callable[[int], Any],
    begun: int,
) -> dict[str, Any]:
    """Write the files of a split and its index; returns what `index.json` says of them."""
    shards: list[dict[str, Any]] = []
    places, digests, writer = np.zeros((len(source), 3), np.int64), [], None
    for number in range(len(source)):
        content = source.content(number)
        if writer is None:
            shards.append({"name": f"{split}-{len(shards):05}.tfrecord", "examples": 0, "bytes": 0})
            writer = tf.io.TFRecordWriter(str(folder / shards[-1]["name"]))
        record = _record(source, number, content, classes)
        # Where the picture itself lies: nothing else has to be read then.
        places[number] = len(shards) - 1, shards[-1]["bytes"] + _HEAD + record.index(content), len(content)
        digests.append(hashlib.sha256(content).digest())
        writer.write(record)
        shards[-1]["examples"] += 1
        shards[-1]["bytes"] += _HEAD + len(record) + _TAIL
        if shards[-1]["bytes"] >= shard_bytes or number == len(source) - 1:
            writer.close()
            writer = None
            _sync(folder / shards[-1]["name"])
        progress(begun + number + 1)
    arrays: dict[str, Any] = {
        "places": places,
        "digests": np.frombuffer(b"".join(digests), np.uint8),
        "labels": source.labels,
    }
    arrays["names"] = _joined(source.names)
    if source.groups is not None:
        arrays["groups"] = _joined(source.groups)
    index = io.BytesIO()
    np.savez(index, **arrays)
    name = f"{split}.npz"
    return {"index": name, "sha256": files.write_atomic(folder / name, index.getvalue()), "shards": shards}


def _record(source: Source, number: int, content: bytes, classes: Sequence[str]) -> bytes:
    label = int(source.labels[number])
    texts = {"class": classes[label], "name": source.names[number]}
    if source.groups is not None:
        texts["group"] = source.groups[number]
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
               for name, text in texts.items()}  # fmt: skip
    feature["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
    feature["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def _sync(path: Path) -> None:
    """Make a file durable."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def load(name: str, folder: Path, on_bad: OnBad) -> Dataset:
    """The splits of a folder of shards. Sizes and indices are checked at once, each picture when it is read."""
    content = _read_index(folder)
    classes = tuple(content["classes"])
    bad: dict[str, str] = {}
    splits, lines, total = {}, [], 0
    for split in SPLITS:
        source, digests = _open_split(folder, split, content["splits"][split])
        total += len(source)
        if on_bad != "raise":
            faults = _faults(source)
            bad |= {source.names[number]: fault for number, fault in faults.items()}
            kept = np.array([number for number in range(len(source)) if number not in faults], np.int64)
            source, digests = source.chosen(kept), [digests[number] for number in kept]
        splits[split] = source
        lines += [f"{name}\0{digest}" for name, digest in zip(source.names, digests, strict=True)]
    if on_bad == "skip":
        refuse_too_many(folder, bad, total)
    if empty := [split for split, source in splits.items() if not len(source)]:
        raise DataError(f"{printable(str(folder))} has no usable picture for the split {', '.join(empty)}.")
    height, width, channels = content["image_shape"]
    return Dataset(
        name=name,
        classes=classes,
        image_shape=(height, width, channels),
        splits=splits,
        source=f"shards of {content['made_from']} in {printable(str(folder))}",
        licence=content["licence"],
        fingerprint=hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest(),
        bad_files=bad,
    )


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        stored = json.loads(path.read_bytes())
        form, digest, content = stored["format"], stored["sha256"], stored["content"]
    except OSError as error:
        raise DataError(
            f"{printable(str(folder))} is no folder of shards: {INDEX} cannot be read: {error.strerror}. "
            "`zoo shard` writes one."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{printable(str(path))} is damaged: it is no index of shards.") from None
    if form != FORMAT:
        raise DataError(f"{printable(str(path))} has format {form!r}, this version reads {FORMAT}.")
    if digest != _digest_of(content):
        raise DataError(f"{printable(str(path))} is damaged: its SHA-256 is not the one that was written.")
    return content


def _open_split(folder: Path, split: str, facts: dict[str, Any]) -> tuple[Source, list[str]]:
    """The examples of a split, and the digest of each."""
    path = folder / facts["index"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{printable(str(path))} cannot be read: {error.strerror}.") from None
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise DataError(f"{printable(str(path))} is damaged: its SHA-256 is not the one that was written.")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        places, digests, labels = arrays["places"], arrays["digests"].reshape(-1, 32), arrays["labels"]
        names = _divided(arrays["names"])
        groups = _divided(arrays["groups"]) if "groups" in arrays else None
    shards = facts["shards"]
    firsts = np.cumsum([0, *(shard["examples"] for shard in shards)])
    for shard in shards:
        file = folder / shard["name"]
        try:
            size = file.stat().st_size
        except OSError as error:
            raise DataError(f"{printable(str(file))} cannot be read: {error.strerror}.") from None
        if size != shard["bytes"]:
            raise DataError(
                f"{printable(str(file))} is damaged: it has {size} bytes. Expected: {shard['bytes']} bytes with "
                f"{shard['examples']} records. Copy it again, or write the shards anew."
            )

    compared = Compared(len(names))

    def content_of(number: int) -> bytes:
        shard, offset, length = places[number].tolist()
        file = folder / shards[shard]["name"]
        which = f"{printable(str(file))}, record {number - firsts[shard]} ({names[number]})"
        try:
            with open(file, "rb", buffering=0) as stream:
                status = os.fstat(stream.fileno())
                stream.seek(offset)
                found = stream.read(length)
        except OSError as error:
            raise DataError(f"{which} cannot be read: {error.strerror}.") from None
        if compared.is_due(number, status):
            if hashlib.sha256(found).digest() != digests[number].tobytes():
                raise DataError(f"{which} is damaged: its SHA-256 is not the one that was written.")
            compared.note(number, status)
        return found

    return Source(labels, names, content_of, groups), [digest.tobytes().hex() for digest in digests]


def _faults(source: Source) -> dict[int, str]:
    """What is wrong with which examples; every picture is read."""

    def look(number: int) -> str:
        try:
            source.content(number)
        except DataError as error:
            return str(error).rstrip(".")
        return ""

    with ThreadPoolExecutor() as pool:
        return {number: fault for number, fault in enumerate(pool.map(look, range(len(source)))) if fault}


def _digest_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _joined(texts: Sequence[str]) -> np.ndarray:
    """Texts without zeros as one array of bytes."""
    return np.frombuffer("\0".join(texts).encode(), np.uint8)


def _divided(array: np.ndarray) -> list[str]:
    return array.tobytes().decode().split("\0")
