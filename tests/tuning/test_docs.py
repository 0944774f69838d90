"""docs/tuning.md: its tests exist and are slow where it says so, its spaces and tuners are those of the package."""

import ast
import re
from pathlib import Path

import pytest

from tuning import plan, spaces

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("named", re.findall(r"(slow: )?`(tests/[\w/]+\.py)::(\w+)`", TEXT), ids=lambda named: named[2])
def test_the_tests_that_are_named_exist(named):
    slow, path, name = named
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in functions
    all_slow = "\npytestmark = pytest.mark.slow\n" in (ROOT / path).read_text(encoding="utf-8")
    assert bool(slow) == all_slow


def test_all_spaces_and_tuners_are_described():
    assert re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Tuners")[0], re.MULTILINE) == list(spaces.PARTS)
    tuners = TEXT.partition("## Tuners")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", tuners, re.MULTILINE) == list(plan.TUNERS)


def test_the_example_of_a_space_is_one():
    import keras_tuner

    from zoo import runs

    scope = {}
    exec(re.search(r"```python\n(def mine.*?)```", TEXT, re.DOTALL)[1], scope)
    settings = runs.Settings(**scope["mine"](keras_tuner.HyperParameters()))
    assert settings == runs.Settings(model="resnet20", knobs={"drop_path": 0.0})
