"""Files that are either whole or not there.

A process may be killed between any two instructions. Everything that a run folder or a weights folder holds is
therefore written here: to an unnamed or temporary file in the same folder, flushed to the disk, then renamed over
the old one in one step. A reader sees the old content or the new, never a part.
"""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".partial"


def write_atomic(path: str | os.PathLike, content: bytes | str | Iterable[bytes]) -> str:
    """Replace the file at `path` by `content`, whole or not at all.

    Args:
        path: The file. Its folder must exist.
        content: Bytes, text (written as UTF-8), or chunks of bytes that are written one after the other.

    Returns:
        The SHA-256 of what was written, 64 hexadecimal digits.

    Raises:
        OSError: The disk is full, the folder is read-only and the like. The old file is then still there.
    """
    path = Path(path)
    if isinstance(content, str):
        content = content.encode()
    chunks = [content] if isinstance(content, bytes) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    digest = hashlib.sha256()
    try:
        with _unnamed_or_named(temporary) as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
            file.flush()
            os.fsync(file.fileno())
            if not temporary.exists():
                _give_name(file.fileno(), temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return digest.hexdigest()


def write_json(path: str | os.PathLike, value: Any) -> str:
    """Write `value` as indented JSON through `write_atomic`; NaN and infinity are refused with a ValueError."""
    return write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def append_line(path: str | os.PathLike, record: Mapping[str, Any]) -> None:
    """Add a record as one line of JSON to a file, in one write that is flushed: a kill leaves whole lines.

    Args:
        path: The file; made if it does not exist.
        record: What JSON can hold; NaN and infinity are refused with a ValueError.
    """
    line = json.dumps(record, allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unnamed_or_named(temporary: Path):
    """An open file that has no name yet where the system knows such files (Linux), else one named `temporary`.

    An unnamed file vanishes with the process, so that even a kill in mid-write leaves nothing behind.
    """
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        try:
            return os.fdopen(os.open(temporary.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
    return open(temporary, "xb")


def _give_name(descriptor: int, path: Path) -> None:
    """Link the unnamed open file to `path`. A folder descriptor makes Python call linkat(2), which follows /proc."""
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(descriptor), path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable; folders cannot be opened for that on Windows."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
