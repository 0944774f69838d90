"""GTP, players, search and matches, with a small network on small boards."""

import io
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import zoo
from applications.go import commands, match, network, selfplay
from applications.go.engines import Engine, EngineError, find_program, gnugo
from applications.go.gtp import GtpEngine
from applications.go.match import EngineSide, PlayerSide, Result, play_match, wilson
from applications.go.network import Network, encoder_of, sensible_moves
from applications.go.players import PolicyPlayer, RandomPlayer
from applications.go.selfplay import make_games, policy_games
from zoo.cli import main
from zoo.data import DataError
from zoo.data.go import BLACK, EMBEDDED, WHITE, Board, encoder, read_games, score, symmetries, to_sgf

needs_gnugo = pytest.mark.skipif(find_program("gnugo") is None, reason="GNU Go is not installed (Debian: gnugo)")


@pytest.fixture
def engine(policy):
    return GtpEngine(PolicyPlayer(policy), 5, network=policy)


def test_a_dialogue(engine):
    out = io.StringIO()
    lines = [
        "1 protocol_version", "name # who", "", "# nothing", "\x07known_command\tplay", "known_command fly",
        "play black c3", "play white pass", "7 play b C3", "play b z9", "play green A1", "fly", "komi 5.5", "komi x",
        "komi nan", "boardsize 19", "boardsize x", "undo", "undo", "undo", "12 showboard", "quit", "name",
    ]  # fmt: skip
    engine.serve([line + "\n" for line in lines], out)
    answers = out.getvalue().split("\n\n")
    assert answers[:18] == [
        "=1 2", "= cnn-zoo", "= true", "= false", "=", "=", "?7 illegal move", "? invalid color or coordinate",
        "? invalid color or coordinate", "? unknown command", "=", "? syntax error", "? komi is not a number of points",
        "? unacceptable size", "? syntax error", "=", "=", "? cannot undo",
    ]  # fmt: skip
    assert answers[18].startswith("=12\n  A B C D E\n5 . . . . . 5\n")
    assert answers[19:] == ["=", ""]
    assert engine.board.komi == 5.5


def test_every_command_that_gogui_and_twogtp_need_is_there(engine):
    needed = {
        "protocol_version", "name", "version", "known_command", "list_commands", "quit", "boardsize", "clear_board",
        "komi", "fixed_handicap", "place_free_handicap", "set_free_handicap", "play", "genmove", "undo",
        "time_settings", "time_left", "final_score", "final_status_list", "loadsgf", "reg_genmove", "showboard",
    }  # fmt: skip
    assert needed <= set(engine.answer("list_commands")[2:].split())
    assert engine.answer("gogui-analyze_commands") == "= dboard/Policy/policy\n\n"
    rows = engine.answer("policy")[2:].split("\n")[:5]
    assert sum(float(value) for row in rows for value in row.split()) == pytest.approx(1, abs=0.01)


def test_genmove_plays_what_is_legal_and_ends(engine):
    for number in range(200):
        answer = engine.answer(f"genmove {'bw'[number % 2]}").strip()
        assert answer.startswith("= ")
        if engine.board.is_over:
            break
    assert engine.board.is_over
    assert engine.answer("final_score").startswith("= ")
    before = engine.board.to_move, len(engine.board.moves)
    assert engine.answer("reg_genmove w").startswith("= ")
    assert (engine.board.to_move, len(engine.board.moves)) == before
    assert engine.answer("genmove") == "? invalid color\n\n"
    assert engine.answer("all_legal b").startswith("=")


def test_handicap_and_files(policy, tmp_path):
    engine = GtpEngine(RandomPlayer(), 9, sizes=(5, 19))
    assert engine.answer("fixed_handicap 2") == "= G7 C3\n\n"
    assert engine.answer("fixed_handicap 2") == "? board not empty\n\n"
    engine.answer("clear_board")
    assert engine.answer("fixed_handicap 17") == "? invalid number of stones\n\n"
    assert engine.answer("set_free_handicap A1 pass") == "? bad vertex list\n\n"
    assert engine.answer("set_free_handicap A1 B2 C3") == "=\n\n"
    assert engine.board.handicap == 3
    path = tmp_path / "game.sgf"
    path.write_text("(;SZ[5];B[aa];W[bb];B[cc])")
    assert engine.answer(f"loadsgf {path} 3") == "=\n\n"
    assert len(engine.board.moves) == 2
    assert engine.answer(f"loadsgf {tmp_path / 'none.sgf'}") == "? cannot load file\n\n"
    assert engine.answer("final_status_list alive").split() == ["=", "A5", "B4"]
    assert engine.answer("final_status_list lost") == "? invalid status\n\n"


@pytest.mark.parametrize("command", ["clear_board", "boardsize 5"])
def test_the_rules_of_a_file_are_for_its_game_alone(tmp_path, command):
    engine = GtpEngine(RandomPlayer(), 5)
    path = tmp_path / "game.sgf"
    path.write_text("(;SZ[5]RU[Japanese];B[aa];W[bb])")
    assert engine.answer(f"loadsgf {path}") == "=\n\n"
    assert engine.board.rules.name == "japanese"
    assert engine.answer(command) == "=\n\n"
    assert (engine.board.rules.name, engine.board.moves) == ("chinese", [])


def test_network_and_encoder_belong_together(policy, dual):
    with pytest.raises(DataError, match=r"The network takes 4 planes\. Received: encoder leela18 of 18"):
        Network(policy.model, encoder("leela18"))
    value = zoo.create_model("go_value", input_shape=(5, 5, 49), filters=4, hidden_layers=1)
    with pytest.raises(DataError, match=r"A player needs a policy\. Received: a network with the outputs value"):
        Network(value, encoder("alphago49"))
    assert (policy.has_value, policy.has_pass, dual.has_value, dual.has_pass) == (False, False, True, True)
    assert encoder_of("go:x:history:plain") == "history"
    assert encoder_of("go:x") == "alphago48"
    with pytest.raises(DataError, match=r"The run was not trained on games of Go\. Received: data 'digits'"):
        encoder_of("digits")


def test_the_mean_over_symmetries_does_not_depend_on_how_the_board_lies(dual):
    board = Board(5)
    for point in (0, 7, 12, 3):
        board.play(point)
    (policy,), (value,) = dual([board], symmetric=True)
    for number in range(8):
        turned = Board(5)
        for colour, point in board.moves:
            turned.play(int(symmetries.moves(5)[number, point]), colour)
        (again,), (worth,) = dual([turned], symmetric=True)
        np.testing.assert_allclose(again[symmetries.moves(5)[number]], policy, atol=1e-6)
        assert worth == pytest.approx(value, abs=1e-5)
    (plain,), _ = dual([board])
    assert not np.allclose(plain, policy, atol=1e-3)


def test_players_fill_no_eyes_and_pass_when_that_wins(policy):
    board = Board(5, komi=0.5)
    board.setup(black=[5, 6, 7, 8, 9, 1, 3], white=[20, 21, 22, 23, 24], to_move=BLACK)
    assert not sensible_moves(board) & (board.geometry.bits[0] | board.geometry.bits[2] | board.geometry.bits[4])
    board.play(20 - 5, WHITE)
    board.play(board.pass_move, WHITE)
    assert board.to_move == BLACK
    assert PolicyPlayer(policy).choose(board) == board.pass_move  # black has more
    board.komi = 24.5
    assert PolicyPlayer(policy).choose(board) != board.pass_move


def test_temperature_and_seeds(policy):
    board = Board(5)
    (probabilities,), _ = policy([board])
    best = PolicyPlayer(policy)
    assert {best.choose(board) for _ in range(5)} == {int(probabilities.argmax())}
    drawn = PolicyPlayer(policy, temperature=1.0, seed=1)
    counts = np.bincount([drawn.choose(board) for _ in range(600)], minlength=25) / 600
    np.testing.assert_allclose(counts, probabilities, atol=0.08)
    drawn.new_game(5)
    first = [drawn.choose(board) for _ in range(5)]
    drawn.new_game(5)
    assert [drawn.choose(board) for _ in range(5)] == first


def test_resignation(dual):
    class Lost:
        has_value, has_pass = True, True

        def __call__(self, boards, symmetric=False):
            return np.full((1, 26), 1 / 26), np.array([-0.9])

    assert PolicyPlayer(Lost(), resign=-0.8).choose(Board(5)) is None
    assert PolicyPlayer(Lost(), resign=-0.95).choose(Board(5)) is not None
    engine = GtpEngine(PolicyPlayer(Lost(), resign=-0.8), 5)
    assert engine.answer("genmove b") == "= resign\n\n"
    assert engine.board.moves == []


def test_intervals_are_wilsons():
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(41, 100)
    assert (round(low, 3), round(high, 3)) == (0.319, 0.508)


def test_a_match_alternates_colours_and_pairs_openings(policy):
    told = []
    result = play_match(
        PlayerSide(PolicyPlayer(policy)), PlayerSide(RandomPlayer()), games=4, size=5, komi=0.5, opening=3,
        progress=lambda done: told.append(len(done.games)),
    )  # fmt: skip
    assert told == [1, 2, 3, 4]
    assert result.first_colours == [BLACK, WHITE, BLACK, WHITE]
    openings = [game.moves[:3] for game in result.games]
    assert openings[0] == openings[1] != openings[2] == openings[3]
    assert result.failures == []
    assert 0 <= result.wins() <= 4
    assert "95 % interval" in str(result)
    again = play_match(
        PlayerSide(PolicyPlayer(policy)), PlayerSide(RandomPlayer()), games=4, size=5, komi=0.5, opening=3
    )
    assert to_sgf(again.games) == to_sgf(result.games)
    with pytest.raises(DataError, match="There is at least 1 game"):
        play_match(PlayerSide(RandomPlayer()), PlayerSide(RandomPlayer()), games=0, size=5, komi=0.5)


ENGINE = """
import sys
for line in sys.stdin:
    word = line.split()[0]
    if word == "genmove":
        {genmove}
    sys.stdout.write("= \\n\\n")
    sys.stdout.flush()
    if word == "quit":
        break
"""


@pytest.mark.parametrize(
    ("genmove", "text"),
    [
        ("sys.exit(3)", r"stopped at 'genmove [bw]' \(exit code 3\)"),
        ("sys.stdout.write('= Q99\\n\\n'); sys.stdout.flush(); continue", "answered no move: A point is A1 to E5"),
        ("sys.stdout.write('? no idea\\n\\n'); sys.stdout.flush(); continue", "refused 'genmove [bw]': no idea"),
        ("sys.stdout.write('= C3\\n\\n'); sys.stdout.flush(); continue", "C3 is occupied"),
        ("import time; time.sleep(60)", "did not answer 'genmove [bw]' in 2 s"),
    ],
)
def test_an_engine_that_fails_loses_and_the_match_goes_on(tmp_path, genmove, text):
    script = tmp_path / "engine.py"
    script.write_text(textwrap.dedent(ENGINE).format(genmove=genmove))
    side = EngineSide([sys.executable, str(script)], name="broken", timeout=2.0)
    result = play_match(PlayerSide(Center()), side, games=1, size=5, komi=0.5, opening=0)
    assert isinstance(result, Result)
    assert (result.wins(), len(result.failures)) == (1, 1)
    assert result.games[0].result == "B+F"
    assert "broken lost by a fault" in result.failures[0][1]
    assert re.search(text, result.failures[0][1])


def test_an_opponent_that_cannot_play_is_refused_before_the_first_game(tmp_path):
    script, told = tmp_path / "engine.py", []
    refusal = "sys.stdout.write('? unacceptable size\\n\\n'); sys.stdout.flush(); continue"
    script.write_text(textwrap.dedent(ENGINE).replace('genmove"', 'boardsize"').format(genmove=refusal))
    for command, reason in (
        ("runs/typo", r"There is no program 'runs/typo'"),
        ([sys.executable, str(script)], "refused 'boardsize 5': unacceptable size"),
    ):
        side = EngineSide(command, name="other")
        with pytest.raises(DataError, match=rf"a GTP program that plays on 5x5\. Received: 'other'\. .*{reason}"):
            play_match(PlayerSide(Center()), side, games=2, size=5, komi=0.5, progress=told.append)
    assert told == []


class Center:
    """Plays C3 first."""

    name = "center"

    def new_game(self, seed):
        pass

    def choose(self, board):
        return board.geometry.point("C3") if not board.moves else board.pass_move


def test_a_policy_plays_many_games_at_once(policy):
    options = {"games": 5, "seed": 2, "opening": 2, "komi": 0.5}
    games = policy_games(policy, at_once=2, **options)
    # What goes through the network together differs in the last digits alone.
    assert [game.moves for game in policy_games(policy, at_once=5, **options)] == [game.moves for game in games]
    assert len({game.moves for game in games}) == 5
    for game in games:
        board = game.start()
        for colour, point in game.moves:
            board.play(point, colour)
        assert board.is_over
        assert not sensible_moves(board)
        assert game.result == score(board).result
    with pytest.raises(DataError, match="games and at_once are at least 1"):
        policy_games(policy, games=0, seed=1)


def test_a_program_that_is_not_there():
    with pytest.raises(EngineError, match=r"There is no program 'no-such-go'\. Install it, or give its path\."):
        Engine("no-such-go --gtp")


def test_games_of_a_match_go_where_they_can_be_written(policy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commands, "_player", lambda folder, arguments: PolicyPlayer(policy))
    command = ["go", "match", "run", "--against", "random", "--games", "2", "--komi", "0.5", "--out"]
    assert main([*command, str(tmp_path / "new" / "match.sgf")], add=[commands.add]) == 0
    assert len(read_games(tmp_path / "new" / "match.sgf")[0]) == 2
    monkeypatch.setattr(match, "play_match", lambda *sides, **options: pytest.fail("played"))
    assert main([*command, str(tmp_path / "new")], add=[commands.add]) == 2
    assert "--out must be a file. Received:" in capsys.readouterr().err


def test_games_of_a_policy_are_not_played_for_a_file(policy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(network, "load_network", lambda folder: policy)
    monkeypatch.setattr(selfplay, "policy_games", lambda *network, **options: pytest.fail("played"))
    (tmp_path / "games").write_text("")
    assert main(["go", "selfplay", "--engine", "run", "--out", str(tmp_path / "games")], add=[commands.add]) == 2
    assert "File exists" in capsys.readouterr().err


@needs_gnugo
def test_gnu_go_makes_the_same_games_again(tmp_path):
    options = {"level": 1, "games": 2, "size": 5, "seed": 3, "opening": 2, "komi": 0.5}
    assert make_games(tmp_path / "a", **options) == 2
    assert make_games(tmp_path / "b", **options) == 2
    assert make_games(tmp_path / "a", **options) == 0
    first, rejected = read_games(tmp_path / "a")
    assert rejected == {}
    assert first == read_games(tmp_path / "b")[0]
    assert first[0] != first[1]
    assert all(game.winner in (BLACK, WHITE) for game in first)
    with pytest.raises(DataError, match=r"GNU Go plays on boards of 5 to 19\. Received: board=21"):
        make_games(tmp_path / "c", **{**options, "size": 21})


@needs_gnugo
def test_the_embedded_games_are_made_again_move_by_move(tmp_path):
    make_games(tmp_path, level=1, games=1, size=9, seed=1, opening=4, komi=7.0)
    again, _ = read_games(tmp_path)
    assert again[0] == read_games(EMBEDDED["gnugo9"])[0][0]


@needs_gnugo
def test_our_engine_plays_gnu_go_over_two_pipes(policy):
    side = EngineSide(gnugo(level=0), name="GNU Go", seeded=True)
    result = play_match(PlayerSide(RandomPlayer()), side, games=2, size=5, komi=0.5, opening=0)
    assert result.failures == []
    assert all(len(game.moves) > 5 for game in result.games)


def test_help_comes_before_tensorflow_and_the_command_is_declared():
    script = (
        "import argparse, sys; from applications.go.commands import add\n"
        "parser = argparse.ArgumentParser(prog='zoo'); add(parser.add_subparsers())\n"
        "try:\n    parser.parse_args(['go', 'match', '--help'])\n"
        "except SystemExit:\n    print([name for name in ('tensorflow', 'keras') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--against OPPONENT" in done.stdout
    assert done.stdout.rstrip().endswith("[]")
    import tomllib
    from pathlib import Path

    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["entry-points"]["zoo.commands"]["go"] == "applications.go.commands:add"
