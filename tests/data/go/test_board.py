"""The board against rules written down a second time, in the plainest way, and against positions from textbooks."""

import random
from dataclasses import replace

import numpy as np
import pytest

from zoo.data import DataError
from zoo.data.go import BLACK, RULES, WHITE, Board, IllegalMoveError, geometry


class PlainBoard:
    """A dict of stones; all else is found by flood fill each time."""

    def __init__(self, size, rules):
        self.size, self.rules = size, rules
        self.stones, self.ko, self.to_move = {}, None, BLACK
        self.history = [({}, BLACK)]

    def neighbours(self, point):
        row, column = divmod(point, self.size)
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < self.size and 0 <= c < self.size:
                yield r * self.size + c

    def chain(self, stones, point):
        colour, found, liberties, waiting = stones[point], {point}, set(), [point]
        while waiting:
            for other in self.neighbours(waiting.pop()):
                if other not in stones:
                    liberties.add(other)
                elif stones[other] == colour and other not in found:
                    found.add(other)
                    waiting.append(other)
        return found, liberties

    def after(self, point, colour):
        """Stones after a move, what was taken, and whether it was suicide."""
        stones = {**self.stones, point: colour}
        taken = set()
        for other in self.neighbours(point):
            if stones.get(other) == -colour:
                found, liberties = self.chain(stones, other)
                if not liberties:
                    taken |= found
        stones = {where: what for where, what in stones.items() if where not in taken}
        own, liberties = self.chain(stones, point)
        if liberties:
            return stones, taken, False
        return {where: what for where, what in stones.items() if where not in own}, own, True

    def legal(self, point, colour):
        if point in self.stones:
            return False
        stones, _, suicide = self.after(point, colour)
        if suicide and not self.rules.suicide:
            return False
        if self.rules.ko == "simple":
            return point != self.ko
        if self.rules.ko == "positional":
            return all(stones != old for old, _ in self.history)
        return (stones, -colour) not in self.history

    def play(self, point):
        colour = self.to_move
        self.to_move, self.ko, ko = -colour, None, None
        if point < self.size * self.size:
            stones, taken, suicide = self.after(point, colour)
            if len(taken) == 1 and not suicide:
                own, liberties = self.chain(stones, point)
                if len(own) == 1 and liberties == taken:
                    (ko,) = taken
            self.stones, self.ko = stones, ko
        self.history.append((self.stones, self.to_move))


def facts(board):
    """All that a position consists of, comparable."""
    chains = sorted((chain.stones, chain.liberties, chain.zobrist, chain.colour) for chain in board.groups)
    labels = [None if chain is None else chain.stones for chain in board.chains]
    counts = tuple(board.prisoners), board.ko, board.to_move, board.zobrist, tuple(board.stones)
    return chains, labels, counts, dict(board._seen), list(board.positions), list(board.moves)


def random_move(board, rng):
    moves = board.geometry.points(board.legal())
    return rng.choice(moves) if moves and rng.random() > 0.02 else board.pass_move


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("size", [2, 3, 5, 9])
def test_random_games_agree_with_the_plain_rules(size, rules):
    rng = random.Random(size)
    for _ in range(6 if size < 5 else 2):
        board, plain = Board(size, rules=rules), PlainBoard(size, rules)
        for _ in range(60 if size < 5 else 120):
            legal = [point for point in range(size * size) if plain.legal(point, board.to_move)]
            assert board.geometry.points(board.legal()) == legal
            assert [point for point in range(size * size) if board.is_legal(point)] == legal
            move = random_move(board, rng)
            board.play(move)
            plain.play(move)
            assert {p: board.colour_at(p) for p in range(size * size) if board.colour_at(p)} == plain.stones
            for point in plain.stones:
                stones, liberties = plain.chain(plain.stones, point)
                assert set(board.geometry.points(board.chains[point].stones)) == stones
                assert set(board.geometry.points(board.chains[point].liberties)) == liberties


@pytest.mark.parametrize("rules", [RULES["japanese"], RULES["tromp_taylor"]], ids=lambda rules: rules.name)
def test_undo_restores_every_fact(rules):
    rng = random.Random(1)
    for size in (3, 5, 9):
        board, before = Board(size, rules=rules), []
        for _ in range(150):
            before.append(facts(board))
            board.play(random_move(board, rng))
            while before and rng.random() < 0.3:
                board.undo()
                assert facts(board) == before.pop()
        while before:
            board.undo()
            assert facts(board) == before.pop()
        with pytest.raises(IllegalMoveError, match=r"There is no move to take back\."):
            board.undo()


def test_hashes_are_those_of_the_stones_and_the_same_everywhere():
    rng = random.Random(2)
    board = Board(9, rules=RULES["tromp_taylor"])
    for _ in range(200):
        board.play(random_move(board, rng))
        again = Board(9)
        stones = [[p for p in range(81) if board.colour_at(p) == colour] for colour in (BLACK, WHITE)]
        again.setup(black=stones[0], white=stones[1])
        assert again.zobrist == board.zobrist
        assert np.array_equal(again.matrix(), board.matrix())
    assert Board(9).geometry.zobrist[BLACK][0] == 0xA542BA4D23BE2193


def test_a_copy_goes_its_own_way():
    rng = random.Random(3)
    board = Board(5)
    for _ in range(30):
        board.play(random_move(board, rng))
    before, copy = facts(board), board.copy()
    assert facts(copy) == before
    for _ in range(30):
        copy.play(random_move(copy, rng))
    assert facts(board) == before


def played(size, text, **options):
    """A board after moves given by name; "-" leaves a move of the other side out, as a pass."""
    board = Board(size, **options)
    for vertex in text.split():
        board.play(board.pass_move if vertex == "-" else board.geometry.point(vertex))
    return board


KO = "C4 D4 B3 E3 C2 D2 D3 C3"  # white has just taken the stone at D3


def test_simple_ko_forbids_to_take_back_at_once_and_allows_it_later():
    board = played(9, KO)
    with pytest.raises(IllegalMoveError, match=r"Black cannot play there: D3 takes the ko back at once\."):
        board.play(board.geometry.point("D3"))
    assert not board.legal() & board.geometry.bits[board.geometry.point("D3")]
    board.play(board.pass_move)
    board.play(board.pass_move)
    board.play(board.geometry.point("D3"))
    assert board.prisoners[BLACK] == 1


@pytest.mark.parametrize(("ko", "allowed"), [("simple", True), ("positional", False), ("situational", True)])
def test_sending_two_returning_one(ko, allowed):
    """White sends two stones, black takes both, white takes one back: the stones of before, now with black to move."""
    board = Board(5, rules=replace(RULES["chinese"], ko=ko))
    where = board.geometry.point
    board.setup(black=map(where, ("A2", "B2")), white=map(where, ("B1", "C2", "D1")), to_move=WHITE)
    board.play(where("A1"))
    board.play(where("C1"))
    assert board.prisoners[BLACK] == 2
    assert board.ko == -1
    assert board.is_legal(where("B1")) is allowed
    assert bool(board.legal() & board.geometry.bits[where("B1")]) is allowed


def test_suicide_is_refused_or_takes_ones_own_stones_off():
    moves = "B1 - A2 - C2 - B3"
    board = played(5, moves)
    with pytest.raises(IllegalMoveError, match=r"White cannot play there: B2 is suicide\."):
        board.play(board.geometry.point("B2"))
    free = played(5, moves + " B2", rules=RULES["new_zealand"])
    assert free.colour_at(free.geometry.point("B2")) == 0
    assert free.prisoners[BLACK] == 1
    strict = played(5, moves, rules=RULES["tromp_taylor"])
    with pytest.raises(IllegalMoveError, match=r"repeats an earlier position \(positional superko\)"):
        strict.play(strict.geometry.point("B2"))


def test_set_up_refuses_chains_without_liberties_and_changes_nothing():
    board = played(5, "C3")
    before = facts(board)
    where = board.geometry.point
    with pytest.raises(IllegalMoveError, match=r"The white chain at A1 would have no liberty\."):
        board.setup(white=[where("A1")], black=[where("A2"), where("B1")])
    with pytest.raises(IllegalMoveError, match=r"A point is set up twice\."):
        board.setup(white=[where("A1")], black=[where("A1")])
    with pytest.raises(IllegalMoveError, match="Handicap stones are placed on an empty board"):
        board.place_handicap([1, 2])
    with pytest.raises(IllegalMoveError, match=r"A handicap has at least two stones\. Received: 1"):
        Board(5).place_handicap([3])
    assert facts(board) == before


def test_refusals_say_what_was_expected():
    with pytest.raises(ValueError, match=r"A board has 2 to 25 rows and columns\. Received: size=26"):
        Board(26)
    with pytest.raises(ValueError, match=r"A point is A1 to J9, or pass\. Received: 'I5'"):
        geometry(9).point("I5")
    with pytest.raises(DataError, match="there is no point 99 on a board of 9x9"):
        Board(9).play(99)


def test_vertices_name_every_point_once():
    for size in (2, 9, 19, 25):
        board = geometry(size)
        names = [board.vertex(point) for point in range(size * size + 1)]
        assert [board.point(name.lower()) for name in names] == list(range(size * size + 1))
        assert names[-1] == "pass"
    assert geometry(19).vertex(0) == "A19"
    assert geometry(19).vertex(360) == "T1"
