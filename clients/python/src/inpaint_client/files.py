"""Output files: the image format from the suffix, and atomic writes."""

import os
import secrets
from pathlib import Path

from PIL import Image

from .exceptions import InvalidInputError


def format_from_suffix(path: str | os.PathLike[str]) -> str:
    """Return Pillow's name of the image format for the suffix of `path`, such as `JPEG` for `.jpg`.

    Raises:
        InvalidInputError: Pillow cannot write a format with this suffix.
    """
    formats = Image.registered_extensions()
    suffix = Path(path).suffix.lower()
    if formats.get(suffix) not in Image.SAVE:
        problem = f"unsupported suffix {suffix!r}" if suffix else "no suffix"
        raise InvalidInputError(f"{os.fspath(path)!r} has {problem}; use .png, .jpg or .webp")
    return formats[suffix]


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that readers see either the old file or the complete new one.

    Raises:
        OSError: the file cannot be written. No temporary file is left behind.
    """
    if path.exists() and not path.is_file():
        # Devices and pipes, such as /dev/null, are written to, not replaced.
        path.write_bytes(data)
        return
    # Not `tempfile`, which creates files with mode 0600 regardless of the umask.
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
