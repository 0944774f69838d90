"""The forms for CIFAR, and widths that torchvision and timm do not have, against the package `pytorchcv`."""

import pytest

import zoo

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")


@pytest.fixture
def pytorchcv(peer):
    peer.torchvision()
    return pytest.importorskip("pytorchcv.model_provider", reason="pytorchcv is not installed")


@pytest.mark.parametrize(
    ("name", "theirs", "shortcut_last"),
    [
        ("resnet164", "resnet164bn_cifar10", False),
        ("resnet110_v2", "preresnet110_cifar10", True),
        ("resnet164_v2", "preresnet164bn_cifar10", True),
        ("wide_resnet16_10", "wrn16_10_cifar10", True),
        ("densenet_bc100_k12", "densenet100_k12_bc_cifar10", False),
    ],
)
def test_outputs_are_those_of_pytorchcv(peer, pytorchcv, name, theirs, shortcut_last):
    net = pytorchcv.get_model(theirs, pretrained=False)
    check(peer, net, name, shortcut_last)


@pytest.mark.parametrize("cardinality", [8, 16])
def test_outputs_of_resnext_29_are_those_of_pytorchcv(peer, pytorchcv, cardinality):
    module = pytest.importorskip("pytorchcv.models.resnext_cifar")
    net = module.CIFARResNeXt([[256] * 3, [512] * 3, [1024] * 3], 64, cardinality, 64)
    check(peer, net, f"resnext29_{cardinality}x64d")


@pytest.mark.parametrize(("depth", "width"), [(16, 8), (40, 1)])
def test_outputs_of_wide_networks_are_those_of_pytorchcv(peer, pytorchcv, depth, width):
    module = pytest.importorskip("pytorchcv.models.wrn_cifar")
    channels = [[size * width] * ((depth - 4) // 6) for size in (16, 32, 64)]
    check(peer, module.CIFARWRN(channels, 16), f"wide_resnet{depth}_{width}", shortcut_last=True)


def check(peer, net, name, shortcut_last=False):
    peer.randomise_torch(net)
    assert sum(parameter.numel() for parameter in net.parameters()) == zoo.model_card(name).num_params
    model = zoo.create_model(name, classifier_activation=None)
    peer.from_torch(net, model, peer.executed(net, (32, 32)), peer.by_branches(model, last_first=shortcut_last))
    assert peer.torch_difference(net, model, (32, 32)) < 1e-4
