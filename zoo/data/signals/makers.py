"""Two data sets of the UCR archive that were made by formula, made again.

Results that are published for them apply, within what another draw of the noise changes.
"""

import numpy as np

CBF_CLASSES = ("cylinder", "bell", "funnel")
CONTROL_CLASSES = ("normal", "cyclic", "increasing", "decreasing", "upward", "downward")


def make_cbf(count: int, *, seed: int, length: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Cylinder, bell and funnel: a plateau, a ramp up, a ramp down, at a random place of random extent, in noise.

    Saito 1994, "Local feature extraction and its applications using a library of bases", section 5.5.

    Args:
        count: Number of signals; the classes come in turn.
        seed: Another seed gives other signals.
        length: Samples of a signal; begin and extent of the event are for 128.

    Returns:
        Signals (count, length) float32, not normalised, and classes (count,) int32: 0, 1, 2.

    Example:
        >>> from zoo.data.signals import make_cbf
        >>> signals, labels = make_cbf(4, seed=0)
        >>> signals.shape, labels.tolist()
        ((4, 128), [0, 1, 2, 0])
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 3
    begin = rng.uniform(16, 32, (count, 1))
    extent = rng.uniform(32, 96, (count, 1))
    height = 6 + rng.normal(size=(count, 1))
    time = np.arange(1, length + 1)[None]
    inside = (time >= begin) & (time <= begin + extent)
    up = (time - begin) / extent
    shape = np.choose(labels[:, None], [np.ones_like(up), up, 1 - up])
    return (inside * height * shape + rng.normal(size=(count, length))).astype(np.float32), labels


def make_synthetic_control(count: int, *, seed: int, length: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Six kinds of control charts: normal, cyclic, trends up and down, shifts up and down.

    Alcock, Manolopoulos 1999, "Time-Series Similarity Queries Employing a Feature-Based Approach", section 5: mean 30,
    deviation 2 times a number from -3 to 3.

    Args:
        count: Number of signals; the classes come in turn.
        seed: Another seed gives other signals.
        length: Samples of a signal.

    Returns:
        Signals (count, length) float32, not normalised, and classes (count,) int32: 0 to 5.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 6
    time = np.arange(1, length + 1)[None]
    amplitude, period = rng.uniform(10, 15, (2, count, 1))
    gradient = rng.uniform(0.2, 0.5, (count, 1))
    shift, place = rng.uniform(7.5, 20, (count, 1)), rng.uniform(length / 3, 2 * length / 3, (count, 1))
    cycle, trend, step = amplitude * np.sin(2 * np.pi * time / period), gradient * time, shift * (time >= place)
    change = np.choose(labels[:, None], [np.zeros_like(trend), cycle, trend, -trend, step, -step])
    noise = 2 * rng.uniform(-3, 3, (count, length))
    return (30 + noise + change).astype(np.float32), labels
