"""What is looked into: a run, published weights or a saved model, and a picture for it."""

import dataclasses
import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import zoo
from applications.visualize.network import Network
from zoo import data, runs
from zoo.builder import look_up
from zoo.weights.imagenet import NUM_CLASSES, imagenet_classes

# Pixels, where the model itself scales them.
PIXELS = (0.0, 255.0)

_EXAMPLE = re.compile(r"(train|validation|test):(\d+)")


@dataclass(frozen=True)
class Subject:
    """A network and a picture.

    Attributes:
        network: The network.
        title: What it is called.
        picture: (height, width, channels) float32, as the network takes it.
        picture_name: File, or split and number.
        value_range: What black and white are.
        classes: Names of the classes.
    """

    network: Network
    title: str
    picture: np.ndarray
    picture_name: str
    value_range: tuple[float, float]
    classes: tuple[str, ...]

    def index_of(self, name: str) -> int:
        """The class of that name or number.

        Raises:
            ValueError: There is none.
        """
        if name in self.classes:
            return self.classes.index(name)
        if name.isdecimal() and int(name) < len(self.classes):
            return int(name)
        close = difflib.get_close_matches(name, self.classes, n=4, cutoff=0.5)
        hint = f" Did you mean {', '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"There is no class {name!r}.{hint} Classes: 0 to {len(self.classes) - 1}, or their names")


def open_subject(
    what: str,
    picture: str,
    *,
    weights: str | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    classes: Sequence[str] | None = None,
) -> Subject:
    """Open a model and read a picture for it.

    Args:
        what: A run folder, a registered name, or a `.keras` file.
        picture: A picture file; for a run also an example of its data, such as "test:17".
        weights: Of a registered name: tag, source, "default", or the path of what `zoo.weights.save` wrote.
        value_range: For a `.keras` file, what black and white become.
        classes: For a `.keras` file, names of the classes; None for their numbers.

    Returns:
        Both.

    Raises:
        ValueError: There is no such model, it takes no pictures, or the picture cannot be read.
    """
    if os.path.isdir(what):
        return _of_run(what, picture)
    if what in zoo.list_models():
        return _of_published(what, picture, weights)
    if what.endswith(".keras") and os.path.isfile(what):
        return _of_file(what, picture, value_range, classes)
    close = difflib.get_close_matches(what, zoo.list_models(modality="image"), n=4, cutoff=0.6)
    hint = f" Did you mean {', '.join(map(repr, close))}?" if close else ""
    raise ValueError(
        f"There is nothing to look into. Expected: a run folder, a registered name or a .keras file. "
        f"Received: {what!r}.{hint}"
    )


def _of_run(folder: str, picture: str) -> Subject:
    run = runs.open_run(folder)
    facts = run.config["data"]
    if "form" in facts:
        raise ValueError(f"{folder} was not trained on pictures. Received: data {facts['name']!r}")
    low, high = facts["value_range"]
    shape = (*facts["image_size"], run.config["model"]["arguments"]["input_shape"][-1])
    example = _EXAMPLE.fullmatch(picture)
    if example and not os.path.exists(picture):
        array = _example(run, example[1], int(example[2]))
    else:
        array = data.read_image(
            picture, image_size=shape[:2], channels=shape[-1], value_range=(low, high),
            decoder=facts.get("decoder", "exact"),
        )  # fmt: skip
    title = f"{run.config['model']['name']} trained on {facts['name']}"
    network = Network(run.model, array.shape)
    return Subject(network, title, array, picture, (low, high), tuple(facts["classes"]))


def _example(run: runs.Run, split: str, number: int) -> np.ndarray:
    batches = run.pipeline(split)
    if number >= batches.num_examples:
        raise ValueError(
            f"{split} has examples 0 to {batches.num_examples - 1}. Received: {split}:{number}"
        )  # fmt: skip
    batch, place = divmod(number, batches.batch_size)
    return next(iter(batches.epoch(0, start=batch)))[0][place].numpy()


def _of_published(name: str, picture: str, weights: str | None) -> Subject:
    card = zoo.model_card(name)
    if card.modality != "image":
        raise ValueError(f"{name} takes no pictures but {card.modality}. Choose one of `zoo list --modality image`.")
    if weights is None:
        raise ValueError(
            f"{name} without weights has learned nothing that could be shown. Give --weights: a tag "
            f"({', '.join(card.weights) or 'none is published'}), or the path of saved ones."
        )
    wanted = look_up(name, weights, {})
    if wanted.tag:
        recipe = wanted.preprocessing()
        count = recipe.channels
        # Sizes alone: the model itself scales.
        fitted = dataclasses.replace(
            recipe, rescale=1.0, mean=(0.0,) * count, std=(1.0,) * count, channel_order="RGB", input_transform=None
        )
        array = np.asarray(fitted(_readable(picture)), np.float32)
        model = zoo.create_model(name, weights=weights, include_preprocessing=True, input_shape=array.shape)
        value_range = PIXELS
    else:
        height, width, channels = card.input_shape
        array = data.read_image(picture, image_size=(height, width), channels=channels, value_range=card.value_range)
        model = zoo.create_model(name, weights=weights)
        value_range = card.value_range
    classes = tuple(item.name for item in imagenet_classes())
    network = Network(model, array.shape)
    number = network.num_classes
    names = classes if number == NUM_CLASSES else tuple(map(str, range(number)))
    return Subject(network, f"{name}:{weights}", array, picture, value_range, names)


def _readable(picture: str) -> str:
    """The path, after proof that a picture lies there."""
    data.read_image(picture)
    return picture


def _of_file(path: str, picture: str, value_range: tuple[float, float], classes: Sequence[str] | None) -> Subject:
    model = keras.models.load_model(path, compile=False)
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] not in (1, 3):
        raise ValueError(f"{path} must take pictures of 1 or 3 channels. Received: input shape {shape}")
    size = None if None in shape[1:3] else tuple(shape[1:3])
    array = data.read_image(picture, image_size=size, channels=shape[-1], value_range=value_range)
    network = Network(model, array.shape)
    names = tuple(classes or map(str, range(network.num_classes)))
    if len(names) != network.num_classes:
        raise ValueError(
            f"There must be a name for each of {network.num_classes} classes. Received: {len(names)} names"
        )
    return Subject(network, Path(path).name, array, picture, value_range, names)
