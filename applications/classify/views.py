"""Test-time augmentation: the answers to several views of a picture, averaged."""

import dataclasses
from dataclasses import dataclass

import tensorflow as tf

from applications.classify import answers
from applications.classify.answers import View
from applications.classify.calibration import Scored, score
from zoo import files, runs

RESULT = "views.json"
KINDS = "flip, shift=PIXELS or crop=PART"


@dataclass(frozen=True)
class Viewed:
    """What views are worth, on the test split.

    Attributes:
        views: How many, the picture itself among them.
        alone: Scores of the answers to the pictures themselves.
        averaged: Scores of the averaged answers.
    """

    views: int
    alone: Scored
    averaged: Scored


def parse(text: str, low: float) -> list[View]:
    """Views by their names.

    Args:
        text: Joined by "+": `flip` (left and right exchanged), `shift=1` (by so many pixels up, down, left and right),
            `crop=0.9` (the four corners and the middle, each so large a part of height and width, enlarged).
        low: What black is; the pixels behind a shift.

    Returns:
        Functions of a batch (batch, height, width, channels), in that order.

    Raises:
        ValueError: There is no such view, or its number is out of its range.
    """
    found: list[View] = []
    for word in text.split("+"):
        name, _, number = word.partition("=")
        try:
            value = float(number) if number else 0.0
        except ValueError:
            raise ValueError(f"Views are {KINDS}, joined by +. Received: {word!r}") from None
        if name == "flip" and not number:
            found.append(lambda pictures: pictures[:, :, ::-1])
        elif name == "shift" and value >= 1 and value == int(value):
            steps = int(value)
            found += [
                _shift(rows, columns, low) for rows, columns in ((-steps, 0), (steps, 0), (0, -steps), (0, steps))
            ]
        elif name == "crop" and 0 < value < 1:
            places = ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1))
            found += [_crop(value, *place) for place in places]
        else:
            raise ValueError(f"Views are {KINDS}, joined by +. Received: {word!r}")
    return found


def compare(run: runs.Run, text: str) -> Viewed:
    """Score a run on the test split with and without views, and write both into its folder.

    Args:
        run: A finished run on pictures.
        text: As `parse` takes it.

    Raises:
        ValueError: The run is not on pictures, there is no such view, or a shift leaves nothing of a picture.
    """
    answers.require_pictures(run)
    low = float(run.config["data"]["value_range"][0])
    height, width = run.config["data"]["image_size"]
    views = parse(text, low)
    if any(word.startswith("shift=") and float(word[6:]) >= min(height, width) for word in text.split("+")):
        raise ValueError(f"A shift must be smaller than the pictures of {height}x{width}. Received: {text!r}")
    labels = answers.labels_of(run, "test")
    both = [answers.probabilities(run, "test", each) for each in ((), views)]
    found = Viewed(1 + len(views), *(score(answers.evaluation(run, "test", rows, labels)) for rows in both))
    files.write_json(run.folder / RESULT, {"asked": text, **dataclasses.asdict(found)})
    return found


def _shift(rows: int, columns: int, low: float) -> View:
    def view(pictures: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(pictures)
        padding = [[0, 0], [max(rows, 0), max(-rows, 0)], [max(columns, 0), max(-columns, 0)], [0, 0]]
        wide = tf.pad(pictures, padding, constant_values=low)
        top, left = max(-rows, 0), max(-columns, 0)
        return wide[:, top : top + shape[1], left : left + shape[2]]

    return view


def _crop(part: float, down: float, right: float) -> View:
    def view(pictures: tf.Tensor) -> tf.Tensor:
        top, left = down * (1 - part), right * (1 - part)
        count, size = tf.shape(pictures)[0], tf.shape(pictures)[1:3]
        boxes = tf.tile(tf.constant([[top, left, top + part, left + part]], tf.float32), [count, 1])
        return tf.ensure_shape(tf.image.crop_and_resize(pictures, boxes, tf.range(count), size), pictures.shape)

    return view
