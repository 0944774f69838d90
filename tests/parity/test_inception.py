"""Inception v2 to v4 and Inception-ResNet against torchvision, timm, keras.applications and two more packages."""

import importlib.util

import keras
import numpy as np
import pytest

import zoo

SIZES = [(299, 299), (193, 257)]


def carry_over(peer, net, model, size=(128, 128)):
    peer.randomise_torch(net)
    return peer.from_torch(net, model, peer.executed(net, size), peer.by_branches(model))


def test_outputs_of_v3_are_those_of_torchvision(peer):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    net = peer.torchvision().models.inception_v3(init_weights=False)
    model = zoo.create_model("inception_v3", aux=True, input_shape=(None, None, 3), classifier_activation=None)
    peer.randomise_torch(net)
    aux = net.AuxLogits
    modules = peer.executed(net, (128, 128))
    modules += [aux.conv0.conv, aux.conv0.bn, aux.conv1.conv, aux.conv1.bn, aux.fc]
    ours = peer.by_branches(model)
    ours.sort(key=lambda layer: layer.name.startswith("aux1"))
    peer.from_torch(net, model, modules, ours)
    net.training = True  # of the outermost module alone: it then runs the auxiliary classifier, all else is fixed
    for size in [(299, 299), (305, 337)]:
        inputs = peer.pictures(size)
        with torch.no_grad():
            expected = net(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy()))
        outputs = model(inputs, training=False)
        assert peer.relative(expected.logits, outputs["predictions"]) < 1e-4
        assert peer.relative(expected.aux_logits, outputs["aux1"]) < 1e-4


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4", "inception_resnet_v2"])
def test_outputs_are_those_of_timm(peer, name):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    peer.torchvision()
    timm = pytest.importorskip("timm", reason="timm is not installed")
    net = timm.create_model(name, pretrained=False)
    model = carry_over(peer, net, zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None))
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "function", "knobs"),
    [
        ("inception_v3", "InceptionV3", {"count_include_pad": False}),
        ("inception_resnet_v2", "InceptionResNetV2", {}),
    ],
)
def test_outputs_are_those_of_keras_applications(peer, name, function, knobs):
    other = getattr(keras.applications, function)(
        weights=None, input_shape=(None, None, 3), include_top=False, pooling="avg"
    )
    peer.randomise_keras(other)
    model = zoo.create_model(name, input_shape=(None, None, 3), include_top=False, pooling="avg", **knobs)
    peer.from_keras(other, model, is_branched=True)
    for size in SIZES:
        assert peer.keras_difference(other, model, size) < 1e-4


def test_outputs_of_v2_are_those_of_the_published_network(peer):
    """The network that carries the published weights, in the package `pretrainedmodels`."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    package = importlib.util.find_spec("pretrainedmodels")
    if package is None:
        pytest.skip("pretrainedmodels is not installed")
    path = f"{package.submodule_search_locations[0]}/models/bninception.py"
    spec = importlib.util.spec_from_file_location("bninception", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.bninception(pretrained=None)
    assert sum(p.numel() for p in net.parameters()) == 11_295_240
    net.global_pool = torch.nn.AdaptiveAvgPool2d(1)
    model = zoo.create_model("inception_v2", input_shape=(None, None, 3), classifier_activation=None)
    peer.randomise_torch(net)
    modules, biases = [], None
    for part in peer.executed(net, (128, 128)):
        if isinstance(part, torch.nn.Conv2d):
            # A bias before batch norm is taken up by the mean that it subtracts.
            biases = part.bias.data
            plain = torch.nn.Conv2d(part.in_channels, part.out_channels, part.kernel_size, bias=False)
            plain.weight.data = part.weight.data
            part = plain
        elif isinstance(part, torch.nn.BatchNorm2d):
            shifted = torch.nn.BatchNorm2d(part.num_features)
            shifted.load_state_dict(part.state_dict())
            shifted.running_mean -= biases
            part = shifted
        modules.append(part)
    peer.from_torch(net, model, modules, peer.by_branches(model))
    for size in [(224, 224), (193, 257)]:
        assert peer.torch_difference(net, model, size) < 1e-4


def test_features_of_inception_resnet_v1_are_those_of_facenet(peer):
    """Facenet has one more block, and a head of its own; all before that is the paper's network."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    peer.torchvision()
    facenet = pytest.importorskip("facenet_pytorch", reason="facenet-pytorch is not installed")
    net = facenet.InceptionResnetV1(pretrained=None)
    parts = dict(net.named_children())
    body = torch.nn.Sequential(*list(parts.values())[: list(parts).index("repeat_3") + 1])
    model = carry_over(peer, body, zoo.create_model("inception_resnet_v1", include_top=False))
    for size in SIZES:
        inputs = peer.pictures(size)
        with torch.no_grad():
            expected = body(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())).numpy()
        assert peer.relative(expected.transpose(0, 2, 3, 1), np.asarray(model(inputs, training=False))) < 1e-4
