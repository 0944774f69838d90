"""Files that the peers' own libraries wrote, loaded by `zoo.weights.load`: the outputs are the peers'."""

import numpy as np
import pytest

import zoo

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
SIZES = [(224, 224), (193, 257)]


def written(net, path):
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, path)
    return path


def check(peer, net, name, source, path, sizes=SIZES):
    written(peer.randomise_torch(net), path)
    for size in sizes:
        model = zoo.create_model(name, input_shape=(*size, 3), classifier_activation=None)
        assert zoo.weights.load(model, path, source=source) is model
        assert peer.torch_difference(net, model, size) < 1e-4
    body = zoo.create_model(name, include_top=False, input_shape=(*sizes[0], 3))
    zoo.weights.load(body, path, source=source)
    whole = {layer.name: layer for layer in model.layers}
    for layer in [layer for layer in body.layers if layer.weights]:
        for ours, theirs in zip(layer.weights, whole[layer.name].weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", [
    "alexnet", "vgg11", "vgg16_bn", "squeezenet1_0", "squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "wide_resnet50_2", "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large",
    "mobilenet_v3_small",
])  # fmt: skip
def test_files_of_torchvision(peer, name, tmp_path):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    net = getattr(peer.torchvision().models, name)(**options)
    check(peer, net, name, "torchvision", tmp_path / "model.safetensors")


@pytest.mark.parametrize(("name", "theirs", "sizes"), [
    ("vgg11_bn", "vgg11_bn", [(224, 224)]), ("resnet26", "resnet26", SIZES), ("resnet50_v2", "resnetv2_50", SIZES),
    ("densenet121", "densenet121", SIZES), ("inception_v3", "inception_v3", SIZES),
    ("mobilenet_v2", "mobilenetv2_100", SIZES), ("mobilenet_v3_large", "mobilenetv3_large_100", SIZES),
    ("mobilenet_v3_small", "mobilenetv3_small_100", SIZES),
])  # fmt: skip
def test_files_of_timm(peer, name, theirs, sizes, tmp_path):
    peer.torchvision()
    timm = pytest.importorskip("timm", reason="timm is not installed")
    check(peer, timm.create_model(theirs, pretrained=False), name, "timm", tmp_path / "model.safetensors", sizes)
