"""The tests that a page of the documentation names."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def faults(text):
    """The rows of a table of faults, F01 to F61."""
    return [line for line in text.splitlines() if re.match(r"\| F\d\d", line)]


def numbers(row):
    """The numbers of the faults that a row is about: F01, or F41, F42, or F01–F04."""
    cell = row.split("|")[1]
    first, *rest = map(int, re.findall(r"F(\d\d)", cell))
    return list(range(first, rest[0] + 1)) if "–" in cell else [first, *rest]


def check_tests_exist(text):
    """Each test that is named is there, and slow if and only if the text says so; returns how many there are."""
    tests = list(named(text))
    for path, name, slow in tests:
        assert functions(path).get(name) == slow, f"{path} has no {name}, or the page is wrong about its being slow"
    return len(tests)


def functions(path):
    """Each test function of a file, and whether all of it is marked as slow, by itself or with the whole file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    all_slow = "pytestmark = pytest.mark.slow" in map(ast.unparse, tree.body)
    return {
        node.name: all_slow or "pytest.mark.slow" in map(ast.unparse, node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def named(text):
    """(file, test, whether its line calls it slow); a name without a file is of the file before."""
    path = ""
    for line in text.splitlines():
        slow = False
        for word in re.findall(r"slow:|`[^`\s]*::\w+`", line):
            if word == "slow:":
                slow = True
                continue
            file, _, name = word.strip("`").partition("::")
            path = file or path
            yield path, name, slow
