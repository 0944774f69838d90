"""Kernels drawn anew have the distribution that was asked for, by seed; nothing else changes."""

import typing

import keras
import numpy as np
import pytest

import zoo
from zoo import runs, training
from zoo.training.initialisers import Initializer


def kernels(model):
    return [variable.numpy() for variable in model.trainable_variables if "kernel" in variable.path]


@pytest.mark.parametrize("name", [name for name in typing.get_args(Initializer) if name != "own"])
def test_every_kernel_is_drawn_anew_by_the_seed(name):
    model = zoo.create_model("mobilenet_025", input_shape=(32, 32, 3), classes=3)
    before = kernels(model)
    others = [variable.numpy() for variable in model.variables if "kernel" not in variable.path]
    training.initialise(model, name, seed=1)
    first = kernels(model)
    assert all((new != old).any() for new, old in zip(first, before, strict=True))
    assert all(
        (new == old).all()
        for new, old in zip((v.numpy() for v in model.variables if "kernel" not in v.path), others, strict=True)
    )
    training.initialise(model, name, seed=1)
    assert all((again == old).all() for again, old in zip(kernels(model), first, strict=True))
    shapes = [kernel.shape for kernel in first]
    same = next((a, b) for a in range(len(shapes)) for b in range(a) if shapes[a] == shapes[b])
    assert (first[same[0]] != first[same[1]]).any()


def test_the_distribution_is_the_one_of_keras():
    model = keras.Sequential([keras.Input((400,)), keras.layers.Dense(300)])
    training.initialise(model, "he_normal", seed=0)
    assert np.std(kernels(model)[0]) == pytest.approx((2 / 400) ** 0.5, rel=0.03)


def test_own_leaves_the_network_as_it_is():
    model = zoo.create_model("simple_cnn")
    before = kernels(model)
    training.initialise(model, "own", seed=1)
    assert all((new == old).all() for new, old in zip(kernels(model), before, strict=True))


def test_weights_are_not_drawn_anew():
    with pytest.raises(ValueError, match="initializer draws kernels anew, which would undo weights"):
        runs.Settings(model="resnet18", weights="timm.a1", initializer="he_normal")


@pytest.mark.parametrize(
    ("normalization", "mean", "deviation"), [("unit", 0.31, 0.37), ("symmetric", -0.38, 0.74), ("standardised", 0, 1)]
)
def test_input_is_normalised_as_asked_for(normalization, mean, deviation):
    from zoo.runs.training import _value_range

    digits = zoo.data.load("digits")
    value_range = _value_range(runs.Settings(model="simple_cnn", normalization=normalization), digits)
    batches = digits.pipeline("train", batch_size=1169, value_range=value_range)
    pictures = next(iter(batches.epoch()))[0].numpy()
    assert pictures.mean() == pytest.approx(mean, abs=0.01)
    assert pictures.std() == pytest.approx(deviation, abs=0.02)
