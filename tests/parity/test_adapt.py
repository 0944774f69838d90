"""First convolutions for other numbers of channels, against timm."""

import numpy as np
import pytest

import zoo
from zoo.weights import first_convolution, input_channels

torch = pytest.importorskip("torch")


@pytest.fixture
def timm(peer):
    peer.torchvision()
    return pytest.importorskip("timm")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 13])
def test_kernels(timm, channels):
    kernel = np.random.default_rng(0).normal(size=(7, 7, 3, 16)).astype("float32")
    theirs = timm.models._manipulate.adapt_input_conv(channels, torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
    np.testing.assert_allclose(
        input_channels(kernel, channels), theirs.numpy().transpose(2, 3, 1, 0), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("channels", [1, 4])
def test_a_whole_network(peer, timm, channels):
    """timm's network, its first kernel adapted by timm, against ours, adapted by us."""

    def build(channels):
        return zoo.create_model("mobilenet_v2", classifier_activation=None, input_shape=(None, None, channels))

    colour = peer.randomise_torch(timm.create_model("mobilenetv2_100"))
    model, ours = peer.from_torch(colour, build(3)), build(channels)
    kernel = first_convolution(ours).kernel
    for old, new in zip(model.weights, ours.weights, strict=True):
        new.assign(input_channels(old.numpy(), channels) if new is kernel else old)
    state = colour.state_dict()
    state["conv_stem.weight"] = timm.models._manipulate.adapt_input_conv(channels, state["conv_stem.weight"])
    theirs = timm.create_model("mobilenetv2_100", in_chans=channels).eval()
    theirs.load_state_dict(state)
    pictures = peer.rng.uniform(-1, 1, (1, 96, 129, channels)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())).numpy()
    assert peer.relative(expected, ours(pictures, training=False)) < 1e-4
