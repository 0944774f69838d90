"""Several devices and workers give the weights of one device; each placement in processes of its own."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import training_matrix as matrix

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def find_zoo(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


# Where rounding alone, which differs with the order of a sum, carries a training away: half precision keeps 8 or 11
# bits; the sign of what is zero but for rounding decides a step of Lion, and Muon makes all directions of a gradient
# equally long, the empty ones too.
ROUNDED = ("mixed_bfloat16", "mixed_float16", "Lion", "Muon")

# What is more than another loss, optimizer or schedule.
AGREED = (
    "last batch of 2", "several steps a call", "gradient accumulation", "EMA", "EMA that overwrites",
    "clipping by value", "clipping by norm", "clipping by global norm", "sample weights", "activity regularisation",
    "everything at once",
)  # fmt: skip

# XLA compiles for one processor alone, and local batch norm normalises each share by itself.
ELSEWHERE = ("XLA", "local batch norm")

# How often a training on one device is repeated with its first weights changed by as little as rounding does.
NUDGES = range(1, 6)


def train(folder, features):
    """Placements with their features, trained side by side; the slowest first."""

    def run(item):
        placement, names = item
        nudges = [0, *NUDGES] if placement == "one, nudged" else [0]
        return matrix.run_placement("ours", placement.split(",")[0], names, folder, timeout=900, nudges=nudges)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(features, pool.map(run, features.items()), strict=True))


def check(one, other, label):
    """Within 1e-5 of one device, in weights and metrics; steps and learning rates are the same."""
    got = matrix.difference(one, other)
    assert isinstance(got, float), (label, got)
    assert got <= 1e-5, label
    check_history(one, other)
    for left, right in zip(one["history"], other["history"], strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-5), label


def check_history(one, other):
    for left, right in zip(one["history"], other["history"], strict=True):
        assert left.keys() == right.keys()
        assert left["step"] == right["step"]
        assert left["learning_rate"] == right["learning_rate"]


def distance(one, other, *names):
    """Euclidean distance of all weights, or of what a training has added to those of the first name."""
    first, second = ([np.concatenate([w.ravel() for w in line[name]]).astype(float) for name in names]
                     for line in (one, other))  # fmt: skip
    return float(np.linalg.norm((first[-1] - first[0]) - (second[-1] - second[0])))


def check_rounded(one, nudged, other, label):
    """No further from one device than that is from itself after the smallest changes of its first weights."""
    assert "error" not in other, (label, other["error"])
    check_history(one, other)
    # The first step, before anything has grown: what is wrong in a sum would be as large as the step.
    whole = distance(one, {"start": one["start"], "first": one["start"]}, "start", "first")
    noise = max(distance(one, line, "start", "first") for line in nudged)
    assert noise < 0.1 * whole, label
    assert distance(one, other, "start", "first") <= 2 * noise, label
    assert distance(one, other, "start", "weights") <= 2 * max(
        distance(one, line, "start", "weights") for line in nudged
    ), label
    for epoch, record in enumerate(one["history"]):
        spread = max(abs(line["history"][epoch]["loss"] - record["loss"]) for line in nudged)
        assert abs(other["history"][epoch]["loss"] - record["loss"]) <= 2 * spread + 1e-6 * record["loss"], label


def test_f40_several_devices_and_workers_give_the_weights_of_one_device(tmp_path):
    features = ["recomputed feature maps", "everything at once"]
    results = train(
        tmp_path,
        {"mirrored 4": [*features, *ELSEWHERE], "workers 2": features, "one": [*features, "XLA"]},
    )
    assert "XLA compiles for one processor, not for several" in results["mirrored 4"]["XLA"]["error"]
    assert "error" not in results["one"]["XLA"]
    assert all(abs(weight).max() < 100 for weight in results["mirrored 4"]["local batch norm"]["weights"])
    for placement in ("mirrored 4", "workers 2"):
        for feature in features:
            check(results["one"][feature], results[placement][feature], (placement, feature))


@pytest.mark.slow
def test_f40_every_feature(tmp_path):
    """Each on several devices: four, of which two get nothing of the last batch, where devices have to agree on more
    than a sum; some on three workers. The benchmark trains all of them everywhere.
    """
    features = [name for name in matrix.FEATURES if name not in ELSEWHERE]
    assert set(AGREED) | set(ROUNDED) < set(features)
    results = train(
        tmp_path,
        {
            "mirrored 4": [*AGREED, "mixed_bfloat16", "mixed_float16"],
            "workers 3": ["EMA that overwrites", "everything at once", "mixed_float16"],
            "mirrored 2": [name for name in features if name not in AGREED],
            "one": [name for name in features if name not in ROUNDED],
            "one, nudged": list(ROUNDED),
        },
    )
    for placement in ("mirrored 4", "workers 3", "mirrored 2"):
        for feature, line in results[placement].items():
            if feature in ROUNDED:
                one = results["one, nudged"]
                check_rounded(one[feature], [one[feature, nudge] for nudge in NUDGES], line, (placement, feature))
            else:
                check(results["one"][feature], line, (placement, feature))
