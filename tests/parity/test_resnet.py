"""ResNet against torchvision, timm and keras.applications, all filled with random values."""

import re

import keras
import numpy as np
import pytest

import zoo

SIZES = [(224, 224), (193, 257)]
# Networks of torchvision's class that it has no function for, and their block.
SHALLOW = {"resnet10": "BasicBlock", "resnet14": "Bottleneck"}


def our_name(theirs):
    """`layer2.0.downsample.1` or `stages.1.blocks.0.norm1` as we call that layer."""
    fixed = {"conv1": "stem_conv", "bn1": "stem_bn", "fc": "logits", "stem.conv": "stem_conv", "norm": "final_bn",
             "head.fc": "logits"}  # fmt: skip
    if theirs in fixed:
        return fixed[theirs]
    match = re.fullmatch(r"(?:layer(\d)|stages\.(\d)\.blocks)\.(\d+)\.(.+)", theirs)
    stage = match[1] or int(match[2]) + 1
    inner = {"downsample.0": "shortcut_conv", "downsample.1": "shortcut_bn", "downsample.conv": "shortcut_conv"}
    layer = inner.get(match[4], match[4].replace("norm", "bn"))
    return f"stage{stage}_block{int(match[3]) + 1}_{layer}"


def carry_over(torch, peer, net, model):
    """Every weighted layer of the peer goes to the layer of ours that the naming rule says."""
    kinds = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d)
    modules = {our_name(name): module for name, module in net.named_modules() if isinstance(module, kinds)}
    if isinstance(modules["logits"], torch.nn.Conv2d):
        modules["logits"] = as_linear(torch, modules["logits"])
    layers = [layer for layer in model.layers if layer.weights]
    assert {layer.name for layer in layers} == set(modules)
    return peer.from_torch(net, model, [modules[layer.name] for layer in layers], layers)


def as_linear(torch, conv):
    """A 1x1 convolution of a pooled map, timm's last layer, is a dense layer."""
    dense = torch.nn.Linear(conv.in_channels, conv.out_channels)
    dense.weight.data, dense.bias.data = conv.weight.data[:, :, 0, 0], conv.bias.data
    return dense


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet18", "torchvision"), ("resnet50", "torchvision"), ("resnext50_32x4d", "torchvision"),
        ("wide_resnet50_2", "torchvision"), ("resnet10", "torchvision"), ("resnet14", "torchvision"),
        ("resnet26", "timm"), ("resnet18_v2", "timm"), ("resnet50_v2", "timm"),
    ],
)  # fmt: skip
def test_outputs_are_the_peers(peer, name, theirs):
    torch = pytest.importorskip("torch", reason="the peer needs torch")
    torchvision = peer.torchvision()
    if name in SHALLOW:
        net = torchvision.models.ResNet(getattr(torchvision.models.resnet, SHALLOW[name]), [1, 1, 1, 1])
    elif theirs == "torchvision":
        net = getattr(torchvision.models, name)(weights=None)
    else:
        timm = pytest.importorskip("timm", reason="the peer is timm")
        net = timm.create_model(re.sub(r"resnet(\d+)_v2", r"resnetv2_\1", name), pretrained=False)
    peer.randomise_torch(net)
    model = zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None)
    carry_over(torch, peer, net, model)
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


@pytest.mark.parametrize("name", ["resnet50", pytest.param("resnet101", marks=pytest.mark.slow)])
def test_the_papers_form_is_that_of_keras_applications(peer, name):
    """Its convolutions have biases, which the batch norm behind them takes up, and other names and order."""
    net = getattr(keras.applications, name.replace("resnet", "ResNet"))(weights=None, classifier_activation=None)
    peer.randomise_keras(net)
    model = zoo.create_model(name, variant="paper", classifier_activation=None)
    for layer in model.layers:
        if not layer.weights:
            continue
        match = re.fullmatch(r"stage(\d)_block(\d+)_(conv|bn|shortcut_conv|shortcut_bn)(\d?)", layer.name)
        if match:
            place = 0 if "shortcut" in match[3] else match[4]
            theirs = f"conv{int(match[1]) + 1}_block{match[2]}_{place}_{match[3].removeprefix('shortcut_')}"
        else:
            theirs = {"stem_conv": "conv1_conv", "stem_bn": "conv1_bn", "logits": "predictions"}[layer.name]
        values = net.get_layer(theirs).get_weights()
        if isinstance(layer, keras.layers.Conv2D):
            values = values[:1]
        if isinstance(layer, keras.layers.BatchNormalization):
            values[2] = values[2] - net.get_layer(theirs.removesuffix("bn") + "conv").get_weights()[1]
            values[3] = values[3] + np.float32(net.get_layer(theirs).epsilon - layer.epsilon)
        layer.set_weights(values)
    assert peer.keras_difference(net, model, (224, 224)) < 1e-4
