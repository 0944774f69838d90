"""Checkpoints of a training: a folder for each, whole or not there.

A checkpoint holds its arrays as safetensors and its manifest, which names their SHA-256, and becomes visible by one
rename of its folder. Which one is the newest goes by its step, never by a clock.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from zoo import files

_log = logging.getLogger(__name__)

FORMAT = 1
_ARRAYS, _MANIFEST, _LOCK = "arrays.safetensors", "manifest.json", "lock"


class RunInUse(RuntimeError):  # noqa: N818, the name says what is the case
    """Another process trains in the folder."""


class NonFinite(ValueError):  # noqa: N818
    """An array that is to be saved holds NaN or infinity."""


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


class Checkpoints:
    """The checkpoints of one training; this process alone has the folder until `close`.

    Args:
        folder: Where they are; made if it does not exist.
        keep: How many of the newest stay, at least 1.
        keep_every: Checkpoints at multiples of so many steps stay for good; None for none.
        background: Whether a thread writes while the training goes on.

    Raises:
        RunInUse: Another process has the folder.
        ValueError: `keep` is below 1.
    """

    def __init__(
        self, folder: str | os.PathLike, keep: int = 3, keep_every: int | None = None, background: bool = True
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1. Received: keep={keep}")
        self.folder = Path(folder)
        self._keep, self._keep_every = keep, keep_every
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise RunInUse(f"Another process trains in {self.folder.parent}; end it, or use another folder.") from None
        self._pool = ThreadPoolExecutor(1) if background else None
        self._writing: Future[None] | None = None
        for path in self.folder.glob(f"*{files.TEMPORARY_SUFFIX}"):
            shutil.rmtree(path, ignore_errors=True)

    def save(self, step: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Keep a state; the arrays are copied before this returns.

        Raises:
            NonFinite: A floating array holds NaN or infinity.
            OSError: The one before could not be written.
        """
        copies = {name: np.array(array) for name, array in arrays.items()}
        for name, array in copies.items():
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise NonFinite(f"{name!r} holds values that are NaN or infinite; the checkpoint is not written.")
        text = json.dumps(state, allow_nan=False)
        self.wait()
        if self._pool is None:
            self._write(step, copies, text)
        else:
            self._writing = self._pool.submit(self._write, step, copies, text)

    def wait(self) -> None:
        """Until all is on the disk."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait, and let other processes have the folder."""
        try:
            self.wait()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
            os.close(self._lock)

    def latest(self) -> Checkpoint | None:
        """The checkpoint of the highest step that is whole; None if there is none."""
        for path in reversed(self._paths()):
            try:
                return self._read(path)
            except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
                _log.warning("%s is damaged and skipped: %s", path, error)
        return None

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*") if not path.name.endswith(files.TEMPORARY_SUFFIX))

    def _write(self, step: int, arrays: dict[str, np.ndarray], text: str) -> None:
        target = self.folder / f"step-{step:012d}"
        temporary = target.with_name(target.name + files.TEMPORARY_SUFFIX)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        digest = files.write_atomic(temporary / _ARRAYS, safetensors.numpy.save(arrays))
        state_digest = hashlib.sha256(text.encode()).hexdigest()
        manifest = {"format": FORMAT, "step": step, "sha256": digest, "state": text, "state_sha256": state_digest}
        files.write_json(temporary / _MANIFEST, manifest)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(temporary, target)
        for old in self._paths()[: -self._keep]:
            if self._keep_every is None or int(old.name.removeprefix("step-")) % self._keep_every:
                shutil.rmtree(old)

    def _read(self, path: Path) -> Checkpoint:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        content = (path / _ARRAYS).read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
            raise ValueError("the SHA-256 of its arrays is not the manifest's")
        if hashlib.sha256(manifest["state"].encode()).hexdigest() != manifest["state_sha256"]:
            raise ValueError("the SHA-256 of its state is not the manifest's")
        return Checkpoint(manifest["step"], safetensors.numpy.load(content), json.loads(manifest["state"]))
