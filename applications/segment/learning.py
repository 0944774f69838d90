"""Training a segmentation network, its run folder, and its answers."""

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from applications.segment import networks, report, scenes
from applications.segment.config import Segmentation
from applications.segment.scores import Scores, score
from zoo import files, runs, training
from zoo.runs.training import PIXELS, knobs_of_weights
from zoo.training.seeds import seed_everything

CONFIG, MODEL, RESULT = "config.json", "model.keras", "result.json"


@keras.saving.register_keras_serializable("zoo")
class PixelCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits, the mean over the pixels that count.

    Args:
        foreground: Weight of pixels that are not of class 0.
        ignored: Label of pixels that do not count.
        name: Name of the loss.

    Labels are (batch, height, width) whole numbers, logits (batch, height, width, classes). Each picture's pixels have
    the mean weight 1, so that a picture with few labelled pixels counts as much as another.
    """

    def __init__(
        self, foreground: float = 1.0, ignored: int = scenes.IGNORED, name: str = "pixel_cross_entropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.foreground, self.ignored = foreground, ignored

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = keras.ops.cast(y_true, "int32")
        counts = labels != self.ignored
        found = keras.ops.sparse_categorical_crossentropy(
            keras.ops.where(counts, labels, 0), keras.ops.cast(y_pred, "float32"), from_logits=True
        )
        weights = keras.ops.where(labels > 0, self.foreground, 1.0) * keras.ops.cast(counts, "float32")
        mean = keras.ops.mean(weights, axis=(1, 2), keepdims=True)
        return found * weights / keras.ops.maximum(mean, 1e-6)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "foreground": self.foreground, "ignored": self.ignored}


def build(config: Segmentation, channels: int, classes: int) -> keras.Model:
    """The network of a training, for pictures of any size.

    Raises:
        ValueError: The body is no network for pictures, or the levels are not its own.
    """
    shape = (None, None, channels)
    if config.network == "unet":
        return networks.unet(shape, classes, **{"padding": "same", **config.options})
    if zoo.model_card(config.body).modality != "image":
        raise ValueError(f"A body sees pictures. Received: {config.body!r}")
    body = zoo.create_model(
        config.body, include_top=False, input_shape=shape, weights=config.weights,
        **{**_needed(config), **config.knobs},
    )  # fmt: skip
    if config.network == "deeplab_v3":
        options: Mapping[str, Any] = {"level": config.levels[0], **config.options} if config.levels else config.options
        return networks.deeplab_v3(body, classes, **options)
    make = networks.fcn if config.network == "fcn" else networks.unet_over
    return make(body, classes, **{**({"levels": config.levels} if config.levels else {}), **config.options})


def _needed(config: Segmentation) -> dict[str, Any]:
    """What the weights of a body need: knobs, and to see pictures as they saw them before, made of pixels."""
    if config.weights is None:
        return {}
    needed = knobs_of_weights(runs.Settings(model=config.body, weights=config.weights, knobs=config.knobs))
    if "include_preprocessing" in needed:
        return needed
    run = runs.run_of_weights(config.weights)
    low, high = zoo.model_card(config.body).value_range if run is None else run.config["data"]["value_range"]
    scaled = keras.layers.Rescaling((high - low) / 255, low, name="value_range")
    return {**needed, "include_preprocessing": scaled}


def value_range(config: Segmentation) -> tuple[float, float]:
    """What black and white become: what the body expects, -1 and 1 for a network without one.

    A body with weights takes pixels and scales them by itself, so that no trained network needs the run of its body.
    """
    if config.network == "unet":
        return -1.0, 1.0
    return zoo.model_card(config.body).value_range if config.weights is None else PIXELS


class Batches:
    """Batches of pictures and masks in an order that is a function of seed and epoch, so that a training can resume.

    Args:
        part: Pictures and masks.
        config: Size of a batch, range of the pictures, seed, and whether pictures are mirrored.
        shuffled: Whether the order changes from epoch to epoch, and pictures are mirrored at all.
    """

    def __init__(self, part: scenes.Scenes, config: Segmentation, *, shuffled: bool = False) -> None:
        self._masks, self._config, self._shuffled = tf.constant(part.masks), config, shuffled
        self._pictures = tf.constant(part.pictures)
        shape = (None, *part.pictures.shape[1:])
        self.element_spec = tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape[:3], tf.uint8)
        self._low, self._high = value_range(config)

    def __len__(self) -> int:
        return -(-len(self._masks) // self._config.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """The batches of an epoch, from one of them on."""
        order = np.arange(len(self._masks))
        mirrored = np.zeros(len(order), bool)
        if self._shuffled:
            chance = np.random.default_rng([self._config.seed, epoch])
            chance.shuffle(order)
            mirrored = chance.random(len(order)) < (0.5 if self._config.mirror else 0)
        begin = start * self._config.batch_size
        visits = tf.data.Dataset.from_tensor_slices((order[begin:], mirrored[begin:])).batch(self._config.batch_size)
        return visits.map(self._fetch, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _fetch(self, visits: tf.Tensor, mirrored: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pictures, masks = tf.gather(self._pictures, visits), tf.gather(self._masks, visits)
        pictures = tf.where(mirrored[:, None, None, None], pictures[:, :, ::-1], pictures)
        masks = tf.where(mirrored[:, None, None], masks[:, :, ::-1], masks)
        return tf.cast(pictures, tf.float32) * ((self._high - self._low) / 255) + self._low, masks


def train(config: Segmentation, folder: str | Path | None = None) -> tuple[keras.Model, Scores]:
    """Train a network and score it on the test split.

    Args:
        config: What is trained.
        folder: New folder for configuration, model, checkpoints, result and `report.html`; an interrupted training in
            it goes on. None for none.

    Returns:
        The model, and its scores.

    Raises:
        ValueError: The folder holds another training.
    """
    folder = None if folder is None else Path(folder)
    facts = json.loads(json.dumps(dataclasses.asdict(config)))
    if folder is not None:
        if (folder / CONFIG).is_file():
            if json.loads((folder / CONFIG).read_text(encoding="utf-8"))["training"] != facts:
                raise ValueError(f"{folder} holds another training. Choose another folder, or remove it.")
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty, and holds no training of this kind.")
    parts = {
        split: scenes.load(
            config.data, split, size=config.size, count=config.count if split == "train" else None, seed=config.seed
        )
        for split in scenes.SPLITS
    }
    known = parts["train"]
    seed_everything(config.seed)
    model = build(config, known.pictures.shape[-1], len(known.classes))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        channels = known.pictures.shape[-1]
        files.write_json(folder / CONFIG, {"training": facts, "classes": known.classes, "channels": channels})
    steps = -(-len(known) // config.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * steps)
    trainer = training.Trainer(
        model, optimizer=keras.optimizers.AdamW(rate, weight_decay=config.weight_decay),
        loss=PixelCrossEntropy(config.foreground), metrics=(),
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        store = None
        callbacks: list[keras.callbacks.Callback] = []
        if folder is not None:
            store = stack.enter_context(contextlib.closing(training.Checkpoints(folder / "checkpoints")))
            callbacks.append(training.MetricsLog(folder))
        callbacks.append(stack.enter_context(training.ProgressBar(config.batch_size)))
        trainer.fit(
            Batches(known, config, shuffled=True),
            epochs=config.epochs,
            validation=Batches(parts["validation"], config),
            callbacks=callbacks,
            checkpoints=store,
        )
    part = parts["test"]
    answered = answers(model, config, part.pictures)
    found = score(part.masks, answered, len(part.classes))
    if folder is not None:
        with tempfile.TemporaryDirectory() as temporary:
            model.save(Path(temporary) / MODEL)
            files.write_atomic(folder / MODEL, (Path(temporary) / MODEL).read_bytes())
        report.write(folder, config, part, answered, found)
        iou = {name: None if np.isnan(value) else value for name, value in zip(known.classes, found.iou, strict=True)}
        files.write_json(folder / RESULT, {**dataclasses.asdict(found), "iou": iou})
    return model, found


def answers(model: keras.Model, config: Segmentation, pictures: np.ndarray) -> np.ndarray:
    """The class of each pixel.

    Args:
        model: A network of `build`.
        config: What it was trained by.
        pictures: (pictures, height, width, channels) uint8.

    Returns:
        (pictures, height, width) uint8.
    """
    low, high = value_range(config)

    @tf.function(reduce_retracing=True)
    def classes_of(batch: tf.Tensor) -> tf.Tensor:
        batch = tf.cast(batch, tf.float32) * ((high - low) / 255) + low
        return tf.cast(tf.argmax(model(batch, training=False), -1), tf.uint8)

    size = config.batch_size
    pieces = [classes_of(pictures[start : start + size]) for start in range(0, len(pictures), size)]
    return np.concatenate(pieces)


def evaluate(model: keras.Model, config: Segmentation, part: scenes.Scenes) -> Scores:
    """Scores on a split."""
    return score(part.masks, answers(model, config, part.pictures), len(part.classes))


def open_run(folder: str | Path) -> tuple[keras.Model, Segmentation, tuple[str, ...], int]:
    """A finished training: its model, configuration, names of classes, and channels of pictures.

    Raises:
        ValueError: The folder holds no finished training.
    """
    folder = Path(folder)
    if not (folder / RESULT).is_file():
        raise ValueError(f"{folder} holds no finished training: {RESULT} is not there.")
    facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config = Segmentation(**{**facts["training"], "levels": tuple(facts["training"]["levels"])})
    model = keras.models.load_model(folder / MODEL, compile=False)
    return model, config, tuple(facts["classes"]), facts["channels"]
