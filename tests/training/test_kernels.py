"""Kernels of a training step beside the layers of Keras that they stand for."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from zoo import training
from zoo.training import kernels

ROUNDING = 2.0**-8  # of bfloat16, relative; what Keras rounds on its way comes on top
BACKPROPS = {"inputs": "DepthwiseConv2dNativeBackpropInput", "kernel": "DepthwiseConv2dNativeBackpropFilter"}


def random(shape, seed=0):
    return tf.cast(np.random.default_rng(seed).normal(size=shape), "float32")


def model_of(layer, shape):
    x = keras.Input(shape)
    return keras.Model(x, layer(x))


def plainly(model):
    return contextlib.nullcontext()


def one_kernel(model):
    return kernels.batch_norm(model, None)


def step(model, inputs, context, **arguments):
    """A function with the outputs, and the gradients of a weighted sum of them for the inputs and what learns."""
    weights = random(model.compute_output_shape(inputs.shape), seed=1)

    @tf.function
    def run():
        with context(model), tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs, **arguments)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
        return outputs, *tape.gradient(loss, [inputs, *(variable.value for variable in model.trainable_variables)])

    return run


def close(got, wanted, tolerance):
    """Within this part of the largest number of each tensor."""
    for left, right in zip(got, wanted, strict=True):
        left, right = np.asarray(tf.cast(left, "float32")), np.asarray(tf.cast(right, "float32"))
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * max(np.abs(right).max(), 1e-30))


def error(got, truth):
    """Euclidean distance, as a part of the truth's length."""
    got, truth = (np.asarray(tf.cast(tensor, "float32")) for tensor in (got, truth))
    return np.linalg.norm(got - truth) / np.linalg.norm(truth)


def types(run, kind):
    """The dtypes that the operations of a kind compute in, of a function that was traced once."""
    (traced,) = run._list_all_concrete_functions()
    return [operation.get_attr("T") for operation in traced.graph.get_operations() if operation.type == kind]


@pytest.mark.parametrize("arguments", [{"training": True}, {"training": False}])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 1e-5, "momentum": 0.9}])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("width", [5, 16, 24])
def test_batch_norm_is_that_of_keras(width, policy, options, arguments):
    """Outputs, gradients and statistics: to 1e-5 in float32, to its rounding in bfloat16, whose sums are of float32."""
    shape = 8, 6, 7, width
    inputs = tf.cast(tf.cast(3 * random(shape) + 2, tf.bfloat16), tf.float32)
    ours, theirs = (
        model_of(layers.BatchNormalization(dtype=dtype, **options), shape[1:]) for dtype in (policy, "float32")
    )
    for model in (ours, theirs):
        model.set_weights([np.linspace(0.5 + index, 2, width) for index, _ in enumerate(model.weights)])
    tolerance = 1e-5 if policy == "float32" else 2 * ROUNDING
    run = step(ours, inputs, one_kernel, **arguments)
    close(run(), step(theirs, inputs, plainly, **arguments)(), tolerance)
    close(ours.get_weights(), theirs.get_weights(), 1e-5)
    dtype = tf.bfloat16 if policy == "mixed_bfloat16" and width == 16 else tf.float32
    assert types(run, "FusedBatchNormV3") == [dtype]


@pytest.mark.parametrize(
    ("options", "inputs_in", "kernel_in"),
    [
        ({"kernel_size": 3}, tf.bfloat16, tf.bfloat16),
        ({"kernel_size": 3, "strides": 2}, tf.float32, tf.bfloat16),
        ({"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}, tf.float32, tf.bfloat16),
        ({"kernel_size": 5, "padding": "same", "use_bias": False}, tf.bfloat16, tf.float32),
        ({"kernel_size": 4, "strides": 3, "depth_multiplier": 2}, tf.float32, tf.float32),
        ({"kernel_size": (1, 7), "padding": "same"}, tf.bfloat16, tf.bfloat16),
    ],
)
def test_depthwise_gradients_in_bfloat16(options, inputs_in, kernel_in):
    """As exact as those of Keras's layer, beside float32; from the kernels of that type which is faster."""
    shape = 4, 13, 12, 24
    inputs = random(shape)
    ours, theirs, exact = (
        model_of(layers.DepthwiseConv2D(dtype=dtype, **options), shape[1:])
        for dtype in ("mixed_bfloat16", "mixed_bfloat16", "float32")
    )
    values = [np.asarray(tf.cast(tf.cast(value, tf.bfloat16), tf.float32)) for value in exact.get_weights()]
    for model in (ours, theirs, exact):
        model.set_weights(values)
    run = step(ours, inputs, kernels.depthwise_gradients)
    got, wanted = run(), step(theirs, inputs, plainly)()
    close(got[:1], wanted[:1], 0)
    for one, other, truth in zip(got, wanted, step(exact, inputs, plainly)(), strict=True):
        assert error(one, truth) <= 1.02 * error(other, truth) + 1e-4
    assert {name: types(run, kind) for name, kind in BACKPROPS.items()} == {
        "inputs": [inputs_in],
        "kernel": [kernel_in],
    }


def test_depthwise_layers_that_keras_computes_itself():
    """float32, dilation and what overrides `call`."""

    class Doubled(layers.DepthwiseConv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    for layer in (
        layers.DepthwiseConv2D(3, strides=2, dtype="float32"),
        layers.DepthwiseConv2D(5, dilation_rate=2, dtype="mixed_bfloat16"),
        Doubled(3, strides=2, dtype="mixed_bfloat16"),
    ):
        with kernels.depthwise_gradients(model_of(layer, (13, 12, 4))):
            assert "call" not in vars(layer)


def test_a_step_in_bfloat16_is_as_near_to_float32_as_that_of_keras():
    """The Trainer's, in one piece and with recomputation, beside `model.fit`'s."""
    images, labels = np.asarray(random((8, 24, 24, 3))), np.arange(8) % 4
    data = tf.data.Dataset.from_tensors((images, labels))

    def optimizer():
        return keras.optimizers.SGD(0.1)

    def by_keras(model):
        model.compile(optimizer(), "sparse_categorical_crossentropy")
        model.fit(data, verbose=0, shuffle=False)

    def by_trainer(model, **options):
        trainer = training.Trainer(model, optimizer=optimizer(), loss="sparse_categorical_crossentropy", **options)
        trainer.fit(data, epochs=1)
        if not options:
            assert types(trainer._train_call, BACKPROPS["kernel"]) == [tf.bfloat16, tf.float32]
            assert types(trainer._train_call, BACKPROPS["inputs"]) == [tf.float32, tf.bfloat16]
            assert types(trainer._train_call, "FusedBatchNormGradV3") == [tf.float32] * 2

    def by_trainer_again(model):
        by_trainer(model, recompute=True)

    def moved(policy, fit):
        keras.utils.set_random_seed(3)
        keras.config.set_dtype_policy(policy)
        x = keras.Input(images.shape[1:])
        y = layers.BatchNormalization()(layers.Conv2D(24, 3, use_bias=False)(x))
        y = layers.DepthwiseConv2D(5, padding="same", use_bias=False)(layers.ReLU()(y))
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.DepthwiseConv2D(3, strides=2)(y)
        y = layers.Dense(4, activation="softmax", dtype="float32")(layers.GlobalAveragePooling2D()(y))
        model = keras.Model(x, y)
        before = model.get_weights()
        fit(model)
        return np.concatenate([(b - a).ravel() for a, b in zip(before, model.get_weights(), strict=True)])

    exact = moved("float32", by_keras)
    theirs = error(moved("mixed_bfloat16", by_keras), exact)
    for fit in (by_trainer, by_trainer_again):
        assert error(moved("mixed_bfloat16", fit), exact) <= 1.2 * theirs < 0.1
