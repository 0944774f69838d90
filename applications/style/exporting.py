"""Johnson's network for another runtime: pixels in, painted pixels out."""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from applications.style import johnson
from zoo.data.crops import crop, photograph
from zoo.deploy import export
from zoo.deploy.exports import Export

SIZE = 256


def export_run(folder: str | Path, out: str | Path, *, to: str, size: int | None = None) -> Export:
    """Write the network of a run; it is read again in its own runtime and compared on photographs before it counts.

    The file takes pixels (batch, size, size, 3) of 0 to 255 as uint8 and gives painted ones as float32.

    Args:
        folder: The run.
        out: Folder to make.
        to: As `zoo.deploy.export` takes it.
        size: Side of the pictures in pixels, a multiple of 4; None for 256.

    Raises:
        ValueError: The folder holds no finished training, the size is not legal, or what `zoo.deploy.export` raises.
    """
    model, side = johnson.open_run(folder), size or SIZE
    if side % 4 or side < johnson.SMALLEST:
        raise ValueError(f"size must be a multiple of 4, at least {johnson.SMALLEST}. Received: size={side}")
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    whole = keras.Model(pixels, model(layers.Rescaling(1.0, name="floating")(pixels)), name="painted")
    # Those of scikit-learn, which is always there.
    examples = [crop(photograph(name), side, np.random.default_rng(0)) for name in ("china", "flower")]
    return export(
        whole, out, to=to, examples=np.stack(examples), input_shape=(side, side, 3), facts={"source": str(folder)}
    )
