"""docs/data.md: the tests that it names exist, and its faults are all there."""

import re

import pytest
from documented import ROOT, check_tests_exist, faults, functions, named, numbers, page

TEXT = page("data.md")
ROWS = faults(TEXT)


def test_every_fault_has_its_row():
    assert {number for row in ROWS for number in numbers(row)} == set(range(20, 29))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip()[:40])
def test_the_tests_of_a_fault_exist(row):
    assert check_tests_exist(row)


def test_the_tests_named_elsewhere_exist():
    assert check_tests_exist("\n".join(line for line in TEXT.splitlines() if line not in ROWS)) >= 4


def test_every_test_of_a_fault_of_data_is_in_the_table():
    in_table = {(path, name) for row in ROWS for path, name, _ in named(row)}
    for path in sorted((ROOT / "tests" / "data").rglob("test_*.py")):
        own = path.relative_to(ROOT).as_posix()
        marked = {(own, name) for name in functions(own) if re.match(r"test_f2\d_", name)}
        assert marked <= in_table, f"docs/data.md lacks {sorted(marked - in_table)}"


def test_the_example_runs():
    exec(compile(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], "docs/data.md", "exec"), {})
