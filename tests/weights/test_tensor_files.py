"""Files that nobody vouches for: what is odd is refused with the file's path, early, and nothing else happens."""

import io
import json
import struct
import time
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from zoo.weights.tensor_files import MAX_TENSORS, open_tensors


def read(path):
    with open_tensors(path) as tensors:
        return {name: tensor.read() for name, tensor in tensors.items()}


def refused(path, message):
    start = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert time.monotonic() - start < 10


def test_what_is_no_file_of_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no weights file at"):
        read(tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"ends in .safetensors, .npz, .h5, .hdf5. Received: "):
        read(tmp_path / "model.pkl")


# safetensors


def safetensors_file(path, header, data=b"\0" * 8, length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", length) + header + data)
    return path


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_safetensors(tmp_path):
    path = safetensors_file(tmp_path / "a.safetensors", {"a": ENTRY, "__metadata__": {"card": "<script>" * 1000}})
    np.testing.assert_array_equal(read(path)["a"], [0, 0])


@pytest.mark.parametrize(("header", "options"), [
    ({"a": ENTRY}, {"data": b"\0" * 4}),
    ({"a": ENTRY}, {"data": b"\0" * 12}),
    ({"a": ENTRY}, {"length": 1 << 63}),
    ({"a": ENTRY}, {"length": 1000}),
    ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, {"data": b"\0" * 12}),
    ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [12, 20]}}, {"data": b"\0" * 20}),
    (b'{"a": %b, "a": %b}' % ((json.dumps(ENTRY).encode(),) * 2), {}),
    ({"a": {**ENTRY, "shape": [1 << 62, 1 << 62]}}, {}),
    ({"a": {**ENTRY, "shape": [10**9]}}, {}),
    ({"a": {**ENTRY, "shape": [-2]}}, {}),
    ({"a": {**ENTRY, "dtype": "X9"}}, {}),
    (b"<html>not found</html>", {}),
    (b'{"a":' * 5000, {}),
    ({f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(2 * MAX_TENSORS)},
     {"data": b""}),
], ids=["truncated", "extra bytes", "header of 2^63", "header beyond the file", "overlap", "hole", "a name twice",
        "shape overflow", "declared gigabytes", "negative", "unknown dtype", "no JSON",
        "nested JSON", "100,000 tensors"],
)  # fmt: skip
def test_damaged_safetensors(tmp_path, header, options):
    refused(safetensors_file(tmp_path / "a.safetensors", header, **options), "no safetensors file, or a damaged one")


def test_an_empty_file_is_none_of_any_format(tmp_path):
    for suffix in ("safetensors", "npz", "h5"):
        path = tmp_path / f"empty.{suffix}"
        path.touch()
        refused(path, "is no .* file, or a damaged one")


# npz


def npy(array, shape=None, dtype=None):
    buffer = io.BytesIO()
    header = {"descr": dtype or array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + array.tobytes()


def npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_npz(tmp_path):
    path = npz(tmp_path / "a.npz", **{"a.weight.npy": npy(np.arange(6, dtype="float32").reshape(2, 3))})
    np.testing.assert_array_equal(read(path)["a.weight"], [[0, 1, 2], [3, 4, 5]])


def test_damaged_npz(tmp_path):
    ones = np.ones(2, "float32")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    refused(tmp_path / "objects.npz", "'a.npy' holds pickled objects")
    refused(npz(tmp_path / "declared.npz", a=npy(ones, shape=(10**12,))), "declares 4000000000000 bytes")
    refused(npz(tmp_path / "other.npz", a=b"#!/bin/sh"), "'a' is no array")
    refused(npz(tmp_path / "header.npz", a=b"\x93NUMPY\x01\x00\xff\xff{"), "'a' is no array")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("a.npy", npy(ones))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", npy(ones))
    refused(tmp_path / "twice.npz", "a name is there twice")
    whole = npz(tmp_path / "whole.npz", a=npy(ones)).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-10])
    refused(tmp_path / "cut.npz", "no .npz file, or a damaged one")
    (tmp_path / "bit.npz").write_bytes(whole.replace(ones.tobytes(), b"\1" * 8))
    refused(tmp_path / "bit.npz", "no .npz file, or a damaged one: Bad CRC-32")


def test_a_zip_bomb_is_not_unpacked_to_know_its_shape(tmp_path):
    size = 1 << 28
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w") as file:
        file.write(npy(np.zeros(0, "float32"), shape=(size // 4,)))
        for _ in range(16):
            file.write(bytes(size // 16))
    tracemalloc.start()
    with open_tensors(tmp_path / "bomb.npz") as tensors:
        assert tensors["a"].shape == (size // 4,)
    assert tracemalloc.get_traced_memory()[1] < size / 16
    tracemalloc.stop()


# HDF5


@pytest.fixture
def keras_2(tmp_path):
    """A function that writes a file with one layer, in which something may be changed."""

    def write(change=lambda file: None, layer="conv1"):
        path = tmp_path / "model.h5"
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [layer.encode()]
            file.create_dataset(f"{layer}/{layer}/kernel:0", data=np.ones((1, 1, 2, 3), "float32"))
            change(file)
        return path

    return write


def test_hdf5(keras_2):
    assert read(keras_2())["conv1/kernel"].shape == (1, 1, 2, 3)


@pytest.mark.parametrize("layer", ["conv1/bn", "expanded_conv/squeeze_excite/Conv"])
def test_layers_of_keras_2_may_have_slashes_in_their_names(keras_2, layer):
    assert list(read(keras_2(layer=layer))) == [f"{layer}/kernel"]


@pytest.mark.parametrize("layer", ["Conv", "Conv/BatchNorm"])
def test_layers_whose_name_begins_with_that_of_another(keras_2, layer):
    def another(file):
        file.attrs["layer_names"] = [b"Conv", b"Conv/BatchNorm"]

    assert list(read(keras_2(another, layer))) == [f"{layer}/kernel"]


def test_variables_have_had_several_names(keras_2):
    def of_2016(file):
        del file["conv1/conv1"]
        file["conv1/conv1_W_1:0"] = np.ones((1, 1, 2, 3), "float32")
        file["conv1/conv1_b_1:0"] = np.zeros(3, "float32")

    assert sorted(read(keras_2(of_2016))) == ["conv1/bias", "conv1/kernel"]


def test_layer_names_may_be_cut_into_several_attributes(keras_2):
    def cut(file):
        del file.attrs["layer_names"]
        file.attrs["layer_names0"] = [b"other"]
        file.attrs["layer_names1"] = [b"conv1"]

    assert list(read(keras_2(cut))) == ["conv1/kernel"]


def test_a_whole_model_of_keras_2_holds_its_weights_in_a_group(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"conv1"]
        group["conv1/conv1/bias:0"] = np.ones(3, "float32")
    assert list(read(tmp_path / "model.h5")) == ["conv1/bias"]


def external_storage(file):
    file.create_dataset("conv1/conv1/bias:0", (3,), "float32", external=[("/etc/passwd", 0, 12)])


def virtual(file):
    layout = h5py.VirtualLayout((3,), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "a", (3,))
    file.create_virtual_dataset("conv1/conv1/bias:0", layout)


def link(target):
    def add(file):
        file["conv1/conv1/bias:0"] = target(file)

    return add


def recursive(file):
    file["conv1/conv1/again"] = file["conv1"]


def nested(file):
    file.create_group("/".join("a" * 40))


@pytest.mark.parametrize(("change", "message"), [
    (link(lambda file: h5py.ExternalLink("/etc/passwd", "/a")), "'bias:0' is a soft or external link"),
    (link(lambda file: h5py.SoftLink("/conv1/conv1/kernel:0")), "'bias:0' is a soft or external link"),
    (link(lambda file: file["conv1/conv1/kernel:0"]), "'kernel:0' is linked twice"),
    (external_storage, "'bias:0' is stored in another file"),
    (virtual, "'bias:0' is a virtual dataset"),
    (recursive, "'again' is linked twice"),
    (nested, "nested more than 16 deep"),
    (lambda file: file.__setitem__("type", np.dtype("float32")), "'type' is no array"),
    (lambda file: file.attrs.__delitem__("layer_names"), "neither Keras 2 nor Keras 3"),
    (lambda file: file.__setitem__("kernel:0", 1.0), "'kernel:0' is no variable of a layer"),
    (lambda file: file.__setitem__("conv1/conv1/code:0", 1.0), "'conv1/conv1/code:0' is no variable of a layer"),
    (lambda file: file.__setitem__("conv1/kernel:0", 1.0), "'conv1/kernel' is there twice"),
], ids=["external link", "soft link", "hard link", "external storage", "virtual", "recursive", "nested",
        "type", "no names", "other layer", "other variable", "twice"])  # fmt: skip
def test_hdf5_that_is_more_than_arrays(keras_2, change, message):
    refused(keras_2(change), f"is no file of Keras weights: .*{message}")


def test_an_external_link_in_place_of_the_root(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink("other.h5", "/")
    refused(tmp_path / "model.h5", "'model_weights' is a soft or external link")


def test_declared_gigabytes_cost_nothing_until_they_are_read(keras_2):
    def bomb(file):
        file.create_dataset("conv1/conv1/bias:0", (1 << 40,), "float32", chunks=(1 << 20,), compression="gzip")

    with open_tensors(keras_2(bomb)) as tensors:
        assert tensors["conv1/bias"].shape == (1 << 40,)


@pytest.mark.parametrize("dtype", [h5py.string_dtype(), h5py.ref_dtype, "complex64", "S4", [("a", "f4")]])
def test_arrays_of_other_things_than_numbers_are_told_apart(keras_2, dtype):
    path = keras_2(lambda file: file.create_dataset("conv1/conv1/bias:0", (3,), dtype))
    with open_tensors(path) as tensors:
        assert tensors["conv1/bias"].dtype.startswith("of kind")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9, 0.99])
def test_truncated_hdf5(keras_2, share):
    path = keras_2()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, "no HDF5 file, or a damaged one")


def test_hdf5_with_flipped_bytes_is_opened_or_refused(keras_2):
    """Strings of variable length made HDF5 go in circles here; the names of layers are not read."""
    whole = keras_2().read_bytes()
    path = keras_2().with_name("fuzzed.h5")
    rng = np.random.default_rng(0)
    refusals = []
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), 20):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            with open_tensors(path) as tensors:
                assert len(tensors) <= 1
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert all(str(path) in refusal for refusal in refusals)


def test_random_bytes_are_no_hdf5(tmp_path):
    (tmp_path / "model.h5").write_bytes(np.random.default_rng(0).bytes(1 << 16))
    refused(tmp_path / "model.h5", "no HDF5 file, or a damaged one")


@pytest.mark.parametrize(("change", "message"), [
    (lambda file: file["layers/conv2d/vars"].attrs.__delitem__("name"), "does not say its layer's name"),
    (lambda file: file.__setitem__("layers/conv2d/vars/7", 1.0), "has other variables than its kind of layer"),
    (lambda file: file.__setitem__("layers/conv2d/vars/code", 1.0), "'layers/conv2d/vars/code' is no variable"),
    (lambda file: file.copy("layers/conv2d", "layers/conv2d_1"), "the layer 'conv1' is there twice"),
])  # fmt: skip
def test_odd_files_of_keras_3(tmp_path, change, message):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.ones((1, 1, 2, 3), "float32")
        file["layers/conv2d/vars"].attrs["name"] = "conv1"
    assert list(read(path)) == ["conv1/kernel"]
    with h5py.File(path, "a") as file:
        change(file)
    refused(path, f"is no file of Keras weights: .*{message}")


@pytest.mark.parametrize("name", ["model.pth", "model.PT"])
def test_pickles_are_for_the_converter(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=f"{name} is a pickle, by its name, .*: zoo weights convert MODEL .* --source"):
        read(tmp_path / name)
