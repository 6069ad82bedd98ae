"""Files on this machine, or wherever fsspec reaches: `photos/a.jpg`, `s3://bucket/photos/a.jpg`."""

import os
import posixpath
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from serving.core.errors import SettingsError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def join(folder: str, name: str) -> str:
    """Return the location of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def absolute(path: str) -> str:
    """Return the location so that it is the same one in every folder that a process may run in."""
    return path if "://" in path else str(Path(path).absolute())


def list_files(folder: str, recursive: bool = False) -> list[str]:
    """Return the paths of the files in a folder, relative to it and sorted, without hidden ones.

    Raises:
        SettingsError: the folder does not exist or cannot be read.
    """
    system, root = _open(folder)
    try:
        if not system.isdir(root):
            raise SettingsError(f"There is no folder {folder}.")
        found = system.find(root, maxdepth=None if recursive else 1)
    except OSError as error:
        raise SettingsError(f"The folder {folder} cannot be read: {error}.") from error
    names = sorted(posixpath.relpath(path, root) for path in found)
    return [name for name in names if not any(part.startswith(".") for part in name.split("/"))]


def is_within(path: str, folder: str) -> bool:
    """Return whether a file or folder is in a folder, or is the folder."""
    (system, path), (other_system, root) = _open(path), _open(folder)
    return system == other_system and f"{path}/".startswith(f"{root}/")


def read(path: str) -> bytes:
    """Return a file's content.

    Raises:
        OSError: it cannot be read.
    """
    system, path = _open(path)
    content: bytes = system.cat_file(path)
    return content


def write(path: str, content: bytes) -> None:
    """Write a file so that it is complete or does not exist; missing folders are created.

    Raises:
        OSError: it cannot be written.
    """
    system, path = _open(path)
    folder, name = posixpath.split(path)
    system.makedirs(folder, exist_ok=True)
    if not isinstance(system, LocalFileSystem):
        system.pipe_file(path, content)  # object stores write a file as a whole
        return
    # What a killed run left is overwritten by the next one.
    temporary = posixpath.join(folder, f".{name}.part")
    with open(temporary, "wb") as file:  # noqa: PTH123 (a path of fsspec)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)  # noqa: PTH105


def _open(path: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a location, and the path in it without a slash at the end."""
    if "://" not in path:
        return LocalFileSystem(), os.path.realpath(path)
    try:
        opened: tuple[Any, str] = url_to_fs(path)
    except (
        ImportError,
        ValueError,
    ) as error:  # the library of the protocol is missing; the protocol is unknown
        raise SettingsError(f"{path}: {error}.") from error
    return opened[0], opened[1].rstrip("/")
