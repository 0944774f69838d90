"""What a network is compared with: an average over neighbours, Savitzky and Golay's polynomials, a learned filter."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import scipy.signal

from zoo.data.signals import signal_to_noise

Filter = Callable[[np.ndarray], np.ndarray]

# Taps of the learned filter: half a second at 250 Hz.
TAPS = 129


def average(width: int) -> Filter:
    """The mean over `width` neighbouring samples, the smoothing of courses; zeros beyond the ends."""
    return lambda signal: np.convolve(signal, np.full(width, 1 / width), "same")


def savitzky_golay(width: int, degree: int) -> Filter:
    """The value of the polynomial that fits `width` neighbouring samples best, in their middle."""
    return lambda signal: scipy.signal.savgol_filter(signal, width, degree)


def learned(clean: Sequence[np.ndarray], noisy: Sequence[np.ndarray], taps: int = TAPS) -> Filter:
    """The linear filter that leaves the least square error on recordings: what one convolution can do at best.

    Args:
        clean: Recordings without noise, (samples,) each.
        noisy: The same with noise.
        taps: Length of the filter, odd.

    Returns:
        The filter.
    """
    products, targets = np.zeros((taps, taps)), np.zeros(taps)
    for want, have in zip(clean, noisy, strict=True):
        rows = np.lib.stride_tricks.sliding_window_view(np.pad(have, taps // 2), taps).astype(np.float64)
        products += rows.T @ rows
        targets += rows.T @ want
    kernel = np.linalg.solve(products + 1e-6 * np.trace(products) / taps * np.eye(taps), targets)
    return lambda signal: np.correlate(np.pad(signal, taps // 2), kernel, "valid")


def best(candidates: Iterable[Filter], clean: Sequence[np.ndarray], noisy: Sequence[np.ndarray]) -> Filter:
    """The one of several filters with the highest mean ratio of signal to noise on recordings.

    Args:
        candidates: Filters, such as averages of several widths.
        clean: Recordings without noise.
        noisy: The same with noise.

    Returns:
        The best one.
    """

    def score(candidate: Filter) -> float:
        pairs = zip(clean, noisy, strict=True)
        return float(np.mean([signal_to_noise(want, candidate(have)) for want, have in pairs]))

    return max(candidates, key=score)
