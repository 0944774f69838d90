"""Single random changes of sound: shifts, speed, loudness, noise; masks of what a network hears of it.

A step is a frozen dataclass. Its `apply` takes a clip, (samples,) float32, and a seed, two int64, and returns a clip of
the same length: a pure function, so that an example of an epoch is changed in the same way in every run. `SpecAugment`
takes the spectrogram, (frames, bands, maps), in place of the clip.
"""

from dataclasses import dataclass

import tensorflow as tf

from zoo.data.augmentation.seeds import branch
from zoo.data.augmentation.steps import check_probability, uniform
from zoo.data.errors import DataError


@dataclass(frozen=True)
class TimeShift:
    """Move the clip in time, with silence where nothing is left.

    Attributes:
        part: Largest shift to either side, as part of the clip, 0 to 1.
    """

    part: float = 0.1

    def __post_init__(self) -> None:
        check_probability("timeshift", "part", self.part)

    def apply(self, clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        margin = int(self.part * clip.shape[0])
        begin = tf.cast(uniform(seed, 1) * (2 * margin + 1), tf.int32)
        return tf.slice(tf.pad(clip, [[margin, margin]]), begin, clip.shape)


@dataclass(frozen=True)
class Speed:
    """Play the clip faster or slower, and so higher or lower, voice and formants alike, around its middle.

    Attributes:
        change: Largest change, as part of the speed, 0 to below 1.
    """

    change: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.change < 1:
            raise DataError(f"speed must be from 0 to below 1. Received: speed(change={self.change})")

    def apply(self, clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        factor = 1 + self.change * (2 * uniform(seed, 1)[0] - 1)
        count = clip.shape[0]
        middle = (count - 1) / 2
        places = middle + (tf.range(count, dtype=tf.float32) - middle) * factor
        # One sample of silence at each end stands for all beyond.
        padded = tf.pad(clip, [[1, 1]])
        places = tf.clip_by_value(places + 1, 0.0, float(count) + 0.999)
        before = tf.cast(places, tf.int32)
        share = places - tf.cast(before, tf.float32)
        return (1 - share) * tf.gather(padded, before) + share * tf.gather(padded, tf.minimum(before + 1, count + 1))


@dataclass(frozen=True)
class Gain:
    """Make the clip louder or softer.

    Attributes:
        decibels: Largest change.
    """

    decibels: float = 6.0

    def __post_init__(self) -> None:
        if self.decibels < 0:
            raise DataError(f"gain must be at least 0 decibels. Received: gain(decibels={self.decibels})")

    def apply(self, clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return clip * 10 ** (self.decibels * (2 * uniform(seed, 1)[0] - 1) / 20)


@dataclass(frozen=True)
class Noise:
    """Add noise whose colour is between white and brown, at a random ratio to the clip's power.

    Attributes:
        low: Lowest ratio of the powers of clip and noise, in decibels.
        high: Highest ratio.
        p: How often, 0 to 1.
    """

    low: float = 5.0
    high: float = 30.0
    p: float = 0.8

    def __post_init__(self) -> None:
        check_probability("noise", "p", self.p)
        if self.low > self.high:
            raise DataError(f"noise needs low at most high. Received: noise(low={self.low}, high={self.high})")

    def apply(self, clip: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        often, ratio, colour = tf.unstack(uniform(seed, 3))
        white = tf.random.stateless_normal(clip.shape, branch(seed, 1))
        spectrum = tf.signal.rfft(white)
        steepness = tf.range(1, tf.shape(spectrum)[0] + 1, dtype=tf.float32) ** -colour
        noise = tf.signal.irfft(spectrum * tf.cast(steepness, tf.complex64), [clip.shape[0]])
        decibels = self.low + (self.high - self.low) * ratio
        power = tf.reduce_mean(clip**2) / tf.maximum(tf.reduce_mean(noise**2), 1e-12) * 10 ** (-decibels / 10)
        return tf.where(often < self.p, clip + tf.sqrt(power) * noise, clip)


@dataclass(frozen=True)
class SpecAugment:
    """Hide bands of frequencies and spans of time of a spectrogram behind its mean.

    Park et al. 2019, "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition",
    https://arxiv.org/abs/1904.08779, section 2, without the warping of time, which the authors find to matter least.
    The width of a mask is drawn from 0 to the largest, its place from all where it fits. The defaults are for clips of
    a second, as BC-ResNet's paper (https://arxiv.org/abs/2106.04140, section 4) has them for its larger networks.

    Attributes:
        bands: Largest width of a mask along frequency, in bands; the paper's F.
        frames: Largest width of a mask along time, in frames; the paper's T.
        band_masks: Number of masks along frequency.
        frame_masks: Number of masks along time.
        most: Largest part of the frames that one mask may hide, above 0 to 1; the paper's p.
    """

    bands: int = 7
    frames: int = 20
    band_masks: int = 2
    frame_masks: int = 2
    most: float = 1.0

    def __post_init__(self) -> None:
        check_probability("specaugment", "most", self.most)
        numbers = {name: getattr(self, name) for name in ("bands", "frames", "band_masks", "frame_masks")}
        if self.most == 0 or any(not isinstance(number, int) or number < 0 for number in numbers.values()):
            given = ", ".join(f"{name}={number!r}" for name, number in {**numbers, "most": self.most}.items())
            raise DataError(
                "specaugment needs whole numbers of at least 0 for bands, frames and masks, and most above 0. "
                f"Received: specaugment({given})"
            )

    def apply(self, spectrogram: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        frames, bands = spectrogram.shape[:2]
        draws = uniform(seed, 2 * (self.band_masks + self.frame_masks))
        over_time = min(self.frames, int(self.most * frames))
        hidden = tf.logical_or(
            _hidden(draws[: 2 * self.frame_masks], frames, over_time)[:, None],
            _hidden(draws[2 * self.frame_masks :], bands, min(self.bands, bands))[None],
        )
        mean = tf.reduce_mean(spectrogram, axis=(0, 1), keepdims=True)
        return tf.where(hidden[..., None], mean, spectrogram)


def _hidden(draws: tf.Tensor, length: int, widest: int) -> tf.Tensor:
    """Which of so many positions are behind a mask, (length,) bool; two random numbers a mask: width and begin."""
    widths, begins = tf.unstack(tf.reshape(draws, (-1, 2)), axis=1)
    widths = tf.floor(widths * (widest + 1))
    begins = tf.floor(begins * (length - widths + 1))
    places = tf.range(length, dtype=tf.float32)[:, None]
    return tf.reduce_any((places >= begins) & (places < begins + widths), axis=1)


SOUND = (TimeShift, Speed, Gain, Noise, SpecAugment)
