"""Electrocardiograms by a model of the heart's cycle, and the noise that recordings have."""

import numpy as np
import scipy.signal

RATE = 250

# McSharry, Clifford, Tarassenko, Smith 2003, "A Dynamical Model for Generating Synthetic Electrocardiogram Signals",
# table I: angle, height and width of the waves P, Q, R, S and T on the cycle of a heart beat. Their equations of motion
# move the signal towards the sum of bumps that is taken here at once.
_ANGLES = np.array([-1 / 3, -1 / 12, 0, 1 / 12, 1 / 2]) * np.pi
_HEIGHTS = np.array([1.2, -5.0, 30.0, -7.5, 0.75]) * np.array([0.25, 0.1, 0.1, 0.1, 0.4]) ** 2
_WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])


def make_ecg(seconds: float, *, seed: int, rate: int = RATE) -> np.ndarray:
    """One lead of a healthy heart: beats of changing distance, with waves of a patient's own height, width and place.

    Args:
        seconds: Length.
        seed: Another seed is another patient.
        rate: Samples a second.

    Returns:
        (seconds * rate,) float32, in millivolts or so: the highest peaks are near 1.
    """
    rng = np.random.default_rng(seed)
    heights = _HEIGHTS * rng.uniform(0.7, 1.3, 5)
    widths = _WIDTHS * rng.uniform(0.85, 1.15, 5)
    angles = _ANGLES + rng.normal(0, 0.03, 5)
    mean = 60 / rng.uniform(55, 95)
    beats = int(seconds / mean * 1.5) + 4
    # The distance of beats changes with breathing and, slower, with blood pressure, and a little by chance.
    time = mean * np.arange(beats)
    breath, pressure = 2 * np.pi * np.array([rng.uniform(0.2, 0.3), 0.1])
    phases = rng.uniform(0, 2 * np.pi, 2)
    variation = 0.04 * np.sin(breath * time + phases[0]) + 0.03 * np.sin(pressure * time + phases[1])
    distances = mean * (1 + variation + rng.normal(0, 0.015, beats))
    peaks = np.cumsum(distances) - rng.uniform(1, 2) * mean
    moments = np.arange(round(seconds * rate)) / rate
    angle = 2 * np.pi * np.interp(moments, peaks, np.arange(beats))
    away = np.remainder(angle[:, None] - angles + np.pi, 2 * np.pi) - np.pi
    wave = (heights * np.exp(-(away**2) / (2 * widths**2))).sum(1)
    return (wave / np.abs(heights).max()).astype(np.float32)


def add_noise(signal: np.ndarray, decibels: float, *, seed: int, rate: int = RATE) -> np.ndarray:
    """Add wandering of the baseline, hum of the mains and muscle noise, a third of the power each.

    Args:
        signal: (samples,).
        decibels: Ratio of the powers of signal and noise; the signal's mean does not count.
        seed: Another seed gives other noise.
        rate: Samples a second.

    Returns:
        (samples,) float32.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(len(signal)) / rate
    wander = np.zeros(len(signal))
    for frequency in rng.uniform(0.05, 0.5, 4):
        wander += rng.uniform(0.3, 1) * np.sin(2 * np.pi * (frequency * time + rng.uniform()))
    hum = np.sin(2 * np.pi * (50 * time + rng.uniform()))
    band = scipy.signal.butter(2, [20, min(120, 0.45 * rate)], "bandpass", fs=rate, output="sos")
    muscle = scipy.signal.sosfilt(band, rng.normal(size=len(signal)))
    noise = sum(part / np.sqrt(np.mean(part**2)) for part in (wander, hum, muscle))
    scale = np.std(signal) / np.sqrt(np.mean(noise**2)) * 10 ** (-decibels / 20)
    return (signal + scale * noise).astype(np.float32)


def signal_to_noise(clean: np.ndarray, other: np.ndarray) -> float:
    """How far a signal is from the clean one, in decibels: the power of the clean one over that of the difference.

    Args:
        clean: Any shape; its mean does not count.
        other: The same shape.

    Returns:
        Decibels; infinite where both are equal.

    Example:
        >>> import numpy as np
        >>> from zoo.data.signals import signal_to_noise
        >>> round(signal_to_noise(np.array([1.0, -1.0]), np.array([1.1, -1.1])), 6)
        20.0
    """
    clean, other = np.asarray(clean, np.float64), np.asarray(other, np.float64)
    error = np.mean((other - clean) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(np.var(clean) / error))
