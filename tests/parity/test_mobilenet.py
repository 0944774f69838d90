"""MobileNet v1, v2 and v3 against torchvision and keras.applications."""

import keras
import pytest

import zoo

SIZES = [(224, 224), (193, 257)]
ARGUMENTS = {"weights": None, "classifier_activation": None}


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
def test_outputs_are_those_of_torchvision(peer, name):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    net = peer.randomise_torch(getattr(peer.torchvision().models, name)())
    model = zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None)
    peer.from_torch(net, model)
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


@pytest.mark.parametrize("width", [1.4, 0.35])
def test_outputs_of_other_widths_are_those_of_torchvision(peer, width):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    net = peer.randomise_torch(peer.torchvision().models.mobilenet_v2(width_mult=width))
    model = zoo.create_model("mobilenet_v2", alpha=width, input_shape=(None, None, 3), classifier_activation=None)
    peer.from_torch(net, model)
    assert peer.torch_difference(net, model, SIZES[1]) < 1e-4


@pytest.mark.parametrize("name", ["mobilenet_v3_small_050", "mobilenet_v3_small_075", "mobilenet_v3_large_075"])
def test_outputs_of_other_widths_of_v3_are_those_of_timm(peer, name):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    peer.torchvision()
    timm = pytest.importorskip("timm", reason="timm is not installed")
    net = peer.randomise_torch(timm.create_model(name.replace("mobilenet_v3", "mobilenetv3"), pretrained=False))
    for module in net.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-3  # that of the paper's authors; timm's own networks of these widths have 1e-5
    model = zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None)
    modules = [as_linear(module) if module in (net.conv_head, net.classifier) else module
               for module in peer.executed(net, (64, 64))]  # fmt: skip
    peer.from_torch(net, model, modules, peer.by_branches(model))
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


def as_linear(module):
    """A 1x1 convolution of a pooled map, timm's hidden layer, is a dense layer."""
    import torch

    if isinstance(module, torch.nn.Linear):
        return module
    dense = torch.nn.Linear(module.in_channels, module.out_channels)
    dense.weight.data = module.weight.data[:, :, 0, 0]
    dense.bias.data = module.bias.data
    return dense


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "alpha"), [("mobilenet", 1.0), ("mobilenet_025", 0.25)])
def test_outputs_of_v1_are_those_of_keras_applications(peer, name, alpha, size):
    other = peer.randomise_keras(keras.applications.MobileNet(alpha=alpha, input_shape=(*size, 3), **ARGUMENTS))
    model = peer.from_keras(other, zoo.create_model(name, input_shape=(*size, 3), **ARGUMENTS))
    assert peer.keras_difference(other, model, size) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("mobilenet_v2", "MobileNetV2", {}),
        ("mobilenet_v2_035", "MobileNetV2", {"alpha": 0.35}),
        ("mobilenet_v2_130", "MobileNetV2", {"alpha": 1.3}),
        ("mobilenet_v3_large", "MobileNetV3Large", {}),
        ("mobilenet_v3_small", "MobileNetV3Small", {}),
        ("mobilenet_v3_large_minimal", "MobileNetV3Large", {"minimalistic": True}),
        ("mobilenet_v3_small_minimal", "MobileNetV3Small", {"minimalistic": True}),
    ],
)
def test_outputs_of_v2_and_v3_are_those_of_keras_applications(peer, name, function, options):
    """At 193x257 alone: there every strided layer sees an odd size, for which both ways to pad are the same."""
    size = SIZES[1]
    if "V3" in function:
        options = {**options, "include_preprocessing": False}
    build = getattr(keras.applications, function)
    other = peer.randomise_keras(build(input_shape=(*size, 3), **options, **ARGUMENTS))
    model = peer.from_keras(other, zoo.create_model(name, input_shape=(*size, 3), **ARGUMENTS))
    assert peer.keras_difference(other, model, size) < 1e-4
