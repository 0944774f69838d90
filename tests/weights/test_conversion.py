"""What `zoo.weights.load` refuses of other libraries' files, and what it leaves out; parity is in `tests/parity`."""

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

import zoo
from zoo.weights import torch_names


@pytest.fixture(scope="module")
def model():
    return zoo.create_model("squeezenet1_1", classes=3)


@pytest.fixture
def state(model):
    """What torchvision would write for the model: its names, its order of axes."""
    fires = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for number, place in fires.items():
        names.update({f"fire{number}_{part}": f"features.{place}.{part}" for part in ("squeeze", "expand1x1",
                                                                                    "expand3x3")})  # fmt: skip
    state = {}
    for layer in [layer for layer in model.layers if layer.weights]:
        kernel, bias = (np.asarray(value) for value in layer.get_weights())
        state[f"{names[layer.name]}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"{names[layer.name]}.bias"] = bias
    return state


def load(model, state, folder, source="torchvision"):
    save_file(state, folder / "model.safetensors")
    return zoo.weights.load(model, folder / "model.safetensors", source=source)


def values(model):
    return [np.array(value) for value in model.get_weights()]


def refused(model, state, folder, message):
    before = values(model)
    with pytest.raises(ValueError, match=message):
        load(model, state, folder)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_round_trip(model, state, tmp_path):
    before = values(model)
    model.get_layer("conv1").bias.assign_add(np.ones(64))
    load(model, state, tmp_path)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_npz_is_the_same(model, state, tmp_path):
    before = values(model)
    model.get_layer("conv1").bias.assign_add(np.ones(64))
    np.savez(tmp_path / "model.npz", **state)
    zoo.weights.load(model, tmp_path / "model.npz", source="torchvision")
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("features.99.weight", np.ones(3, "float32"), r"In the file, not in the model \(1\): features.99.weight"),
    ("fc6.weight", np.ones(3, "float32"), r"In the file, not in the model \(1\): fc6.weight"),
    ("aux1.fc1.weight", np.ones(3, "float32"), r"In the file, not in the model \(1\): aux1.fc1.weight"),
    ("classifier.1.running_mean", np.ones(3, "float32"), r"not in the model \(1\): classifier.1.running_mean"),
    ("classifier.1.bias", np.ones(4, "float32"), r"conv10/bias \(file \(4,\), model \(3,\)\)"),
    ("classifier.1.bias", np.ones(3, "int64"), "not floating-point: classifier.1.bias"),
    ("classifier.1.bias", np.array([1, np.nan, 1], "float32"), "'classifier.1.bias' holds values that are NaN"),
    ("classifier.1.bias", np.array([1, np.inf, 1], "float32"), "'classifier.1.bias' holds values that are NaN"),
    ("classifier.1.bias", None, r"In the model, not in the file \(1\): conv10/bias"),
], ids=["unknown", "head of another", "auxiliary of another", "unknown parameter", "shape", "whole numbers", "NaN",
        "infinite", "missing"])  # fmt: skip
def test_a_file_that_does_not_fit_changes_nothing(model, state, tmp_path, name, value, message):
    changed = {key: item for key, item in {**state, name: value}.items() if item is not None}
    refused(model, changed, tmp_path, message)


def test_what_belongs_to_a_head_that_is_not_there_is_left_out(state, tmp_path):
    body = zoo.create_model("squeezenet1_1", include_top=False)
    load(body, state, tmp_path)
    np.testing.assert_array_equal(body.get_layer("conv1").bias, state["features.0.bias"])
    with pytest.raises(ValueError, match=r"not in the model \(1\): classifier.7.bias"):
        load(body, {**state, "classifier.7.bias": state["classifier.1.bias"]}, tmp_path)


def test_declared_gigabytes_are_refused_by_their_shape(tmp_path):
    model = zoo.create_model("vgg11", include_top=False)
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"block1_conv1"]
        file.create_dataset("block1_conv1/kernel:0", (3, 3, 1 << 30, 1 << 30), "float32", chunks=(1, 1, 1024, 1024))
    with pytest.raises(ValueError, match=r"stage1_conv1/kernel \(file \(3, 3, 1073741824, 1073741824\)"):
        zoo.weights.load(model, path, source="keras")


def test_sources_that_do_not_have_a_family_list_those_that_they_have(model, tmp_path):
    with pytest.raises(
        ValueError, match="no mapping from the names of timm .* 'squeezenet1_1'. Its families: DenseNet,"
    ):
        load(model, {}, tmp_path, source="timm")
    with pytest.raises(ValueError, match="source must be 'torchvision' or 'timm' or 'keras', or None .*'caffe'"):
        load(model, {}, tmp_path, source="caffe")


@pytest.mark.parametrize(("name", "options", "message"), [
    ("resnet50", {}, 'stride in the first convolution of a block. Build the model with variant="paper"'),
    ("resnet50_v2", {}, "pre-activation stride in the last block of a stage and pool over zeros"),
    ("inception_v3", {}, "leaves out what is beyond the border. Build the model with count_include_pad=False"),
    ("mobilenet_v2", {"input_shape": (224, 224, 3)}, r"sizes of 32 n \+ 1, e.g. 225. Received: \(224, 224\)"),
])  # fmt: skip
def test_networks_that_compute_something_else_than_keras_do_not_take_its_weights(name, options, message):
    model = zoo.create_model(name, include_top=False, **options)
    with pytest.raises(ValueError, match=f"The weights of keras do not give '{name}' their outputs: .*{message}"):
        zoo.weights.load(model, "weights.h5", source="keras")


def test_an_input_transform_needs_a_first_convolution_without_padding(model, state, tmp_path):
    save_file(state, tmp_path / "model.safetensors")
    transform = ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="'conv1' of 'squeezenet1_1' cannot take up an input_transform"):
        zoo.weights.load(model, tmp_path / "model.safetensors", source="torchvision", input_transform=transform)
    with pytest.raises(ValueError, match="input_transform is for files of other sources"):
        zoo.weights.load(model, tmp_path, input_transform=transform)


def test_layers_are_found_by_name_not_by_order():
    names = torch_names.vgg({}, zoo.create_model("vgg11_bn", include_top=False))
    assert (names["features.0"], names["features.1"], names["features.4"]) == (
        "stage1_conv1", "stage1_bn1", "stage2_conv1")  # fmt: skip
    assert names["features.25"] == "stage5_conv2"
