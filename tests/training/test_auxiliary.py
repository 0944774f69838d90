"""Auxiliary classifiers: they train along as in Keras with loss weights, and nothing else sees them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from zoo import training

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.uniform(0, 1, (50, 8, 8, 1)).astype("float32")
LABELS = RANDOM.integers(0, 4, 50).astype("int32")


def make_model(names=("predictions", "aux")):
    training.seed_everything(1)
    pictures = keras.Input((8, 8, 1))
    early = layers.Conv2D(8, 3, activation="relu")(pictures)
    late = layers.Conv2D(8, 3, activation="relu")(early)
    heads = [
        layers.Dense(4, activation="softmax", name=name)(layers.Flatten()(x))
        for name, x in zip(names, (late, early), strict=True)
    ]
    return keras.Model(pictures, dict(zip(names, heads, strict=True)), name="two_heads")


def batches():
    return tf.data.Dataset.from_tensor_slices((PICTURES, LABELS)).batch(16)


def make_trainer(model, **options):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    return training.Trainer(model, optimizer=optimizer, loss="sparse_categorical_crossentropy", **options)


def test_trains_as_keras_does_with_loss_weights():
    ours, theirs = make_model(), make_model()
    first = [np.array(weight) for weight in ours.get_weights()]
    history = make_trainer(ours, auxiliary={"aux": 0.3}, steps_per_call=2).fit(batches(), epochs=3)
    losses = dict.fromkeys(("predictions", "aux"), "sparse_categorical_crossentropy")
    theirs.compile(keras.optimizers.SGD(0.1, momentum=0.9), losses, loss_weights={"predictions": 1.0, "aux": 0.3})
    both = tf.data.Dataset.from_tensor_slices((PICTURES, {"predictions": LABELS, "aux": LABELS})).batch(16)
    expected = theirs.fit(both, epochs=3, shuffle=False, verbose=0).history["loss"]
    for left, right, begin in zip(ours.get_weights(), theirs.get_weights(), first, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)
        assert not np.array_equal(left, begin)
    assert [row["loss"] for row in history] == pytest.approx(expected, rel=1e-5)


def test_evaluation_and_prediction_are_of_the_output_that_counts():
    model = make_model()
    whole = make_trainer(model, auxiliary={"aux": 0.3})
    alone = make_trainer(keras.Model(model.input, model.output["predictions"]))
    assert whole.evaluate(batches()) == pytest.approx(alone.evaluate(batches()))
    np.testing.assert_array_equal(whole.predict(batches()), alone.predict(batches()))


@pytest.mark.parametrize("auxiliary", [None, {"aux": 0.3, "predictions": 1.0}, {"aux1": 0.3}, {"aux": -0.3}])
def test_each_output_but_one_needs_a_weight(auxiliary):
    message = "The outputs of 'two_heads' are predictions, aux. auxiliary must have a weight of at least 0"
    with pytest.raises(ValueError, match=message):
        make_trainer(make_model(), auxiliary=auxiliary)


def test_a_model_with_one_output_has_no_auxiliary_ones():
    model = make_model()
    with pytest.raises(ValueError, match="has no outputs with names. Received: auxiliary={'aux': 0.3}"):
        make_trainer(keras.Model(model.input, model.output["predictions"]), auxiliary={"aux": 0.3})
