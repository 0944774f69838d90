"""Who has won: area and territory, with komi, handicap and prisoners.

Dead stones are not recognised here: give them, as the players or an engine agreed on them, or play on until all dead
stones are taken off. Under territory rules eyes in seki count as territory here; the Nihon Ki-in's rules of 1989 do not
count them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.data.errors import DataError
from zoo.data.go.board import Board
from zoo.data.go.geometry import BLACK, WHITE


@dataclass(frozen=True)
class Score:
    """A counted game.

    Attributes:
        black: Black's points.
        white: White's points, with komi and what the handicap gives.
        black_area: The set of points that are black's: for territory without the stones.
        white_area: The set of points that are white's.
    """

    black: float
    white: float
    black_area: int
    white_area: int

    @property
    def margin(self) -> float:
        """By how much black has won; negative where white has."""
        return self.black - self.white

    @property
    def result(self) -> str:
        """As SGF and GTP write it: "B+3.5", "W+0.5", or "0" for a draw."""
        if not self.margin:
            return "0"
        return f"{'B' if self.margin > 0 else 'W'}+{abs(self.margin):g}"


def score(board: Board, *, dead: Iterable[int] = ()) -> Score:
    """Count a finished game by the board's rules.

    Args:
        board: The position at the end.
        dead: Points with stones that are dead; they are taken off first.

    Raises:
        DataError: A point is empty, or a chain is dead in part.

    Example:
        >>> from zoo.data.go import Board, score
        >>> board = Board(5, komi=0.5)
        >>> board.setup(black=[2, 7, 12, 17, 22], white=[3, 8, 13, 18, 23])
        >>> score(board).result
        'B+4.5'
    """
    geometry = board.geometry
    removed = geometry.set_of(dead)
    for chain in board.groups:
        if removed & chain.stones and chain.stones & ~removed:
            where = geometry.vertex(geometry.points(chain.stones)[0])
            raise DataError(f"The chain at {where} is dead in part. Name all of its stones, or none.")
    if removed & ~board.occupied:
        raise DataError(
            f"{geometry.vertex(geometry.points(removed & ~board.occupied)[0])} is empty; only stones are dead."
        )
    black, white = board.stones[BLACK] & ~removed, board.stones[WHITE] & ~removed
    territory = {BLACK: 0, WHITE: 0}
    rest = geometry.full & ~(black | white)
    while rest:
        region = geometry.flood(rest & -rest, geometry.full & ~(black | white))
        rest &= ~region
        border = geometry.grown(region)
        beside_black, beside_white = bool(border & black), bool(border & white)
        if beside_black != beside_white:
            territory[BLACK if beside_black else WHITE] |= region
    bonus = {"none": 0, "stones": board.handicap, "stones_but_one": max(board.handicap - 1, 0)}
    komi = board.komi + bonus[board.rules.handicap_bonus]
    if board.rules.scoring == "area":
        areas = territory[BLACK] | black, territory[WHITE] | white
        return Score(areas[0].bit_count(), areas[1].bit_count() + komi, *areas)
    taken_black = board.prisoners[BLACK] + (removed & board.stones[WHITE]).bit_count()
    taken_white = board.prisoners[WHITE] + (removed & board.stones[BLACK]).bit_count()
    return Score(
        territory[BLACK].bit_count() + taken_black,
        territory[WHITE].bit_count() + taken_white + komi,
        territory[BLACK],
        territory[WHITE],
    )
