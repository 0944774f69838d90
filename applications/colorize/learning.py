"""Training a network that colours, its run folder, and its answers."""

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from applications.colorize import gamut, networks, pictures
from applications.colorize.config import Colorization
from applications.colorize.lab import lab_to_rgb, rgb_to_lab
from zoo import files, training
from zoo.data.crops import Crops
from zoo.runs.training import PIXELS
from zoo.training.seeds import seed_everything

CONFIG, MODEL, PRIOR = "config.json", "model.keras", "prior.json"

# Pixels that the prior of a training is counted from, at most.
_COUNTED = 400_000


def _as_large_as(y_true: Any, y_pred: Any) -> tf.Tensor:
    """True a and b, averaged to the places of the answer."""
    places = tf.shape(y_pred)[1:3]
    return tf.image.resize(tf.cast(y_true, tf.float32), places, method="area")


@keras.saving.register_keras_serializable("zoo")
class SoftEncodingCrossEntropy(keras.losses.Loss):
    """Cross-entropy between the soft encoding of the true colours and scores of the 313.

    Args:
        weights: (313,) of the colours, as `applications.colorize.gamut.rebalancing` gives them; a place counts by its
            nearest colour's. None for equal ones.
        name: Name of the loss.

    Labels are a and b, (batch, height, width, 2), scores (batch, rows, columns, 313); labels are averaged to their
    places. The loss is (batch, rows, columns).
    """

    def __init__(
        self, weights: Sequence[float] | None = None, name: str = "soft_encoding_cross_entropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.weights = None if weights is None else [float(weight) for weight in weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        scores = tf.cast(y_pred, tf.float32)
        numbers, shares = gamut.nearest(_as_large_as(y_true, scores))
        found = tf.reduce_sum(shares * tf.gather(scores, numbers, batch_dims=3), axis=-1)
        entropy = tf.reduce_logsumexp(scores, axis=-1) - found
        return entropy if self.weights is None else entropy * tf.gather(tf.constant(self.weights), numbers[..., 0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights}


@keras.saving.register_keras_serializable("zoo")
class ColourDistance(keras.losses.Loss):
    """Half of the square of the distance in the plane of a and b, the regression that the paper improves on.

    Labels and answers are a and b; labels are averaged to the places of the answers. In units of 110, as they are
    trained.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        answers = tf.cast(y_pred, tf.float32)
        return 0.5 * tf.reduce_sum(((answers - _as_large_as(y_true, answers)) / networks.AB_SCALE) ** 2, axis=-1)


def value_range(config: Colorization) -> tuple[float, float]:
    """What black and white become for the network; a body with published weights scales pixels by itself."""
    if config.network == "zhang2016":
        return (-0.5, 0.5)
    return zoo.model_card(config.body).value_range if config.weights is None else PIXELS


def build(config: Colorization) -> keras.Model:
    """The network of a training, for pictures of any size whose sides are multiples of its coarsest stride.

    Raises:
        ValueError: The body is no network for pictures, or the levels are not its own.
    """
    target: networks.Target = config.target  # type: ignore[assignment]
    if config.network == "zhang2016":
        return networks.zhang2016(target, width=config.filters / 64)
    if zoo.model_card(config.body).modality != "image":
        raise ValueError(f"A body sees pictures. Received: {config.body!r}")
    body = zoo.create_model(
        config.body, include_top=False, input_shape=(None, None, 1), weights=config.weights,
        include_preprocessing=config.weights is not None, **config.knobs,
    )  # fmt: skip
    return networks.over_body(
        body, target, levels=config.levels, filters=config.filters, enlarged=config.enlarged
    )  # fmt: skip


def coarsest_stride(config: Colorization) -> int:
    """What sides of pictures must be a multiple of."""
    if config.network == "zhang2016":
        return 8
    body = zoo.create_model(config.body, include_top=False, input_shape=(None, None, 1), **config.knobs)
    stride = zoo.receptive_field(body, config.levels[0]).stride
    assert stride is not None
    return stride[0]


def batches_of(part: pictures.Pictures, config: Colorization, *, shuffled: bool = False) -> Crops:
    """Batches of lightness in the network's range, and of a and b.

    Args:
        part: The pictures.
        config: Size and number of the crops, size of a batch, range of the lightness, seed, mirroring.
        shuffled: Whether crops and their order change from epoch to epoch.
    """
    low, high = value_range(config)

    def finish(crops: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lab = rgb_to_lab(tf.cast(crops, tf.float32) / 255)
        return lab[..., :1] * ((high - low) / 100) + low, lab[..., 1:]

    return Crops(
        part, config.size, config.batch_size, finish, each=config.crops, shuffled=shuffled, mirror=config.mirror,
        seed=config.seed,
    )  # fmt: skip


def prior_of(part: pictures.Pictures, config: Colorization) -> np.ndarray:
    """How often the 313 colours are nearest among pixels of the first pictures, not smoothed, as parts of 1."""
    counts = np.zeros(gamut.NUM_BINS)
    for _, ab in batches_of(part, config).epoch():
        numbers, shares = gamut.nearest(tf.reshape(ab, (-1, 2)))
        counts += np.bincount(np.ravel(numbers), np.ravel(shares), gamut.NUM_BINS)
        if counts.sum() >= _COUNTED:
            break
    return counts / counts.sum()


def train(config: Colorization, folder: str | Path) -> keras.Model:
    """Train a network in a run folder.

    Args:
        config: What is trained.
        folder: New folder for configuration, model, checkpoints and metrics; an interrupted training in it goes on.

    Returns:
        The model.

    Raises:
        ValueError: The folder holds another training, or the crops do not fit the network.
    """
    folder = Path(folder)
    facts = json.loads(json.dumps(dataclasses.asdict(config)))
    if (folder / CONFIG).is_file():
        if json.loads((folder / CONFIG).read_text(encoding="utf-8"))["training"] != facts:
            raise ValueError(f"{folder} holds another training. Choose another folder, or remove it.")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and holds no training of this kind.")
    if config.size % (stride := coarsest_stride(config)):
        raise ValueError(f"size must be a multiple of the coarsest stride, {stride}. Received: size={config.size}")
    known, looked_at = (
        pictures.load(
            config.data, split, count=config.count, size=config.size, shorter_side=config.shorter_side, seed=config.seed
        )
        for split in ("train", "validation")
    )  # fmt: skip
    seed_everything(config.seed)
    model = build(config)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / CONFIG, {"training": facts})
    loss: keras.losses.Loss = ColourDistance()
    if config.target == "classes":
        prior = prior_of(known, config)
        files.write_json(folder / PRIOR, prior.tolist())
        loss = SoftEncodingCrossEntropy(
            None if config.mixing == 1 else gamut.rebalancing(gamut.smoothed(prior), config.mixing).tolist()
        )
    batches = batches_of(known, config, shuffled=True)
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * len(batches))
    trainer = training.Trainer(
        model, optimizer=keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, global_clipnorm=5.0),
        loss=loss, metrics=(),
    )  # fmt: skip
    with contextlib.closing(training.Checkpoints(folder / "checkpoints")) as store:
        trainer.fit(
            batches, epochs=config.epochs, validation=batches_of(looked_at, config),
            callbacks=[training.ProgressBar(config.batch_size), training.MetricsLog(folder)], checkpoints=store,
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        model.save(Path(temporary) / MODEL)
        files.write_atomic(folder / MODEL, (Path(temporary) / MODEL).read_bytes())
    return model


def open_run(folder: str | Path) -> tuple[keras.Model, Colorization]:
    """A finished training: its model and configuration.

    Raises:
        ValueError: The folder holds no finished training.
    """
    folder = Path(folder)
    if not (folder / MODEL).is_file() or not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} holds no finished training of `zoo colorize train`: {MODEL} is not there.")
    facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["training"]
    config = Colorization(**{**facts, "levels": tuple(facts["levels"])})
    return keras.models.load_model(folder / MODEL, compile=False), config


class Colourist:
    """Gives colours to pictures of any size.

    Args:
        model: A network of `build`.
        config: What it was trained by.
        shorter_side: Pixels that the shorter side is reduced to before the network looks; colours are enlarged again,
            and the lightness stays as it is. None for the picture's own.
    """

    def __init__(self, model: keras.Model, config: Colorization, *, shorter_side: int | None = None) -> None:
        self._model, self.config, self._shorter = model, config, shorter_side
        self._stride = coarsest_stride(config)
        low, high = value_range(config)

        @tf.function(reduce_retracing=True)
        def answer(lightness: tf.Tensor) -> tf.Tensor:
            return model(lightness * ((high - low) / 100) + low, training=False)

        self._answer = answer

    def scores(self, lightness: np.ndarray) -> tf.Tensor:
        """What the network says of a picture.

        Args:
            lightness: (height, width) float32, 0 to 100.

        Returns:
            (1, rows, columns, 313 or 2), at the network's stride, what fills the picture up left out.
        """
        x = tf.constant(lightness[None, ..., None], tf.float32)
        height, width = lightness.shape
        if self._shorter is not None and min(height, width) > self._shorter:
            scale = self._shorter / min(height, width)
            x = tf.image.resize(x, (max(round(height * scale), 1), max(round(width * scale), 1)), antialias=True)
        height, width = x.shape[1:3]
        rows, columns = (-side % self._stride for side in (height, width))
        found = self._answer(tf.constant(np.pad(x.numpy(), ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")))
        down, across = (height + rows) / found.shape[1], (width + columns) / found.shape[2]
        return found[:, : -int(-height // down), : -int(-width // across)]

    def colours(self, scores: tf.Tensor, size: tuple[int, int], temperature: float | None = None) -> np.ndarray:
        """a and b at all pixels, from what `scores` gave.

        Args:
            scores: (1, rows, columns, 313 or 2).
            size: Height and width of the picture.
            temperature: Of the annealed mean; None for that of the training. A regression has none.

        Returns:
            (height, width, 2) float32.
        """
        if self.config.target == "classes":
            scores = gamut.annealed_mean(scores, self.config.temperature if temperature is None else temperature)
        return tf.image.resize(scores, size, method="bilinear").numpy()[0]

    def colour(self, picture: np.ndarray, temperature: float | None = None) -> np.ndarray:
        """Colours for a picture.

        Args:
            picture: (height, width, 1 or 3) uint8; of a coloured one the lightness alone is looked at.
            temperature: As for `colours`.

        Returns:
            (height, width, 3) uint8 of the same lightness, as far as the screen can show it.
        """
        lightness = lightness_of(picture)
        ab = self.colours(self.scores(lightness), lightness.shape, temperature)
        return with_colours(lightness, ab)


def lightness_of(picture: np.ndarray) -> np.ndarray:
    """L of a picture (height, width, 1 or 3) uint8, as (height, width) float32."""
    colours = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    return rgb_to_lab(colours.astype(np.float32) / 255).numpy()[..., 0]


def with_colours(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """A picture (height, width, 3) uint8 of its lightness and its colours."""
    lab = np.concatenate([lightness[..., None], ab], axis=-1).astype(np.float32)
    return np.rint(255 * lab_to_rgb(lab).numpy()).astype(np.uint8)


def parts_of(part: pictures.Pictures) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, L and (a, b) of each picture."""
    for number, name in enumerate(part.names):
        lab = rgb_to_lab(part.read(number).astype(np.float32) / 255).numpy()
        yield name, lab[..., 0], lab[..., 1:]
