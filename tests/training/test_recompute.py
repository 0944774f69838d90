"""Recomputed feature maps: the numbers of the usual backward pass, from less memory."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import recompute
import tensorflow as tf
from keras import layers

import zoo
from zoo.training.recompute import cut


def network(**arguments):
    """Residual, with what has state: batch norm, dropout, stochastic depth."""
    keras.utils.set_random_seed(3)
    return zoo.create_model("resnet20", input_shape=(8, 8, 1), drop_path=0.3, **arguments)


def batches(count=50):
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(count, 8, 8, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((pictures, rng.integers(0, 10, count))).batch(16)


def train(model, **options):
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    trainer = zoo.training.Trainer(model, optimizer=optimizer, loss="sparse_categorical_crossentropy", **options)
    history = trainer.fit(batches(), epochs=2)
    return trainer.model.get_weights(), [epoch["loss"] for epoch in history]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_weights_statistics_and_dropout_are_those_of_the_usual_training(policy):
    keras.config.set_dtype_policy(policy)
    expected, losses = train(network())
    got, again = train(network(), recompute=True)
    assert again == pytest.approx(losses, rel=1e-5)
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def recurrent(x):
    return layers.LSTM(8)(layers.Dense(2)(x), training=None)


def attentive(x):
    x = layers.Dense(2)(x)
    return keras.ops.mean(layers.MultiHeadAttention(2, 8)(x, x), axis=1)


@pytest.mark.parametrize("body", [recurrent, attentive])
def test_masks_go_from_piece_to_piece(body):
    """Of layers called with a keyword or with two tensors: for others the mask is a tensor of the graph."""
    words = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 1, 2, 0]])
    data = tf.data.Dataset.from_tensors((words, np.array([0, 1, 2])))

    def trained(recompute):
        keras.utils.set_random_seed(1)
        source = keras.Input((4,), dtype="int32")
        x = body(layers.Dense(2, "tanh")(layers.Embedding(5, 8, mask_zero=True)(source)))
        model = keras.Model(source, layers.Dense(3, "softmax")(layers.Dense(8)(x)))
        optimizer, loss = keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy"
        zoo.training.Trainer(model, optimizer=optimizer, loss=loss, recompute=recompute).fit(data, epochs=1)
        return model

    expected, got = trained(False), trained(True)
    kinds = (layers.LSTM, layers.MultiHeadAttention)
    assert any(isinstance(layer, kinds) for piece in cut(got)[1:-1] for layer in piece._layers)
    for one, other in zip(expected.get_weights(), got.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("until", ["stride2", "stride4"])
def test_a_front_that_is_frozen_needs_no_gradient(until):
    def model():
        frozen = network()
        zoo.freeze(frozen, until=until)
        return frozen

    assert not any(variable.trainable for variable in cut(model())[0].variables)
    expected, losses = train(model())
    got, again = train(model(), recompute=True)
    assert again == pytest.approx(losses, rel=1e-5)
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def test_penalties_of_weights_and_shared_layers_count_once():
    def model():
        keras.utils.set_random_seed(1)
        source = keras.Input((8, 8, 1))
        shared = layers.Conv2D(4, 3, padding="same", kernel_regularizer=keras.regularizers.L2(0.1))
        x = layers.Conv2D(4, 1)(source)
        for _ in range(3):
            x = layers.ReLU()(shared(x))
        return keras.Model(source, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))

    expected, _ = train(model())
    got, _ = train(model(), recompute=True)
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["densenet40_k12", "resnet20", "vgg11", "squeezenet1_1", "inception_v3", "mobilenet_v2"]
)
def test_pieces_are_the_network(name):
    size = max(32, zoo.model_card(name).min_size)
    model = zoo.create_model(name, input_shape=(size, size, 3), classes=4)
    pieces = cut(model)
    assert len(pieces) > 3
    x = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
    expected = model(x, training=False)
    for piece in pieces:
        x = piece(x, training=False)
    np.testing.assert_array_equal(x, expected)
    held = [id(weight) for piece in pieces for weight in piece.variables]
    assert sorted(held) == sorted(map(id, model.variables))


def test_variables_are_read_before_the_forward_pass_alone():
    """A reading behind it could come after the update, which gave wrong gradients on several devices now and then."""
    trainer = zoo.training.Trainer(network(), optimizer="sgd", loss="sparse_categorical_crossentropy", recompute=True)
    trainer.fit(batches(16), epochs=1)
    (step,) = trainer._train_call._list_all_concrete_functions()
    learnt = {id(weight.value.handle) for weight in trainer.model.trainable_variables}
    captured = {inside.name for outside, inside in step.graph.captures if id(outside) in learnt}
    readings = [
        operation
        for operation in step.graph.get_operations()
        if operation.type == "ReadVariableOp" and operation.inputs[0].name in captured
    ]
    assert len(readings) > len(captured) == len(learnt)  # those of the last piece are read once
    for reading in readings:
        assert not any("gradient" in before.name for before in reading.control_inputs), reading.name


def test_what_cannot_be_recomputed_is_refused():
    loss = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "recompute": True}
    with pytest.raises(ValueError, match=r"XLA undoes what recompute does. Received: recompute=True, jit_compile=True"):
        zoo.training.Trainer(network(), jit_compile=True, **loss)
    source = keras.Input((4,))
    with pytest.raises(ValueError, match=r"can be cut nowhere: at no place one tensor alone goes on"):
        zoo.training.Trainer(keras.Model(source, layers.Dense(2)(source)), **loss)
    hidden = layers.Dense(3, activity_regularizer="l2", name="hidden")(source)
    with pytest.raises(ValueError, match=r"A model whose layers add losses cannot be recomputed. Received: 'noisy'"):
        zoo.training.Trainer(keras.Model(source, layers.Dense(2)(hidden), name="noisy"), **loss).fit(
            tf.data.Dataset.from_tensors((np.zeros((2, 4)), np.zeros(2))), epochs=1
        )
    with pytest.raises(ValueError, match=r"with one input and one output can be recomputed. Received: 'two'"):
        zoo.training.Trainer(keras.Model(source, [hidden, source], name="two"), **loss)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process its highest resident size")
def test_training_takes_less_memory(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(zoo.__file__).parents[1]))  # a script finds only its own folder
    network = {"model": "densenet40_k12", "batch_size": 64, "steps": 2}
    peaks = {again: recompute.measured(recompute=again, **network)["megabytes"] for again in (False, True)}
    assert peaks[True] < 0.6 * peaks[False], peaks
