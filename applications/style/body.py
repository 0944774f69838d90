"""The network whose feature maps say what a picture shows and in which manner: any body of the zoo, or a run of it."""

import difflib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import zoo
from zoo import runs

# Side of the picture by which strides are found.
_SIDE = 256

# Levels that are compared: Gatys' are the first rectified map of each of VGG's five sizes, and the second one of the
# fourth.
_STYLE_LEVELS, _CONTENT_LEVEL = 5, 3


@dataclass(frozen=True)
class Body:
    """Feature maps of pictures.

    Attributes:
        title: What it is called.
        maps: A model from pixels (batch, height, width, 3), 0 to 255, to feature maps by name.
        content: Names of the maps that say what a picture shows.
        style: Names of the maps whose Gram matrices say in which manner.
        warning: What makes its maps unfit, or "".
    """

    title: str
    maps: keras.Model
    content: tuple[str, ...]
    style: tuple[str, ...]
    warning: str = ""

    def __call__(self, pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.maps(pictures, training=False)


def open_body(
    what: str,
    *,
    content: Sequence[str] | None = None,
    style: Sequence[str] | None = None,
    pooling: str = "max",
) -> Body:
    """A body by name.

    Args:
        what: A registered name, with ":" and the tag of published weights ("vgg19:torchvision") or the path of what
            `zoo.weights.save` wrote of it without its head; or a run folder of `zoo train`. Without weights it is made,
            and warns.
        content: Layers whose maps are the content; None for the second rectified one of the fourth size, or of the
            smallest size that there is: conv4_2 of VGG-19, as in the paper.
        style: Layers whose Gram matrices are the style; None for the first rectified one of each size: conv1_1 to
            conv5_1 of VGG-19, as in the paper.
        pooling: "max" for the network's own; "average" replaces max-pooling, which the paper found to look better.

    Raises:
        ValueError: There is no such network or layer, it sees no pictures, or nothing can be replaced.
    """
    if pooling not in ("max", "average"):
        raise ValueError(f"pooling must be 'max' or 'average'. Received: {pooling!r}")
    if os.path.isdir(what):
        body, warning = _of_run(what)
    else:
        body, warning = _registered(what)
    if pooling == "average":
        body = _averaging(body)
    found = _rectified(body)
    if not found:
        raise ValueError(f"{what} has no activation layers, whose maps could be compared.")
    levels = sorted({octave for _, octave in found})
    by_level = [[name for name, octave in found if octave == level] for level in levels]
    chosen_style = tuple(style) if style else tuple(names[0] for names in by_level[:_STYLE_LEVELS])
    deepest = by_level[min(_CONTENT_LEVEL, len(by_level) - 1)]
    chosen_content = tuple(content) if content else (deepest[min(1, len(deepest) - 1)],)
    known = [layer.name for layer in body.layers]
    for name in (*chosen_style, *chosen_content):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
            hint = f" Did you mean {', '.join(map(repr, close))}?" if close else ""
            raise ValueError(f"{what} has no layer {name!r}.{hint} Activations: {', '.join(name for name, _ in found)}")
    maps = zoo.features(body, list(dict.fromkeys((*chosen_style, *chosen_content))))
    maps.trainable = False
    return Body(what, maps, chosen_content, chosen_style, warning)


def _registered(what: str) -> tuple[keras.Model, str]:
    name, _, tag = what.partition(":")
    if zoo.model_card(name).modality != "image":
        raise ValueError(f"A body sees pictures. Received: {name!r}")
    kept = os.path.exists(tag)
    if tag and not kept:
        # With its own preprocessing in front, so that all bodies take pixels.
        return zoo.create_model(
            name, weights=tag, include_top=False, input_shape=(None, None, 3), include_preprocessing=True
        ), ""  # fmt: skip
    low, high = zoo.model_card(name).value_range
    pixels = keras.Input((None, None, 3), name="pixels")
    scaled = layers.Rescaling((high - low) / 255, low, name="scaled")(pixels)
    body = zoo.create_model(name, weights=tag if kept else None, include_top=False, input_tensor=scaled)
    if kept:
        return body, ""
    return body, (
        f"{name} has no weights, so that its maps are those of random filters: the losses fall, but the picture will "
        "not look like the style. Give published weights, such as vgg19:torchvision, or a run folder."
    )


def _of_run(folder: str) -> tuple[keras.Model, str]:
    run = runs.open_run(folder)
    facts = run.config["data"]
    if "form" in facts:
        raise ValueError(f"{folder} was not trained on pictures. Received: data {facts['name']!r}")
    arguments = {**run.config["model"]["arguments"]}
    channels = arguments["input_shape"][-1]
    low, high = facts["value_range"]
    x = keras.Input((None, None, 3), name="pixels")
    if channels == 1:
        x = layers.Conv2D(1, 1, use_bias=False, name="grey")(x)
    x = layers.Rescaling((high - low) / 255, low, name="scaled")(x)
    # Again without head and for pictures of any size; layers keep their names.
    arguments |= {"include_top": False, "input_shape": None, "input_tensor": x, "weights": None}
    body = zoo.create_model(run.config["model"]["name"], **arguments)
    for layer in body.layers:
        if layer.weights and layer.name != "grey":
            layer.set_weights(run.model.get_layer(layer.name).get_weights())
    if channels == 1:
        body.get_layer("grey").set_weights([np.reshape([0.299, 0.587, 0.114], (1, 1, 3, 1))])
        return body, f"{folder} was trained on grey pictures: it knows nothing of colours, nor of ImageNet."
    return body, f"{folder} knows {facts['name']}; weights of ImageNet know more of what pictures show."


def _rectified(body: keras.Model) -> list[tuple[str, int]]:
    """Names of the activations in the order of the graph, and how often their maps are halved."""
    activations = [layer.name for layer in body.layers if isinstance(layer, (layers.ReLU, layers.Activation))]
    if not activations:
        return []
    shapes = zoo.features(body, activations).compute_output_shape((1, _SIDE, _SIDE, body.input_shape[-1]))
    found = []
    for name in activations:
        shape = shapes[name]
        if len(shape) == 4 and shape[1] > 1:
            found.append((name, round(math.log2(_SIDE / shape[1]))))
    return found


def _averaging(body: keras.Model) -> keras.Model:
    """The same network with average pooling instead of max-pooling."""
    pools = [layer.name for layer in body.layers if isinstance(layer, layers.MaxPooling2D)]
    if not pools:
        raise ValueError(f"pooling='average' replaces max-pooling, which {body.name!r} has not.")

    def replaced(layer: keras.Layer) -> keras.Layer:
        if layer.name in pools:
            return layers.AveragePooling2D.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    averaging = keras.models.clone_model(body, clone_function=replaced)
    averaging.set_weights(body.get_weights())
    return averaging
