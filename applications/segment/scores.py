"""How good a segmentation is: intersection over union for each class, in the whole picture and along borders."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from applications.segment.scenes import IGNORED


@dataclass(frozen=True)
class Scores:
    """Of a segmentation, all pixels of all pictures counted together.

    Attributes:
        iou: Intersection over union of each class; NaN for one that is neither there nor answered.
        mean_iou: Their mean, NaN left out.
        boundary_iou: The same mean over pixels near a border of the truth alone.
        pixel_accuracy: Part of the pixels that are right; high where most are background.
    """

    iou: tuple[float, ...]
    mean_iou: float
    boundary_iou: float
    pixel_accuracy: float


def confusion(truth: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Number of pixels by class (rows) and answer (columns); those of `IGNORED` truth left out.

    Example:
        >>> import numpy as np
        >>> from applications.segment.scores import confusion
        >>> confusion(np.array([[0, 1, 255]]), np.array([[0, 0, 1]]), 2).tolist()
        [[1, 0], [1, 0]]
    """
    counted = truth != IGNORED
    pairs = truth[counted].astype("int64") * classes + answers[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def intersection_over_union(table: np.ndarray) -> np.ndarray:
    """Of each class, from a confusion table; NaN for a class without pixels."""
    hits = np.diag(table).astype(float)
    union = table.sum(0) + table.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(table), np.nan), where=union > 0)


def near_borders(mask: np.ndarray, distance: int = 2) -> np.ndarray:
    """Pixels from which one of another class is at most so many steps away, diagonal ones too.

    Args:
        mask: (height, width) classes.
        distance: In steps.
    """
    size = 2 * distance + 1
    return ndimage.maximum_filter(mask, size) != ndimage.minimum_filter(mask, size)


def score(truth: np.ndarray, answers: np.ndarray, classes: int) -> Scores:
    """Scores of answers.

    Args:
        truth: (pictures, height, width) classes, `IGNORED` for what does not count.
        answers: (pictures, height, width) classes.
        classes: Number of classes.
    """
    table = confusion(truth, answers, classes)
    near = np.stack([near_borders(mask) for mask in truth])
    along = confusion(np.where(near, truth, IGNORED), answers, classes)
    iou = intersection_over_union(table)
    return Scores(
        tuple(iou.tolist()),
        float(np.nanmean(iou)),
        float(np.nanmean(intersection_over_union(along))),
        float(np.trace(table) / table.sum()),
    )
