"""How often a listener is right, misses a word, or reports one that nobody said, on a recording that is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from applications.speech.listening import Listener, Score, score
from zoo.data.audio import ClipReader


@dataclass(frozen=True)
class Recording:
    """A long recording and what is said in it.

    Attributes:
        sound: (samples,) float32.
        rate: Samples a second.
        spoken: Middle of each word in seconds, and the word.
    """

    sound: np.ndarray
    rate: int
    spoken: list[tuple[float, str]]

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.sound) / self.rate


def compose(
    words: Sequence[tuple[np.ndarray, str]],
    others: Sequence[np.ndarray],
    *,
    minutes: float,
    decibels: float,
    rate: int,
    seed: int,
) -> Recording:
    """A recording of words and other sounds, in turn by chance, with pauses of one to four seconds and white noise.

    Args:
        words: Clips, (samples,) each, and their words.
        others: Clips of what is none of the words; half of all clips are of these, where there are some.
        minutes: Length.
        decibels: Ratio of the mean power of the clips and of the noise.
        rate: Samples a second.
        seed: Seed of order, pauses and noise.

    Returns:
        The recording.

    Raises:
        ValueError: There are no words, or minutes is not above 0.
    """
    if not words or minutes <= 0:
        raise ValueError(f"A recording needs words, and minutes above 0. Received: {len(words)} words, {minutes=}")
    rng = np.random.default_rng(seed)
    power = float(np.mean([np.mean(clip**2) for clip, _ in words]))
    length = round(60 * minutes * rate)
    sound = rng.normal(size=length) * np.sqrt(power * 10 ** (-decibels / 10))
    spoken: list[tuple[float, str]] = []
    place = 0
    while True:
        place += int(rng.uniform(1, 4) * rate)
        clip, word = words[int(rng.integers(len(words)))]
        if others and rng.uniform() < 0.5:
            clip, word = others[int(rng.integers(len(others)))], ""
        if place + len(clip) > length:
            return Recording(sound.astype(np.float32), rate, spoken)
        sound[place : place + len(clip)] += clip
        if word:
            spoken.append(((place + len(clip) / 2) / rate, word))
        place += len(clip)


def curve(
    model: Any,
    reader: ClipReader,
    classes: tuple[str, ...],
    recording: Recording,
    thresholds: Sequence[float],
    *,
    quiet: Sequence[str] = (),
    **options: Any,
) -> dict[float, Score]:
    """How well words are found, for each threshold; the network hears the recording once.

    Args:
        model: A classifier of spectrograms.
        reader: Length of a window and its front-end.
        classes: Names of the classes.
        recording: What is listened to.
        thresholds: Mean probabilities at which a word counts as heard.
        quiet: Classes that are no words.
        **options: Those of `Listener`.

    Returns:
        The score of each threshold.
    """
    answers = list(Listener(model, reader, classes, **options).probabilities(recording.sound))
    scores = {}
    for threshold in thresholds:
        listener = Listener(model, reader, classes, threshold=threshold, **options)
        found = [heard for begin, answer in answers if (heard := listener.decide(begin, answer, quiet)) is not None]
        scores[threshold] = score(found, recording.spoken, recording.seconds)
    return scores
