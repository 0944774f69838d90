"""What the README says is true."""

import re
from pathlib import Path

import zoo
from zoo.cli import markdown_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_there_are_two_set_up_commands():
    section = re.search(r"^## Set up and go\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)[1]
    commands = re.findall(r"^    (.*)$", section, re.MULTILINE)
    assert len(commands) == 2
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install") for command in commands)
    assert "zoo train resnet20 --data digits" in commands[0]
    assert ".venv/bin/python -m pytest" in commands[1]


def test_the_table_of_models_is_printed_from_the_cards():
    table = re.search(r"<!-- models -->\n(.*?)\n<!-- /models -->", README, re.DOTALL)[1]
    expected = markdown_table([zoo.model_card(name) for name in zoo.list_models()])
    assert table == expected, "replace it by what `zoo list --markdown` prints"


def test_the_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "25,557,032 parameters, 4,089,184,256 multiply-accumulates" in out
    assert "ReceptiveField(size=(427, 427), stride=(32, 32))" in out
    assert "'stride8': (None, 8, 8, 512)" in out


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = [re.match(r"[\w-]+", item)[0] for item in project["dependencies"]]
    for extra, items in project["optional-dependencies"].items():
        assert f"extra `{extra}`" in contributing
        names += [re.match(r"[\w-]+", item)[0] for item in items]
    for name in set(names) - {"cnn-zoo"}:
        assert name in contributing, name


def test_no_fact_stands_in_both_setup_files():
    import configparser
    import tomllib

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(config["metadata"]) == {"version"}
    assert project["dynamic"] == ["version"]
    assert "setuptools" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def test_the_changelog_has_an_entry_for_what_is_unreleased():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog
    assert zoo.__version__ == "0.1.0"
