"""Sizes of the demonstration."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the page shows.

    Attributes:
        side: Longest side of the pictures that are filtered, in pixels; larger ones are made smaller first, so that
            the page can show each pixel.
        shown: Longest side of a picture on the page, in pixels.
        strides: Steps that are compared.
    """

    side: int = 320
    shown: int = 320
    strides: tuple[int, ...] = (1, 2, 4)


DEFAULT = Demonstration()
SMOKE = Demonstration(side=32, shown=32, strides=(2,))
