import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.training import Accuracy, BinaryCrossEntropy, CrossEntropy, Trainer
from zoo.training.losses import distributions


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


LABELS = np.array([0, 3, 1, 2, 2, 0])


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_whole_numbers_and_their_distributions_have_the_same_loss(logits, smoothing):
    loss = CrossEntropy(label_smoothing=smoothing)
    expected = loss.call(LABELS, softmax(logits))
    np.testing.assert_allclose(loss.call(np.eye(4)[LABELS], softmax(logits)), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.call(LABELS[:, None], softmax(logits)), expected, rtol=1e-6)
    by_hand = -(np.log(softmax(logits)) * (np.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4)).sum(-1)
    np.testing.assert_allclose(expected, by_hand, rtol=1e-5)


def test_probabilities_and_logits_have_the_same_loss(logits):
    soft = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype("float32")
    np.testing.assert_allclose(
        CrossEntropy(label_smoothing=0.1, from_logits=True).call(soft, logits),
        CrossEntropy(label_smoothing=0.1).call(soft, softmax(logits)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        BinaryCrossEntropy(from_logits=True).call(soft, logits),
        BinaryCrossEntropy().call(soft, 1 / (1 + np.exp(-logits))),
        rtol=1e-5,
    )


def test_the_loss_of_keras_is_that_without_smoothing(logits):
    expected = keras.losses.SparseCategoricalCrossentropy(reduction=None)(LABELS, softmax(logits))
    np.testing.assert_array_equal(CrossEntropy().call(LABELS, softmax(logits)), expected)


def test_smoothing_mixed_labels_is_mixing_smoothed_ones():
    one, other = np.eye(4)[[0]], np.eye(4)[[2]]
    predictions = softmax(np.array([[2.0, 1.0, 0.5, -1.0]], "float32"))
    loss = CrossEntropy(label_smoothing=0.1)
    mixed = loss.call(0.7 * one + 0.3 * other, predictions)
    apart = 0.7 * loss.call(one, predictions) + 0.3 * loss.call(other, predictions)
    np.testing.assert_allclose(mixed, apart, rtol=1e-5)


def test_the_threshold_makes_whole_labels_of_mixed_ones():
    mixed = np.array([[0.75, 0.25, 0.0], [0.9, 0.1, 0.0]], "float32")
    whole = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "float32")
    predictions = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.9]], "float32")
    found = BinaryCrossEntropy(target_threshold=0.2).call(mixed, predictions)
    np.testing.assert_allclose(found, BinaryCrossEntropy().call(whole, predictions))


def test_losses_of_a_softmax_that_has_underflown_are_right_in_a_graph():
    """Keras finds the logits behind the softmax; from probabilities of 0 alone no loss could be had."""

    @tf.function
    def loss(logits):
        return CrossEntropy().call(tf.constant([[1.0, 0.0]]), tf.nn.softmax(logits))

    assert float(loss(tf.constant([[-200.0, 0.0]]))[0]) == pytest.approx(200)


def test_accuracy_of_both_forms(logits):
    right = logits.argmax(-1)
    metric = Accuracy()
    assert metric.name == "accuracy"
    metric.update_state(np.where(np.arange(6) < 3, right, (right + 1) % 4), logits)
    assert float(metric.result()) == 0.5
    metric.reset_state()
    metric.update_state(0.6 * np.eye(4)[right] + 0.4 * np.eye(4)[(right + 1) % 4], logits)
    assert float(metric.result()) == 1.0
    metric.update_state(right[:, None], logits, sample_weight=np.zeros(6))
    assert float(metric.result()) == 1.0


def test_a_trainer_may_report_another_loss_than_it_trains_by():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    trainer = Trainer(
        model,
        optimizer=keras.optimizers.SGD(0.0),
        loss=CrossEntropy(label_smoothing=0.3),
        evaluation_loss=CrossEntropy(),
        metrics=[Accuracy()],
    )
    random = np.random.default_rng(0)
    inputs, labels = random.normal(size=(12, 4)).astype("float32"), random.integers(0, 3, 12)
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(5)
    (record,) = trainer.fit(data, epochs=1, validation=data)
    outputs = model(inputs)
    assert record["loss"] == pytest.approx(np.mean(CrossEntropy(label_smoothing=0.3).call(labels, outputs)), rel=1e-5)
    plain = np.mean(CrossEntropy().call(labels, outputs))
    assert record["val_loss"] == pytest.approx(plain, rel=1e-5)
    assert trainer.evaluate(data)["loss"] == pytest.approx(plain, rel=1e-5)
    assert record["val_accuracy"] == record["accuracy"]


@pytest.mark.parametrize("item", [CrossEntropy(label_smoothing=0.1), BinaryCrossEntropy(target_threshold=0.2)])
def test_a_loss_comes_back_from_its_configuration(item):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(item))
    assert type(again) is type(item)
    assert again.get_config() == item.get_config()


def test_illegal_arguments_are_refused():
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to below 1. Received: label_smoothing=1"):
        CrossEntropy(label_smoothing=1)
    with pytest.raises(ValueError, match="target_threshold must be from 0 to below 1, or None. Received"):
        BinaryCrossEntropy(target_threshold=1)
    with pytest.raises(
        ValueError, match=r"Labels must be \(batch,\) whole numbers or \(batch, 4\) dist.*shape \(2, 3\)"
    ):
        distributions(np.zeros((2, 3)), 4)
