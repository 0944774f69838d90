"""A network that paints any picture in one style at once.

Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016,
https://arxiv.org/abs/1603.08155, and its supplement, table 1.

With 32 filters and 5 blocks it has 1,679,235 trained parameters: convolutions with biases, and a scale and an offset
for each channel of each normalisation, none behind the last convolution. Neither the padding nor the kind of the
normalisation changes that number.

Differences from the paper, both by default and both undone by an argument: instance normalisation instead of batch
normalisation (Ulyanov, Vedaldi, Lempitsky, 2016, https://arxiv.org/abs/1607.08022), and reflection before each
convolution instead of once around the picture. Maps are enlarged by repeating pixels before a convolution, not by a
transposed one, which leaves a checkerboard (Odena, Dumoulin, Olah, 2016, https://distill.pub/2016/deconv-checkerboard).
"""

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from applications.style import losses
from applications.style.body import Body
from applications.style.config import FeedForward
from applications.style.gatys import style_grams
from zoo import files, training
from zoo.data.crops import Crops, Gallery, gallery, photograph, reduced
from zoo.training.seeds import seed_everything

CONFIG, MODEL, PAINTED = "config.json", "model.keras", "painted.png"
PHOTOGRAPHS = ("astronaut", "chelsea", "china", "flower", "rocket")

EPSILON = 1e-5

# Side of a picture, in pixels, whose smallest map can still be reflected.
SMALLEST = 48

# Pixels by which the paper reflects the picture at its border: what its ten convolutions without padding take away.
_EACH_BLOCK = 8


@keras.saving.register_keras_serializable("zoo")
class Reflect(layers.Layer):
    """The picture goes on behind its border as in a mirror.

    Args:
        pixels: On each side.
    """

    def __init__(self, pixels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pixels = pixels

    def call(self, x: Any) -> Any:
        around = (self.pixels, self.pixels)
        return ops.pad(x, ((0, 0), around, around, (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else side + 2 * self.pixels for side in sides), channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pixels": self.pixels}


def network(
    filters: int = 32, blocks: int = 5, *, normalization: str = "instance", padding: str = "each"
) -> keras.Model:
    """The network of the paper.

    Args:
        filters: Of the first convolution; twice and four times as many behind.
        blocks: Residual blocks.
        normalization: "instance", or "batch" as in the paper.
        padding: "each" reflects before each convolution; "once", as in the paper, reflects the picture, and blocks cut
            off what their convolutions take away.

    Returns:
        A model from pixels (batch, height, width, 3), 0 to 255, to the same; sides are multiples of 4.

    Example:
        >>> import zoo
        >>> from applications.style.johnson import network
        >>> zoo.count_params(network())
        (1679235, 0)
    """
    x = pixels = keras.Input((None, None, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1.0, name="scaled")(x)
    if padding == "once":
        x = Reflect(_EACH_BLOCK * blocks, name="reflect")(x)
    mirror = padding == "each"

    def conv(x: Any, count: int, size: int, name: str, *, strides: int = 1, valid: bool = False) -> Any:
        if mirror:
            x = Reflect(size // 2, name=f"{name}_reflect")(x)
        elif not valid:
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_zeros")(x)
        return layers.Conv2D(count, size, strides=strides, name=name)(x)

    def norm(x: Any, name: str) -> Any:
        if normalization == "batch":
            return layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=name)(x)
        return layers.GroupNormalization(groups=-1, epsilon=EPSILON, name=name)(x)

    def conv_norm_relu(x: Any, count: int, size: int, name: str, strides: int = 1) -> Any:
        x = norm(conv(x, count, size, f"{name}_conv", strides=strides), f"{name}_norm")
        return layers.ReLU(name=f"{name}_relu")(x)

    x = conv_norm_relu(x, filters, 9, "down1")
    x = conv_norm_relu(x, 2 * filters, 3, "down2", 2)
    x = conv_norm_relu(x, 4 * filters, 3, "down3", 2)
    for number in range(1, blocks + 1):
        shortcut = x if mirror else layers.Cropping2D(2, name=f"block{number}_crop")(x)
        x = norm(conv(x, 4 * filters, 3, f"block{number}_conv1", valid=True), f"block{number}_norm1")
        x = layers.ReLU(name=f"block{number}_relu")(x)
        x = norm(conv(x, 4 * filters, 3, f"block{number}_conv2", valid=True), f"block{number}_norm2")
        x = layers.Add(name=f"block{number}")([x, shortcut])
    for number, count in ((1, 2 * filters), (2, filters)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{number}_enlarged")(x)
        x = conv_norm_relu(x, count, 3, f"up{number}")
    x = layers.Activation("tanh", dtype="float32", name="tanh")(conv(x, 3, 9, "out_conv"))
    return keras.Model(pixels, layers.Rescaling(127.5, 127.5, dtype="float32", name="painted")(x), name="johnson")


class PerceptualLoss(keras.losses.Loss):
    """How far painted pictures are from what they shall show, and from the manner in which.

    Args:
        body: Whose maps are compared.
        style: (height, width, 3), 0 to 255.
        config: Weights of the parts.

    Labels are the pictures, answers the painted ones, both (batch, height, width, 3) of 0 to 255; the loss is (batch,).
    """

    def __init__(self, body: Body, style: np.ndarray, config: FeedForward) -> None:
        super().__init__(name="perceptual_loss")
        self._body, self._config, self._style = body, config, style_grams(style, body)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        wanted = self._body(y_true)
        found = self._body(y_pred)
        parts = {
            "content": losses.content_loss(found, {name: wanted[name] for name in self._body.content}),
            "style": losses.style_loss(found, self._style),
            "variation": losses.total_variation(y_pred),
        }
        return losses.weighted(parts, self._config)


def pictures_of(source: str, shorter_side: int | None) -> Gallery:
    """Pictures to train on.

    Args:
        source: `photographs`, of scikit-image and scikit-learn, or `folder:PATH`.
        shorter_side: Pixels that the shorter side is reduced to; None for its own.

    Raises:
        ValueError: There is no such source, or no pictures.
    """
    kind, _, path = source.partition(":")
    if source == "photographs":
        return Gallery(PHOTOGRAPHS, lambda number: reduced(photograph(PHOTOGRAPHS[number]), shorter_side))
    if kind != "folder" or not path:
        raise ValueError(f"Sources are photographs and folder:PATH. Received: {source!r}")
    found = gallery(path, shorter_side=shorter_side)
    if not len(found):
        raise ValueError(f"There are no pictures below {path}.")
    return found


def _paired(crops: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    pictures = tf.cast(crops, tf.float32)
    return pictures, pictures


def train(style: np.ndarray, body: Body, config: FeedForward, folder: str | Path, *, digest: str) -> keras.Model:
    """Train a network for one style in a run folder.

    Args:
        style: (height, width, 3) uint8.
        body: Whose maps are compared.
        config: What is trained.
        folder: New folder; an interrupted training in it goes on.
        digest: What tells the style's picture from others, kept to recognise it.

    Returns:
        The network.

    Raises:
        ValueError: The folder holds another training.
    """
    folder = Path(folder)
    facts = {"training": dataclasses.asdict(config), "body": body.title, "content": list(body.content),
             "style": list(body.style), "picture": digest, "warning": body.warning}  # fmt: skip
    if (folder / CONFIG).is_file():
        if json.loads((folder / CONFIG).read_text(encoding="utf-8")) != facts:
            raise ValueError(f"{folder} holds another training. Choose another folder, or remove it.")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and holds no training of this kind.")
    pictures = pictures_of(config.data, config.shorter_side)
    seed_everything(config.seed)
    model = _made(config)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / CONFIG, facts)
    batches = Crops(
        pictures, config.size, config.batch_size, _paired, each=config.crops, shuffled=True, mirror=True,
        seed=config.seed,
    )  # fmt: skip
    trainer = training.Trainer(
        model, optimizer=keras.optimizers.Adam(config.learning_rate), metrics=(),
        loss=PerceptualLoss(body, style.astype(np.float32), config),
    )  # fmt: skip
    with contextlib.closing(training.Checkpoints(folder / "checkpoints")) as store:
        trainer.fit(
            batches, epochs=config.epochs, checkpoints=store,
            callbacks=[training.ProgressBar(config.batch_size), training.MetricsLog(folder)],
        )  # fmt: skip
    # The network alone: what it was trained by is a body that may be large.
    painter = _made(config)
    painter.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as temporary:
        painter.save(Path(temporary) / MODEL)
        files.write_atomic(folder / MODEL, (Path(temporary) / MODEL).read_bytes())
    return painter


def _made(config: FeedForward) -> keras.Model:
    return network(config.filters, config.blocks, normalization=config.normalization, padding=config.padding)


def open_run(folder: str | Path) -> keras.Model:
    """The network of a finished training.

    Raises:
        ValueError: The folder holds none.
    """
    folder = Path(folder)
    if not (folder / MODEL).is_file():
        raise ValueError(f"{folder} holds no finished training of `zoo style train`: {MODEL} is not there.")
    return keras.models.load_model(folder / MODEL, compile=False)


def transform(model: keras.Model, picture: np.ndarray) -> np.ndarray:
    """Paint a picture at its own size.

    Args:
        model: A network of `network`.
        picture: (height, width, 3) uint8.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = picture.shape[:2]
    # Filled up to multiples of 4, and to what can be reflected at all.
    filled = [(0, max(-side % 4, SMALLEST - side)) for side in (height, width)]
    x = np.pad(picture, (*filled, (0, 0)), mode="edge").astype(np.float32)
    found = model(x[None], training=False).numpy()[0, :height, :width]
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)
