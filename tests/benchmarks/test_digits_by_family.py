"""Every family learns, in a short form of the benchmark that shows it."""

import digits_by_family as benchmark
import pytest

import zoo

# Those that need less than a minute on two cores that are busy with other tests too.
QUICK = ("lenet", "resnet")


def test_every_family_of_pictures_has_a_network():
    smallest = benchmark.smallest_by_family()
    assert set(smallest) == {zoo.model_card(name).family for name in zoo.list_models(modality="image")}
    assert set(QUICK) < set(smallest)


@pytest.mark.slow
def test_families_learn_the_digits_to_some_extent(tmp_path, capsys):
    """Nine in ten right on the validation split; all families by the benchmark, whose bar is higher."""
    table = tmp_path / "table.md"
    rows = benchmark.main(["--families", *QUICK, "--target", "0.9", "--seconds", "120", "--out", str(table)])
    capsys.readouterr()
    assert [row["family"] for row in rows] == list(QUICK)
    for row in rows:
        assert row["validation %"] >= 90, row
        assert row["test %"] >= 80, row
    assert table.read_text(encoding="utf-8").count("\n") == 2 + len(rows)
