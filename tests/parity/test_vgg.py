"""VGG against torchvision and keras.applications."""

import keras
import pytest

import zoo


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg11", (193, 257)),
        ("vgg13_bn", (193, 257)),
        ("vgg16", (224, 224)),
        ("vgg16_bn", (224, 224)),
        ("vgg19", (64, 96)),
    ],
)
def test_outputs_are_those_of_torchvision(peer, request, name, size):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    net = peer.randomise_torch(getattr(peer.torchvision().models, name)(init_weights=False))
    model = zoo.create_model(name, input_shape=(*size, 3), classifier_activation=None)
    modules = request.getfixturevalue("channels_last_dense")(net, net.classifier[0], 7)
    peer.from_torch(net, model, modules)
    assert peer.torch_difference(net, model, size) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_outputs_are_those_of_keras_applications(peer, name):
    other = getattr(keras.applications, name.upper())(weights=None, classifier_activation=None)
    peer.randomise_keras(other)
    model = peer.from_keras(other, zoo.create_model(name, classifier_activation=None))
    assert peer.keras_difference(other, model, (224, 224)) < 1e-4
