"""Planes that GNU Go has no word for, known positions, symmetry, and that remembered ladders are those read anew."""

import random

import numpy as np
import pytest

from zoo.data import DataError
from zoo.data.go import BLACK, ENCODERS, NEW_ZEALAND, WHITE, Board, Ladders, encoder, ladders, symmetries
from zoo.data.go.encoders import View


def played(size, text, **options):
    board = Board(size, **options)
    for vertex in text.split():
        board.play(board.geometry.point(vertex))
    return board


def names(board, plane):
    """The points of a plane that are not 0."""
    return {board.geometry.vertex(int(point)) for point in np.flatnonzero(plane)}


def random_board(size, seed, count):
    rng, board = random.Random(seed), Board(size)
    for _ in range(count):
        moves = board.geometry.points(board.legal())
        board.play(rng.choice(moves) if moves else board.pass_move)
    return board


@pytest.mark.parametrize("name", ENCODERS)
def test_the_groups_add_up_and_planes_are_what_the_range_says(name):
    item = encoder(name)
    for size in (5, 9, 19):
        planes = item.encode(random_board(size, 1, 40))
        assert planes.shape == (size, size, item.num_planes)
        assert planes.dtype == np.int8
        assert set(np.unique(planes)) <= ({-1, 0, 1} if item.signed else {0, 1})
    assert item.num_planes == {
        "matrix": 1, "matrix_to_move": 1, "simple": 4, "history": 8, "tactical": 22, "clark8": 8,
        "alphago48": 48, "alphago49": 49, "alphagozero17": 17, "leela18": 18,
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_encoding_commutes_with_the_symmetries(name):
    """A game turned or mirrored gives planes turned or mirrored; ladders, ko and history with them."""
    item, size = encoder(name), 9
    for seed in range(2):
        board = random_board(size, seed, 55)
        expected = item.encode(board)
        for number in range(1, 8):
            turned = Board(size)
            for colour, point in board.moves:
                turned.play(int(symmetries.moves(size)[number, point]), colour)
            np.testing.assert_array_equal(item.encode(turned), symmetries.transform(expected, number))


def test_moves_go_where_the_planes_go():
    for size in (5, 9):
        for number in range(8):
            for point in range(size * size):
                plane = np.zeros((size, size, 1))
                plane.flat[point] = 1
                moved = symmetries.transform(plane, number)
                assert np.flatnonzero(moved).tolist() == [symmetries.moves(size)[number, point]]
    assert [symmetries.inverse(number) for number in range(8)] == [0, 1, 2, 3, 4, 6, 5, 7]


def test_the_matrix_is_the_courses():
    board = played(5, "C3 D4")
    matrix = encoder("matrix").encode(board)[..., 0]
    assert (matrix[2, 2], matrix[1, 3], matrix.sum()) == (1, -1, 0)
    board.play(board.pass_move)
    assert np.array_equal(encoder("matrix").encode(board)[..., 0], matrix)
    assert np.array_equal(encoder("matrix_to_move").encode(board)[..., 0], -matrix)


def test_history_and_turns_since():
    board = played(9, "A1 B1 C1 D1 E1 F1 G1 H1 J1")
    planes = encoder("alphago48").encode(board)
    since = [names(board, planes[..., 4 + turn]) for turn in range(8)]
    assert since == [{"J1"}, {"H1"}, {"G1"}, {"F1"}, {"E1"}, {"D1"}, {"C1"}, {"A1", "B1"}]
    last = encoder("history").encode(board)
    assert [names(board, last[..., 4 + turn]) for turn in range(4)] == [{"J1"}, {"H1"}, {"G1"}, {"F1"}]
    board.play(board.pass_move)
    assert names(board, encoder("alphago48").encode(board)[..., 4]) == set()


def test_zero_planes_hold_eight_positions_of_each_player_and_zeros_before_the_first():
    board = played(9, "A1 B1 C1")  # white to move
    planes = encoder("alphagozero17").encode(board)
    own = [names(board, planes[..., index]) for index in range(8)]
    other = [names(board, planes[..., 8 + index]) for index in range(8)]
    assert own == [{"B1"}, {"B1"}] + [set()] * 6
    assert other == [{"A1", "C1"}, {"A1"}, {"A1"}] + [set()] * 5
    assert planes[..., 16].max() == 0
    leela = encoder("leela18").encode(board)
    assert np.array_equal(leela[..., :16], planes[..., :16])
    assert (leela[..., 16].max(), leela[..., 17].min()) == (0, 1)
    board.play(board.pass_move)
    assert encoder("alphago49").encode(board)[..., 48].min() == 1


def eyes(board):
    return {board.geometry.vertex(point) for point in board.geometry.points(View(board, Ladders()).eyes)}


def test_eyes_need_their_diagonals():
    board = Board(9)
    where = board.geometry.point
    ring = [where(name) for name in ("D5", "F5", "E6", "E4")]
    board.setup(black=ring, white=[where("D6")])
    assert eyes(board) == {"E5"}
    board.setup(white=[where("F4")])
    assert eyes(board) == set()
    corner = Board(9)
    corner.setup(black=[where("A2"), where("B1")])
    assert eyes(corner) == {"A1"}
    corner.setup(white=[where("B2")])
    assert eyes(corner) == set()
    edge = Board(9)
    edge.setup(black=[where("D1"), where("F1"), where("E2")], white=[where("D2")])
    assert eyes(edge) == set()
    planes = encoder("alphago48").encode(edge)
    assert {"E1"} <= names(edge, planes[..., 46])


def test_a_chain_in_atari_gets_away_where_it_finds_three_liberties():
    board = Board(9)
    where = board.geometry.point
    board.setup(black=map(where, ("C4", "D3", "E4")), white=[where("D4")], to_move=WHITE)
    read = Ladders()
    assert read.captures(board, where("D4")) == []
    assert [board.geometry.vertex(move) for move in read.escapes(board, where("D4"))] == ["D5"]
    assert names(board, encoder("alphago48").encode(board)[..., 45]) == {"D5"}
    board.setup(black=[where("C5")])
    assert read.escapes(board, where("D4")) == []
    assert names(board, encoder("alphago48").encode(board)[..., 45]) == set()


def test_a_classical_ladder():
    board = Board(9)
    where = board.geometry.point
    # White's stone at C7 has two liberties, D7 and C6; from the side of D7 it is driven to the lower edge.
    board.setup(black=map(where, ("B7", "C8", "B6")), white=[where("C7")], to_move=BLACK)
    read = Ladders()
    assert [board.geometry.vertex(move) for move in read.captures(board, where("C7"))] == ["D7"]
    plane = encoder("alphago48").encode(board)
    assert names(board, plane[..., 44]) == {"D7"}
    board.setup(white=[where("F3")])
    assert read.captures(board, where("C7")) == []
    assert names(board, encoder("alphago48").encode(board)[..., 44]) == set()


@pytest.mark.parametrize(("limit", "reached"), [("MOST_MOVES", 6), ("MOST_POSITIONS", 6)])
def test_ladders_that_are_too_long_are_given_up(monkeypatch, limit, reached):
    """What kos on several sides would make endless counts as no capture; the board is as before."""
    board = Board(9)
    where = board.geometry.point
    board.setup(black=map(where, ("B7", "C8", "B6")), white=[where("C7")], to_move=BLACK)
    before = str(board)
    monkeypatch.setattr(ladders, limit, reached)
    assert Ladders().captures(board, where("C7")) == []
    assert (str(board), board.moves, board.to_move) == (before, [], BLACK)
    monkeypatch.undo()
    assert Ladders().captures(board, where("C7")) == [where("D7")]


def test_a_line_of_a_ladder_fits_on_pythons_stack():
    """Two and a half calls for each move, and as many again for who asks."""
    assert 2.5 * ladders.MOST_MOVES < 0.6 * 1000


def test_ladders_leave_the_board_and_are_remembered_rightly():
    kept = Ladders()
    rng = random.Random(4)
    for size in (9, 9, 13):
        board = Board(size)
        for _ in range(size * size):
            moves = board.geometry.points(board.legal())
            if not moves:
                break
            board.play(rng.choice(moves))
            before = str(board), board.zobrist, board.ko, len(board.moves)
            for chain in list(board.groups):
                point = board.geometry.points(chain.stones)[0]
                fresh = Ladders()
                assert kept.captures(board, point) == fresh.captures(board, point)
                assert kept.escapes(board, point) == fresh.escapes(board, point)
            assert (str(board), board.zobrist, board.ko, len(board.moves)) == before


def test_an_unknown_encoder_lists_the_known():
    with pytest.raises(DataError, match=r"Encoders are matrix, .*leela18\. Received: 'alphago'"):
        encoder("alphago")


def test_a_capture_that_leaves_one_liberty():
    board = Board(5)
    where = board.geometry.point
    board.setup(black=[where("A2")], white=map(where, ("A1", "C1", "B2")), to_move=BLACK)
    planes = encoder("alphago48").encode(board)
    assert "B1" in names(board, planes[..., 20 + 1])  # takes one
    assert names(board, planes[..., 28]) == {"B1"}  # a self-atari of one stone
    assert "B1" in names(board, planes[..., 36])  # one liberty after the move
    assert "B1" not in names(board, planes[..., 20])
    assert "A1" in names(board, planes[..., 12])  # one liberty now
    assert "C1" not in names(board, planes[..., 12])


def test_suicide_leaves_no_liberties():
    """White's legal A5 stands alone, E4 joins a chain and B1 two, and all are taken off at once."""
    board = Board(5, rules=NEW_ZEALAND)
    where = board.geometry.point
    black = ("A4", "B5", "D5", "D4", "E3", "A2", "B2", "C2", "D1")
    board.setup(black=map(where, black), white=map(where, ("E5", "A1", "C1")), to_move=WHITE)
    suicides = {"A5", "E4", "B1"}
    planes = encoder("alphago48").encode(board)
    assert suicides <= names(board, planes[..., 20])
    assert not suicides & names(board, planes[..., 36:44].any(axis=-1))
    assert not suicides & names(board, encoder("tactical").encode(board)[..., 17:].any(axis=-1))
    assert names(board, planes[..., 36:44].any(axis=-1)) == names(board, planes[..., 20]) - suicides
