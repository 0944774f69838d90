"""Counted games: area, territory, handicap, dead stones."""

import pytest

from zoo.data import DataError
from zoo.data.go import RULES, Board, handicap_points, score


def halves(rules, komi=0.5):
    """Black has the three columns on the left, white the two on the right of a 5x5."""
    board = Board(5, rules=RULES[rules], komi=komi)
    board.setup(black=range(2, 25, 5), white=range(3, 25, 5))
    return board


def test_area_and_territory():
    area = score(halves("chinese"))
    assert (area.black, area.white, area.result) == (15, 10.5, "B+4.5")
    territory = score(halves("japanese"))
    assert (territory.black, territory.white, territory.result) == (10, 5.5, "B+4.5")
    assert territory.black_area.bit_count() == 10
    assert score(halves("chinese", komi=5)).result == "0"
    assert score(halves("chinese", komi=7)).result == "W+2"


def test_prisoners_and_dead_stones():
    board = halves("japanese")
    board.setup(white=[0], black=list(range(2, 25, 5)))
    assert score(board).black == 0  # the left is no one's while white lives there
    counted = score(board, dead=[0])
    assert (counted.black, counted.white) == (11, 5.5)
    board.prisoners[-1] = 3
    assert score(board, dead=[0]).white == 8.5
    assert score(halves("chinese"), dead=[]).black == 15
    with pytest.raises(DataError, match=r"The chain at C5 is dead in part"):
        score(board, dead=[2])
    with pytest.raises(DataError, match=r"B5 is empty; only stones are dead"):
        score(board, dead=[1])


@pytest.mark.parametrize(("rules", "bonus"), [("chinese", 2), ("aga", 1), ("japanese", 0), ("new_zealand", 0)])
def test_handicap_gives_white_what_the_rules_say(rules, bonus):
    plain, given = halves(rules), halves(rules)
    given.handicap = 2
    assert score(given).white - score(plain).white == bonus


def test_handicap_points_are_gtps():
    board = Board(19)
    # Version 2 of the protocol, section "Fixed Handicap Placement".
    table = {
        2: "D4 Q16", 3: "D4 Q16 D16", 4: "D4 Q16 D16 Q4", 5: "D4 Q16 D16 Q4 K10", 6: "D4 Q16 D16 Q4 D10 Q10",
        7: "D4 Q16 D16 Q4 D10 Q10 K10", 8: "D4 Q16 D16 Q4 D10 Q10 K4 K16", 9: "D4 Q16 D16 Q4 D10 Q10 K4 K16 K10",
    }  # fmt: skip
    for count, names in table.items():
        points = handicap_points(19, count)
        assert sorted(map(board.geometry.vertex, points)) == sorted(names.split())
    board.place_handicap(handicap_points(19, 4))
    assert (board.to_move, board.handicap) == (-1, 4)
    with pytest.raises(DataError, match=r"A board of 5x5 has no handicap points\. Received: 2"):
        handicap_points(5, 2)
    with pytest.raises(DataError, match=r"A board of 8x8 has 4 handicap points\. Received: 5"):
        handicap_points(8, 5)
