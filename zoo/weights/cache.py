"""Published weights on this machine: fetched once, converted once, checked on every load.

The cache is `ZOO_HOME`, or `~/.cache/cnn-zoo`. `downloads/` takes files on their way, and those that a user fetched by
hand; `weights/MODEL/TAG/` holds what was made of them, in the format of `zoo.weights.save`, and `download.json`: the
URL and the full SHA-256 of the file that was fetched first. A later download has to be the same file.
"""

import contextlib
import functools
import hashlib
import importlib.util
import json
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import keras
import safetensors

from zoo.drawing import undrawn
from zoo.files import sha256, write_json
from zoo.weights import conversion, store
from zoo.weights.download import DownloadError, Limits, Progress, download, mirrored
from zoo.weights.published import Published
from zoo.weights.store import Stored
from zoo.weights.tensor_files import PLAIN_SUFFIXES

PIN = "download.json"
# What the cache holds was made by this version of the conversion; what another one made is made anew.
CONVERSION = 1
_LOCK = "lock"
_BYTES_OF_A_PARAMETER = 8  # float32, and room for auxiliary classifiers and statistics
_BYTES_BESIDE = 64 << 20

# (registered name, whether with the auxiliary classifiers, knobs) -> the model, and the names of its head's layers.
Build = Callable[[str, bool, Mapping[str, Any]], tuple[keras.Model, list[str]]]

_logger = logging.getLogger("zoo")


def root() -> Path:
    """The folder of the cache: `ZOO_HOME`, or `~/.cache/cnn-zoo`."""
    home = os.environ.get("ZOO_HOME", "")
    return Path(home).expanduser() if home else Path.home() / ".cache" / "cnn-zoo"


def folder_of(row: Published) -> Path:
    """Where the converted weights of a row of the table lie."""
    return root() / "weights" / row.model / row.tag


def download_of(row: Published) -> Path:
    """Where the published file of a row lies before it is converted; a user may put it there."""
    return root() / "downloads" / f"{row.model}-{row.tag}.{row.kind}"


def is_cached(row: Published) -> bool:
    """Whether converted weights are there; whether they are whole is proven when they are loaded."""
    with contextlib.suppress(ValueError, OSError):
        return store.open_weights(folder_of(row)).manifest.get("conversion") == CONVERSION
    return False


def fetch(row: Published, build: Build, progress: Progress | None = None) -> Stored:
    """Published weights from the cache, verified; if they are not there, they are downloaded and converted first.

    Several processes may ask at once: one works, the others wait for it.

    Args:
        row: Which weights.
        build: Builds the model that the file is for; called only when there is something to convert.
        progress: Called with the number of bytes so far and the size, see `download`.

    Returns:
        What the cache holds now. Its hash has been compared.

    Raises:
        DownloadError: The weights are not in the cache and cannot be fetched; it says what to fetch by hand and
            where to put it.
        ValueError: The file does not fit the model, or is another one than was fetched first.
        ImportError: The file is a pickle and PyTorch, which reads it, is not installed.
        OSError: The cache cannot be written.
    """
    stored = _verified(row)
    if stored is not None:
        return stored
    folder = folder_of(row)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download_of(row).parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder / _LOCK, "ab")  # noqa: SIM115
    except OSError as error:
        reason = "set the environment variable ZOO_HOME to a folder that can be written"
        raise OSError(error.errno, f"{error.strerror}; {reason}", str(folder)) from None
    with lock, _locked(lock):
        stored = _verified(row, _logger)
        if stored is not None:
            return stored
        file = _fetched(row, progress)
        stored = _converted(row, file, build)
        file.unlink()
        return stored


def _verified(row: Published, logger: logging.Logger | None = None) -> Stored | None:
    """What the cache holds, if it is whole. Damage is logged only under the lock: else it may be work of another."""
    try:
        stored = store.open_weights(folder_of(row))
        store.verify(stored)
    except FileNotFoundError:
        return None
    except ValueError as error:
        if logger is not None:
            logger.warning("The cached weights %s:%s are fetched again. %s", row.model, row.tag, error)
        return None
    if stored.manifest.get("conversion") != CONVERSION:
        return None
    return stored


def _fetched(row: Published, progress: Progress | None) -> Path:
    """The published file: one that lies there, proven, or a download. Its hash is pinned at the first time."""
    _require_reader(row)
    path = download_of(row)
    pin = _pin(row)
    url = mirrored(row.url, row.source)
    if path.is_file():
        digest = sha256(path)
        is_right = digest.startswith(row.sha256_prefix) and digest == (pin or digest)
        if not is_right or (row.md5 and _md5(path) != row.md5):
            expected = pin or row.sha256_prefix or f"the MD5 {row.md5}"
            raise ValueError(
                f"{path} is not the file that {row.model}:{row.tag} is made of: its SHA-256 is {digest}, expected "
                f"{expected}. Delete it, or put there what {row.url} gives."
            )
    else:
        limits = Limits(max_bytes=_BYTES_OF_A_PARAMETER * row.num_params + _BYTES_BESIDE)
        _logger.info("Fetching %s:%s from %s", row.model, row.tag, url)
        try:
            digest = download(url, path, sha256=pin or row.sha256_prefix, md5=row.md5, limits=limits, progress=progress)
        except DownloadError as error:
            known = f"begins with {row.sha256_prefix}" if row.sha256_prefix else "not published"
            raise DownloadError(
                f"The weights {row.model}:{row.tag} are not in the cache and cannot be fetched. {error}\n"
                f"By hand: fetch {row.url}\n"
                f"  and put it at {path}\n"
                f"  (SHA-256 {pin or known}{f', MD5 {row.md5}' if row.md5 else ''}); it is taken from there."
                + (f"\nIf the publisher has replaced the file, delete {folder_of(row) / PIN} to accept it."
                   if pin else "")
            ) from error  # fmt: skip
    if not pin:
        write_json(folder_of(row) / PIN, {"url": row.url, "sha256": digest, "size": path.stat().st_size})
    return path


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, functools.partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _pin(row: Published) -> str:
    """The SHA-256 of the file that was fetched first, or "" before that."""
    path = folder_of(row) / PIN
    try:
        pin = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError):
        pin = None
    if not isinstance(pin, str) or len(pin) != 64:
        raise ValueError(f"{path} is damaged. Delete it to accept what {row.url} gives now.")
    return pin


def _require_reader(row: Published) -> None:
    if row.kind == "pth" and importlib.util.find_spec("torch") is None:
        raise ImportError(
            f"{row.source} publishes {row.model}:{row.tag} as a pickle, which PyTorch reads, once. "
            'Install it: pip install "cnn-zoo[torch]"; or take weights that need no PyTorch: zoo weights list '
            f"{row.model}."
        )


def _converted(row: Published, file: Path, build: Build) -> Stored:
    """The published file as a folder of ours."""
    pin = json.loads((folder_of(row) / PIN).read_text(encoding="utf-8"))
    return convert(row.model, file, row.source, folder_of(row), build, row.knobs, **facts(row), download=pin)


def convert(
    model: str,
    file: Path,
    naming: str,
    folder: Path,
    build: Build,
    knobs: Mapping[str, Any],
    **said: Any,
) -> Stored:
    """Write a file of another library as weights of ours.

    Args:
        model: A registered name.
        file: Safetensors, `.npz` or `.h5`; with another ending a state dict of PyTorch.
        naming: Whose names the file has, as for `zoo.weights.load`.
        folder: Where to.
        build: Builds the model that the file is for.
        knobs: Arguments of the model's builder that the weights need.
        **said: What the manifest shall say besides.

    Raises:
        ValueError: The file does not fit the model or cannot be read.
        ImportError: PyTorch is not installed, and the file needs it.
    """
    with contextlib.ExitStack() as stack:
        if file.suffix.lower() not in PLAIN_SUFFIXES:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(unpickled(file, folder))
        built, head = _model_for(model, file, build, knobs)
        conversion.load(built, file, source=naming)  # type: ignore[arg-type]
        return store.save(built, folder, **said, conversion=CONVERSION, head=head, knobs=dict(knobs))


def _model_for(name: str, file: Path, build: Build, knobs: Mapping[str, Any]) -> tuple[keras.Model, list[str]]:
    """The model that a file is for, in float32, with auxiliary classifiers if the file has some."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        with undrawn():
            return build(name, _has_auxiliary(file), knobs)
    finally:
        keras.config.set_dtype_policy(policy)


def facts(row: Published) -> dict[str, Any]:
    """What the manifest says of published weights."""
    return {
        "weights": f"{row.model}:{row.tag}",
        "source": row.source,
        "url": row.url,
        "licence": row.licence,
        "top1": row.top1,
        "top5": row.top5,
    }


def _has_auxiliary(file: Path) -> bool:
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            return any(key.lower().startswith("aux") for key in opened.keys())  # noqa: SIM118
    except safetensors.SafetensorError:
        return False  # the conversion says what is wrong with it


@contextlib.contextmanager
def unpickled(file: Path, folder: Path) -> Iterator[Path]:
    """A state dict of PyTorch as safetensors in `folder`, for the time of the context.

    PyTorch reads it with `weights_only=True`, in a process of its own that ends with it.
    """
    if importlib.util.find_spec("torch") is None:
        raise ImportError(f'{file} is a pickle, which PyTorch reads. Install it: pip install "cnn-zoo[torch]".')
    plain = folder / f".{file.name}.{secrets.token_hex(4)}.safetensors"
    # -P: the folder of that file holds modules of ours, which must not stand in for others of the same name.
    command = [sys.executable, "-P", str(Path(__file__).with_name("unpickle.py")), str(file), str(plain)]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["no message"]
            raise ValueError(f"{file} is no state dict that PyTorch reads with weights_only=True: {lines[-1]}")
        yield plain
    finally:
        plain.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Holds a lock that the system takes back when the process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            with contextlib.suppress(OSError):  # it gives up after ten seconds
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                break
        try:
            yield
        finally:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
