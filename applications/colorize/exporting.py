"""A network that colours for another runtime: pixels in, coloured pixels of the same lightness out."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from applications.colorize import learning, networks, pictures
from applications.colorize.lab import lab_to_rgb, rgb_to_lab
from zoo.data.crops import crop
from zoo.deploy import export
from zoo.deploy.exports import Export

# Test pictures that the file is compared on.
_COMPARED = 8


@keras.saving.register_keras_serializable("zoo")
class LightnessOf(layers.Layer):
    """Lightness (batch, height, width, 1), 0 to 100, of pixels (batch, height, width, 3), 0 to 255."""

    def call(self, pixels: Any) -> Any:
        return rgb_to_lab(tf.cast(pixels, tf.float32) / 255)[..., :1]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("zoo")
class Coloured(layers.Layer):
    """Pixels (batch, height, width, 3), 0 to 255, of lightness, and of a and b at fewer places."""

    def call(self, parts: Any) -> Any:
        lightness, ab = parts
        ab = tf.image.resize(ab, tf.shape(lightness)[1:3], method="bilinear")
        return 255 * lab_to_rgb(tf.concat([lightness, ab], -1))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (*input_shape[0][:-1], 3)


def export_run(folder: str | Path, out: str | Path, *, to: str, size: int | None = None) -> Export:
    """Write the network of a run; it is read again in its own runtime and compared before it counts.

    The file takes pixels (batch, size, size, 3) of 0 to 255 as uint8, of which it looks at the lightness alone, and
    gives coloured ones as float32, at the temperature of the training.

    Args:
        folder: The run.
        out: Folder to make.
        to: As `zoo.deploy.export` takes it.
        size: Side of the pictures in pixels; None for that of the training.

    Raises:
        ValueError: The folder holds no finished training, the size is no multiple of the network's coarsest stride, or
            what `zoo.deploy.export` raises.
    """
    model, config = learning.open_run(folder)
    side = size or config.size
    if side % (stride := learning.coarsest_stride(config)):
        raise ValueError(f"size must be a multiple of the coarsest stride, {stride}. Received: size={side}")
    low, high = learning.value_range(config)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    lightness = LightnessOf(name="lightness_of")(pixels)
    ab = model(layers.Rescaling((high - low) / 100, low, name="scaled")(lightness))
    if config.target == "classes":
        ab = networks.AnnealedMean(config.temperature, dtype="float32", name="annealed")(ab)
    whole = keras.Model(pixels, Coloured(name="coloured")([lightness, ab]), name="coloured")
    part = pictures.load(config.data, "test", count=_COMPARED, size=side, shorter_side=side, seed=config.seed)
    rng = np.random.default_rng(config.seed)
    examples = [crop(part.read(number), side, rng) for number in range(min(len(part), _COMPARED))]
    return export(
        whole, out, to=to, examples=np.stack(examples), input_shape=(side, side, 3), facts={"source": str(folder)}
    )
