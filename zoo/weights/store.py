"""A folder that holds the weights of one model.

`manifest.json` names the tensor file, its size and SHA-256, and a fingerprint of the architecture; the tensor file is
safetensors, which holds numbers and no code. The tensor file carries its hash in its name and is written first, the
manifest replaces the old one in one rename, then the old tensor file goes: whenever the process dies, the folder holds
the old weights or the new.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors
from safetensors.numpy import save as to_safetensors

from zoo.drawing import give
from zoo.files import sha256, write_atomic, write_json
from zoo.messages import some
from zoo.weights.adapt import input_channels

MANIFEST = "manifest.json"
FORMAT = 1
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16"}


@dataclass(frozen=True)
class Stored:
    """Weights that were found on the disk; their tensor file is not read yet.

    Attributes:
        path: The tensor file.
        manifest: What `manifest.json` says.
    """

    path: Path
    manifest: dict[str, Any]


def save(model: keras.Model, folder: str | os.PathLike, **facts: Any) -> Stored:
    """Write the weights of a model, batch-norm statistics included, optimizer state not.

    Args:
        model: A built model.
        folder: Where to; made if it does not exist. Weights that it holds are replaced.
        **facts: What else the manifest shall say, as plain JSON, e.g. `epoch=12`.

    Returns:
        What was stored.

    Raises:
        ValueError: A weight is NaN or infinite, or has a dtype that is not stored.
        OSError: The disk is full, the folder is read-only and the like. The old weights are then still there.
    """
    tensors = {variable.path: np.asarray(keras.ops.convert_to_numpy(variable)) for variable in model.weights}
    for name, array in tensors.items():
        if array.dtype.name not in _DTYPES.values():
            raise ValueError(f"{name!r} has dtype {array.dtype}; stored are {', '.join(_DTYPES.values())}.")
        refuse_non_finite(name, array)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = to_safetensors(tensors)
    file = f"weights-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    digest = write_atomic(folder / file, content)
    manifest = {
        **facts,
        "format": FORMAT,
        "file": file,
        "size": len(content),
        "sha256": digest,
        "model": model.name,
        "architecture": _fingerprint({name: array.shape for name, array in tensors.items()}),
        "num_tensors": len(tensors),
    }
    write_json(folder / MANIFEST, manifest)
    for old in folder.glob("weights-*.safetensors"):
        if old.name != file:
            old.unlink()
    return Stored(folder / file, manifest)


def open_weights(path: str | os.PathLike) -> Stored:
    """Find stored weights and read their manifest.

    Args:
        path: The folder that `save` wrote, or a file in it.

    Raises:
        FileNotFoundError: There is nothing at `path`, or no manifest.
        ValueError: The manifest is damaged or of another format.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if not path.exists() or not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{path} holds no weights: there is no {folder / MANIFEST}.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        file, size, digest = manifest["file"], manifest["size"], manifest["sha256"]
        known = manifest["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged: {error!r}.") from None
    if not known or Path(file).name != file or not isinstance(size, int) or not isinstance(digest, str):
        raise ValueError(f"{folder / MANIFEST} is not of format {FORMAT} that this version reads.")
    return Stored(folder / file, manifest)


def load(model: keras.Model, stored: Stored | str | os.PathLike) -> keras.Model:
    """Fill a model with stored weights, after proof that file and model belong together.

    Args:
        model: A built model with the same architecture, whatever its name.
        stored: What `open_weights` returned, or a path for it.

    Returns:
        The same model.

    Raises:
        FileNotFoundError: There are no weights at the path.
        ValueError: The file is damaged (its SHA-256 is not the manifest's), holds a value that is not finite, or
            names and shapes do not fit the model; both sides are shown. The model is then unchanged.
    """
    if not isinstance(stored, Stored):
        stored = open_weights(stored)
    verify(stored)
    path = stored.path
    variables = {variable.path: variable for variable in model.weights}
    with safetensors.safe_open(path, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        refuse_mismatch(path, model, shapes, {name: tuple(item.shape) for name, item in variables.items()})
        if odd := [name for name in shapes if file.get_slice(name).get_dtype() not in _DTYPES]:
            raise ValueError(f"{path}: not floating-point: {some(odd)}.")
        arrays = {name: file.get_tensor(name) for name in shapes}
    for name, array in arrays.items():
        refuse_non_finite(name, array)
    for name, array in arrays.items():
        give(variables[name], array)
    return model


def verify(stored: Stored) -> None:
    """Compare size and SHA-256 of the tensor file with the manifest; raise a ValueError if they differ."""
    path, manifest = stored.path, stored.manifest
    if not path.is_file():
        raise ValueError(f"{path} is missing, though the manifest beside it names it.")
    digest = sha256(path)
    if path.stat().st_size != manifest["size"] or digest != manifest["sha256"]:
        raise ValueError(f"{path} is damaged: its SHA-256 is {digest}, the manifest says {manifest['sha256']}.")


def shapes(stored: Stored) -> dict[str, tuple[int, ...]]:
    """The shape of each stored tensor, by its name."""
    with safetensors.safe_open(stored.path, framework="numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def examine(stored: Stored) -> None:
    """All that can be said of stored weights without their model; raise a ValueError that tells what is wrong.

    Beyond `verify`: names and shapes are those of the manifest's fingerprint, and every value is finite.
    """
    verify(stored)
    try:
        with safetensors.safe_open(stored.path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            if odd := [name for name, item in slices.items() if item.get_dtype() not in _DTYPES]:
                raise ValueError(f"{stored.path}: not floating-point: {some(odd)}.")
            found = _fingerprint({name: tuple(item.get_shape()) for name, item in slices.items()})
            if found != stored.manifest.get("architecture"):
                raise ValueError(f"{stored.path} holds other names or shapes than the manifest beside it says.")
            for name in slices:
                refuse_non_finite(name, file.get_tensor(name))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{stored.path} is no safetensors file: {error}.") from None


def load_layers(
    model: keras.Model,
    stored: Stored,
    *,
    body: Sequence[keras.layers.Layer],
    head: Sequence[keras.layers.Layer],
    new_head: bool,
    first: str | None,
) -> list[keras.layers.Layer]:
    """Fill layers of a model with weights that `verify` has proven.

    Layers of a head that the file holds and the model lacks are left out: the manifest's `head` names them.

    Args:
        model: The model that the layers belong to.
        stored: Weights whose manifest has `head`, the names of the head's layers.
        body: Layers that must fit.
        head: Layers that must fit too, unless there is a new head.
        new_head: Layers of the head that do not fit stay as they are.
        first: Name of the convolution whose kernel is adapted to another number of input channels, if it shall be.

    Returns:
        The layers of the head that stayed as they are.

    Raises:
        ValueError: Names and shapes do not fit; both sides are shown. The model is then unchanged.
    """
    path = stored.path
    with safetensors.safe_open(path, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        kept = [layer for layer in head if new_head and any(not _fits(item, shapes) for item in layer.weights)]
        left_out = {id(layer) for layer in kept}
        layers = [layer for layer in (*body, *head) if id(layer) not in left_out]
        variables = {variable.path: variable for layer in layers for variable in layer.weights}
        adapted = {variable.path for layer in layers if layer.name == first for variable in layer.weights[:1]}
        wanted = {name: tuple(item.shape) for name, item in variables.items()}
        found = {
            name: wanted[name] if name in adapted and len(shape) == len(wanted[name]) else shape
            for name, shape in shapes.items()
            if name in wanted or name.split("/")[0] not in stored.manifest["head"]
        }
        refuse_mismatch(path, model, found, wanted)
        for name, variable in variables.items():
            array = file.get_tensor(name)
            give(variable, input_channels(array, variable.shape[-2]) if name in adapted else array)
    return kept


def _fits(variable: keras.Variable, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return shapes.get(variable.path) == tuple(variable.shape)


def refuse_mismatch(path: Path, model: keras.Model, found: Mapping[str, tuple], wanted: Mapping[str, tuple]) -> None:
    """Raise a ValueError that shows both sides, unless names and shapes are the same."""
    missing = [name for name in wanted if name not in found]
    unused = [name for name in found if name not in wanted]
    differing = [
        f"{name} (file {found[name]}, model {shape})"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if missing or unused or differing:
        raise ValueError(
            f"{path} does not fit the model {model.name!r}.\n"
            f"  In the model, not in the file ({len(missing)}): {some(missing)}\n"
            f"  In the file, not in the model ({len(unused)}): {some(unused)}\n"
            f"  Of different shape ({len(differing)}): {some(differing)}"
        )


def refuse_non_finite(name: str, array: np.ndarray) -> None:
    """Raise a ValueError if a value is NaN or infinite."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name!r} holds values that are NaN or infinite.")


def _fingerprint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
