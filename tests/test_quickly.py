"""Layers that are made quickly are those that Keras makes, and all is as before afterwards."""

import inspect
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.layers import layer as layer_module
from keras.src.ops import operation as operation_module
from tensorflow.python import pywrap_tfe

import zoo
from zoo.drawing import undrawn
from zoo.quickly import made_quickly

SET_ATTRIBUTE = keras.Layer.__setattr__
WRAP = "TFE_ContextSetRunEagerOpAsFunction"


@pytest.fixture
def wrapping(monkeypatch):
    """What TensorFlow was told of wrapping."""
    told, tell = [], getattr(pywrap_tfe, WRAP)

    def tells(handle, wrap):
        told.append(wrap)
        tell(handle, wrap)

    monkeypatch.setattr(pywrap_tfe, WRAP, tells)
    return told


def is_switched():
    switched = {
        keras.Layer.__setattr__ is not SET_ATTRIBUTE,
        layer_module.inspect is not inspect,
        operation_module.inspect is not inspect,
    }
    assert len(switched) == 1
    return switched.pop()


def attributes(layer):
    """All that a layer has, as far as another one of the same kind has it too."""
    return {
        name: value if isinstance(value, bool | int | float | str | None) else type(value)
        for name, value in vars(layer).items()
        if not isinstance(value, int) or not name.endswith("_id")
    }


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v3_small", "inception_v3", "squeezenet1_0"])
def test_layers_are_those_that_keras_makes(name, monkeypatch):
    def build():
        keras.utils.clear_session(free_memory=False)
        with undrawn():
            return zoo.create_model(name)

    quick = build()
    monkeypatch.setattr(tf.distribute, "has_strategy", lambda: True)
    expected = build()
    assert quick.get_config() == expected.get_config()
    assert len(quick.layers) == len(expected.layers)
    for layer, other in zip(quick.layers, expected.layers, strict=True):
        assert attributes(layer) == attributes(other)
        assert str(layer._call_signature) == str(other._call_signature)
        assert layer.get_build_config() == other.get_build_config()
        assert [(v.path, v.value.name) for v in layer.variables] == [(v.path, v.value.name) for v in other.variables]
        assert list(layer._trackable_children()) == list(other._trackable_children())


def test_all_is_as_before_after_the_last_one_left(wrapping):
    inside, leave = threading.Event(), threading.Event()

    def stays():
        with made_quickly():
            inside.set()
            leave.wait()

    other = threading.Thread(target=stays)
    assert not is_switched()
    with made_quickly(), made_quickly():
        assert is_switched()
        other.start()
        inside.wait()
    assert is_switched()
    assert wrapping == [False]
    leave.set()
    other.join()
    assert not is_switched()
    assert wrapping == [False, True]


def test_all_is_as_before_after_a_fault(wrapping):
    with pytest.raises(KeyError, match="mine"), made_quickly():
        raise KeyError("mine")
    assert not is_switched()
    assert wrapping == [False, True]


def test_tensorflow_that_has_no_such_switch(monkeypatch):
    monkeypatch.delattr(pywrap_tfe, WRAP)
    with made_quickly():
        assert is_switched()
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
    assert not is_switched()
    assert layer.kernel.shape == (3, 2)


def test_nothing_is_switched_in_graphs_and_under_strategies():
    @tf.function
    def in_graph():
        with made_quickly():
            return tf.constant(is_switched())

    assert not in_graph()
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope(), made_quickly():
        assert not is_switched()


def freeze_below(quickly):
    """Which layers train after the outer one, which trains, is told to once more."""
    outer = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(3)])
    outer.layers[0].trainable = False
    with made_quickly() if quickly else tf.name_scope("slowly"):
        outer.trainable = True
    return [layer.trainable for layer in outer.layers]


def test_properties_are_set_as_ever():
    assert freeze_below(True) == freeze_below(False)
    with made_quickly():
        dense = keras.layers.Dense(2)
        with pytest.raises(AttributeError, match="variables"):
            dense.variables = None
        dense.trainable = False
    assert not dense.trainable


def test_variables_layers_and_lists_of_them_are_found_in_attributes():
    class Odd(keras.layers.Layer):
        def __init__(self, rate=0.5):
            super().__init__()
            self.rate, self.parts = rate, [keras.layers.Dense(2)]
            self.parts.append(keras.layers.Dense(3))
            self.scale = None
            self.scale = keras.Variable(np.ones(3, "float32"))

        def call(self, x, mask=None, *, training=False):
            return self.parts[1](self.parts[0](x)) * self.scale

    with made_quickly():
        odd, others = Odd(0.25), [Odd(), keras.layers.Dense(2)]
        odd(np.ones((1, 4), "float32"))
    assert len(odd.variables) == 5
    assert odd._layers == odd.parts
    assert odd.get_config()["rate"] == 0.25
    assert others[0].get_config()["rate"] == 0.5
    assert list(odd._call_signature.parameters) == ["x", "mask", "training"]
    with pytest.raises(TypeError, match="unexpected keyword"), made_quickly():
        Odd(speed=1)
