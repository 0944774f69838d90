"""The networks that the benchmark compares are the same ones, and PyTorch's forms run."""

import numpy as np
import pytest

import zoo
from zoo.deploy.benchmark import peers

torch = pytest.importorskip("torch")

PAIRS = [(name, peer) for name, row in peers.NETWORKS.items() for peer in ("torchvision", "timm") if row[peer]]


@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_the_same_number_of_parameters(name, peer):
    peers.check(peer, name)
    with torch.device("meta"):
        assert peers.count_params(peers.network(peer, name, "float32")) == zoo.model_card(name).num_params


@pytest.mark.parametrize("form", ["eager", "eager, channels last"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_forms_run(form, precision):
    net = peers.network("torchvision", "squeezenet1_1", precision)
    call, inputs = peers.compiler("torchvision", form, net, precision, 1)((2, 64, 64, 3))
    assert tuple(inputs.shape) == (2, 3, 64, 64)
    answer = call(inputs)
    assert answer.dtype == inputs.dtype == getattr(torch, precision)
    assert tuple(answer.shape) == (2, 1000)
    assert np.isfinite(answer.float().numpy()).all()
