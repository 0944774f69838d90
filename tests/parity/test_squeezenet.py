"""SqueezeNet against torchvision, and with bypasses against torchvision's fire modules put together by hand."""

import pytest

import zoo

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

SIZES = [(224, 224), (193, 257)]


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_outputs_are_those_of_torchvision(peer, name):
    net = peer.randomise_torch(getattr(peer.torchvision().models, name)())
    model = zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None)
    peer.from_torch(net, model, peer.executed(net, (64, 64)), peer.by_branches(model))
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


class WithBypass(torch.nn.Module):
    """Figure 2 of the paper around the modules of torchvision's SqueezeNet 1.0."""

    def __init__(self, net, projections):
        super().__init__()
        self.net = net
        self.projections = torch.nn.ModuleDict(projections)

    def forward(self, x):
        number = 2
        for module in self.net.features:
            if type(module).__name__ != "Fire":
                x = module(x)
                continue
            if number % 2:
                x = x + module(x)
            elif str(number) in self.projections:
                x = self.projections[str(number)](x) + module(x)
            else:
                x = module(x)
            number += 1
        return torch.flatten(self.net.classifier(x), 1)


@pytest.mark.parametrize("bypass", ["simple", "complex"])
def test_bypasses_are_those_of_figure_2(peer, bypass):
    widths = {"2": (96, 128), "4": (128, 256), "6": (256, 384), "8": (384, 512)} if bypass == "complex" else {}
    projections = {number: torch.nn.Conv2d(*width, 1) for number, width in widths.items()}
    net = peer.randomise_torch(WithBypass(peer.torchvision().models.squeezenet1_0(), projections))
    model = zoo.create_model("squeezenet1_0", bypass=bypass, input_shape=(None, None, 3), classifier_activation=None)
    peer.from_torch(net, model, peer.executed(net, (64, 64)), peer.by_branches(model))
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4
