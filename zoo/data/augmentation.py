"""Random changes of pictures in training, as a function of seed, epoch and example."""

from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

from zoo.data.errors import DataError

# How many random numbers an example draws in an epoch: flip, vertical shift, horizontal shift.
NUM_DRAWS = 3


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a picture in training.

    Attributes:
        flip: Whether left and right are swapped for half of the pictures.
        shift: Largest shift in pixels, in each direction: the border is padded with the darkest value by so many
            pixels and a window of the old size is cut out at random. At least 0.
    """

    flip: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        """Refuse shifts that make no sense."""
        if self.shift < 0:
            raise DataError(f"shift must be at least 0 pixels. Received: shift={self.shift}")

    @classmethod
    def parse(cls, text: str) -> "Augmentation":
        """Read `"flip,shift=2"`, as a command line has it; `""` means none.

        Raises:
            DataError: A word is not known, or its value is no whole number.
        """
        values: dict[str, Any] = {}
        for word in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = word.partition("=")
            if name == "flip" and not equals:
                values["flip"] = True
            elif name == "shift" and value.isdecimal():
                values["shift"] = int(value)
            else:
                raise DataError(f'Augmentations are "flip" and "shift=PIXELS", with commas. Received: {word!r}')
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON."""
        return asdict(self)

    def apply(self, pictures: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Change a batch.

        Args:
            pictures: (batch, height, width, channels) uint8.
            draws: (batch, NUM_DRAWS) float32 in [0, 1): what chance says of each picture.

        Returns:
            Pictures of the same shape and type.
        """
        if not (self.flip or self.shift):
            return pictures
        height, width, margin = pictures.shape[1], pictures.shape[2], self.shift
        down, right = tf.unstack(tf.cast(draws[:, 1:, None] * (2 * margin + 1), tf.int32), axis=1)
        columns = right + tf.range(width)
        if self.flip:  # by the order of the columns: mirroring pictures and then choosing takes twice the time
            columns = tf.where(draws[:, :1] < 0.5, width + 2 * margin - 1 - columns, columns)
        if margin:
            pictures = tf.pad(pictures, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
            pictures = tf.gather(pictures, down + tf.range(height), axis=1, batch_dims=1)
        return tf.gather(pictures, columns, axis=2, batch_dims=1)
