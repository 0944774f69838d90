"""Checkpoints of a training: a folder for each, whole or not there.

A checkpoint holds its arrays as safetensors and a manifest, which names their SHA-256 and seals itself with another. It
is written beside the others under a temporary name, flushed to the disk, and becomes visible by one rename to a name
that was not there before; only then are older ones removed. Which one is the newest goes by its step, never by a clock.

A save that fails never ends the training: it is logged at once, the ones before stay, the next one is tried.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import operator
import os
import re
import secrets
import shutil
import socket
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors

from zoo import files

_log = logging.getLogger(__name__)

FORMAT = 2
_ARRAYS, _MANIFEST, _LOCK = "arrays.safetensors", "manifest.json", "lock"

# The number behind the dash is there only for a step that was saved again.
_NAME = re.compile(r"step-(\d{12,})(?:-(\d+))?", re.ASCII)

# safetensors reads these names; its own table for NumPy lacks those of ml_dtypes.
_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "U16": np.dtype(np.uint16),
    "U32": np.dtype(np.uint32),
    "U64": np.dtype(np.uint64),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "C64": np.dtype(np.complex64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}

_CODES = {dtype.newbyteorder("<"): code for code, dtype in _DTYPES.items()}

# Bytes that are written at once.
_PIECE = 2**22

# What flock(2) answers on file systems that have no such locks, as network ones may.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)

# What the content of a damaged checkpoint may raise. MemoryError is none of them: nothing is wrong with the file then.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError)


class RunInUse(RuntimeError):  # noqa: N818, the name says what is the case
    """Another process trains in the folder."""


class NonFinite(ValueError):  # noqa: N818
    """An array that is to be saved holds NaN or infinity."""


class NoneWhole(ValueError):  # noqa: N818
    """There are checkpoints, and none of them can be used."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        step: The step that it was saved at.
        arrays: Name to array.
        state: Plain JSON.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    state: Mapping[str, Any]


class _Entry(NamedTuple):
    """A folder with the name of a checkpoint; whether it is whole is another question."""

    step: int
    attempt: int
    path: Path


class Checkpoints:
    """The checkpoints of one training; this process alone has the folder until `close`.

    A state that a process saved twice, or that is saved again after going back, replaces the older one only once it
    is on the disk. What is in the folder and is no checkpoint is left alone.

    Args:
        folder: Where they are; made if it does not exist.
        keep: How many of the newest stay, at least 1. Only whole ones count, so 2 survive the damage of one.
        keep_every: Checkpoints at multiples of so many steps stay for good; None for none.
        background: Whether a thread writes while the training goes on.

    Raises:
        RunInUse: Another process has the folder.
        OSError: The folder cannot be written.
        ValueError: `keep` or `keep_every` is below 1.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(folder, keep=2)
        ...     for step in (10, 20, 30):
        ...         checkpoints.save(step, {"weights": np.full(3, step, np.float32)}, {"epoch": step // 10})
        ...     found = checkpoints.latest()
        ...     checkpoints.close()
        >>> found.step, found.arrays["weights"].tolist(), found.state
        (30, [30.0, 30.0, 30.0], {'epoch': 3})
    """

    def __init__(
        self, folder: str | os.PathLike, keep: int = 3, keep_every: int | None = None, background: bool = True
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1. Received: keep={keep}")
        if keep_every is not None and keep_every < 1:
            raise ValueError(f"keep_every must be at least 1, or None. Received: keep_every={keep_every}")
        self.folder = Path(folder).absolute()  # the process may change its working folder
        self._keep, self._keep_every = keep, keep_every
        self._verdicts: dict[str, tuple[Any, bool]] = {}
        self._failed: tuple[int, Exception] | None = None
        self._num_failed = 0
        self._writing: Future[None] | None = None
        self._lock: int | None = None
        self._closed = False
        try:
            self._acquire()
            self._probe()
        except OSError as error:
            self._release()
            raise OSError(error.errno, f"Checkpoints cannot be written in {self.folder}: {error}") from error
        self._clean()
        self._pool = ThreadPoolExecutor(1, "checkpoints") if background else None
        _held.add(self)

    def save(self, step: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Keep a state; the arrays are copied before this returns.

        While the one before is still being written, this waits for it: none is left out, and memory holds two at most.
        Whether the disk takes the state, `wait` and `close` tell, and the log as soon as it is known; this does not.

        Args:
            step: At least 0. A step that was saved before is replaced.
            arrays: Name to array; integers, floats from 8 to 64 bits, bfloat16, bool, complex64; of any shape.
            state: Plain JSON.

        Raises:
            NonFinite: A floating array holds NaN or infinity.
            TypeError: An array is of a type that safetensors does not have, or the state is not JSON.
            ValueError: The step is negative, a name cannot be written, the state holds NaN, or this is closed.
        """
        step = operator.index(step)
        if step < 0:
            raise ValueError(f"A step must be at least 0. Received: step={step}")
        if self._closed:
            raise ValueError(f"The checkpoints in {self.folder} are closed; open them again to save.")
        copies = _copied(arrays)
        text = json.dumps(state, allow_nan=False)
        self._settle()
        if self._pool is None:
            self._try_to_write(step, copies, text)
        else:
            self._writing = self._pool.submit(self._try_to_write, step, copies, text)

    def wait(self) -> None:
        """Until all is on the disk.

        Raises:
            OSError: The state that was saved last is not, with the reason. A failure after which a later state was
                written is in the log alone. The same failure is raised once.
            RunInUse: It is not, for another process has taken the folder; only without locks or after the lock file
                was deleted.
        """
        self._settle()
        failed, self._failed = self._failed, None
        if failed is None:
            return
        step, error = failed
        if not isinstance(error, OSError):
            raise error
        raise OSError(error.errno, self._explain(step, error)) from error

    def close(self) -> None:
        """Wait, and let other processes have the folder. Once more does nothing.

        Raises:
            OSError: As `wait`, and so for RunInUse; the folder is let go nevertheless.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
            self._release()

    def latest(self) -> Checkpoint | None:
        """The checkpoint of the highest step that is whole; None if there is none at all.

        Damaged ones are skipped with a warning in the log. What is being written is waited for.

        Raises:
            NoneWhole: There are checkpoints, but all are damaged or cannot be read. To begin anew is for a person to
                decide.
        """
        self._settle()
        reasons = []
        for entry in reversed(self._entries()):
            try:
                return self._read(entry)
            except _DAMAGE as error:
                _log.warning("The checkpoint %s is damaged and skipped: %s", entry.path, error)
                reasons.append(f"{entry.path.name}: {error}")
        if reasons:
            raise NoneWhole(
                f"{self.folder} holds checkpoints, and none of them is whole. Restore one from a copy, or move them "
                f"away to begin anew. Received: {'; '.join(reasons)}"
            )
        return None

    def _settle(self) -> None:
        """Until nothing is being written any more; how it went is in `_failed`."""
        if self._writing is not None:
            self._writing.result()
        self._writing = None

    def _entries(self) -> list[_Entry]:
        """What has the name of a checkpoint, oldest first."""
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if match := _NAME.fullmatch(path.name):
                found.append(_Entry(int(match[1]), int(match[2] or 0), path))
        return sorted(found)

    def _try_to_write(self, step: int, arrays: Mapping[str, np.ndarray], text: str) -> None:
        try:
            self._keep_hold()
            self._write(step, arrays, text)
        except Exception as error:
            self._failed = step, error
            self._num_failed += 1
            _log.error("%s Training goes on; the next checkpoint is tried again.", self._explain(step, error))
            return
        if self._num_failed:
            _log.warning("Checkpoints are written again: step %d is, %d before were not.", step, self._num_failed)
        self._failed, self._num_failed = None, 0
        try:
            self._prune()
        except OSError as error:
            _log.warning("Older checkpoints in %s could not be removed: %s", self.folder, error)

    def _explain(self, step: int, error: Exception) -> str:
        free = "unknown"
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(self.folder).free / 1e6:.1f} MB"
        return (
            f"The checkpoint of step {step} could not be written in {self.folder} ({type(error).__name__}: {error}); "
            f"free space there: {free}; checkpoints that failed in a row: {self._num_failed}. Those before are kept."
        )

    def _write(self, step: int, arrays: Mapping[str, np.ndarray], text: str) -> None:
        attempts = [entry.attempt for entry in self._entries() if entry.step == step]
        name = f"step-{step:012d}" + (f"-{max(attempts) + 1}" if attempts else "")
        temporary = self._temporary(name)
        try:
            temporary.mkdir()
            digest = files.write_atomic(temporary / _ARRAYS, _safetensors(arrays))
            manifest = {
                "format": FORMAT,
                "step": step,
                "arrays": {"bytes": os.path.getsize(temporary / _ARRAYS), "sha256": digest},
                "state": text,
            }
            files.write_atomic(temporary / _MANIFEST, _sealed(manifest))
            os.rename(temporary, self.folder / name)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        files.sync_folder(self.folder)
        self._remember(self.folder / name, True)

    def _read(self, entry: _Entry) -> Checkpoint:
        manifest, content = _verified(entry)
        arrays = {
            name: np.frombuffer(item["data"], _DTYPES[item["dtype"]]).reshape(item["shape"])
            for name, item in safetensors.deserialize(content)
        }
        found = Checkpoint(entry.step, arrays, json.loads(manifest["state"]))
        self._remember(entry.path, True)
        return found

    def _remember(self, path: Path, whole: bool) -> None:
        with contextlib.suppress(OSError):
            self._verdicts[path.name] = _signature(path), whole

    def _is_whole(self, entry: _Entry) -> bool:
        """Whether it counts for `keep`. Each is read once by a process, and again after its files have changed."""
        try:
            signature, whole = self._verdicts.get(entry.path.name, (None, False))
            if signature != _signature(entry.path):
                whole = True
                try:
                    _verified(entry)
                except (ValueError, KeyError, TypeError, RecursionError):
                    whole = False
                self._remember(entry.path, whole)
        except OSError:
            return False
        return whole

    def _prune(self) -> None:
        """Remove what is older than the newest whole ones, and what was saved again."""
        kept: set[int] = set()
        for entry in reversed(self._entries()):
            if entry.step in kept:
                self._remove(entry.path)
            elif len(kept) == self._keep:
                if self._keep_every is None or entry.step % self._keep_every:
                    self._remove(entry.path)
            elif self._is_whole(entry):
                kept.add(entry.step)
        self._clean()

    def _remove(self, path: Path) -> None:
        """By a rename first, so that a kill leaves no half of a checkpoint under the name of one."""
        temporary = self._temporary(path.name)
        try:
            os.rename(path, temporary)
            _delete(temporary)
        except OSError as error:
            _log.warning("The old checkpoint %s could not be removed: %s", path, error)
        self._verdicts.pop(path.name, None)

    def _temporary(self, name: str) -> Path:
        return self.folder / f".{name}.{secrets.token_hex(4)}{files.TEMPORARY_SUFFIX}"

    def _clean(self) -> None:
        """Remove what killed processes have left; they are gone, for this one has the folder."""
        for path in self.folder.glob(f"*{files.TEMPORARY_SUFFIX}"):
            with contextlib.suppress(OSError):
                _delete(path)

    def _probe(self) -> None:
        """Whether a folder can be made here: found out before a training begins, not at its first checkpoint."""
        path = self._temporary("probe")
        path.mkdir()
        path.rmdir()

    def _acquire(self) -> None:
        """Take the folder for this process; its lock file says which one that is."""
        new = not self.folder.is_dir()
        self.folder.mkdir(parents=True, exist_ok=True)
        if new:
            files.sync_folder(self.folder.parent)
        path = self.folder / _LOCK
        while self._lock is None:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(descriptor)
                if _is_open_as(path, descriptor):  # else it was removed in between, and locks nobody out
                    self._lock = descriptor
            finally:
                if self._lock is None:
                    os.close(descriptor)
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
            os.ftruncate(self._lock, 0)
            record = _owner() | {"since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"}
            os.pwrite(self._lock, json.dumps(record).encode(), 0)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._in_use(_recorded(descriptor)) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _log.warning(
                "The file system of %s has no locks (%s). A second process on this host is refused all the same; see "
                "to it that none trains there on another host.",
                self.folder, error.strerror,
            )  # fmt: skip
        # On some network file systems flock says yes to all.
        if _lives(record := _recorded(descriptor)):
            raise self._in_use(record)

    def _in_use(self, record: Mapping[str, Any]) -> RunInUse:
        who = "Another process"
        if record:
            who = f"Another process ({record.get('pid')} on {record.get('host')}, since {record.get('since')})"
        return RunInUse(f"{who} trains in {self.folder.parent}; end it, or use another folder.")

    def _keep_hold(self) -> None:
        """Before each write: the folder is there and still this process's; one that was deleted is made again."""
        if self._lock is None or not _is_open_as(self.folder / _LOCK, self._lock):
            _log.warning("The lock of %s was removed while a training has the folder; it is made again.", self.folder)
            self._release()
            self._acquire()
        elif (record := _recorded(self._lock)) and not _is_own(record):
            raise self._in_use(record)

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is None:
            return
        with contextlib.suppress(OSError):
            if _is_own(_recorded(lock)):
                os.ftruncate(lock, 0)
        os.close(lock)

    def _forget(self) -> None:
        """In a forked child: it has the open lock too, and would keep the folder when the training process is gone."""
        self._closed, self._writing, self._pool = True, None, None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


_held: weakref.WeakSet[Checkpoints] = weakref.WeakSet()


def _forget_all() -> None:
    for checkpoints in list(_held):
        checkpoints._forget()


os.register_at_fork(after_in_child=_forget_all)


def _copied(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copies as the file wants them: row by row, little-endian; larger types first, which aligns all."""
    copies = {}
    for name, array in arrays.items():
        if name == "__metadata__":
            raise ValueError("safetensors has another use for the name '__metadata__'; give the array another one.")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"The name of an array must be text that UTF-8 can hold. Received: {name!r}") from error
        array = np.asarray(array)
        if (dtype := array.dtype.newbyteorder("<")) not in _CODES:
            known = ", ".join(dtype.name for dtype in _CODES)
            raise TypeError(f"{name!r} must be of one of the types {known}. Received: {array.dtype}")
        if dtype.kind not in "biu" and not np.isfinite(array).all():
            raise NonFinite(f"{name!r} holds values that are NaN or infinite; the checkpoint is not written.")
        copies[name] = np.array(array, dtype, order="C")
    return dict(sorted(copies.items(), key=lambda item: -item[1].itemsize))


def _safetensors(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """The file in pieces: length of the header, header, content.

    The library would make it as a whole, in twice the memory, and keep Python's lock meanwhile: measured for 400 MB, it
    takes 9 times as long as a copy, and the training waits.
    """
    header, end = {}, 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype], "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for array in arrays.values():
        content = array.reshape(-1).view(np.uint8)
        for begin in range(0, len(content), _PIECE):
            yield content[begin : begin + _PIECE].tobytes()


def _sealed(manifest: Mapping[str, Any]) -> str:
    """The manifest as JSON, with the SHA-256 of all of it as its last entry."""
    seal = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": seal}, indent=2) + "\n"


def _verified(entry: _Entry) -> tuple[dict[str, Any], bytes]:
    """Manifest and arrays of a checkpoint.

    Raises:
        ValueError: Not a byte of it may differ from what was written, nor the step from the folder's name.
        OSError: A file is missing or cannot be read.
    """
    text = (entry.path / _MANIFEST).read_bytes().decode()
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"its manifest is not of format {FORMAT}, which this version reads")
    manifest.pop("sha256", None)
    if _sealed(manifest) != text:
        raise ValueError("its manifest is not what was written: its SHA-256 differs")
    if manifest["step"] != entry.step:
        raise ValueError(f"it is of step {manifest['step']}, its folder's name says {entry.step}")
    content = (entry.path / _ARRAYS).read_bytes()
    if len(content) != manifest["arrays"]["bytes"]:
        raise ValueError(f"{_ARRAYS} has {len(content)} bytes instead of {manifest['arrays']['bytes']}")
    if hashlib.sha256(content).hexdigest() != manifest["arrays"]["sha256"]:
        raise ValueError(f"the SHA-256 of {_ARRAYS} is not the manifest's")
    return manifest, content


def _signature(path: Path) -> list[tuple[int, int, int]]:
    """What changes when one of the files is replaced, cut or written to; not what a failing disk does to them."""
    found = [os.stat(path / name) for name in (_MANIFEST, _ARRAYS)]
    return [(status.st_ino, status.st_size, status.st_mtime_ns) for status in found]


def _delete(path: Path) -> None:
    """A folder with all that is in it; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner() -> dict[str, Any]:
    """This process, told apart from one that gets its number later."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot(), "started": _started(os.getpid())}


def _is_own(record: Mapping[str, Any]) -> bool:
    return all(record.get(name) == value for name, value in _owner().items())


def _recorded(descriptor: int) -> dict[str, Any]:
    """Who has the lock, as its file says; nothing if it says nothing that can be read."""
    try:
        record = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _lives(record: Mapping[str, Any]) -> bool:
    """Whether a process of this host that has not ended is meant."""
    if not record or (record.get("host"), record.get("boot")) != (socket.gethostname(), _boot()):
        return False
    started = _started(record.get("pid"))
    return started is not None and started == record.get("started")


def _boot() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None


def _started(pid: Any) -> int | None:
    """When a process was started, in clock ticks since the start of the system; None if there is none, or no /proc."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The name of the program comes first, in brackets, and may itself hold any.
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
    return None
