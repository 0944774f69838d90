"""From sound to what networks hear: mel bands, cepstral coefficients, their differences.

The definitions are librosa's, with `center=False`: Hann windows, powers, Slaney's mel scale with filters of equal area,
natural logarithms, the orthonormal cosine transform, differences by a fitted line over nine frames. The mean that
per-channel energy normalisation divides by starts from the first frame. Nothing depends on other clips of a batch, or
on the loudest part of a clip.
"""

import dataclasses
from typing import Any, Literal

import keras
import numpy as np
import scipy.fft
import tensorflow as tf

from zoo.data.errors import DataError

# Differences are slopes of a line that is fitted to so many frames.
DELTA_FRAMES = 9

# Wang et al. 2017, "Trainable Frontend for Robust and Far-Field Keyword Spotting", as librosa has them.
PCEN_GAIN, PCEN_BIAS, PCEN_POWER, PCEN_SECONDS, PCEN_EPSILON = 0.98, 2.0, 0.5, 0.4, 1e-6


def mel_filters(sample_rate: int, fft_length: int, bands: int, low: float, high: float) -> np.ndarray:
    """Triangles on Slaney's mel scale, each of area 1: linear below 1 kHz, logarithmic above.

    Args:
        sample_rate: Samples a second.
        fft_length: Samples of a frame.
        bands: Number of triangles.
        low: Lowest frequency in Hz.
        high: Highest frequency in Hz.

    Returns:
        (fft_length // 2 + 1, bands) float32.
    """
    step = np.log(6.4) / 27

    def to_mel(hertz: Any) -> Any:
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1e-9) / 1000) / step)

    def to_hertz(mel: Any) -> Any:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (mel - 15)))

    edges = to_hertz(np.linspace(to_mel(np.float64(low)), to_mel(np.float64(high)), bands + 2))
    frequencies = np.linspace(0, sample_rate / 2, fft_length // 2 + 1)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """What is made of sound before a network hears it; the same outside of a model and, as `FrontEndLayer`, inside.

    Attributes:
        sample_rate: Samples a second.
        frame_seconds: Length of a frame.
        hop_seconds: From one frame to the next.
        bands: Number of mel bands.
        low_hertz: Lowest frequency.
        high_hertz: Highest frequency, at most half of the sample rate.
        scale: "log" for the natural logarithm, "pcen" for per-channel energy normalisation.
        floor: What powers are raised to before the logarithm, so that silence is not minus infinity.
        coefficients: Number of cepstral coefficients that are made of the log-mel bands; 0 for the bands themselves.
        differences: 0, or 1 and 2 for maps of first and second differences beside the values.

    Raises:
        DataError: A value is out of its range.

    Example:
        >>> import numpy as np
        >>> from zoo.data.audio import FrontEnd
        >>> FrontEnd(coefficients=10, frame_seconds=0.04, hop_seconds=0.02)(np.zeros((1, 16000), "float32")).shape
        TensorShape([1, 49, 10, 1])
    """

    sample_rate: int = 16_000
    frame_seconds: float = 0.025
    hop_seconds: float = 0.01
    bands: int = 40
    low_hertz: float = 20.0
    high_hertz: float = 7600.0
    scale: Literal["log", "pcen"] = "log"
    floor: float = 1e-6
    coefficients: int = 0
    differences: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low_hertz < self.high_hertz <= self.sample_rate / 2:
            raise DataError(
                f"Frequencies must rise and stay below half of the sample rate, {self.sample_rate / 2:g} Hz. "
                f"Received: low_hertz={self.low_hertz}, high_hertz={self.high_hertz}"
            )
        if not 0 <= self.coefficients <= self.bands or self.bands < 1:
            raise DataError(
                "There are at most as many coefficients as bands. "
                f"Received: coefficients={self.coefficients}, bands={self.bands}"
            )
        if min(self.frame_length, self.hop_length) < 1 or self.floor <= 0 or self.differences not in (0, 1, 2):
            raise DataError(f"Frames, hops and floor must be above 0, differences 0, 1 or 2. Received: {self}")
        if self.scale not in ("log", "pcen"):
            raise DataError(f"scale must be log or pcen. Received: scale={self.scale!r}")
        if self.coefficients and self.scale != "log":
            raise DataError('Cepstral coefficients are made of logarithms. Received: scale="pcen"')

    @property
    def frame_length(self) -> int:
        """Samples of a frame."""
        return round(self.frame_seconds * self.sample_rate)

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop_seconds * self.sample_rate)

    def num_frames(self, samples: int) -> int:
        """Number of whole frames of so many samples."""
        return max(0, (samples - self.frame_length) // self.hop_length + 1)

    def to_dict(self) -> dict[str, Any]:
        """All values, as plain JSON."""
        return dataclasses.asdict(self)

    def __call__(self, sound: Any) -> tf.Tensor:
        """Bands or coefficients of clips.

        Args:
            sound: (batch, samples), -1 to 1.

        Returns:
            (batch, frames, bands, 1 + differences) float32.
        """
        sound = tf.cast(sound, tf.float32)
        frames = tf.signal.frame(sound, self.frame_length, self.hop_length)
        window = tf.signal.hann_window(self.frame_length, periodic=True)
        powers = tf.abs(tf.signal.rfft(frames * window, [self.frame_length])) ** 2
        filters = mel_filters(self.sample_rate, self.frame_length, self.bands, self.low_hertz, self.high_hertz)
        mel = tf.tensordot(powers, tf.constant(filters), 1)
        values = self._pcen(mel) if self.scale == "pcen" else tf.math.log(tf.maximum(mel, self.floor))
        if self.coefficients:
            transform = scipy.fft.dct(np.eye(self.bands), norm="ortho")[:, : self.coefficients]
            values = tf.tensordot(values, tf.constant(transform.astype(np.float32)), 1)
        maps = [values]
        for _ in range(self.differences):
            maps.append(_slopes(maps[-1]))
        return tf.stack(maps, axis=-1)

    def _pcen(self, mel: tf.Tensor) -> tf.Tensor:
        """Divide each band by its own recent mean."""
        frames = PCEN_SECONDS / self.hop_seconds
        weight = (np.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
        first = mel[:, 0]
        smooth = tf.scan(lambda mean, frame: (1 - weight) * mean + weight * frame, tf.transpose(mel, (1, 0, 2)), first)
        smooth = tf.transpose(smooth, (1, 0, 2))
        gained = mel / (PCEN_EPSILON + smooth) ** PCEN_GAIN
        return (gained + PCEN_BIAS) ** PCEN_POWER - PCEN_BIAS**PCEN_POWER


def _slopes(values: tf.Tensor) -> tf.Tensor:
    """The slope of the line that fits nine frames best; beyond the ends the first and the last frame are repeated."""
    half = DELTA_FRAMES // 2
    repeated = tf.concat([values[:, :1]] * half + [values] + [values[:, -1:]] * half, axis=1)
    frames = tf.shape(values)[1]
    total = sum(place * repeated[:, half + place : half + place + frames] for place in range(-half, half + 1))
    return total / sum(place**2 for place in range(-half, half + 1))


@keras.saving.register_keras_serializable("zoo")
class FrontEndLayer(keras.layers.Layer):
    """A front-end as a part of a model that takes sound itself; it needs TensorFlow.

    Args:
        **values: Those of `FrontEnd`, and what every layer takes.

    Input (batch, samples), -1 to 1; output (batch, frames, bands, maps).

    Example:
        >>> import keras, zoo
        >>> from zoo.data.audio import FrontEndLayer
        >>> sound = keras.Input((16000,))
        >>> spectrogram = FrontEndLayer(coefficients=10, frame_seconds=0.04, hop_seconds=0.02)(sound)
        >>> zoo.create_model("ds_cnn_s", input_tensor=spectrogram).input_shape
        (None, 16000)
    """

    def __init__(self, **values: Any) -> None:
        names = {field.name for field in dataclasses.fields(FrontEnd)}
        self_values = {name: values.pop(name) for name in list(values) if name in names}
        super().__init__(**values)
        self.front_end = FrontEnd(**self_values)

    def call(self, sound: Any) -> Any:
        return self.front_end(sound)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        samples, own = input_shape[1], self.front_end
        frames = None if samples is None else own.num_frames(samples)
        return (input_shape[0], frames, own.coefficients or own.bands, 1 + own.differences)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.front_end.to_dict()}
