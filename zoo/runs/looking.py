"""What decided an answer: the parts of a spectrogram or a text without which the network is less sure of it.

A part is hidden, and the fall of the log-odds of the class is what the part was worth (occlusion: Zeiler, Fergus 2013,
https://arxiv.org/abs/1311.2901, section 4.2). Nothing about the network is needed but its answers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image

from zoo.data.text import Encoder
from zoo.report import Evaluation, LookedAt
from zoo.runs.telling import most_telling

# From examples to probabilities, (n, classes).
Answer = Callable[[np.ndarray], np.ndarray]

# Examples that are looked into, and texts that pieces are looked for in.
MAX_EXAMPLES, MAX_TEXTS = 12, 2000

# Hidden parts of a spectrogram: one of so many along time and frequency, moved by half of its size.
TIME_PARTS, FREQUENCY_PARTS = 7, 4
# Part of the frames that is silence, as far as a clip has some.
QUIETEST = 0.1
# Parts of a text: its words, or several together where it is longer.
MAX_PIECES = 40
MAX_TELLING = 8

# Probabilities nearer to 0 and 1 are no more certain than single precision.
_EPSILON = 1e-7

# Times that the picture of a spectrogram is larger than the spectrogram; the colour of what was looked at.
_SCALE, _GAP, _COLOUR = 3, 6, np.array([255.0, 140.0, 0.0])


def look(
    model: keras.Model,
    answer: Answer,
    form: Mapping[str, Any],
    evaluation: Evaluation,
    example: Callable[[int], np.ndarray],
    known: np.ndarray,
) -> LookedAt | None:
    """What a network looked at in its worst mistakes, or in the examples that it was least sure of.

    Args:
        model: The network.
        answer: Its answers, as probabilities.
        form: How examples are made, `zoo.data.ArrayDataset.form`.
        evaluation: Its predictions.
        example: From an index in the evaluation to the example as the network takes it.
        known: Training examples, in which the pieces are looked for that filters answer to most.

    Returns:
        What a report shows; None for what is neither sound nor text.
    """
    chosen = [(index, example(index)) for index in evaluation.telling(MAX_EXAMPLES).tolist()]
    if form.get("kind") == "sound":
        cepstral = bool(form["front_end"]["coefficients"])
        pictures = []
        for index, values in chosen:
            worth = look_at_spectrogram(answer, values, int(evaluation.predicted[index]), cepstral=cepstral)
            pictures.append((index, draw_look(values, worth)))
        note = (
            "Above the spectrogram: time to the right, low frequencies at the bottom, loud is dark. Below it the same, "
            "orange where putting silence, the clip's quietest frames, in its place makes the network less sure of its "
            "answer; the deeper, the more."
        )
        return LookedAt(note, pictures=pictures)
    if form.get("kind") not in ("words", "characters"):
        return None
    encoder = Encoder.from_form(form)
    texts = [
        (index, look_at_text(answer, values, int(evaluation.predicted[index]), encoder)) for index, values in chosen
    ]
    note = "Blue where leaving words out makes the network less sure of its answer; the deeper, the more."
    return LookedAt(note, texts=texts, **_pieces(model, encoder, known, evaluation.classes))


def look_at_spectrogram(answer: Answer, spectrogram: np.ndarray, label: int, *, cepstral: bool = False) -> np.ndarray:
    """How much each place of a spectrogram is worth to the answer.

    Args:
        answer: The network.
        spectrogram: (frames, bands, maps).
        label: The class whose log-odds fall.
        cepstral: Whether the bands are cepstral coefficients, of which the first says how loud a frame is.

    Returns:
        (frames, bands) float64: 0 where nothing is lost, 1 where most is; zeros where no part is worth anything.
    """
    frames, bands = spectrogram.shape[:2]
    places = [(time, band) for time in _windows(frames, TIME_PARTS) for band in _windows(bands, FREQUENCY_PARTS)]
    hidden = np.stack([spectrogram] * (len(places) + 1))
    # The mean of all would be louder than silence, and silence would seem to matter where it is made loud.
    loudness = spectrogram[:, 0, 0] if cepstral else spectrogram[..., 0].mean(1)
    quiet = spectrogram[np.argsort(loudness)[: max(1, round(QUIETEST * frames))]].mean(0)
    for row, (time, band) in zip(hidden[1:], places, strict=True):
        row[time, band] = quiet[band]
    odds = _log_odds(answer(hidden)[:, label])
    worth, times = np.zeros((2, frames, bands))
    for (time, band), fall in zip(places, odds[0] - odds[1:], strict=True):
        worth[time, band] += max(fall, 0)
        times[time, band] += 1
    worth /= times
    return worth / (worth.max() or 1.0)


def look_at_text(answer: Answer, numbers: np.ndarray, label: int, encoder: Encoder) -> list[tuple[str, float]]:
    """How much the words of a text are worth to the answer.

    Args:
        answer: The network.
        numbers: The text as numbers, (positions,).
        label: The class whose log-odds fall.
        encoder: What made the numbers.

    Returns:
        The pieces of the text in their order, one word or several, and what each is worth, 0 to 1.
    """
    words = _words(numbers, encoder)
    size = -(-len(words) // MAX_PIECES) or 1
    pieces = [(words[start][0], words[min(start + size, len(words)) - 1][1]) for start in range(0, len(words), size)]
    hidden = np.stack([numbers] * (len(pieces) + 1))
    # Words become one that is unknown; characters one that is none.
    nothing = 1 if encoder.kind == "words" else 0
    for row, (begin, end) in zip(hidden[1:], pieces, strict=True):
        row[begin:end] = nothing
    odds = _log_odds(answer(hidden)[:, label])
    falls = np.maximum(odds[0] - odds[1:], 0)
    worth = falls / (falls.max(initial=0.0) or 1.0)
    return [
        (encoder.decode(numbers[begin:end]), float(value)) for (begin, end), value in zip(pieces, worth, strict=True)
    ]


def draw_look(spectrogram: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """A spectrogram, and below it the same with the places in colour that an answer came from.

    Args:
        spectrogram: (frames, bands, maps), of which the first map is drawn.
        worth: (frames, bands), 0 to 1.

    Returns:
        (height, width, 3) uint8.
    """
    bands = spectrogram[..., 0].T[::-1]
    low, high = float(bands.min()), float(bands.max())
    grey = (high - bands) / ((high - low) or 1) * 255
    grey = np.repeat(np.repeat(grey, _SCALE, 0), _SCALE, 1)[..., None] * np.ones(3)
    smooth = Image.fromarray(worth.T[::-1].astype(np.float32)).resize(grey.shape[1::-1], Image.Resampling.BILINEAR)
    share = 0.75 * np.asarray(smooth)[..., None]
    coloured = (1 - share) * grey + share * (_COLOUR * (0.4 + 0.6 * grey / 255))
    gap = np.full((_GAP, grey.shape[1], 3), 255.0)
    return np.clip(np.rint(np.concatenate([grey, gap, coloured])), 0, 255).astype(np.uint8)


def _windows(length: int, parts: int) -> list[slice]:
    """Windows of one of so many parts of a length, each half of its size behind the one before it."""
    size = max(1, round(length / parts))
    step = max(1, size // 2)
    return [slice(start, min(start + size, length)) for start in range(0, max(length - size + step, 1), step)]


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    clipped = np.clip(probabilities.astype(np.float64), _EPSILON, 1 - _EPSILON)
    return np.log(clipped / (1 - clipped))


def _words(numbers: np.ndarray, encoder: Encoder) -> list[tuple[int, int]]:
    """Begin and end of each word."""
    last = int(np.flatnonzero(numbers).max(initial=-1)) + 1
    if encoder.kind == "words":
        return [(place, place + 1) for place in range(last)]
    spaces = {number for number, symbol in enumerate(encoder.symbols, 1) if symbol.isspace()}
    words, begin = [], 0
    for place in range(last + 1):
        if place == last or int(numbers[place]) in spaces:
            if place > begin:
                words.append((begin, place))
            begin = place + 1
    return words


def _pieces(model: keras.Model, encoder: Encoder, known: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """The pieces that filters over words answer to most; none for other networks."""
    try:
        found = most_telling(model, encoder, known[:MAX_TEXTS], classes, top=MAX_TELLING)
    except ValueError:
        return {}
    note = (
        f"For each class the pieces of {min(len(known), MAX_TEXTS)} training texts that filters answer to most, and "
        "what they add to its logit, less the mean over all classes."
    )
    return {
        "pieces": {name: [(piece.words, piece.weight) for piece in pieces] for name, pieces in found.items()},
        "pieces_note": note,
    }
