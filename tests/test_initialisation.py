"""A fresh network keeps the scale of its activations through depth.

He's normal distribution keeps the mean square of what passes a convolution and ReLU; batch norm sets it anew; sums
over shortcuts let it grow slowly. A wrong fan-in, a gain that is missing or a distribution that is used twice shows as
values that vanish or explode from layer to layer. The bounds hold for every convolution of every architecture.
"""

import keras
import numpy as np
import pytest
from representatives import backbone_and_block, cheapest

import zoo

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
SIZE = 24
# LeNet-5 starts from the paper's uniform distribution, which shrinks with the fan-in; the courses' network from
# Glorot's, which has half the variance. Their own tests hold them. The network of rows has He's, but no stem to choose.
OTHER_INITIALISERS = {"lenet", "plain_cnn"}


def is_held_here(name):
    return zoo.model_card(name).family not in OTHER_INITIALISERS


REPRESENTATIVES = cheapest(backbone_and_block, list(filter(is_held_here, zoo.list_models(modality="image"))))


def deviations(model, training):
    """Standard deviation of what each convolution gives, in the order of the graph; without those on pooled means."""
    names = [
        layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS) and "squeeze_conv" not in layer.name
    ]
    inputs = np.random.default_rng(0).normal(size=(8, SIZE, SIZE, 3)).astype("float32")
    outputs = zoo.features(model, names)(inputs, training=training)
    return {name: float(np.std(outputs[name])) for name in names}


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_activations_keep_their_scale(name):
    model = zoo.create_model(name, include_top=False, stem="cifar", input_shape=(SIZE, SIZE, 3))
    # Before any step the moving statistics of batch norm are not those of the data: statistics of the batch, then.
    scales = deviations(model, training=True)
    low, high = min(scales, key=scales.get), max(scales, key=scales.get)
    assert scales[low] > 0.4, (low, scales[low])
    assert scales[high] < 7, (high, scales[high])
    values = list(scales.values())
    assert 0.3 < np.mean(values[-5:]) / np.mean(values[:5]) < 3


def test_the_bounds_tell_a_wrong_gain_from_a_right_one():
    model = zoo.create_model("vgg11", include_top=False, stem="cifar", input_shape=(SIZE, SIZE, 3))
    for layer in model.layers:
        if isinstance(layer, CONVOLUTIONS):
            layer.kernel.assign(layer.kernel / np.sqrt(2))
    values = list(deviations(model, training=False).values())
    assert values[-1] < 0.3
