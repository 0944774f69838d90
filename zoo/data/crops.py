"""Square parts of pictures of any size, by lot, in an order that can be repeated: for tasks without classes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.errors import DataError
from zoo.data.pictures import FORMATS, read_image


@dataclass(frozen=True)
class Gallery:
    """Coloured pictures of any size.

    Attributes:
        names: Of each picture.
        read: From a number to a picture (height, width, 3) uint8.
    """

    names: tuple[str, ...]
    read: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.names)


def gallery(path: str | Path, *, count: int | None = None, shorter_side: int | None = None) -> Gallery:
    """All pictures below a folder, in the order of their paths; each is read when it is asked for.

    Args:
        path: The folder.
        count: Most pictures; None for all.
        shorter_side: Pixels that the shorter side of larger pictures is reduced to; None for their own.

    Raises:
        DataError: There is no such folder.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"{path} is no folder.")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in FORMATS and file.is_file())[:count]

    def read(number: int) -> np.ndarray:
        values = read_image(files[number], value_range=(0, 255))
        return reduced(np.rint(values).astype(np.uint8), shorter_side)

    return Gallery(tuple(str(file.relative_to(path)) for file in files), read)


def photograph(name: str) -> np.ndarray:
    """A colour photograph of scikit-learn ("china", "flower") or of scikit-image, such as "coffee".

    Returns:
        (height, width, 3) uint8.

    Raises:
        ImportError: scikit-image is not there; it comes with the extra `vision`.
    """
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return np.array(load_sample_image(f"{name}.jpg"))
    try:
        from skimage import data
    except ImportError as error:
        raise ImportError("The photographs come with scikit-image: pip install scikit-image") from error
    return np.asarray(getattr(data, name)())


def reduced(picture: np.ndarray, shorter_side: int | None) -> np.ndarray:
    """A picture (height, width, 3) uint8 whose shorter side is at most so long; None leaves it as it is."""
    height, width = picture.shape[:2]
    if shorter_side is None or min(height, width) <= shorter_side:
        return picture
    scale = shorter_side / min(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def crop(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square part by lot, (size, size, channels); a picture that is smaller goes on with its border.

    Example:
        >>> import numpy as np
        >>> from zoo.data.crops import crop
        >>> crop(np.zeros((40, 60, 3), np.uint8), 32, np.random.default_rng(0)).shape
        (32, 32, 3)
    """
    short = [max(size - side, 0) for side in picture.shape[:2]]
    if any(short):
        picture = np.pad(picture, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")
    top, left = (int(rng.integers(side - size + 1)) for side in picture.shape[:2])
    return picture[top : top + size, left : left + size]


class Crops:
    """Batches of crops in an order that is a function of seed and epoch, as `zoo.training.Trainer` takes them.

    Args:
        pictures: The pictures.
        size: Side of the crops in pixels.
        batch_size: Crops in a batch.
        finish: From a batch of crops (batch, size, size, 3) uint8 to (inputs, labels).
        each: Crops of each picture in an epoch.
        shuffled: Whether crops and their order change from epoch to epoch.
        mirror: Whether every other crop is mirrored, by lot; of shuffled ones alone.
        seed: Of all that is drawn by lot.
    """

    def __init__(
        self,
        pictures: Gallery,
        size: int,
        batch_size: int,
        finish: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        *,
        each: int = 1,
        shuffled: bool = False,
        mirror: bool = False,
        seed: int = 0,
    ) -> None:
        self._pictures, self._size, self._batch_size, self._finish = pictures, size, batch_size, finish
        self._each, self._shuffled, self._mirror, self._seed = each, shuffled, mirror, seed
        crops = tf.TensorSpec((None, size, size, 3), tf.uint8)
        structure = tf.function(finish).get_concrete_function(crops).structured_outputs
        self.element_spec: Any = tuple(tf.TensorSpec(part.shape, part.dtype) for part in structure)

    def __len__(self) -> int:
        return -(-len(self._pictures) * self._each // self._batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """The batches of an epoch, from one of them on."""
        epoch = epoch if self._shuffled else 0
        order = np.arange(len(self._pictures) * self._each)
        if self._shuffled:
            np.random.default_rng([self._seed, epoch]).shuffle(order)
        visits = tf.data.Dataset.from_tensor_slices(order[start * self._batch_size :])

        def cut(visit: tf.Tensor) -> tf.Tensor:
            found = tf.numpy_function(lambda number: self._crop(int(number), epoch), [visit], tf.uint8)
            return tf.ensure_shape(found, (self._size, self._size, 3))

        crops = visits.map(cut, num_parallel_calls=2, deterministic=True).batch(self._batch_size)
        return crops.map(self._finish, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _crop(self, visit: int, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch, visit])
        found = crop(self._pictures.read(visit % len(self._pictures)), self._size, rng)
        return found[:, ::-1] if self._shuffled and self._mirror and rng.random() < 0.5 else found
