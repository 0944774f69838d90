"""Networks that are exported for Leela Zero say in its program what they say in Keras."""

import random
import re
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

import zoo
from applications.go.dual import train_dual
from applications.go.engines import find_program
from applications.go.leela import write_leela
from applications.go.match import EngineSide
from applications.go.network import Network, load_network
from zoo.data import DataError
from zoo.data.go import Board, encoder, read_games

GAMES_19 = Path(__file__).parents[2] / "data" / "go" / "gnugo19.sgf.gz"

needs_leelaz = pytest.mark.skipif(
    find_program("leelaz") is None, reason="Leela Zero is not installed (Debian: leela-zero)"
)


def network(blocks, filters, seed):
    """A network with statistics and shifts as a training leaves them, and opinions that differ from point to point."""
    keras.utils.set_random_seed(seed)
    model = zoo.create_model("go_leela_6x128", blocks=blocks, filters=filters)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if "moving_variance" in variable.path:
            variable.assign(rng.uniform(0.5, 2, shape))
        elif "moving_mean" in variable.path or "beta" in variable.path or "bias" in variable.path:
            variable.assign(rng.normal(scale=0.2, size=shape))
    return model


def moves(seed, count):
    rng, board = random.Random(seed), Board(19)
    for _ in range(count):
        board.play(rng.choice(board.geometry.points(board.legal())))
    return board


def heatmap(path, board):
    """Policy in thousandths (361,), pass and winrate, as the program prints them."""
    commands = [f"play {'b' if colour == 1 else 'w'} {board.geometry.vertex(point)}" for colour, point in board.moves]
    done = subprocess.run(
        [find_program("leelaz"), "-g", "--cpu-only", "-t", "1", "--noponder", "-w", str(path)],
        input="\n".join([*commands, "heatmap", "quit", ""]), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    rows = [list(map(int, line.split())) for line in done.stderr.splitlines() if re.fullmatch(r"(\s*\d+){19}\s*", line)]
    winrate = re.search(r"winrate: ([\d.]+)", done.stderr)
    passed = re.search(r"pass: (\d+)", done.stderr)
    assert len(rows) == 19, done.stderr[-2000:]
    return np.array(rows).ravel(), int(passed[1]), float(winrate[1])


@needs_leelaz
@pytest.mark.parametrize(
    ("blocks", "filters", "count"),
    [(1, 8, 0), pytest.param(2, 16, 7, marks=pytest.mark.slow), pytest.param(3, 24, 120, marks=pytest.mark.slow)],
)
def test_the_program_says_what_keras_says(tmp_path, blocks, filters, count):
    model = network(blocks, filters, seed=blocks)
    write_leela(model, tmp_path / "weights.txt")
    board = moves(blocks, count)
    # The program asks its networks of what it plays; a move that fills an eye is not asked for.
    (policy,), (value,) = Network(model, encoder("leela18"))([board])
    said, passed, winrate = heatmap(tmp_path / "weights.txt", board)
    legal = np.zeros(361, bool)
    legal[board.geometry.points(board.legal())] = True
    np.testing.assert_allclose(said[legal], 1000 * policy[:361][legal], atol=1.01)
    assert abs(passed - 1000 * policy[361]) < 1.01
    # Printed to six digits.
    assert winrate == pytest.approx((value + 1) / 2, abs=2e-5)


def test_other_networks_are_refused(tmp_path):
    out = tmp_path / "weights.txt"
    with pytest.raises(DataError, match=r"Leela Zero reads networks of the family alphagozero\. Received: go_rollout"):
        write_leela(zoo.create_model("go_rollout"), out)
    with pytest.raises(DataError, match=r"plays on 19x19 with 18 planes\. Received: an input of \(9, 9, 18\)"):
        write_leela(zoo.create_model("go_leela_6x128", blocks=1, filters=4, input_shape=(9, 9, 18)), out)
    with pytest.raises(DataError, match="no place for the scale of batch norm"):
        write_leela(zoo.create_model("go_zero_19", blocks=1, filters=4, input_shape=(19, 19, 18)), out)
    with pytest.raises(DataError, match="256 hidden units in its value head. Received: hidden_units=8"):
        write_leela(zoo.create_model("go_leela_6x128", blocks=1, filters=4, hidden_units=8), out)
    assert not out.exists()


@needs_leelaz
@pytest.mark.slow
def test_a_trained_network_is_exported_and_plays_there(tmp_path):
    """Games of GNU Go on 19x19, two heads, run folder, weight file; then the program and we say and play the same."""
    train_dual(GAMES_19, tmp_path / "run", filters=16, blocks=2, epochs=3, learning_rate=5e-3)
    trained = load_network(tmp_path / "run")
    weights = tmp_path / "weights.txt"
    write_leela(trained.model, weights)
    game = read_games(GAMES_19)[0][0]
    board = game.start()
    for colour, point in game.moves[:60]:
        board.play(point, colour)
    (policy,), (value,) = trained([board])
    said, _, winrate = heatmap(weights, board)
    legal = np.zeros(361, bool)
    legal[board.geometry.points(board.legal())] = True
    np.testing.assert_allclose(said[legal], 1000 * policy[:361][legal], atol=1.01)
    assert winrate == pytest.approx((value + 1) / 2, abs=2e-5)
    command = [find_program("leelaz"), "-g", "--cpu-only", "-t", "1", "-v", "2", "--noponder", "-w", str(weights)]
    side = EngineSide(command, name="leelaz", timeout=240)
    board = Board(19, komi=7.5)
    side.begin(board, seed=1)
    for _ in range(6):
        point = side.move(board)
        assert point is not None
        board.play(point)
    side.close()
    assert len(board.moves) == 6
