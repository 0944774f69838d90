"""Half and twice the samples, as courses define it."""

import numpy as np


def downsample_by_2(signal: np.ndarray) -> np.ndarray:
    """Every other sample, from the first on. What is above half of the new rate is folded down: smooth it before.

    Args:
        signal: (samples, …).

    Returns:
        (ceil(samples / 2), …).

    Example:
        >>> import numpy as np
        >>> from zoo.data.signals import downsample_by_2
        >>> downsample_by_2(np.array([1, 2, 3, 4, 5])).tolist()
        [1, 3, 5]
    """
    return signal[::2]


def upsample_by_2(signal: np.ndarray) -> np.ndarray:
    """A zero behind each sample; a filter that smooths then fills them in.

    Args:
        signal: (samples, …).

    Returns:
        (2 samples, …).

    Example:
        >>> import numpy as np
        >>> from zoo.data.signals import upsample_by_2
        >>> upsample_by_2(np.array([1, 3, 5])).tolist()
        [1, 0, 3, 0, 5, 0]
    """
    longer = np.zeros((2 * len(signal), *signal.shape[1:]), signal.dtype)
    longer[::2] = signal
    return longer
