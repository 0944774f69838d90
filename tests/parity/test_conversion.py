"""Files that the peers' own libraries wrote, loaded by `zoo.weights.load`: the outputs are the peers'.

What is special to loading without a record of published weights; `test_published_files.py` compares every network.
"""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

import zoo
from zoo.weights.published import find

SIZES = [(96, 96), (97, 129)]
ODD = [(97, 97), (97, 129)]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def check_body(name, source, path, whole, **knobs):
    """Without the head, the rest of the file is loaded all the same."""
    body = zoo.create_model(name, include_top=False, **knobs)
    zoo.weights.load(body, path, source=source)
    whole = {layer.name: layer for layer in whole.layers}
    for layer in [layer for layer in body.layers if layer.weights]:
        for ours, theirs in zip(layer.weights, whole[layer.name].weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def written(net, path):
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, path)
    return path


def check_torch(peer, net, name, source, path):
    written(peer.randomise_torch(net), path)
    model = zoo.create_model(name, input_shape=(None, None, 3), classifier_activation=None)
    assert zoo.weights.load(model, path, source=source) is model
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4
    check_body(name, source, path, model)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "mobilenet_v3_small"])
def test_files_of_torchvision(peer, name, tmp_path):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    check_torch(peer, getattr(peer.torchvision().models, name)(), name, "torchvision", tmp_path / "model.safetensors")


@pytest.mark.parametrize(("name", "theirs"), [
    ("resnet18_v2", "resnetv2_18"), ("mobilenet_v3_small_050", "mobilenetv3_small_050"), slow("resnet26", "resnet26"),
])  # fmt: skip
def test_files_of_timm(peer, name, theirs, tmp_path):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    peer.torchvision()
    timm = pytest.importorskip("timm", reason="timm is not installed")
    check_torch(peer, timm.create_model(theirs, pretrained=False), name, "timm", tmp_path / "model.safetensors")


@pytest.mark.parametrize(("name", "function", "options", "knobs", "sizes"), [
    ("mobilenet_025", "MobileNet", {"alpha": 0.25}, {}, SIZES),
    ("mobilenet_v3_small_minimal", "MobileNetV3Small", {"minimalistic": True}, {}, ODD),
    slow("mobilenet_v3_small", "MobileNetV3Small", {}, {}, ODD),
    slow("mobilenet_v2", "MobileNetV2", {}, {}, ODD),
    slow("resnet50", "ResNet50", {}, {"variant": "paper"}, SIZES),
    slow("densenet121", "DenseNet121", {}, {}, SIZES),
    slow("inception_v3", "InceptionV3", {}, {"count_include_pad": False}, SIZES),
    slow("inception_resnet_v2", "InceptionResNetV2", {}, {}, SIZES),
])  # fmt: skip
def test_files_of_keras_applications(peer, name, function, options, knobs, sizes, tmp_path):
    """As Keras 2 laid weights out, which is how they are published, and as Keras 3 does."""
    if function.startswith("MobileNetV3"):
        options = {**options, "include_preprocessing": False}
    writers = {tmp_path / "keras2.h5": write_as_keras_2, tmp_path / "keras3.weights.h5": keras.Model.save_weights}
    for size, (path, write) in zip(sizes, writers.items(), strict=True):
        shape = {"input_shape": (*size, 3)}
        net = getattr(keras.applications, function)(weights=None, classifier_activation=None, **shape, **options)
        write(peer.randomise_keras(net), path)
        model = zoo.create_model(name, classifier_activation=None, **shape, **knobs)
        zoo.weights.load(model, path, source="keras")
        assert peer.keras_difference(net, model, size) < 1e-4
    check_body(name, "keras", path, model, **shape, **knobs)


def write_as_keras_2(net, path):
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, net)


@pytest.mark.slow
def test_the_input_transform_of_torchvision_is_folded_exactly(peer, tmp_path):
    """What it does to its inputs before the first convolution, that convolution does itself afterwards."""
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    net = peer.torchvision().models.inception_v3(init_weights=False, transform_input=True, aux_logits=False)
    path = written(peer.randomise_torch(net), tmp_path / "model.safetensors")
    model = zoo.create_model("inception_v3", input_shape=(None, None, 3), classifier_activation=None)
    zoo.weights.load(model, path, "torchvision", input_transform=find("inception_v3", "torchvision").input_transform)
    for size in SIZES:
        assert peer.torch_difference(net, model, size) < 1e-4


def test_another_epsilon_goes_into_the_variance(peer, tmp_path):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    peer.torchvision()
    timm = pytest.importorskip("timm", reason="timm is not installed")
    net = peer.randomise_torch(timm.create_model("mobilenetv3_small_050", pretrained=False))
    model = zoo.create_model("mobilenet_v3_small_050", include_top=False)
    zoo.weights.load(model, written(net, tmp_path / "model.safetensors"), source="timm")
    norm = model.get_layer("stem_bn")
    assert (net.bn1.eps, norm.epsilon) == (1e-5, 1e-3)
    np.testing.assert_allclose(norm.moving_variance + norm.epsilon, net.bn1.running_var.numpy() + 1e-5, rtol=1e-6)
