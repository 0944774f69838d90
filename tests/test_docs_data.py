"""docs/data.md: the tests that it names exist, and its faults are all there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| F\d\d", line)]

# They come with the networks for text, sound and games.
ELSEWHERE = {24, 25, 26}


def functions_of(path):
    """Each test function of a file, and whether it is marked as slow."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        node.name: "pytest.mark.slow" in map(ast.unparse, node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def named_tests(text):
    """(file, test, whether the text calls it slow); a name without a file is of the file before."""
    path, slow = "", False
    for word in re.findall(r"slow:|`[^`\s]*::\w+`", text):
        if word == "slow:":
            slow = True
            continue
        file, _, name = word.strip("`").partition("::")
        path = file or path
        yield path, name, slow


def faults_of(row):
    first, *rest = map(int, re.findall(r"F(\d\d)", row.split("|")[1]))
    return set(range(first, rest[0] + 1)) if rest else {first}


def test_every_fault_has_its_row():
    assert set().union(*map(faults_of, ROWS)) == set(range(20, 29))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip()[:40])
def test_the_tests_of_a_fault_exist(row):
    tests = list(named_tests(row))
    assert bool(tests) != (faults_of(row) <= ELSEWHERE)
    for path, name, slow in tests:
        assert functions_of(path).get(name) == slow, f"{path} has no {name}, or the table is wrong about its being slow"


def test_the_tests_named_elsewhere_exist():
    text = "\n".join(line for line in TEXT.splitlines() if line not in ROWS)
    tests = list(named_tests(text))
    assert len(tests) >= 4
    for path, name, _ in tests:
        assert name in functions_of(path), f"{path} has no {name}"


def test_every_test_of_a_fault_of_data_is_in_the_table():
    named = {(path, name) for row in ROWS for path, name, _ in named_tests(row)}
    for path in sorted((ROOT / "tests" / "data").rglob("test_*.py")):
        own = path.relative_to(ROOT).as_posix()
        marked = {(own, name) for name in functions_of(own) if re.match(r"test_f2\d_", name)}
        assert marked <= named, f"docs/data.md lacks {sorted(marked - named)}"


def test_the_example_runs():
    exec(compile(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], "docs/data.md", "exec"), {})
