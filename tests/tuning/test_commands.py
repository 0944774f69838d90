"""`zoo tune`, as a user types it."""

import argparse
import json

import pytest

import tuning
from tuning import commands, plan, records
from zoo import cli


@pytest.fixture
def zoo_command(monkeypatch):
    """The command line with `zoo tune`, whether this version is installed or not."""

    class EntryPoint:
        def load(self):
            return commands.add_tune

    monkeypatch.setattr(cli.importlib.metadata, "entry_points", lambda group: [EntryPoint()])
    return cli.main


def test_the_help_says_what_the_search_takes():
    assert commands.TUNERS == plan.TUNERS
    assert commands.OBJECTIVES == plan.OBJECTIVES
    assert commands.COSTS == records.COSTS


def test_the_entry_point_is_declared():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["zoo.commands"]["tune"] == "tuning.commands:add_tune"


def test_options_reach_the_search(zoo_command, monkeypatch, searched, capsys):
    told = {}
    monkeypatch.setattr(tuning, "search", lambda *names, **options: told.update(options, names=names) or searched)
    line = (
        "tune resnet20 --data digits --out a --space model --tuner hyperband --trials 7 --budget 2 --epochs 9 --seed 3 "
    )
    line += "--finalists 2 --folds 3 --pareto params "
    line += "--workers 2 --at-most macs=2e6 --set lr=0.1 --set drop_path=0.2 --recipe resnet_cifar --objective val_loss"
    assert zoo_command(line.split()) == 0
    assert told == {
        "names": ("resnet20", "digits"), "out": "a", "space": "model", "tuner": "hyperband", "objective": "val_loss",
        "limits": {"macs": 2e6}, "trials": 7, "budget": 120.0, "seed": 3, "workers": 2, "factor": 3, "devices": "auto",
        "pareto": "params", "finalists": 2, "folds": 3,
        "recipe": "resnet_cifar", "lr": 0.1, "knobs": {"drop_path": 0.2}, "epochs": 9,
    }  # fmt: skip
    printed = capsys.readouterr().out
    first, *rest = printed.splitlines()
    assert first.startswith("front: trial 000")
    cheapest = searched.pareto("params")[0]
    assert first.endswith(f"params {cheapest.costs['params']:,}")
    assert any(line.startswith("best: trial ") for line in rest)
    assert "train it again and test it: zoo train simple_cnn" in printed
    assert zoo_command([*line.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] == searched.best.score


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--tuner evolution", "invalid choice: 'evolution'"),
        ("--at-most flops=3", "expected params, macs, latency_ms=NUMBER, a number above 0; received 'flops=3'"),
        ("--at-most macs=none", "received 'macs=none'"),
        ("--trials 0", "trials must be at least 1"),
        ("--space nothing", "space must be"),
        ("--set epochs=0", "epochs must be at least 1"),
        ("--set dropout=0.1", "dropout: searched by the space 'all' and set for all trials"),
    ],
)
def test_bad_input_is_refused_in_one_line(zoo_command, options, message, capsys, tmp_path):
    try:
        code = zoo_command(["tune", "simple_cnn", "--out", str(tmp_path / "a"), *options.split()])
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1)
    assert message in error


def test_a_missing_engine_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"zoo tune needs keras_tuner: pip install 'cnn-zoo\[tune\]'"):
        commands._require_engine("random")


def test_adding_the_command_needs_no_engine():
    parser = argparse.ArgumentParser()
    commands.add_tune(parser.add_subparsers())
    assert parser.parse_args(["tune", "simple_cnn", "--out", "a"]).trials == 20
