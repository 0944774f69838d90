"""What was trained is freed: nothing of TensorFlow's holds the graph of a step when its Trainer is gone."""

import gc
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import training
from zoo.training import registered


def graphs():
    gc.collect()
    return {id(item): item.name for item in gc.get_objects() if isinstance(item, tf.__internal__.FuncGraph)}


def train(activation, optimizer):
    batches = tf.data.Dataset.from_tensor_slices((np.ones((6, 4), "float32"), np.zeros(6, "int32"))).batch(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation), keras.layers.Dense(2, "softmax")])
    trainer = training.Trainer(model, optimizer=optimizer, loss="sparse_categorical_crossentropy", steps_per_call=2)
    trainer.fit(batches, epochs=1, validation=batches)
    trainer.predict(batches)


def test_no_graph_outlives_its_trainer():
    """SiLU has a gradient of its own; RMSprop's updates are Keras's, SGD's with momentum a kernel."""
    before, names = graphs(), registered.names()
    for activation, optimizer in (("silu", "rmsprop"), ("relu", keras.optimizers.SGD(0.1, momentum=0.9))):
        train(activation, optimizer)
        keras.utils.clear_session(free_memory=True)
    assert {name for key, name in graphs().items() if key not in before} == set()
    assert registered.names() <= names


def test_a_graph_of_somebody_else_keeps_its_gradient():
    other = tf.function(lambda x: tf.nn.silu(x), autograph=False)
    graph = other.get_concrete_function(tf.TensorSpec(()))
    train("silu", "sgd")
    keras.utils.clear_session(free_memory=True)
    gc.collect()
    at = tf.constant(0.0)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = graph(at)
    assert float(tape.gradient(value, at)) == pytest.approx(0.5)


MANY = """
import gc, os
import keras, tensorflow as tf
import zoo

def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

digits = zoo.data.load("digits")
for number in range(8):
    trainer = zoo.training.Trainer(
        lambda: zoo.create_model("plain_cnn", activation="silu", classes=10, input_shape=(8, 8, 1)),
        optimizer="adamw", loss="sparse_categorical_crossentropy", steps_per_call=2, devices=2,
    )
    batches = digits.pipeline("validation", batch_size=90, image_size=(8, 8), training=True)
    trainer.fit(batches, epochs=1, validation=batches)
    del trainer, batches
    keras.utils.clear_session(free_memory=True)
    gc.collect()  # the graphs, whose gradients have gone with the Trainer
    print(megabytes(), sum(isinstance(item, tf.__internal__.FuncGraph) for item in gc.get_objects()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_memory_stays_flat_over_many_trainings():
    """On two devices, whose sums are registered too: would they stay, each training would leave 18 MB."""
    line = [sys.executable, "-c", MANY]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    memory, alive = zip(*(map(float, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert set(alive) == {0}
    assert memory[-1] - memory[2] < 20
