"""Reinforcement: the gradient by hand, games recorded as they were played, and runs that go on where they were."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from applications.go.network import Network, load_network, write_run
from applications.go.reinforce import (
    Learner,
    Record,
    Reinforcement,
    play_games,
    policy_gradient_loss,
    reinforce,
)
from zoo.data import DataError
from zoo.data.go import encoder

ROOT = Path(__file__).parents[3]
SETTINGS = Reinforcement(batch_games=4, extend=2, save=2, opening=2, komi=0.5)


def softmax(values):
    exponents = np.exp(values - values.max())
    return exponents / exponents.sum()


@pytest.fixture
def start(tmp_path):
    """A run folder of an untrained policy."""
    keras.utils.set_random_seed(4)
    arguments = {"classes": 25, "input_shape": (5, 5, 4), "filters": 4, "hidden_layers": 1}
    model = zoo.create_model("go_policy_128", **arguments)
    write_run(
        tmp_path / "start", model, name="go_policy_128", arguments=arguments, item=encoder("simple"),
        data={"name": "go:none:simple"}, settings={"batch_size": 4}, seed=0, result={},
    )  # fmt: skip
    return tmp_path / "start"


def test_the_gradient_by_hand():
    """Of each logit: -advantage / games * (1 where it was played, less its probability among the legal moves)."""
    logits = np.array([[1.0, 2.0, 0.5, -1.0], [0.0, 0.0, 3.0, 1.0]], np.float32)
    legal = np.array([[True, True, False, True], [True, False, True, True]])
    moves, advantages = np.array([1, 0], np.int32), np.array([0.75, -1.25], np.float32)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = policy_gradient_loss(variable, legal, moves, advantages, 2)
    expected_loss, expected = 0.0, np.zeros_like(logits)
    for row in range(2):
        chances = np.zeros(4)
        chances[legal[row]] = softmax(logits[row][legal[row]])
        expected_loss -= advantages[row] * np.log(chances[moves[row]]) / 2
        expected[row] = -advantages[row] / 2 * (np.eye(4)[moves[row]] - chances)
    assert float(loss) == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, atol=1e-6)
    assert expected[0, 2] == 0  # an illegal move's logit is left alone


def test_a_step_goes_along_the_gradient_of_the_network():
    """The biases of the points: their gradient is that of the logits, summed over the moves of all games."""
    keras.utils.set_random_seed(1)
    model = zoo.create_model("go_rollout", input_shape=(5, 5, 4))
    network = Network(model, encoder("simple"))
    learner = Learner(network, 0.1)
    learner.optimizer = keras.optimizers.SGD(0.1)
    learner.baseline = {1: 0.5, -1: -0.25}
    record = play_games(network, network, games=2, opening=1, komi=0.5, seed=(1, 2))
    bias = next(item for item in model.trainable_variables if item.path.startswith("logits"))
    before = np.array(bias.value)
    logits = zoo.features(model, ["logits"])(record.planes.astype(np.float32))["logits"].numpy()
    expected = np.zeros(25)
    for row, (game, move) in enumerate(zip(record.games, record.moves, strict=True)):
        advantage = record.results[game] - (0.5 if record.colours[game] == 1 else -0.25)
        chances = np.zeros(25)
        chances[record.legal[row]] = softmax(logits[row][record.legal[row]].astype(np.float64))
        expected -= advantage / 2 * (np.eye(25)[move] - chances)
    learner.learn(record)
    np.testing.assert_allclose((before - np.array(bias.value)) / 0.1, expected, atol=2e-4)
    # The baseline has moved by a tenth of the way to the results.
    black = record.results[record.colours == 1].mean()
    assert learner.baseline[1] == pytest.approx(0.5 + 0.1 * (black - 0.5))


def test_moves_of_won_games_become_more_probable():
    keras.utils.set_random_seed(2)
    model = zoo.create_model("go_policy_128", input_shape=(5, 5, 4), filters=4, hidden_layers=1)
    network = Network(model, encoder("simple"))
    played = play_games(network, network, games=2, opening=1, komi=0.5, seed=(3, 4))
    results = np.array([1, -1], np.float32)
    record = Record(played.planes, played.legal, played.moves, played.games, results, played.colours, played.length)

    def logarithms():
        policy, _ = network.judge(record.planes)
        policy = np.where(record.legal, policy, 0)
        chosen = policy[np.arange(len(policy)), record.moves] / policy.sum(axis=1)
        return [float(np.log(chosen[record.games == game]).sum()) for game in (0, 1)]

    before = logarithms()
    learner = Learner(network, 1e-3)
    for _ in range(5):
        learner.learn(record)
    after = logarithms()
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_games_are_played_by_both_and_recorded(policy, dual):
    record = play_games(policy, dual, games=6, opening=2, komi=0.5, seed=(1, 5))
    assert record.colours.tolist() == [1, -1, 1, -1, 1, -1]
    assert set(np.abs(record.results)) <= {0.0, 1.0}
    assert record.planes.shape == (len(record.moves), 5, 5, 4)
    assert record.legal[np.arange(len(record.moves)), record.moves].all()
    # The learner's moves are every other one, so in each game about half of them.
    for game in range(6):
        chosen = record.games == game
        assert 4 < chosen.sum() < 60
        # Where a stone lies, nobody moves.
        stones = record.planes[chosen][..., :2].any(axis=-1).reshape(-1, 25)
        assert not (stones & record.legal[chosen]).any()
    again = play_games(policy, dual, games=6, opening=2, komi=0.5, seed=(1, 5))
    np.testing.assert_array_equal(again.moves, record.moves)
    other = play_games(policy, dual, games=6, opening=2, komi=0.5, seed=(1, 6))
    assert other.moves.tolist() != record.moves.tolist()
    # Two heads have a pass, which is never among the moves that are trained.
    turned = play_games(dual, policy, games=2, opening=2, komi=0.5, seed=(1, 7))
    assert turned.legal.shape[1] == 26
    assert not turned.legal[:, 25].any()


def weights_of(folder):
    return [np.array(item.value) for item in load_network(folder).model.weights]


def test_a_run_goes_on_where_it_was(start, tmp_path):
    told = []
    whole = reinforce(start, tmp_path / "whole", games=24, settings=SETTINGS, progress=told.append)
    assert whole["batches"] == 6
    assert whole["pool"] == 4
    assert [line["batch"] for line in told] == [1, 2, 3, 4, 5, 6]
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert lines == told
    assert {line["opponent"] for line in lines} <= {0, 1, 2}
    reinforce(start, tmp_path / "parts", games=12, settings=SETTINGS)
    assert reinforce(start, tmp_path / "parts", games=24, settings=SETTINGS) == whole
    assert (tmp_path / "parts" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()
    for one, other in zip(weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(
        not np.array_equal(one, other)
        for one, other in zip(weights_of(start), weights_of(tmp_path / "whole"), strict=True)
    )
    # The pool's are earlier selves: the first is the start.
    assert sorted(path.name for path in (tmp_path / "whole" / "pool").iterdir()) == ["00000", "00001", "00002", "00003"]


SCRIPT = """
import os, signal, sys
from applications.go.reinforce import Reinforcement, reinforce
def tell(line):
    if line["batch"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
reinforce(sys.argv[1], sys.argv[2], games=24, progress=tell,
          settings=Reinforcement(batch_games=4, extend=2, save=2, opening=2, komi=0.5))
"""


@pytest.mark.slow
def test_a_killed_run_comes_to_the_same_weights(start, tmp_path):
    reinforce(start, tmp_path / "whole", games=24, settings=SETTINGS)
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(start), str(tmp_path / "killed")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    assert len((tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()) == 5
    reinforce(start, tmp_path / "killed", games=24, settings=SETTINGS)
    for one, other in zip(weights_of(tmp_path / "whole"), weights_of(tmp_path / "killed"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "killed" / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_other_settings_and_folders_are_refused(start, tmp_path):
    reinforce(start, tmp_path / "run", games=4, settings=SETTINGS)
    with pytest.raises(DataError, match=r"holds a run with another seed, training\. Give the settings"):
        reinforce(start, tmp_path / "run", games=8, settings=Reinforcement(**{**vars(SETTINGS), "seed": 7}))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match="is not empty; a run needs a folder of its own"):
        reinforce(start, tmp_path / "other", games=4, settings=SETTINGS)
    with pytest.raises(DataError, match=r"games must be at least 1\. Received: games=0"):
        reinforce(start, tmp_path / "none", games=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_games": 3}, r"batch_games is even and at least 2.*Received: batch_games=3"),
        ({"extend": 0}, r"extend and save are at least 1.*extend=0"),
        ({"learning_rate": 0}, r"learning_rate is above 0.*learning_rate=0"),
        ({"opening": -1}, r"opening at least 0\. Received: .*opening=-1"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(DataError, match=message):
        Reinforcement(**options)
