"""What is drawn by another thread is what would have been drawn by this one."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import drawing
from zoo.drawing import drawn_meanwhile, made_quickly, undrawn


def weights(name):
    keras.utils.set_random_seed(3)
    return {variable.path: variable.numpy() for variable in zoo.create_model(name).weights}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2_035", "lenet5"])
def test_the_numbers_are_the_same(name, monkeypatch):
    meanwhile = weights(name)
    # Under a strategy nothing is left to another thread.
    monkeypatch.setattr(tf.distribute, "has_strategy", lambda: True)
    at_once = weights(name)
    assert meanwhile.keys() == at_once.keys()
    for path, value in meanwhile.items():
        np.testing.assert_array_equal(value, at_once[path], err_msg=path)


def test_large_kernels_are_drawn_by_another_thread(monkeypatch):
    drawn = []
    real = drawing._draw
    monkeypatch.setattr(
        drawing, "_draw", lambda variable, initial: (drawn.append(variable.shape), real(variable, initial))
    )
    model = zoo.create_model("resnet18")
    expected = [
        variable.shape
        for variable in model.trainable_weights
        if drawing.LEAST <= np.prod(variable.shape) <= drawing.MOST
    ]
    assert len(expected) > 10
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, expected))


def test_variables_have_the_names_that_tensorflow_gives_them(monkeypatch):
    def names():
        keras.utils.clear_session(free_memory=False)
        variables = [variable.value for variable in zoo.create_model("resnet20").weights]
        return [(variable.name, variable.handle._name) for variable in variables]

    quick = names()
    monkeypatch.setattr(tf.distribute, "has_strategy", lambda: True)
    assert quick == names()
    assert len(set(quick)) == len(quick) > 90


def test_variables_are_made_quickly_only_outside_of_graphs_and_strategies():
    made = []

    @tf.function
    def in_graph():
        if not made:
            with made_quickly():
                made.append(tf.Variable(2.0, name="scale"))
        return made[0] * 2

    assert float(in_graph()) == 4
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope(), made_quickly():
        assert tf.Variable(1.0, name="scale").name == "scale:0"
    with made_quickly():
        assert tf.Variable(1.0).name == "Variable:0"
        assert tf.Variable(1.0, name="inner/scale").name == "inner/scale:0"
        with tf.name_scope("outer"), tf.name_scope("inner"):
            assert tf.Variable(1.0, name="scale").name == "outer/inner/scale:0"
            assert tf.Variable(1.0, name="other/").name == "other:0"


def test_nothing_is_drawn_where_weights_come_from_a_file():
    with undrawn():
        model = zoo.create_model("resnet18")
    kernels = [variable for variable in model.weights if variable.path.endswith("kernel")]
    assert kernels
    assert not any(np.any(variable.numpy()) for variable in kernels)


def test_variables_that_began_as_one_tensor_change_alone():
    model = zoo.create_model("resnet20")
    first, *others = [
        variable for variable in model.weights if variable.path.endswith("gamma") and variable.shape == (16,)
    ]
    first.assign_add(np.full(16, 2.0, "float32"))
    np.testing.assert_array_equal(first.numpy(), 3.0)
    assert others
    for variable in others:
        np.testing.assert_array_equal(variable.numpy(), 1.0)


def test_a_fault_of_an_initialiser_is_told():
    class Broken(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            raise RuntimeError("no numbers today")

    with pytest.raises(RuntimeError, match="no numbers today"), drawn_meanwhile():
        keras.layers.Dense(256, kernel_initializer=Broken()).build((None, 256))


def test_a_fault_of_a_builder_is_told_and_the_collector_runs_again():
    def build():
        with drawn_meanwhile():
            keras.layers.Dense(1024).build((None, 1024))
            assert not gc.isenabled()
            raise KeyError("mine")

    assert gc.isenabled()
    with pytest.raises(KeyError, match="mine"):
        build()
    assert gc.isenabled()


def test_under_a_strategy_nothing_is_left_to_another_thread():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope(), drawn_meanwhile():
        layer = keras.layers.Dense(512)
        layer.build((None, 512))
        assert np.all(layer.kernel.numpy() != 0)
