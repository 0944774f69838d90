"""Means and deviations for normalising, from the training split alone."""

from dataclasses import dataclass

import numpy as np

from zoo.data.dataset import Dataset


@dataclass(frozen=True)
class ChannelStatistics:
    """What pixels are like, for values 0 to 1.

    Attributes:
        mean: Mean of each channel.
        std: Standard deviation of each channel, over all pixels of all pictures.
        num_examples: Number of pictures that were looked at.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_examples: int


def channel_statistics(dataset: Dataset, *, image_size: tuple[int, int] | None = None) -> ChannelStatistics:
    """Mean and standard deviation of each channel over the training split.

    The other splits are not looked at: a network that is normalised by its test pictures has seen them.

    Args:
        dataset: The data.
        image_size: Height and width in pixels that pictures are resized to first; None for the data's own.

    Returns:
        The statistics, for values 0 to 1.

    Raises:
        DataError: The pictures have no common size and `image_size` is not given.

    Example:
        >>> import zoo
        >>> zoo.data.channel_statistics(zoo.data.load("digits")).num_examples
        1169
    """
    sums, squares, pixels, count = 0.0, 0.0, 0, 0
    for pictures, _ in dataset.pipeline("train", batch_size=64, image_size=image_size).epoch():
        values = pictures.numpy().astype(np.float64)
        sums = sums + values.sum((0, 1, 2))
        squares = squares + (values**2).sum((0, 1, 2))
        pixels += values[..., 0].size
        count += len(values)
    mean = np.asarray(sums) / pixels
    std = np.sqrt(np.maximum(np.asarray(squares) / pixels - mean**2, 0))
    return ChannelStatistics(tuple(map(float, mean)), tuple(map(float, std)), count)
