"""A fresh network keeps the scale of its activations through depth.

He's normal distribution keeps the mean square of what passes a convolution and ReLU; batch norm sets it anew; sums
over shortcuts let it grow slowly. A wrong fan-in, a gain that is missing or a distribution that is used twice shows as
values that vanish or explode from layer to layer. The bounds hold for every convolution of every architecture.
"""

import keras
import numpy as np
import pytest

import zoo
from zoo import registry

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
SIZE = 24
# LeNet-5 starts from the paper's uniform distribution, which shrinks with the fan-in; the courses' network from
# Glorot's, which has half the variance. Their own tests hold them.
OTHER_INITIALISERS = {"lenet"}


def representatives():
    """The cheapest image model of each backbone and block."""
    cheapest = {}
    for name in sorted(zoo.list_models(modality="image"), key=lambda name: zoo.model_card(name).num_macs):
        entry = registry.entry(name)
        block = entry.row.get("block")
        if entry.card.family not in OTHER_INITIALISERS:
            cheapest.setdefault((entry.backbone, getattr(block, "func", block)), name)
    return sorted(cheapest.values())


def deviations(model, training):
    """Standard deviation of what each convolution gives, in the order of the graph; without those on pooled means."""
    names = [
        layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS) and "squeeze_conv" not in layer.name
    ]
    inputs = np.random.default_rng(0).normal(size=(8, SIZE, SIZE, 3)).astype("float32")
    outputs = zoo.features(model, names)(inputs, training=training)
    return {name: float(np.std(outputs[name])) for name in names}


@pytest.mark.parametrize("name", representatives())
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
