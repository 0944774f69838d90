"""sRGB and CIE L*a*b*, in both directions, on tensors and arrays.

IEC 61966-2-1 (sRGB) and CIE 15 (L*a*b*) with the white of illuminant D65 for the observer of 2 degrees. The constants
have the digits that scikit-image has, so that both give the same numbers.
"""

from typing import Any

import numpy as np
import tensorflow as tf

_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
_WHITE = np.array([0.95047, 1.0, 1.08883])

# Below it the cube root is replaced by a line.
_DARK, _SLOPE, _OFFSET = 0.008856, 7.787, 16 / 116
_DARK_ROOT = 0.2068966


def rgb_to_lab(rgb: Any) -> tf.Tensor:
    """L*a*b* of sRGB colours.

    Args:
        rgb: (…, 3) floating-point, 0 to 1.

    Returns:
        (…, 3) of the same dtype: lightness 0 to 100, a (green to red) and b (blue to yellow), about -110 to 100.

    Example:
        >>> import numpy as np
        >>> from applications.colorize.lab import rgb_to_lab
        >>> rgb_to_lab(np.array([1.0, 0.0, 0.0])).numpy().round(2).tolist()
        [53.24, 80.09, 67.2]
    """
    rgb = _floating(rgb)
    # The branch that is not taken must be finite too, for gradients.
    linear = tf.where(rgb > 0.04045, ((tf.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = tf.linalg.matvec(tf.constant(_TO_XYZ / _WHITE[:, None], rgb.dtype), linear)
    roots = tf.where(xyz > _DARK, tf.maximum(xyz, _DARK) ** (1 / 3), _SLOPE * xyz + _OFFSET)
    x, y, z = tf.unstack(roots, axis=-1)
    return tf.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: Any) -> tf.Tensor:
    """sRGB of L*a*b* colours; what no screen can show is cut to the range of each channel.

    Args:
        lab: (…, 3) floating-point, as `rgb_to_lab` gives it.

    Returns:
        (…, 3) of the same dtype, 0 to 1.

    Example:
        >>> import numpy as np
        >>> from applications.colorize.lab import lab_to_rgb
        >>> lab_to_rgb(np.array([100.0, 0.0, 0.0])).numpy().round(3).tolist()
        [1.0, 1.0, 1.0]
    """
    lab = _floating(lab)
    lightness, a, b = tf.unstack(lab, axis=-1)
    y = (lightness + 16) / 116
    roots = tf.stack([y + a / 500, y, tf.maximum(y - b / 200, 0)], axis=-1)
    xyz = tf.where(roots > _DARK_ROOT, roots**3, (roots - _OFFSET) / _SLOPE)
    linear = tf.linalg.matvec(tf.constant(_FROM_XYZ * _WHITE, lab.dtype), xyz)
    curved = 1.055 * tf.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return tf.clip_by_value(tf.where(linear > 0.0031308, curved, 12.92 * linear), 0, 1)


def _floating(values: Any) -> tf.Tensor:
    values = tf.convert_to_tensor(values)
    if not values.dtype.is_floating or values.shape.rank is None or values.shape[-1] != 3:
        raise ValueError(
            "Colours are floating-point with three channels at the end; divide pixels of 8 bits by 255. "
            f"Received: {values.dtype.name} of shape {tuple(values.shape)}"
        )
    return values
