"""Go: rules, scoring, ladders, and the planes that networks see."""

from zoo.data.go.board import (
    AGA,
    CHINESE,
    CHINESE_SUPERKO,
    JAPANESE,
    NEW_ZEALAND,
    RULES,
    TROMP_TAYLOR,
    Board,
    IllegalMoveError,
    Rules,
)
from zoo.data.go.encoders import ENCODERS, Encoder, Group, encoder
from zoo.data.go.geometry import BLACK, EMPTY, WHITE, Geometry, geometry
from zoo.data.go.ladders import Ladders
from zoo.data.go.scoring import Score, score

__all__ = [
    "AGA",
    "BLACK",
    "CHINESE",
    "CHINESE_SUPERKO",
    "EMPTY",
    "ENCODERS",
    "JAPANESE",
    "NEW_ZEALAND",
    "RULES",
    "TROMP_TAYLOR",
    "WHITE",
    "Board",
    "Encoder",
    "Geometry",
    "Group",
    "IllegalMoveError",
    "Ladders",
    "Rules",
    "Score",
    "encoder",
    "geometry",
    "score",
]
