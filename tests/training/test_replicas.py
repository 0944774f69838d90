"""Several devices and workers give the weights of one device; each placement in processes of its own."""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("training_matrix", ROOT / "benchmarks" / "training_matrix.py")
matrix = importlib.util.module_from_spec(_spec)
sys.modules["training_matrix"] = matrix  # where its dataclass looks itself up
_spec.loader.exec_module(matrix)


@pytest.fixture(autouse=True)
def find_zoo(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


# Half precision rounds the sums of other parts differently; the sign of what is zero but for rounding decides a step
# of Lion, and Muon makes all directions of a gradient equally long, the empty ones too.
LOOSE = {"mixed_bfloat16": 0.2, "mixed_float16": 0.05, "Lion": 2e-2, "Muon": 1e-3}


def train(folder, placements, features):
    def run(placement):
        return matrix.run_placement("ours", placement, features, folder, timeout=900)

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(placements, pool.map(run, placements), strict=True))


def check(results, features):
    one = results.pop("one")
    for placement, lines in results.items():
        for feature in features:
            got = matrix.difference(one[feature], lines[feature])
            assert isinstance(got, float), (placement, feature, got)
            assert got <= LOOSE.get(feature, 1e-5), (placement, feature)
            assert one[feature]["loss"] == pytest.approx(lines[feature]["loss"], rel=5e-3 if feature in LOOSE else 1e-5)
            for left, right in zip(one[feature]["history"], lines[feature]["history"], strict=True):
                assert left.keys() == right.keys()
                assert left["step"] == right["step"]
                assert left["learning_rate"] == right["learning_rate"]


def test_several_devices_and_workers_give_the_weights_of_one_device(tmp_path):
    features = ["last batch of 2", "everything at once"]
    results = train(tmp_path, ["one", "mirrored 4", "workers 2"], [*features, "XLA", "local batch norm"])
    assert "XLA compiles for one processor, not for several" in results["mirrored 4"]["XLA"]["error"]
    assert "error" not in results["one"]["XLA"]
    assert all(abs(weight).max() < 100 for weight in results["mirrored 4"]["local batch norm"]["weights"])
    check(results, features)


@pytest.mark.slow
def test_every_feature_in_every_placement(tmp_path):
    features = [name for name in matrix.FEATURES if name not in ("XLA", "local batch norm")]
    check(train(tmp_path, list(matrix.PLACEMENTS), features), features)
