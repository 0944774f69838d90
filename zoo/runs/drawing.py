"""Pictures of examples that are none: spectrograms, signals and text, for the report."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

# Height and width of the picture of a signal or a text.
_SIZE = (64, 128)


def draw_example(values: np.ndarray, words: Callable[[np.ndarray], str] | None = None) -> np.ndarray:
    """A grey picture of an example.

    Args:
        values: (samples, channels) of a signal, (frames, bands, maps) of a spectrogram, (positions,) of a text.
        words: From the numbers of a text to the text.

    Returns:
        (height, width, 1) uint8, dark on white; of a spectrogram the first map, low frequencies at the bottom.
    """
    if values.ndim == 3:
        bands = values[..., 0].T[::-1]
        low, high = float(bands.min()), float(bands.max())
        scaled = (high - bands) / ((high - low) or 1) * 255
        return np.rint(scaled).astype(np.uint8)[..., None]
    height, width = _SIZE
    picture = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(picture)
    if values.ndim == 1:
        text = " ".join(map(str, values.tolist())) if words is None else words(values)
        letters = 20
        for line in range(height // 12):
            draw.text(
                (2, 12 * line), text[line * letters : (line + 1) * letters].encode("ascii", "replace").decode(), 0
            )
    else:
        low, high = float(values.min()), float(values.max())
        across = np.linspace(0, width - 1, len(values))
        for channel in values.T:
            down = (high - channel) / ((high - low) or 1) * (height - 1)
            draw.line(list(zip(across.tolist(), down.tolist(), strict=True)), fill=0)
    return np.asarray(picture)[..., None]
