"""The script for one device: what it refuses here, its arithmetic, and under JAX that it trains."""

import importlib.util
import os
import subprocess
import sys

import gpu
import pytest

STEPS = """
import sys
sys.path.insert(0, "benchmarks")
import gpu, keras, zoo
keras.utils.set_random_seed(0)
found = gpu.calls(zoo.create_model("lenet5"), 4)
losses = [float(found["training"]()) for _ in range(8)]
assert losses[-1] < losses[0], losses
assert found["inference"]().shape == (4, 10)
gpu.main(["--models", "lenet5", "--batch-size", "2", "--matrix", "64", "--rounds", "1", "--steps", "1"])
"""


def test_it_refuses_another_backend(capsys):
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "this measures Keras on JAX: set KERAS_BACKEND=jax. Received: tensorflow" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        gpu.main(["--rounds", "0"])
    assert "--rounds must be at least 1. Received: 0" in capsys.readouterr().err


def test_calls_take_turns(monkeypatch):
    now, log = [0.0], []

    def taking(name, seconds):
        def call():
            log.append(name)
            now[0] += seconds

        return call

    monkeypatch.setattr(gpu.time, "perf_counter", lambda: now[0])
    found = gpu.seconds({"a": taking("a", 1), "b": taking("b", 3)}, rounds=2, steps=2)
    assert found == {"a": 1, "b": 3}
    assert "".join(log) == "aabb" + 2 * "aabb"


@pytest.mark.jax
def test_it_trains_and_predicts():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run([sys.executable, "-c", STEPS], env=environment, check=True, capture_output=True, text=True)
    lines = answer.stdout.splitlines()
    assert lines[0].startswith("cpu (cpu), JAX")
    assert [line.split("|")[2].strip() for line in lines[4:]] == ["inference", "training", "64 rows"]
