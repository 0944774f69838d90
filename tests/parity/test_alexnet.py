"""AlexNet against torchvision, and the paper's form against PyTorch's own operations put together by hand."""

import pytest

import zoo

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")


@pytest.mark.parametrize("size", [(224, 224), (193, 257), (63, 63)])
def test_outputs_are_those_of_torchvision(peer, channels_last_dense, size):
    net = peer.randomise_torch(peer.torchvision().models.alexnet())
    model = zoo.create_model("alexnet", input_shape=(*size, 3), classifier_activation=None)
    peer.from_torch(net, model, channels_last_dense(net, net.classifier[1], 6))
    assert peer.torch_difference(net, model, size) < 1e-4


class TwoTowers(torch.nn.Sequential):
    """Section 3 of the paper, from its text."""

    def __init__(self):
        nn = torch.nn
        # PyTorch's alpha is a factor on the mean over `size` channels, the paper's one on the sum.
        norm = {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0}
        super().__init__(
            nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.LocalResponseNorm(**norm), nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, 1, 2, groups=2), nn.ReLU(), nn.LocalResponseNorm(**norm), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.ReLU(),
            nn.Conv2d(384, 256, 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000),
        )  # fmt: skip


def test_the_papers_form_is_that_of_its_text(peer, channels_last_dense):
    net = peer.randomise_torch(TwoTowers())
    model = zoo.create_model("alexnet", variant="paper", input_shape=(227, 227, 3), classifier_activation=None)
    peer.from_torch(net, model, channels_last_dense(net, net[16], 6))
    assert peer.torch_difference(net, model, (227, 227)) < 1e-4
