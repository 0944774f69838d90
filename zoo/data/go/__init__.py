"""Go: rules, scoring, ladders, and the planes that networks see."""

from zoo.data.go import sgf, symmetries
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
from zoo.data.go.drawing import draw_board, draw_stones
from zoo.data.go.encoders import ENCODERS, Encoder, Group, encoder
from zoo.data.go.games import (
    Game,
    IllegalGameError,
    game_from_nodes,
    handicap_points,
    read_games,
    to_sgf,
)
from zoo.data.go.geometry import BLACK, EMPTY, WHITE, Geometry, geometry
from zoo.data.go.ladders import Ladders
from zoo.data.go.positions import EMBEDDED, Positions, encode_games, read_shards, split_games, write_shards
from zoo.data.go.scoring import Score, score
from zoo.data.go.sgf import Node, SgfError

__all__ = [
    "AGA",
    "BLACK",
    "CHINESE",
    "CHINESE_SUPERKO",
    "EMBEDDED",
    "EMPTY",
    "ENCODERS",
    "JAPANESE",
    "NEW_ZEALAND",
    "RULES",
    "TROMP_TAYLOR",
    "WHITE",
    "Board",
    "Encoder",
    "Game",
    "Geometry",
    "Group",
    "IllegalGameError",
    "IllegalMoveError",
    "Ladders",
    "Node",
    "Positions",
    "Rules",
    "Score",
    "SgfError",
    "draw_board",
    "draw_stones",
    "encode_games",
    "encoder",
    "game_from_nodes",
    "geometry",
    "handicap_points",
    "read_games",
    "read_shards",
    "score",
    "sgf",
    "split_games",
    "symmetries",
    "to_sgf",
    "write_shards",
]
