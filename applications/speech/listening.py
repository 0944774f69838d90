"""Listening to sound that goes on: a window slides over it, and what several windows agree on is reported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from zoo.data.audio import ClipReader

# Windows that the network sees at once, where so many are there.
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Detection:
    """A word that was heard.

    Attributes:
        second: Middle of the first window over the threshold, in seconds from the beginning.
        word: The class.
        probability: Its mean over the windows that are smoothed.
    """

    second: float
    word: str
    probability: float


class Listener:
    """Takes sound in chunks of any size and gives the answers that the whole recording would have given.

    Args:
        model: A classifier of spectrograms.
        reader: Length of a window and the front-end of the model.
        classes: Names of the classes.
        step: Seconds from one window to the next.
        smooth: Number of windows whose probabilities are averaged.
        threshold: Mean probability at which a word counts as heard.
        hold: Seconds after a word in which no other is reported.
    """

    def __init__(
        self,
        model: keras.Model,
        reader: ClipReader,
        classes: tuple[str, ...],
        *,
        step: float = 0.1,
        smooth: int = 3,
        threshold: float = 0.9,
        hold: float = 0.7,
    ) -> None:
        if not 0 < threshold <= 1 or smooth < 1 or step <= 0 or hold < 0:
            raise ValueError(
                "threshold must be above 0 and at most 1, smooth at least 1, step above 0, hold at least 0. "
                f"Received: threshold={threshold}, smooth={smooth}, step={step}, hold={hold}"
            )
        self._model, self._reader, self._classes = model, reader, classes
        self._rate = reader.front_end.sample_rate
        self._step = round(step * self._rate)
        # Where a frame depends on its own samples alone, those of overlapping windows are made once.
        front_end = reader.front_end
        self._keeps_frames = (
            front_end.scale == "log" and not front_end.differences and self._step % front_end.hop_length == 0
        )
        self._unframed = np.zeros(0, np.float32)
        self._frames: np.ndarray | None = None  # those from `_start` on
        self._smooth, self._threshold, self._hold = smooth, threshold, hold
        self._waiting = np.zeros(0, np.float32)
        self._start = 0  # sample at which `_waiting` begins, where the next window begins, too
        self._recent: list[np.ndarray] = []
        self._silent_until = float("-inf")

    def probabilities(self, chunk: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
        """The answers of all windows that a chunk completes.

        Args:
            chunk: (samples,) float32, at the rate of the front-end.

        Yields:
            Begin of a window in seconds, and its probabilities, (classes,).
        """
        chunk = np.asarray(chunk, np.float32)
        self._waiting = np.concatenate([self._waiting, chunk])
        self._unframed = np.concatenate([self._unframed, chunk]) if self._keeps_frames else self._unframed
        while len(self._waiting) >= self._reader.samples:
            count = min((len(self._waiting) - self._reader.samples) // self._step + 1, _BATCH_SIZE)
            answers = np.asarray(self._model(self._spectrograms(count), training=False))
            begins = (self._start + self._step * np.arange(count)) / self._rate
            self._waiting = self._waiting[count * self._step :]
            self._start += count * self._step
            if self._frames is not None:
                self._frames = self._frames[count * self._step // self._reader.front_end.hop_length :]
            yield from zip(begins.tolist(), answers, strict=True)

    def _make_frames(self) -> None:
        """Add the frames of what has come since the last window."""
        front_end, sound = self._reader.front_end, self._unframed
        if count := front_end.num_frames(len(sound)):
            used = sound[: (count - 1) * front_end.hop_length + front_end.frame_length]
            new = front_end(used[None]).numpy()[0]
            self._frames = new if self._frames is None else np.concatenate([self._frames, new])
        self._unframed = sound[count * front_end.hop_length :]

    def _spectrograms(self, count: int) -> np.ndarray:
        """Those of the next windows, (count, frames, bands, maps)."""
        if self._keeps_frames:
            self._make_frames()
        if self._frames is None:
            windows = np.lib.stride_tricks.sliding_window_view(self._waiting, self._reader.samples)
            return self._reader.front_end(windows[:: self._step][:count]).numpy()
        frames, _, _ = self._reader.shape
        step = self._step // self._reader.front_end.hop_length
        return np.stack([self._frames[index * step : index * step + frames] for index in range(count)])

    def hear(self, chunk: np.ndarray, quiet: Sequence[str] = ()) -> Iterator[Detection]:
        """The words that a chunk completes.

        Args:
            chunk: As `probabilities` takes it.
            quiet: Classes that are no words, such as "silence", which are not reported.
        """
        for begin, answer in self.probabilities(chunk):
            if (found := self.decide(begin, answer, quiet)) is not None:
                yield found

    def decide(self, begin: float, answer: np.ndarray, quiet: Sequence[str] = ()) -> Detection | None:
        """Whether a word is reported, by the answer to a window and those to the windows before it.

        Args:
            begin: Begin of the window in seconds; windows come in their order.
            answer: Its probabilities, (classes,).
            quiet: As `hear` takes it.
        """
        self._recent = [*self._recent, answer][-self._smooth :]
        mean = np.mean(self._recent, axis=0)
        best = int(np.argmax(mean))
        middle = begin + self._reader.samples / self._rate / 2
        heard = len(self._recent) == self._smooth and mean[best] >= self._threshold
        if not heard or self._classes[best] in quiet or middle < self._silent_until:
            return None
        self._silent_until = middle + self._hold
        return Detection(round(middle, 3), self._classes[best], float(mean[best]))


@dataclass(frozen=True)
class Score:
    """How well words were found in a recording.

    Attributes:
        found: Number of words that were reported in time.
        missed: Number of those that were not.
        false_alarms: Number of reports without a word.
        false_alarms_per_hour: The same for each hour.
    """

    found: int
    missed: int
    false_alarms: int
    false_alarms_per_hour: float


def score(
    detections: list[Detection], spoken: list[tuple[float, str]], seconds: float, tolerance: float = 0.6
) -> Score:
    """Compare what was reported with what was spoken.

    Args:
        detections: What was reported.
        spoken: Middle of each word in seconds, and the word.
        seconds: Length of the recording.
        tolerance: Seconds that a report may be away from the word.
    """
    open_words = list(spoken)
    false_alarms = 0
    for detection in detections:
        fitting = [
            word for word in open_words
            if word[1] == detection.word and abs(word[0] - detection.second) <= tolerance
        ]  # fmt: skip
        if fitting:
            open_words.remove(fitting[0])
        else:
            false_alarms += 1
    found = len(spoken) - len(open_words)
    return Score(found, len(open_words), false_alarms, false_alarms * 3600 / seconds)
