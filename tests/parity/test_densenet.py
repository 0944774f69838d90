"""DenseNet against torchvision and keras.applications."""

import keras
import pytest

import zoo

SIZES = [(224, 224), (193, 257)]


@pytest.mark.parametrize("name", ["densenet121", "densenet161", "densenet169", "densenet201"])
def test_outputs_are_those_of_torchvision(peer, name):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    net = peer.randomise_torch(getattr(peer.torchvision().models, name)())
    model = zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None)
    peer.from_torch(net, model)
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


@pytest.mark.slow
def test_outputs_are_those_of_keras_applications(peer):
    arguments = {"weights": None, "classifier_activation": None}
    for size in SIZES:
        other = peer.randomise_keras(keras.applications.DenseNet121(input_shape=(*size, 3), **arguments))
        model = peer.from_keras(other, zoo.create_model("densenet121", input_shape=(*size, 3), **arguments))
        assert peer.keras_difference(other, model, size) < 1e-4
