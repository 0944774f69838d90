"""The search: what its tree says, what it keeps, whom it asks, and that it finds what decides a game."""

import random

import numpy as np
import pytest

import zoo
from applications.go.network import Network, ValueNetwork
from applications.go.search import Judge, SearchPlayer, playout
from zoo.data import DataError
from zoo.data.go import BLACK, WHITE, Board, encoder, score


def position():
    board = Board(5, komi=0.5)
    for point in (12, 7, 11):
        board.play(point)
    return board


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"visits": 0}, "visits and batch_size must be at least 1, .*Received: visits=0, batch_size=8"),
        ({"batch_size": 0}, "visits and batch_size must be at least 1, .*batch_size=0"),
        ({"exploration": 0}, "exploration above 0"),
        ({"playouts": 0.5}, r"Without a value, playouts alone judge.*Received: playouts=0\.5"),
        ({"temperature": -1}, r"temperature must be at least 0\. Received: temperature=-1"),
        ({"resign": 0.5}, r"resign is a value from -1 to 0\. Received: resign=0\.5"),
    ],
)
def test_options_are_checked(policy, options, message):
    with pytest.raises(DataError, match=message):
        SearchPlayer(policy, **options)


def test_policy_and_value_play_on_one_board(policy):
    value = ValueNetwork(
        zoo.create_model("go_value", input_shape=(7, 7, 49), filters=4, hidden_layers=1), encoder("alphago49")
    )
    with pytest.raises(DataError, match="Policy and value play on one board. Received: 5x5 and 7x7"):
        SearchPlayer(policy, value=value)
    with pytest.raises(DataError, match="Who wins is said by networks with a value, such as go_value"):
        ValueNetwork(policy.model, policy.encoder)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("kind", ["policy", "dual"])
def test_the_tree_adds_up_and_the_board_stays(kind, batch_size, request):
    board = position()
    before = str(board), board.to_move, list(board.moves)
    player = SearchPlayer(request.getfixturevalue(kind), visits=120, batch_size=batch_size, seed=1)
    root = player.search(board)
    assert root.num_lines == 120
    assert root.priors.sum() == pytest.approx(1)
    assert (str(board), board.to_move, list(board.moves)) == before
    assert board.is_legal(player.choose(board))
    nodes, known = [root], 0
    while nodes:
        node = nodes.pop()
        for place, child in node.children.items():
            assert child is not None  # nothing is waited for at the end
            # A position was judged once for itself, and then by each line that went on; assumed losses are taken back.
            assert node.visits[place] == 1 + child.num_lines
            assert node.totals[place] == pytest.approx(-(child.value + child.totals.sum()))
            assert child.to_move == -node.to_move
            nodes.append(child)
            known += 1
    assert known <= 120  # the others have ended games


def test_lines_that_wait_go_elsewhere(alphago):
    """Eight lines at once from a new root end in eight positions, though the policy prefers a few."""
    policy, value = alphago
    root = SearchPlayer(policy, value=value, visits=8, batch_size=8).search(Board(5))
    assert np.count_nonzero(root.visits) >= 6
    assert root.visits.max() <= 2


def test_what_was_looked_at_stays_for_the_next_move(alphago):
    policy, value = alphago
    player = SearchPlayer(policy, value=value, visits=60)
    board = Board(5, komi=0.5)
    player.new_game(1)
    root = player.search(board)
    place = int(root.visits.argmax())
    child = root.children[place]
    reply = int(child.visits.argmax())
    board.play(root.moves[place])
    board.play(child.moves[reply])
    kept = child.children[reply]
    assert kept.num_lines > 0
    asked = []
    judge = player._judge
    player._judge = Counting(judge, asked)
    assert player.search(board) is kept
    assert kept.num_lines == 60
    # Only what was missing was looked at; an ended game asks nobody.
    assert sum(asked) <= 60 - int(child.visits[reply] - 1)
    for change in ("komi", "undo", "game"):
        player._judge = judge
        kept = player.search(board)
        if change == "komi":
            board.komi = 3.5
        elif change == "undo":
            board.undo()
        else:
            player.new_game(2)
        assert player.search(board) is not kept


class Counting:
    """A judge that counts the positions that it is asked about."""

    def __init__(self, judge, asked):
        self.judge, self.asked, self.encode = judge, asked, judge.encode

    def __call__(self, planes, **options):
        self.asked.append(len(planes))
        return self.judge(planes, **options)


def test_both_networks_are_asked_and_planes_are_made_once(alphago):
    policy, value = alphago
    judge = Judge(policy, value)
    board = position()
    own, other = judge.encode(board)
    np.testing.assert_array_equal(own, encoder("alphago48").encode(board))
    np.testing.assert_array_equal(other, encoder("alphago49").encode(board))
    assert np.shares_memory(own, other)
    probabilities, values = judge([(own, other)])
    np.testing.assert_allclose(probabilities, policy([board])[0], atol=1e-6)
    expected = value.model(other[None].astype(np.float32))["value"]
    np.testing.assert_allclose(values, np.ravel(expected), atol=1e-6)


def test_other_planes_are_made_for_each(policy, alphago):
    board = position()
    own, other = Judge(policy, alphago[1]).encode(board)
    np.testing.assert_array_equal(own, encoder("simple").encode(board))
    np.testing.assert_array_equal(other, encoder("alphago49").encode(board))


def test_a_network_with_two_heads_judges_itself(dual):
    board = position()
    judge = Judge(dual)
    assert judge.has_value
    probabilities, values = judge([judge.encode(board)])
    expected = dual([board])
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-6)
    np.testing.assert_allclose(values, expected[1], atol=1e-6)


@pytest.mark.parametrize(("colour", "best"), [(BLACK, "E1"), (WHITE, "E4")])
def test_the_search_finds_the_move_that_decides(policy, colour, best):
    """Black's row and white's beside it both have one liberty: who is to move takes five stones and wins."""
    board = Board(5, komi=0.5)
    where = board.geometry.point
    board.setup(
        black=map(where, ("A3", "B3", "C3", "D3", "E3", "A1", "B1", "C1", "D1")),
        white=map(where, ("A2", "B2", "C2", "D2", "E2", "A4", "B4", "C4", "D4")),
        to_move=colour,
    )
    assert board.geometry.vertex(SearchPlayer(policy, visits=400, seed=1).choose(board)) == best


class Oracle:
    """A value network that counts the board as it lies."""

    size = 5
    encoder = encoder("alphago49")

    def judge(self, planes):
        # Own stones less the opponent's, of 25.
        return np.clip((planes[..., 0].sum(axis=(1, 2)) - planes[..., 1].sum(axis=(1, 2))) / 25.0, -1, 1)


def test_a_value_guides_the_search(alphago):
    """With a value that counts stones, the search takes four stones rather than play elsewhere."""
    board = Board(5, komi=0.5)
    where = board.geometry.point
    board.setup(black=map(where, ("A2", "B2", "C2", "D2")), white=map(where, ("A1", "B1", "C1", "D1")), to_move=BLACK)
    player = SearchPlayer(alphago[0], value=Oracle(), visits=150)
    assert board.geometry.vertex(player.choose(board)) == "E1"


def test_resignation_by_the_search(alphago):
    class Lost(Oracle):
        def judge(self, planes):
            return np.where(planes[:, 0, 0, 48] == 1, -0.95, 0.95)  # black has lost, whoever is to move

    board = Board(5, komi=0.5)
    player = SearchPlayer(alphago[0], value=Lost(), visits=20, resign=-0.8)
    assert player.choose(board) is None
    board.play(12)
    assert player.choose(board) is not None


def test_playouts_end_and_judge_alike(policy):
    board = Board(5, komi=0.5)
    board.setup(black=[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1, 3], white=[22], to_move=BLACK)
    results = [playout(board.copy(), random.Random(seed)) for seed in range(20)]
    assert sum(results) > 10
    board.to_move = WHITE
    assert sum(playout(board.copy(), random.Random(seed)) for seed in range(20)) < -10


def test_ended_games_are_counted(policy):
    """After a pass, a second one ends the game: its line is worth the score, exactly."""
    board = Board(5, komi=0.5)
    board.setup(black=[5, 6, 7, 8, 9, 1, 3], white=[15, 20, 21, 22, 23, 24], to_move=BLACK)
    board.play(board.pass_move)
    player = SearchPlayer(policy, visits=200, seed=1, exploration=5.0)
    root = player.search(board)
    place = root.moves.index(board.pass_move)
    board.play(board.pass_move)
    assert root.visits[place] > 0
    sign = 1 if score(board).margin < 0 else -1  # white passed last
    assert root.totals[place] / root.visits[place] == sign


def test_networks_without_a_policy_do_not_play(alphago):
    with pytest.raises(DataError, match=r"A player needs a policy\. Received: a network with the outputs value"):
        Network(alphago[1].model, alphago[1].encoder)
