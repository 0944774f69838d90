"""Every family learns, in a short form of the benchmark that shows it."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "digits_by_family.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location(PATH.stem, PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_family_learns_the_digits_to_some_extent(benchmark, tmp_path, capsys):
    """Nine in ten right on the validation split; the benchmark's own bar is higher, and its time longer."""
    table = tmp_path / "table.md"
    rows = benchmark.main(["--target", "0.9", "--seconds", "60", "--out", str(table)])
    capsys.readouterr()
    assert {row["family"] for row in rows} == set(benchmark.smallest_by_family())
    for row in rows:
        assert row["validation %"] >= 90, row
        assert row["test %"] >= 80, row
    assert table.read_text(encoding="utf-8").count("\n") == 2 + len(rows)
