"""A segmentation network for another runtime: pixels in, scores of each pixel's class out."""

from pathlib import Path

import keras
from keras import layers

from applications.segment import learning, scenes
from zoo.deploy import export
from zoo.deploy.exports import Export

# Test pictures that the file is compared on.
_COMPARED = 16


def export_run(folder: str | Path, out: str | Path, *, to: str, size: int | None = None) -> Export:
    """Write the network of a run; it is read again in its own runtime and compared before it counts.

    The file takes pixels (batch, height, width, channels) of 0 to 255 as uint8 and gives logits
    (batch, height, width, classes) as float32.

    Args:
        folder: The run.
        out: Folder to make.
        to: As `zoo.deploy.export` takes it.
        size: Side of the pictures in pixels; None for that of the training.

    Raises:
        ValueError: The folder holds no finished training, or what `zoo.deploy.export` raises.
    """
    model, config, classes, channels = learning.open_run(folder)
    low, high = learning.value_range(config)
    pixels = keras.Input((None, None, channels), dtype="uint8", name="pixels")
    scaled = layers.Rescaling((high - low) / 255, low, name="scaled")(pixels)
    whole = keras.Model(pixels, model(scaled), name=f"{config.network}_of_pixels")
    pictures = scenes.load(config.data, "test", size=size or config.size, count=_COMPARED, seed=config.seed).pictures
    facts = {"source": str(folder), "classes": list(classes)}
    return export(whole, out, to=to, examples=pictures[:_COMPARED], input_shape=pictures.shape[1:], facts=facts)
