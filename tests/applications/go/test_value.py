"""Value networks: labels of known answers, the loss by hand, and a run that the search asks."""

import keras
import numpy as np
import pytest

from applications.go.network import ValueNetwork, load_value
from applications.go.search import SearchPlayer
from applications.go.selfplay import policy_games
from applications.go.value import ValueLoss, owners, result_and_owners, train_value
from zoo.data import DataError
from zoo.data.go import CHINESE, JAPANESE, Board, Game, encode_games, encoder, score, symmetries, to_sgf

POINTS = 25
PASS = 25


def played(*moves, result, rules=CHINESE):
    """A game on 5x5 of black and white in turn."""
    return Game(
        size=5, moves=tuple((1 if number % 2 == 0 else -1, point) for number, point in enumerate(moves)), komi=0.5,
        rules=rules, result=result,
    )  # fmt: skip


@pytest.mark.parametrize("rules", [CHINESE, JAPANESE], ids=lambda rules: rules.name)
def test_owners_are_those_of_the_last_position(rules):
    # Black has a wall in the third column and white one in the fourth; two rows of black's, one of white's.
    moves = (2, 3, 7, 8, 12, 13, 17, 18, 22, 23, PASS, PASS)
    whose = owners(played(*moves, result="B+4.5", rules=rules)).reshape(5, 5)
    assert (whose[:, :3] == 1).all()
    assert (whose[:, 3:] == -1).all()


@pytest.mark.parametrize("result", ["B+R", "W+20.5", "", "B+3.5", "0", "B+"])
def test_owners_are_not_known_where_the_stones_say_otherwise(result):
    moves = (2, 3, 7, 8, 12, 13, 17, 18, 22, 23, PASS, PASS)
    assert owners(played(*moves, result=result)) is None


def test_owners_of_a_game_that_was_broken_off_are_not_known():
    assert owners(played(2, 3, result="B+4.5")) is None
    assert owners(played(result="W+0.5")) is None


def test_labels_are_the_movers_and_turn_with_the_board():
    moves = (2, 3, 7, 8, 12, 13, 17, 18, 22, 23, PASS, PASS)
    games = [played(*moves, result="B+4.5"), played(0, 1, result="W+R")]
    positions = encode_games(games, encoder("simple"))
    labels = result_and_owners(positions, games)
    indices = np.array([0, 1, 12, 13])
    plain = labels(indices, np.zeros(4, np.int64))
    np.testing.assert_array_equal(plain[:, 0], [1, -1, -1, 1])
    np.testing.assert_array_equal(plain[:, 1], [1, 1, 0, 0])
    assert (plain[0, 2:].reshape(5, 5)[:, :3] == 1).all()
    assert (plain[1, 2:].reshape(5, 5)[:, :3] == -1).all()
    assert (plain[2:, 2:] == 0).all()
    for number in range(8):
        turned = labels(indices, np.full(4, number))
        expected = symmetries.transform(plain[:, 2:].reshape(4, 5, 5, 1), number).reshape(4, POINTS)
        np.testing.assert_array_equal(turned[:, 2:], expected)
        np.testing.assert_array_equal(turned[:, :2], plain[:, :2])


def test_the_loss_by_hand():
    y_true = np.array([[1, 1, 1, -1], [-1, 0, 0, 0]], np.float32)
    y_pred = np.array([[0.5, 0.5, 0.0], [0.5, 1.0, 1.0]], np.float32)
    # (1 - 0.5)^2 + 2 * mean(0.5^2, 1^2); (1.5)^2, its points are not known.
    expected = [0.25 + 2 * 0.625, 2.25]
    loss = ValueLoss(2.0, reduction="none")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loss(y_true, y_pred)), expected, rtol=1e-6)
    assert ValueLoss.from_config(loss.get_config()).ownership_weight == 2.0


def test_positions_are_drawn_by_game_and_seed():
    games = [played(*range(10), PASS, PASS, result="B+R"), played(3, 4, result="W+R")]
    drawn = encode_games(games, encoder("simple"), per_game=4, seed=1)
    every = encode_games(games, encoder("simple"))
    np.testing.assert_array_equal(np.bincount(drawn.games), [4, 2])
    place = {(game, number): index for index, (game, number) in enumerate(zip(every.games, every.numbers, strict=True))}
    for index in range(len(drawn)):
        same = place[drawn.games[index], drawn.numbers[index]]
        np.testing.assert_array_equal(drawn.packed[index], every.packed[same])
        assert (drawn.moves[index], drawn.values[index]) == (every.moves[same], every.values[same])
    again = encode_games(games, encoder("simple"), per_game=4, seed=1)
    np.testing.assert_array_equal(again.numbers, drawn.numbers)
    others = [encode_games(games, encoder("simple"), per_game=4, seed=seed).numbers.tolist() for seed in range(5)]
    assert len({tuple(numbers) for numbers in others}) > 1
    assert len(encode_games(games, encoder("simple"), per_game=20, passes=False)) == 12
    with pytest.raises(
        DataError, match=r"per_game must be at least 1, or None for all positions\. Received: per_game=0"
    ):
        encode_games(games, encoder("simple"), per_game=0)


def test_a_value_network_learns_who_wins(policy, tmp_path):
    games = policy_games(policy, games=60, seed=1, opening=2, komi=0.5)
    path = tmp_path / "games.sgf"
    path.write_text(to_sgf(games), encoding="utf-8")
    lines = []
    result = train_value(
        path, tmp_path / "value", filters=16, hidden_layers=2, hidden_units=16, epochs=3, progress=lines.append
    )
    assert set(result) == {"loss", "value_error", "winner_accuracy"}
    assert len(lines) == 3
    value = load_value(tmp_path / "value")
    assert isinstance(value, ValueNetwork)
    # What trained with it, whose the points are, is left out.
    assert not any("ownership" in layer.name for layer in value.model.layers)
    board = Board(5, komi=0.5)
    board.setup(black=range(5, 15), white=[22], to_move=1)
    other = Board(5, komi=0.5)
    other.setup(white=range(5, 15), black=[22], to_move=1)
    assert score(board).margin > 0 > score(other).margin
    planes = np.stack([encoder("alphago49").encode(item) for item in (board, other)])
    mine, theirs = value.judge(planes)
    assert mine > theirs
    player = SearchPlayer(policy, value=value, visits=10)
    assert board.is_legal(player.choose(board))
    with pytest.raises(DataError, match="is not empty; a run needs a folder of its own"):
        train_value(path, tmp_path / "value")
    path.write_text("(;SZ[5];B[aa];W[bb])")
    with pytest.raises(DataError, match="holds no game whose result is known"):
        train_value(path, tmp_path / "other")
