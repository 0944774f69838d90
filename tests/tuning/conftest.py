"""One short search that the tests of this folder look at."""

import pytest

keras_tuner = pytest.importorskip("keras_tuner")

import tuning  # noqa: E402


@pytest.fixture(scope="session")
def options():
    """What the search is told."""
    return {"space": "all", "tuner": "random", "seed": 5, "epochs": 2, "patience": 3}


@pytest.fixture(scope="session")
def searched(tmp_path_factory, options):
    """Two trials, really trained: the defaults, and what seed 5 draws."""
    return tuning.search("simple_cnn", out=tmp_path_factory.mktemp("searches") / "a", trials=2, **options)
