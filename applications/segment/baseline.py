"""The baseline without a network: Otsu's threshold, connected components, a support vector machine.

For scenes of digits: what is far from the background's tone is a digit's ink, whatever hangs together is one digit, and
the SVM, trained on digits cut out by their true masks, says which.
"""

import numpy as np
from PIL import Image
from scipy import ndimage
from sklearn.svm import SVC

from applications.segment.scenes import Scenes

_SIDE = 16
_SMALLEST = 12


def otsu(values: np.ndarray) -> float:
    """Otsu's threshold (1979): the one that parts a histogram into two groups with the largest variance between them.

    Args:
        values: Whole numbers from 0 to 255.
    """
    histogram = np.bincount(values.ravel(), minlength=256).astype(float)
    below = histogram.cumsum()
    above = below[-1] - below
    sums = (histogram * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(np.nanargmax(np.where(np.isfinite(between), between, -1)))


def components(picture: np.ndarray) -> list[np.ndarray]:
    """Masks of what stands out of a picture: (height, width) bool each.

    Args:
        picture: (height, width) uint8.
    """
    contrast = picture.astype(float) - np.median(picture)
    threshold = otsu(np.abs(contrast).round().astype("uint8"))
    found = []
    for side in (contrast > threshold, contrast < -threshold):
        labels, count = ndimage.label(side, structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        found += [labels == number for number in range(1, count + 1) if sizes[number] >= _SMALLEST]
    return found


def _cut_out(mask: np.ndarray) -> np.ndarray:
    """A mask in the middle of a square picture that it just fits in, at a fixed size: (256,) from 0 to 1."""
    cut = mask[ndimage.find_objects(mask.astype(int))[0]]
    rows, columns = ((max(cut.shape) - side) // 2 for side in cut.shape)
    square = np.zeros((max(cut.shape),) * 2, "uint8")
    square[rows : rows + cut.shape[0], columns : columns + cut.shape[1]] = 255 * cut
    piece = Image.fromarray(square)
    return np.asarray(piece.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)).ravel() / 255


class Baseline:
    """Threshold, components, SVM.

    Args:
        train: Scenes of digits.
    """

    def __init__(self, train: Scenes) -> None:
        shapes, labels = [], []
        for mask in train.masks:
            for label in np.unique(mask[mask > 0]):
                parts, count = ndimage.label(mask == label, structure=np.ones((3, 3)))
                for part in range(1, count + 1):
                    if (parts == part).sum() >= _SMALLEST:
                        shapes.append(_cut_out(parts == part))
                        labels.append(label)
        self._svm = SVC(C=10).fit(shapes, labels)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """The class of each pixel.

        Args:
            pictures: (pictures, height, width, 1) uint8.

        Returns:
            (pictures, height, width) uint8.
        """
        answers = np.zeros(pictures.shape[:3], "uint8")
        for picture, answer in zip(pictures, answers, strict=True):
            found = components(picture[..., 0])
            if found:
                for mask, label in zip(found, self._svm.predict([_cut_out(mask) for mask in found]), strict=True):
                    answer[mask] = label
        return answers
