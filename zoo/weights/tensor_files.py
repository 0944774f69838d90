"""Named tensors of a file that somebody else wrote: safetensors, `.npz` and `.h5`.

Such a file is input that nobody vouches for. Whatever the format, names, shapes and dtypes are known before any data is
read, so that a file which declares gigabytes is refused by its shapes; nothing is unpickled; a file refers to no other
file; and each name is there once. PyTorch's pickles are for `zoo weights convert` alone (`zoo.weights.unpickle`).
"""

import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors

# More than ten times what the largest network here has; a file that says more is none of its weights.
MAX_TENSORS = 50_000
MAX_HEADER = 16 << 20
MAX_DEPTH = 16


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor before it is read.

    Attributes:
        shape: Its shape.
        dtype: NumPy's name of its dtype, or the format's own where NumPy has none.
        read: Gives the values.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


@contextmanager
def open_tensors(path: str | os.PathLike) -> Iterator[dict[str, Tensor]]:
    """The tensors of a file by name; they can be read while the file is open.

    Args:
        path: A file whose name ends in `.safetensors`, `.npz`, `.h5` or `.hdf5`. In the last two tensors are called
            `layer/variable`, as in `conv1/kernel`, both as Keras 2 laid them out and as Keras 3 does.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: The name ends in something else, the file is damaged or of another format, or holds what a file of
            weights has no use for: links, references to other files, objects, a name twice.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from zoo.weights.tensor_files import open_tensors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "one.npz")
        ...     np.savez(path, kernel=np.ones((3, 3)))
        ...     with open_tensors(path) as tensors:
        ...         print(tensors["kernel"].shape)
        (3, 3)
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if path.suffix.lower() in (".pth", ".pt"):
        raise ValueError(
            f"{path} is a pickle, by its name, and is not read here. Turn it into weights of ours first: "
            f"zoo weights convert MODEL {path} --source torchvision --out DIR, then weights=DIR."
        )
    if reader is None:
        raise ValueError(f"A file of weights ends in {', '.join(PLAIN_SUFFIXES)}. Received: {path}")
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file at {path}.")
    with reader(path) as tensors:
        yield tensors


@contextmanager
def _safetensors(path: Path) -> Iterator[dict[str, Tensor]]:
    _refuse_odd_header(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {}
            for key in file.keys():  # noqa: SIM118
                item = file.get_slice(key)
                dtype = _SAFETENSORS_DTYPES.get(item.get_dtype(), item.get_dtype())
                tensors[key] = Tensor(tuple(item.get_shape()), dtype, partial(file.get_tensor, key))
            yield tensors
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one: {error}.") from None


def _refuse_odd_header(path: Path) -> None:
    """The library takes the last of several equal names and any number of them."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, path.stat().st_size - 8):
            raise ValueError(f"{path} is no safetensors file, or a damaged one: its header claims {length} bytes.")
        header = file.read(length)
    try:
        json.loads(header, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one: {error or type(error).__name__}.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    if len(found) > MAX_TENSORS:
        raise ValueError(f"{len(found)} tensors, more than any network has")
    return found


@contextmanager
def _npz(path: Path) -> Iterator[dict[str, Tensor]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) < len(members):
                raise _RefusedError("a name is there twice")
            if len(members) > MAX_TENSORS:
                raise _RefusedError(f"{len(members)} tensors, more than any network has")
            yield {member.filename.removesuffix(".npy"): _npy(archive, member) for member in members}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no .npz file, or a damaged one: {error}.") from None
    except _RefusedError as error:
        raise ValueError(f"{path} is no .npz file of weights: {error}.") from None


class _RefusedError(Exception):
    """What is wrong with a file, to be said with its path."""


def _npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Tensor:
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = header[version](file)
        except (ValueError, KeyError, EOFError) as error:
            raise _RefusedError(f"{member.filename!r} is no array ({error})") from None
        if dtype.hasobject:
            raise _RefusedError(f"{member.filename!r} holds pickled objects")
        declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if declared != member.file_size - file.tell():
            raise _RefusedError(f"{member.filename!r} declares {declared} bytes, its size is another")

    def read() -> np.ndarray:
        with archive.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    return Tensor(tuple(shape), dtype.name, read)


@contextmanager
def _hdf5(path: Path) -> Iterator[dict[str, Tensor]]:
    try:
        with h5py.File(path, "r") as file:
            root = file["model_weights"] if _is_plain(file, "model_weights") else file
            datasets = dict(_datasets(root, set(), 0))
            if "layer_names" in root.attrs or "layer_names0" in root.attrs:
                yield _keras_2(datasets)
            elif any(name.endswith("/vars") or "/vars/" in name for name in datasets):
                yield _keras_3(root, datasets)
            else:
                raise _RefusedError("neither Keras 2 nor Keras 3 lays weights out like this")
    except _RefusedError as error:
        raise ValueError(f"{path} is no file of Keras weights: {error}.") from None
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no HDF5 file, or a damaged one: {error}") from None


def _is_plain(group: h5py.Group, name: str) -> bool:
    return name in group and isinstance(group.get(name, getlink=True), h5py.HardLink)


def _datasets(group: h5py.Group, seen: set[int], depth: int) -> Iterator[tuple[str, h5py.Dataset]]:
    """All datasets below a group by their path; whatever is no plain array in this file is refused."""
    if depth > MAX_DEPTH:
        raise _RefusedError(f"groups are nested more than {MAX_DEPTH} deep")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _RefusedError(f"{name!r} is a soft or external link")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise _RefusedError(f"{name!r} is linked twice")
        seen.add(address)
        if len(seen) > 2 * MAX_TENSORS:
            raise _RefusedError("more entries than any network has")
        if isinstance(item, h5py.Group):
            yield from ((f"{name}/{inner}", dataset) for inner, dataset in _datasets(item, seen, depth + 1))
        elif isinstance(item, h5py.Dataset):
            if item.is_virtual:
                raise _RefusedError(f"{name!r} is a virtual dataset")
            if item.id.get_create_plist().get_external_count():
                raise _RefusedError(f"{name!r} is stored in another file")
            yield name, item
        else:
            raise _RefusedError(f"{name!r} is no array")


def _tensor(dataset: h5py.Dataset) -> Tensor:
    dtype = dataset.dtype.name if dataset.dtype.kind in "fiub" else f"of kind {dataset.dtype.kind!r}"
    return Tensor(tuple(dataset.shape or ()), dtype, lambda: dataset[()])


def _keras_2(datasets: dict[str, h5py.Dataset]) -> dict[str, Tensor]:
    """A group for each layer, in it the variables under their own paths: `conv1/conv1/kernel:0`.

    A layer whose own name has slashes stands there twice as well: `conv1/bn/conv1/bn/gamma:0`. The list of names that
    Keras adds is not read: it has strings of variable length, by which a damaged file leads HDF5 in circles.
    """
    tensors: dict[str, Tensor] = {}
    for path, dataset in datasets.items():
        *parts, _ = path.split("/")
        half = len(parts) // 2
        layer = "/".join(parts[:half] if parts[:half] == parts[half:] else parts[:1])
        kind = re.search(rf"(?:^|[/_])({'|'.join(_KINDS)})(?:_\d+)?(?::0)?$", path)
        if not parts or kind is None:
            raise _RefusedError(f"{path!r} is no variable of a layer")
        key = f"{layer}/{_KINDS[kind[1]]}"
        if key in tensors:
            raise _RefusedError(f"{key!r} is there twice")
        tensors[key] = _tensor(dataset)
    return tensors


def _keras_3(root: h5py.Group, datasets: dict[str, h5py.Dataset]) -> dict[str, Tensor]:
    """`layers/conv2d_3/vars/0`, named by class and number; the layer's own name is an attribute of the group."""
    groups: dict[str, dict[int, h5py.Dataset]] = {}
    for path, dataset in datasets.items():
        match = re.fullmatch(r"(.+/vars)/(\d{1,2})", path)
        if match is None:
            raise _RefusedError(f"{path!r} is no variable of a layer")
        groups.setdefault(match[1], {})[int(match[2])] = dataset
    tensors: dict[str, Tensor] = {}
    for path, variables in groups.items():
        name = root[path].attrs.get("name")
        if not isinstance(name, str):
            raise _RefusedError(f"{path!r} does not say its layer's name, as files of Keras 3.8 and later do")
        is_norm = re.search(r"(^|/)batch_normalization(_\d+)?/vars$", path)
        kinds = (("gamma",) * (len(variables) > 3) + ("beta", "moving_mean", "moving_variance")) if is_norm else (
            "kernel", "bias")  # fmt: skip
        if sorted(variables) != list(range(len(variables))) or len(variables) > len(kinds):
            raise _RefusedError(f"{path!r} has other variables than its kind of layer")
        for number, dataset in variables.items():
            if f"{name}/{kinds[number]}" in tensors:
                raise _RefusedError(f"the layer {name!r} is there twice")
            tensors[f"{name}/{kinds[number]}"] = _tensor(dataset)
    return tensors


# What Keras called a layer's variables, and calls them now.
_KINDS = {
    "depthwise_kernel": "kernel",
    "kernel": "kernel",
    "W": "kernel",
    "bias": "bias",
    "b": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "moving_variance": "moving_variance",
}
_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64"}
_READERS = {
    ".safetensors": _safetensors,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
PLAIN_SUFFIXES = tuple(_READERS)
