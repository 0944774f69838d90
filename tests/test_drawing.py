"""What is drawn by another thread is what would have been drawn by this one."""

import gc
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo import drawing
from zoo.drawing import Normal, drawn_meanwhile, give, uncollected, undrawn
from zoo.layers import he_normal


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


@pytest.mark.parametrize("seed", [1, 1337, 2**31 - 2, 2**32 + 5])
@pytest.mark.parametrize("shape", [(3, 3, 64, 65), (7, 7, 3, 331), (2050, 2051)])
def test_normal_numbers_are_those_of_keras(shape, seed):
    kernel = Normal(shape, 0.1, seed)
    kernel.draw_uniform()
    for piece in reversed(kernel.pieces()):
        piece()
    expected = keras.random.normal(shape, stddev=0.1, seed=seed).numpy()
    np.testing.assert_allclose(kernel.tensor().numpy(), expected, rtol=0, atol=3e-7)
    piecewise = Normal(shape, 0.1, seed)
    drawing._fill([piecewise])
    np.testing.assert_array_equal(piecewise.tensor().numpy(), kernel.tensor().numpy())


@pytest.mark.parametrize("depthwise", [False, True])
def test_kernels_are_what_their_initialiser_draws(depthwise):
    shape = (3, 3, 1024, 4) if depthwise else (3, 3, 64, 128)
    initializer = he_normal(depthwise=depthwise)
    with drawn_meanwhile():
        variable = keras.Variable(initializer, shape=shape, dtype="float32")
    np.testing.assert_allclose(variable.numpy(), initializer(shape).numpy(), rtol=0, atol=1e-6)
    with undrawn() as redraw:
        later = keras.Variable(initializer, shape=shape, dtype="float32")
    redraw(later)
    np.testing.assert_array_equal(later.numpy(), variable.numpy())


def test_what_is_not_of_float32_is_drawn_by_its_initialiser():
    initializer = he_normal()
    with drawn_meanwhile():
        variable = keras.Variable(initializer, shape=(256, 256), dtype="float16")
    np.testing.assert_array_equal(variable.numpy(), initializer((256, 256), dtype="float16").numpy())


def test_a_kernel_in_the_memory_of_its_numbers_can_change():
    with drawn_meanwhile():
        layer = keras.layers.Conv2D(128, 3, kernel_initializer=he_normal())
        layer.build((None, 8, 8, 64))
    before = layer.kernel.numpy().copy()
    read = layer.kernel.value.read_value()
    layer.kernel.assign_add(np.ones_like(before))
    gc.collect()
    np.testing.assert_array_equal(read.numpy(), before)
    np.testing.assert_array_equal(layer.kernel.numpy(), before + 1)


def test_large_kernels_are_drawn_by_another_thread(monkeypatch):
    normal, others = [], []
    draw_uniform, draw = Normal.draw_uniform, drawing._draw

    def draws_uniform(kernel):
        normal.append((kernel._shape, threading.current_thread()))
        draw_uniform(kernel)

    def draws(variable, initial):
        others.append((tuple(variable.shape), threading.current_thread()))
        draw(variable, initial)

    monkeypatch.setattr(Normal, "draw_uniform", draws_uniform)
    monkeypatch.setattr(drawing, "_draw", draws)
    model = zoo.create_model("resnet18")
    large = {
        tuple(variable.shape)
        for variable in model.trainable_weights
        if drawing.LEAST <= np.prod(variable.shape) <= drawing.MOST
    }
    # The kernel before the classes is of Keras's uniform distribution; what has not begun when all layers stand is
    # drawn piece by piece.
    assert [shape for shape, _ in others] == [(512, 1000)]
    assert {shape for shape, _ in normal} <= large
    assert len(normal) > 5
    assert threading.main_thread() not in [thread for _, thread in [*normal, *others]]


def test_nothing_is_drawn_where_weights_come_from_a_file():
    with undrawn():
        model = zoo.create_model("resnet18")
    kernels = [variable for variable in model.weights if variable.path.endswith("kernel")]
    assert kernels
    assert not any(np.any(variable.numpy()) for variable in kernels)


@pytest.mark.parametrize("shape", [(16,), (256, 256)])
def test_undrawn_variables_of_one_shape_change_alone(shape):
    with undrawn():
        one, other = (keras.Variable("ones", shape=shape, dtype="float32") for _ in range(2))
    one.assign_add(np.full(shape, 2.0, "float32"))
    np.testing.assert_array_equal(one.numpy(), np.full(shape, 2.0))
    np.testing.assert_array_equal(other.numpy(), np.zeros(shape))


@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 3, 61, 62)])
def test_given_numbers_are_those_that_keras_assigns(shape, dtype, stored):
    numbers = np.random.default_rng(5).normal(size=shape).astype(stored)
    assigned, given = (keras.Variable("zeros", shape=shape, dtype=dtype) for _ in range(2))
    assigned.assign(numbers)
    give(given, numbers)
    assert given.dtype == assigned.dtype
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(given).astype("float64"), keras.ops.convert_to_numpy(assigned).astype("float64")
    )


def test_given_numbers_are_the_variables_own():
    numbers = np.arange(256 * 300, dtype="float32").reshape(300, 256)
    one, other = (keras.Variable("zeros", shape=(256, 300), dtype="float32") for _ in range(2))
    give(one, numbers.T)
    give(other, numbers.T)
    read = one.value.read_value()
    numbers[:] = 0
    one.assign_add(np.ones((256, 300), "float32"))
    gc.collect()
    expected = np.arange(256 * 300, dtype="float32").reshape(300, 256).T
    np.testing.assert_array_equal(one.numpy(), expected + 1)
    np.testing.assert_array_equal(other.numpy(), expected)
    np.testing.assert_array_equal(read.numpy(), expected)


def test_numbers_are_given_to_every_copy_of_a_variable():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    numbers = np.random.default_rng(5).normal(size=(256, 256)).astype("float32")
    with strategy.scope():
        inside, outside = (keras.Variable("zeros", shape=(256, 256), dtype="float32") for _ in range(2))
        assert isinstance(inside.value, tf.distribute.DistributedValues)
        give(inside, numbers)
    give(outside, numbers)
    for variable in (inside, outside):
        for copy in strategy.experimental_local_results(variable.value):
            np.testing.assert_array_equal(copy.numpy(), numbers)


def test_numbers_of_another_shape_are_refused():
    variable = keras.Variable("ones", shape=(256, 256), dtype="float32")
    with pytest.raises(ValueError, match="shape"):
        give(variable, np.zeros((256, 255), "float32"))
    np.testing.assert_array_equal(variable.numpy(), 1.0)


def test_the_garbage_collector_waits_and_goes_on():
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


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


def test_under_a_strategy_nothing_is_left_to_another_thread_and_the_numbers_are_the_same():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    initializer = he_normal()
    with strategy.scope(), drawn_meanwhile():
        layer = keras.layers.Dense(512)
        layer.build((None, 512))
        assert np.all(layer.kernel.numpy() != 0)
        mirrored = keras.Variable(initializer, shape=(3, 3, 64, 128), dtype="float32")
        assert np.all(mirrored.numpy() != 0)
    with drawn_meanwhile():
        alone = keras.Variable(initializer, shape=(3, 3, 64, 128), dtype="float32")
    np.testing.assert_array_equal(mirrored.numpy(), alone.numpy())
