"""What a network looked at, as plain data: pictures, texts with the weight of each word, pieces of text by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class LookedAt:
    """What a page shows of where the answers come from.

    Attributes:
        note: How it was found and how to read it.
        pictures: Index of an example in the evaluation, and its picture, (height, width, 3) uint8.
        texts: Index of an example, and its pieces with the weight of each, 0 to 1; pieces are not trusted.
        pieces: For each class the pieces of text that speak for it, with their weights, the heaviest first.
        pieces_note: How those were found.
    """

    note: str
    pictures: Sequence[tuple[int, np.ndarray]] = ()
    texts: Sequence[tuple[int, Sequence[tuple[str, float]]]] = ()
    pieces: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    pieces_note: str = ""

    def __post_init__(self) -> None:
        """Refuse what no page can show."""
        for _, picture in self.pictures:
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
                raise ValueError(
                    "Pictures of what a network looked at are uint8 of shape (height, width, 3). "
                    f"Received: {picture.dtype} of {picture.shape}"
                )
        for index, pieces in self.texts:
            if wrong := [weight for _, weight in pieces if not 0 <= weight <= 1]:
                raise ValueError(f"Weights of pieces are from 0 to 1. Received: {wrong[0]} for example {index}")
