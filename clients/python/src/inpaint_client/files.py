"""Writing a file so that nobody ever sees half of it."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: a reader finds the old file or the whole new one, also after a crash.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; no temporary file stays behind.
    """
    if path.exists() and not path.is_file():
        # A device or a pipe, such as /dev/null, is written to; replacing it by a file would destroy it.
        path.write_bytes(data)
        return
    # Not `tempfile`: its files are private to their owner, whatever the umask says.
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
