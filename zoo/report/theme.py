"""The two looks of a page and its figures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours of a page and of its figures, as "#rrggbb"; blue and orange stay apart for all kinds of sight.

    Attributes:
        page: Behind everything.
        surface: Behind figures and tables.
        ink: Text.
        muted: Secondary text and lines.
        line: Borders and grids.
        right: Right predictions, validation.
        wrong: Mistakes.
    """

    page: str
    surface: str
    ink: str
    muted: str
    line: str
    right: str
    wrong: str


LIGHT = Theme("#f5f6f8", "#ffffff", "#1b2430", "#586474", "#dde1e7", "#0b63a8", "#b84a00")
DARK = Theme("#0e1318", "#161d25", "#e4e9ef", "#9ba7b4", "#2d3743", "#6fb3ef", "#f59f62")
