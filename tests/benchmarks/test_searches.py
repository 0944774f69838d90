"""The benchmarks of searches, in short forms."""

import pytest

pytest.importorskip("keras_tuner")

import search_overhead
import search_simple_cnn

# Searches themselves have tests of their own; this runs the whole comparison, for two minutes.
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


def test_a_search_is_compared_with_the_defaults_and_with_random_search(tmp_path, capsys):
    search_simple_cnn.main(
        ["--out", str(tmp_path), "--trials", "2", "--epochs", "1", "--seeds", "101", "--finalists", "1", "--folds", "2"]
    )
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in table] == [
        "configuration", "---", "default", "hyperband", "random search"
    ]  # fmt: skip
    hyperband = [cell.strip() for cell in table[3].split("|")]
    assert 0 < float(hyperband[5]) <= 100
    assert float(hyperband[6]) <= float(hyperband[5])
    assert (tmp_path / "hyperband_101" / "result.json").is_file()


def test_the_overhead_of_trials_is_measured(capsys):
    search_overhead.main(["--trials", "4"])
    row = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 4 |")]
    training, overhead = (float(cell) for cell in row[0].split("|")[2:4])
    assert training > 0
    assert overhead > 0
