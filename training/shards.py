"""Pictures in shards: tar files in WebDataset's layout, in a folder or at any URL that fsspec supports.

A folder of shards holds, for each split, numbered tar files and an index, `train.json`, in the form of WebDataset's
`wids`. A shard that is not on this machine is downloaded as a whole into a cache when a picture from it is drawn.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tarfile
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from filelock import FileLock
from fsspec import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from training.errors import DataError
from training.pictures import SUFFIXES

if TYPE_CHECKING:
    from training.pictures import Split

INDEX_KIND: Final = "wids-shard-index-v1"
SHUFFLE_WINDOW: Final = 4096
"""Size of the shuffle window, in pictures; the shards are read in order."""

OPEN_SHARDS: Final = 256
"""Number of shards whose lists of members a process caches."""


def is_sharded(root: str | Path) -> bool:
    """Return whether a data root holds shards: a URL, or a folder with an index."""
    return "://" in str(root) or (Path(root) / index_name("train")).is_file()


def index_name(split: Split) -> str:
    """Return the file name of a split's index."""
    return f"{split}.json"


@dataclass(frozen=True)
class ShardCache:
    """A folder for downloaded shards, shared by the processes of one machine.

    Attributes:
        folder: Created on first use.
        limit: Maximum size of the shards, in bytes; the least recently used ones are removed.
    """

    folder: Path
    limit: int

    def open(self, url: str) -> BinaryIO:
        """Open a shard, after downloading it if it is neither on this machine nor in the cache.

        Raises:
            OSError: It cannot be read or stored.
        """
        system, path = url_to_fs(url)
        if isinstance(system, LocalFileSystem):
            return Path(path).open("rb")
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{posixpath.basename(path)}"
        target = self.folder / name
        while True:
            try:
                os.utime(target)  # used now
                return target.open("rb")
            except FileNotFoundError:  # not cached yet, or no longer
                self._download(system, path, target)

    def _download(self, system: Any, path: str, target: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f"{target.name}.lock"):
            if not target.exists():
                part = target.with_suffix(".part")
                system.get_file(path, str(part))
                part.replace(target)
        shards = sorted(self.folder.glob("*.tar"), key=lambda shard: shard.stat().st_mtime)
        total = sum(shard.stat().st_size for shard in shards)
        for shard in shards:
            if total > self.limit and shard != target:
                total -= shard.stat().st_size
                shard.unlink(missing_ok=True)


@dataclass(frozen=True)
class ShardPicture:
    """A picture in a shard, with the part of a path's interface that the training code uses."""

    url: str
    position: int
    cache: ShardCache

    def __str__(self) -> str:
        return f"picture {self.position} of {self.url}"

    @property
    def name(self) -> str:
        """The shard's name and the picture's position in it."""
        return f"{posixpath.basename(self.url)}:{self.position}"

    def read_bytes(self) -> bytes:
        """Read the picture's file.

        Raises:
            DataError: The shard cannot be read, or has fewer pictures than its index says.
        """
        try:
            with self.cache.open(self.url) as file:
                members = _members(self.url, self.cache)
                if self.position >= len(members):
                    raise DataError(f"{self.url} has {len(members)} pictures, fewer than its index says")
                offset, size = members[self.position]
                file.seek(offset)
                return file.read(size)
        except (OSError, ImportError, ValueError, tarfile.TarError) as error:
            raise DataError(f"{self.url} cannot be read: {error}") from error


@lru_cache(OPEN_SHARDS)
def _members(url: str, cache: ShardCache) -> tuple[tuple[int, int], ...]:
    """Return the offset and the size of each picture in a shard."""
    with cache.open(url) as file, closing(tarfile.open(fileobj=file, mode="r:")) as archive:
        return tuple(
            (member.offset_data, member.size)
            for member in archive
            if member.isfile() and posixpath.splitext(member.name)[1].lower() in SUFFIXES
        )


class ShardedPictures(Sequence[ShardPicture]):
    """The pictures of a split, in the order of its shards.

    Args:
        root: Folder or URL of the shards.
        split: Which split.
        cache: Where downloaded shards are kept.
        count: Number of pictures, from the beginning; None takes all.

    Raises:
        DataError: The index is missing or malformed, or lists no pictures.
    """

    def __init__(self, root: str, split: Split, cache: ShardCache, count: int | None = None) -> None:
        index = f"{root.rstrip('/')}/{index_name(split)}"
        try:
            system, path = url_to_fs(index)
            document = json.loads(system.cat_file(path))
            listed = [(str(shard["url"]), int(shard["nsamples"])) for shard in document["shardlist"]]
        except (OSError, ImportError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{index} is not a readable index of shards ({error}); `python -m training shards` writes one"
            ) from error
        self.cache = cache
        self.urls = [url if "://" in url else f"{root.rstrip('/')}/{url}" for url, _ in listed]
        self.ends = list(accumulate(pictures for _, pictures in listed))
        listed_pictures = self.ends[-1] if self.ends else 0
        self.length = listed_pictures if count is None else min(count, listed_pictures)
        if self.length < 1:
            raise DataError(f"{index} lists no pictures")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: Any) -> Any:
        """Return a picture by its number."""
        if not 0 <= number < self.length:
            raise IndexError(number)
        shard = bisect_right(self.ends, number)
        first = self.ends[shard - 1] if shard else 0
        return ShardPicture(self.urls[shard], number - first, self.cache)
