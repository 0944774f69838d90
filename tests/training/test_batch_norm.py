"""The batch-norm policies of fine-tuning."""

import keras
import numpy as np
import pytest

import zoo
from zoo import training
from zoo.training.batch_norm import freeze_batch_norms, recalibrate
from zoo.training.freezing import body_batch_norms


@pytest.fixture
def model():
    x = keras.Input((4, 4, 2))
    y = keras.layers.BatchNormalization(name="first")(x)
    y = keras.layers.BatchNormalization(name="second")(2 * y + 1)
    y = keras.layers.Identity(name="stride1")(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, keras.layers.BatchNormalization(name="behind")(y))


def test_statistics_are_those_of_all_pictures(model):
    rng = np.random.default_rng(0)
    pictures = (rng.normal(size=(48, 4, 4, 2)) * [3, 0.5] + [1, -2]).astype("float32")
    pictures[:16] += 5  # batches that differ in their means
    batches = [pictures[:16], pictures[16:32], (pictures[32:], np.zeros(16))]
    behind = [value.numpy() for value in model.get_layer("behind").weights]
    assert recalibrate(model, batches) == 2
    first, second = model.get_layer("first"), model.get_layer("second")
    np.testing.assert_allclose(first.moving_mean, pictures.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(first.moving_variance, pictures.var((0, 1, 2)), rtol=1e-4)
    # Behind a batch norm every batch has mean 0 and variance 1, and so 1 and 4 after 2 y + 1.
    np.testing.assert_allclose(second.moving_mean, [1, 1], atol=1e-4)
    np.testing.assert_allclose(second.moving_variance, [4, 4], rtol=2e-2)
    assert (first.momentum, first.trainable) == (0.99, True)
    for old, new in zip(behind, model.get_layer("behind").weights, strict=True):
        np.testing.assert_array_equal(old, new)
    assert recalibrate(model, batches, max_batches=1) == 2
    np.testing.assert_allclose(first.moving_mean, pictures[:16].mean((0, 1, 2)), rtol=1e-4)


def test_without_pictures_statistics_stay(model):
    with pytest.raises(ValueError, match="Statistics need at least one batch of pictures. Received: none"):
        recalibrate(model, [])
    assert model.get_layer("first").momentum == 0.99
    np.testing.assert_array_equal(model.get_layer("first").moving_mean, [0, 0])


def test_frozen_batch_norms_are_those_of_the_body(model):
    assert [layer.name for layer in body_batch_norms(model)] == ["first", "second"]
    assert freeze_batch_norms(model) == 2
    model(np.ones((4, 4, 4, 2), "float32"), training=True)
    np.testing.assert_array_equal(model.get_layer("first").moving_mean, [0, 0])
    assert model.get_layer("behind").moving_mean.numpy().any()
    training.unfreeze(model)
    assert len(model.trainable_variables) == 6


def test_every_image_family_has_endpoints_to_tell_its_body():
    assert len(body_batch_norms(zoo.create_model("resnet20"))) == 19
    assert body_batch_norms(zoo.create_model("lenet5")) == []
