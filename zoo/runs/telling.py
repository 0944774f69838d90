"""What a network of word filters looks for: the pieces of text that filters answer to most."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import zoo
from zoo.data.text import Encoder

# Texts whose feature maps are in memory at once.
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Telling:
    """A piece of text that speaks for a class.

    Attributes:
        words: The piece.
        label: The class.
        weight: What it adds to the logit of the class, less the mean over all classes.
        filter_name: The filter that found it, such as "conv3/17".
    """

    words: str
    label: str
    weight: float
    filter_name: str


def most_telling(
    model: keras.Model, encoder: Encoder, numbers: np.ndarray, classes: Sequence[str], *, top: int = 10
) -> dict[str, list[Telling]]:
    """For each class the pieces of text whose filters add most to it.

    Args:
        model: A network of the family `kim_cnn`.
        encoder: What made the numbers.
        numbers: Texts as numbers, (texts, positions).
        classes: Names of the classes.
        top: Number of pieces for each class.

    Returns:
        For each class its pieces, the strongest first, no piece twice.

    Raises:
        ValueError: The model is of another family.
    """
    filters = _filters(model)
    maps = zoo.features(model, ["stride1"])
    # Of each filter its highest answer to any text, the text, and the position there.
    values, texts, places = (np.zeros(len(filters), kind) for kind in (np.float32, np.int64, np.int64))
    for start in range(0, len(numbers), _BATCH_SIZE):
        found_here = np.asarray(maps(numbers[start : start + _BATCH_SIZE], training=False)["stride1"])
        highest = found_here.max((0, 1))
        text = found_here.max(1).argmax(0)
        better = highest > values
        values = np.where(better, highest, values)
        texts = np.where(better, start + text, texts)
        places = np.where(better, found_here[text, :, np.arange(len(filters))].argmax(1), places)
    weights = np.asarray(model.get_layer("logits").kernel)
    weights = weights - weights.mean(1, keepdims=True)
    found: dict[str, list[Telling]] = {name: [] for name in classes}
    for label, name in enumerate(classes):
        seen = set()
        for index in np.argsort(-(values * weights[:, label])):
            width, own = filters[index]
            piece = _piece(encoder, numbers[texts[index]], int(places[index]), width)
            if piece in seen or not piece:
                continue
            seen.add(piece)
            found[name].append(Telling(piece, name, float(values[index] * weights[index, label]), own))
            if len(found[name]) == top:
                break
    return found


def highlighted(model: keras.Model, encoder: Encoder, text: str, classes: Sequence[str]) -> tuple[str, str, float]:
    """A text as HTML in which words are the darker the more their pieces speak for the class that the model names.

    Args:
        model: A network of the family `kim_cnn`.
        encoder: What makes numbers of the text.
        text: The text; what is longer than the network reads is not shown.
        classes: Names of the classes.

    Returns:
        The HTML, the class, its probability.
    """
    filters = _filters(model)
    numbers = encoder.encode(text)
    outputs = zoo.features(model, ["stride1", "logits"])(numbers[None], training=False)
    maps, logits = np.asarray(outputs["stride1"])[0], np.asarray(outputs["logits"])[0]
    label = int(logits.argmax())
    probability = float(np.exp(logits[label] - logits.max()) / np.exp(logits - logits.max()).sum())
    weights = np.asarray(model.get_layer("logits").kernel)
    gains = maps.max(0) * (weights[:, label] - weights.mean(1))
    shares = np.zeros(len(numbers))
    for index, gain in enumerate(gains):
        width, _ = filters[index]
        begin = int(maps[:, index].argmax()) - (width - 1) // 2
        place = slice(max(begin, 0), min(begin + width, len(numbers)))
        shares[place] += max(gain, 0) / width
    shares /= shares.max() or 1.0
    marks = [
        f'<mark style="background: rgba(255, 160, 0, {share:.2f})">{html.escape(encoder.symbols[number])}</mark>'
        for number, share in zip(numbers.tolist(), shares, strict=True)
        if number
    ]
    return " ".join(marks), classes[label], probability


def _filters(model: Any) -> list[tuple[int, str]]:
    """Width and name of each channel of the last feature map."""
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)]
    names = {layer.name for layer in model.layers}
    if (
        not found
        or {"stride1", "pooled", "logits"} - names
        or sum(layer.filters for layer in found) != model.get_layer("stride1").output.shape[-1]
    ):
        raise ValueError(f"Telling pieces are those of filters over words, kim_cnn_…. Received: {model.name}")
    return [(layer.kernel_size[0], f"{layer.name}/{index}") for layer in found for index in range(layer.filters)]


def _piece(encoder: Encoder, numbers: np.ndarray, position: int, width: int) -> str:
    """The words under a filter at a position; "same" padding has (width - 1) // 2 taps before it."""
    begin = position - (width - 1) // 2
    under = numbers[max(begin, 0) : begin + width]
    return " ".join(encoder.symbols[number] for number in under.tolist() if number)
