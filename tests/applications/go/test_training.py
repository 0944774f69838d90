"""From games to a network that plays: `zoo train`, two heads, evaluation, the commands."""

import argparse
import json

import numpy as np
import pytest

from applications.go import commands
from applications.go.evaluation import accuracy, calibrate
from applications.go.network import load_network
from zoo import runs
from zoo.cli import main
from zoo.data import DataError
from zoo.data.go import EMBEDDED, Board, read_games, to_sgf


def go(*arguments):
    """What `zoo go …` does, whether the package is installed or not."""
    parser = argparse.ArgumentParser()
    commands.add(parser.add_subparsers())
    parsed = parser.parse_args(["go", *map(str, arguments)])
    return parsed.run(parsed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("games") / "games.sgf"
    path.write_text(to_sgf(read_games(EMBEDDED["gnugo9"])[0][:36]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "policy"
    arguments = [
        "train", "go_policy_128", "--data", f"go:{folder}:history", "--out", str(out), "--augment", "", "--epochs", "3",
        "--set", "filters=16", "--set", "hidden_layers=2", "--learning-rate", "0.005",
    ]  # fmt: skip
    assert main(arguments) == 0
    return out


def test_zoo_train_learns_moves_and_reports(trained):
    result = json.loads((trained / "result.json").read_text())
    assert result["evaluation"]["accuracy"] > 0.08  # by chance about 0.02
    assert (trained / "report.html").stat().st_size > 10_000
    network = load_network(trained)
    assert (network.size, network.encoder.name) == (9, "history")
    (policy,), (value,) = network([Board(9)])
    assert policy.shape == (81,)
    assert policy.sum() == pytest.approx(1, abs=1e-5)
    assert value == 0


def test_pictures_of_augmentation_are_refused(folder, tmp_path, capsys):
    command = ["train", "go_policy_128", "--data", f"go:{folder}:simple", "--augment", "flip"]
    assert main([*command, "--out", str(tmp_path / "x")]) == 2
    assert '--augment ""' in capsys.readouterr().err


def test_evaluation_by_phase_agrees_with_the_run(trained, capsys):
    go("evaluate", trained)
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("| ")]
    every = next(row for row in rows if row[0] == "all")
    expected = runs.open_run(trained).evaluate("test")
    assert float(every[2]) == pytest.approx(100 * expected["accuracy"], abs=0.06)
    assert float(every[4]) == pytest.approx(expected["loss"], abs=2e-3)
    phases = [row for row in rows if row[0] in ("opening", "middle game", "endgame")]
    assert sum(int(row[1]) for row in phases) == int(every[1]) == expected["examples"]
    go("evaluate", trained, "--symmetries")
    assert "calibration error" in capsys.readouterr().out
    with pytest.raises(DataError, match="There is no split 'tests' of games"):
        go("evaluate", trained, "--split", "tests")


def test_accuracy_and_calibration_of_known_answers():
    policy = np.array([[0.6, 0.3, 0.1, 0, 0, 0, 0], [0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1]])
    found = accuracy("x", policy, np.array([0, 6]))
    assert (found.top1, found.top5) == (0.5, 0.5)
    assert found.cross_entropy == pytest.approx(-(np.log(0.6) + np.log(0.1)) / 2)
    rows, error = calibrate(policy, np.array([0, 6]))
    assert [row[0] for row in rows] == [1, 1]
    assert error == pytest.approx((0.4 + 0.2) / 2)


def test_draw_and_gtp(trained, folder, tmp_path, capsys, monkeypatch):
    go("draw", trained, folder, "--move", "5", "--out", tmp_path / "board.png")
    assert (tmp_path / "board.png").stat().st_size > 1000
    with pytest.raises(DataError, match=r"The game has 0 to \d+ moves\. Received: --move 999"):
        go("draw", trained, folder, "--move", "999", "--out", tmp_path / "x.png")
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", iter(["name\n", "genmove b\n", "quit\n"]))
    go("gtp", trained, "--visits", "5")
    answers = capsys.readouterr().out.split("\n\n")
    assert answers[0] == "= cnn-zoo"
    assert answers[1].startswith("= ")
    assert answers[2:] == ["=", ""]


def test_match_command(trained, tmp_path, capsys):
    go("match", trained, "--against", "random", "--games", "2", "--out", tmp_path / "match.sgf")
    assert "games against random" in capsys.readouterr().out
    assert len(read_games(tmp_path / "match.sgf")[0]) == 2


def test_selfplay_and_encode_commands(trained, tmp_path, capsys):
    go("selfplay", "--engine", trained, "--games", "2", "--out", tmp_path / "games")
    go("encode", tmp_path / "games", "--encoder", "tactical", "--out", tmp_path / "shards")
    out = capsys.readouterr().out
    assert "2 games played" in out
    assert "positions of 2 games, 22 planes" in out


def test_two_heads_learn_and_make_a_run(folder, tmp_path):
    from applications.go.dual import train_dual

    lines = []
    result = train_dual(
        folder, tmp_path / "dual", filters=8, blocks=1, epochs=2, learning_rate=5e-3, progress=lines.append
    )
    assert set(result) == {"loss", "policy_accuracy", "value_error"}
    assert result["policy_accuracy"] > 0.02  # by chance about 0.01
    assert len(lines) == 2
    network = load_network(tmp_path / "dual")
    assert (network.has_value, network.has_pass, network.encoder.name) == (True, True, "leela18")
    with pytest.raises(DataError, match="is not empty; a run needs a folder of its own"):
        train_dual(folder, tmp_path / "dual")
    with pytest.raises(DataError, match="Networks of two heads are go_leela_6x128"):
        train_dual(folder, tmp_path / "other", model="go_rollout")
