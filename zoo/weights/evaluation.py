"""Accuracy on a folder of pictures of ImageNet's classes, by the protocol that published numbers were measured with.

The whole preprocessing of the weights, one view of each picture, each picture once, none left out. Files are read
upright; torchvision and timm ignore how the camera was held, which few pictures of ImageNet say.
"""

import difflib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.data.errors import DataError, printable
from zoo.data.pictures import FORMATS, decode, fit, quiet_pillow, read
from zoo.messages import some
from zoo.weights.imagenet import NUM_CLASSES, imagenet_classes
from zoo.weights.preprocessing import Preprocessing

# Pictures that the network sees at once, if nobody says.
AT_ONCE = 32
_TOP = 5
_BATCHES_AHEAD = 2
_SPLITS = ("train", "val", "valid", "validation", "test")
_CLUTTER = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Accuracy:
    """What `evaluate` measured.

    Attributes:
        pictures: Number of pictures.
        classes: Number of classes that they belong to; the network chose among all 1000.
        top1: Percentage of the pictures whose class got the highest score.
        top5: Percentage of those whose class is among the five highest.
    """

    pictures: int
    classes: int
    top1: float
    top5: float

    @property
    def is_imagenet(self) -> bool:
        """Whether the numbers of pictures and classes are those of ImageNet-1k's validation set."""
        return (self.pictures, self.classes) == (50_000, NUM_CLASSES)


def evaluate(
    model: keras.Model,
    preprocessing: Preprocessing,
    folder: str | os.PathLike,
    *,
    batch_size: int = AT_ONCE,
    progress: Callable[[int, int], None] | None = None,
    answer: Callable[[np.ndarray], Any] | None = None,
) -> Accuracy:
    """Measure a network of ImageNet-1k's classes on a folder with a folder for each class.

    Args:
        model: From preprocessed pictures to (batch, 1000) probabilities or logits.
        preprocessing: What belongs to its weights; all pictures must have one size behind it.
        folder: Its folders are called by WordNet ids (`n02099601`) or names (`golden retriever`, with spaces or
            underscores) of classes; all 1000 or some. In them lie pictures.
        batch_size: Pictures that the network sees at once.
        progress: Called with the number of pictures so far, and of all.
        answer: What runs the network on a batch, such as a `zoo.deploy.Predictor` of it; None for Keras.

    Returns:
        Top-1 and top-5 accuracy.

    Raises:
        ValueError: A folder is called like no class (close matches are listed) or like several, two like the same, a
            class has no picture, the model has other outputs, one that is not a number, or `batch_size` is no whole
            number above 0.
        DataError: A file cannot be used (a ValueError too); names it and says why.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number, at least 1. Received: batch_size={batch_size!r}")
    if model.output_shape != (None, NUM_CLASSES):
        raise ValueError(f"The model must give (batch, {NUM_CLASSES}), ImageNet-1k's classes. "
                         f"Received: {model.output_shape}")  # fmt: skip
    answer = answer or model.predict_on_batch
    files = labelled_files(folder)
    right = np.zeros(2, int)
    done = 0
    for pictures, labels in _batches(files, preprocessing, batch_size):
        ranks = _ranks(np.asarray(answer(pictures)), labels)
        right += (ranks < 1).sum(), (ranks < _TOP).sum()
        done += len(labels)
        if progress is not None:
            progress(done, len(files))
    top1, top5 = (100 * right / len(files)).tolist()
    return Accuracy(len(files), len({label for _, label in files}), top1, top5)


def _ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes stand before the right one; of equal scores the class with the lower index stands first."""
    if np.isnan(scores).any():
        raise ValueError("The network gives values that are not numbers (NaN): its weights do not fit.")
    own = scores[np.arange(len(labels)), labels][:, np.newaxis]
    before = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    return ((scores > own) | ((scores == own) & before)).sum(axis=1)


def _batches(
    files: Sequence[tuple[Path, int]], preprocessing: Preprocessing, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Preprocessed pictures with their classes; files are read ahead, on all cores."""

    def picture(path: Path) -> np.ndarray:
        try:
            return preprocessing(fit(decode(read(path)), None, preprocessing.channels)).numpy()
        except DataError as error:
            raise DataError(f"{printable(str(path))} cannot be used: {error}.") from None

    waiting: deque[tuple[list[Future[np.ndarray]], np.ndarray]] = deque()
    pool = ThreadPoolExecutor()
    with quiet_pillow():
        try:
            for start in range(0, len(files), batch_size):
                chunk = files[start : start + batch_size]
                waiting.append(([pool.submit(picture, path) for path, _ in chunk], np.array([at for _, at in chunk])))
                if len(waiting) > _BATCHES_AHEAD:
                    yield _ready(*waiting.popleft())
            while waiting:
                yield _ready(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _ready(pictures: list[Future[np.ndarray]], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([picture.result() for picture in pictures]), labels


def labelled_files(folder: str | os.PathLike) -> list[tuple[Path, int]]:
    """All pictures of a folder with the index of their class, by their names alone: none is opened.

    Args:
        folder: As `evaluate` takes it.

    Raises:
        DataError: A folder is called like no class or like several, two like the same, or a class has no picture.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{printable(str(root))} is no folder.")
    entries = _entries(root)
    splits = [entry.name for entry in entries if entry.name.lower() in _SPLITS and entry.is_dir()]
    if splits:
        raise DataError(f"{printable(str(root))} holds the splits {some(splits)}. Give one of them, such as "
                        f"{printable(str(root / splits[-1]))}.")  # fmt: skip
    if loose := [entry.name for entry in entries if not entry.is_dir()]:
        raise DataError(f"{printable(str(root))} must hold a folder for each class and nothing else. "
                        f"Received: {some(map(printable, loose))}")  # fmt: skip
    files = []
    for own, index in _classes(root, entries).items():
        found = _entries(own)
        if not found:
            raise DataError(f"{printable(str(own))} holds no picture.")
        if odd := [path for path in found if path.suffix.lower() not in FORMATS]:
            known = ", ".join(FORMATS)
            raise DataError(f"{printable(str(odd[0]))} is no picture by its name (known: {known}).")
        files += [(path, index) for path in found]
    return files


def _classes(root: Path, folders: Sequence[Path]) -> dict[Path, int]:
    """The index of the class that each folder is called by."""
    if not folders:
        raise DataError(f"{printable(str(root))} is empty. Expected a folder for each class, with pictures.")
    classes = imagenet_classes()
    exact = {spelling: index for index, item in enumerate(classes) for spelling in item}
    folded: dict[str, list[int]] = {}
    for spelling, index in exact.items():
        folded.setdefault(spelling.casefold(), []).append(index)
    meant: dict[Path, list[int]] = {}
    for folder in folders:
        plain = folder.name.replace("_", " ")
        meant[folder] = [exact[plain]] if plain in exact else folded.get(plain.casefold(), [])
    if unknown := [folder.name for folder, indices in meant.items() if not indices]:
        close = difflib.get_close_matches(unknown[0].replace("_", " ").casefold(), folded, n=3, cutoff=0.6)
        hint = f"Did you mean {', '.join(close)}? " if close else ""
        raise DataError(
            f"{printable(str(root))}: no class of ImageNet-1k is called {some(map(printable, unknown))}. {hint}"
            "Folders must be called by WordNet ids, such as n02099601, or names, such as golden_retriever."
        )
    found: dict[int, Path] = {}
    for folder, indices in meant.items():
        if len(indices) > 1:
            listed = " or ".join(f"{classes[index].name} ({classes[index].wnid})" for index in indices)
            raise DataError(f"{printable(str(folder))} may be {listed}. Call it by the WordNet id.")
        (index,) = indices
        if index in found:
            raise DataError(
                f"{printable(str(root))} has two folders for one class: {found[index].name}, {folder.name}."
            )
        found[index] = folder
    return {folder: index for index, folder in found.items()}


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, in the order of the names, without hidden files and what systems leave there."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{printable(str(folder))} cannot be read: {error.strerror}.") from None
    return sorted(entry for entry in entries if entry.name.lower() not in _CLUTTER)
