"""What all tests start from."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    """Each test starts with Keras's own names and settings."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(autouse=True, scope="module")
def no_models_left():
    """Graphs refer to themselves; only the collector frees them, and it takes too long to run after each test."""
    yield
    gc.collect()
