"""Files as the sources of weights publish them, with random values, and a cache that they filled."""

import hashlib
import shutil
import time

import numpy as np
import pytest
from safetensors.numpy import save

import zoo
from zoo import builder
from zoo.weights import cache
from zoo.weights.published import find


def resnet18_state(seed=0, classes=1000):
    """A state dict of resnet18 with the names and shapes that torchvision and timm give it."""
    rng = np.random.default_rng(seed)
    state = {}

    def convolution(name, out, into, size):
        state[f"{name}.weight"] = (rng.standard_normal((out, into, size, size), "float32")
                                   * np.float32((2 / (into * size * size)) ** 0.5))  # fmt: skip

    def norm(name, channels):
        for parameter, low, high in (("weight", 0.5, 1.5), ("bias", -0.1, 0.1), ("running_mean", -0.1, 0.1),
                                     ("running_var", 0.5, 1.5)):  # fmt: skip
            state[f"{name}.{parameter}"] = rng.uniform(low, high, channels).astype("float32")
        state[f"{name}.num_batches_tracked"] = np.array(7, "int64")

    convolution("conv1", 64, 3, 7)
    norm("bn1", 64)
    into = 64
    for stage, out in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            convolution(f"{name}.conv1", out, into, 3)
            norm(f"{name}.bn1", out)
            convolution(f"{name}.conv2", out, out, 3)
            norm(f"{name}.bn2", out)
            if out != into:
                convolution(f"{name}.downsample.0", out, into, 1)
                norm(f"{name}.downsample.1", out)
            into = out
    state["fc.weight"] = rng.standard_normal((classes, 512), "float32") * np.float32(0.05)
    state["fc.bias"] = rng.standard_normal(classes, "float32") * np.float32(0.1)
    return state


@pytest.fixture(scope="session")
def state():
    return resnet18_state()


@pytest.fixture(scope="session")
def content(state):
    """The state as a safetensors file."""
    return save(state)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def converted(tmp_path_factory, content):
    """A cache that was filled once, for tests that begin with a warm one."""
    home = tmp_path_factory.mktemp("converted")
    zoo.list_models()  # the families register themselves
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_HOME", str(home))
        row = find("resnet18", "timm.a1")
        file = cache.download_of(row)
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        cache.fetch(row, builder.build_for_conversion)
    return home


@pytest.fixture
def warm(converted, home):
    """A copy of the filled cache, without a server."""
    shutil.copytree(converted, home)
    return home
