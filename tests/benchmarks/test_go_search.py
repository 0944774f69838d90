"""The benchmark of the search: its positions, and that padding changes no answer."""

import go_search as benchmark
import keras
import numpy as np
import pytest

import zoo
from applications.go.network import Network
from applications.go.search import Judge
from zoo.data.go import encoder


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return Network(
        zoo.create_model("go_policy_128", input_shape=(9, 9, 4), filters=4, hidden_layers=1), encoder("simple")
    )


def test_positions_are_those_after_twenty_moves():
    boards = benchmark.positions(9, 3)
    assert [len(board.moves) for board in boards] == [20, 20, 20]
    with pytest.raises(SystemExit, match="The games are on 9x9, the network plays on 5x5"):
        benchmark.positions(5, 1)


def test_padding_changes_no_answer(network):
    judge = Judge(network)
    planes = [judge.encode(board) for board in benchmark.positions(9, 3)]
    plain, padded = judge(planes), benchmark.Padded(judge, 8)(planes)
    for one, other in zip(plain, padded, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_every_size_is_measured(network, monkeypatch):
    monkeypatch.setattr(benchmark, "SIZES", (1, 4))
    found = benchmark.measure(network, None, visits=4, count=1, rounds=1)
    assert list(found) == ["1", "4", "8, padded"]
    assert all(rate > 0 for rate in found.values())
