"""Atomic file writes and checksums."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import math
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where abandoned files stay
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that a reader finds either the old or the new content, complete.

    A temporary file that a killed process left for the same path is removed.

    Raises:
        OSError: The file cannot be written, or the path is not a regular file. The error names it.
    """
    path = path.resolve()  # a symbolic link is followed, not replaced
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    temporary, file = _temporary(path)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:  # the error of a failed write names no file
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> tuple[Path, BinaryIO]:
    """Create the temporary file for a path, locked for as long as it is written."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        file = temporary.open("xb")
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # another process may have removed it before it was locked
            return temporary, file
        file.close()


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files for a path that no process is writing any more."""
    if fcntl is None:
        return
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError), temporary.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def write_json(path: Path, document: Any) -> None:
    """Write plain values as JSON, atomically; infinity and NaN, which JSON does not support, become null."""
    write_atomically(path, json.dumps(_finite(document), indent=1, allow_nan=False).encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
