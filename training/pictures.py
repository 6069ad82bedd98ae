"""Picture folders: assignment of files to splits, and decoding to square pictures."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.network.model import MODEL_SIZE

Image = NDArray[np.uint8]
Split = Literal["train", "val", "test"]

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
CELEBA_IMAGES: Final = "img_align_celeba"
CELEBA_PARTITIONS: Final = ("list_eval_partition.csv", "list_eval_partition.txt")
_PARTITION: Final[dict[str, Split]] = {"0": "train", "1": "val", "2": "test"}


class PictureFile(Protocol):
    """Where a picture is read from: a path, or a picture in a shard. Errors name it by its `str()`."""

    @property
    def name(self) -> str:
        """A short name."""

    def read_bytes(self) -> bytes:
        """Read the file."""


@dataclass(frozen=True)
class Splits:
    """Files of each split, sorted by name."""

    train: tuple[Path, ...]
    val: tuple[Path, ...]
    test: tuple[Path, ...]


def find_pictures(root: Path) -> Splits:
    """Find the pictures in a folder and its subfolders, and split them.

    A folder that holds `img_align_celeba/` is read as CelebA, with the official split of
    `list_eval_partition.csv` or `.txt` beside it. In any other folder, each picture is assigned to a split 8:1:1 by a
    hash of its relative path, so adding pictures never moves existing ones. In a folder with few pictures, an empty
    split takes one from the largest split; only that one may move when pictures are added.

    Raises:
        DataError: The folder is missing or has fewer than three pictures, or CelebA's partition file is missing,
            malformed or lists no existing picture of a split.
    """
    splits = _celeba(root) if (root / CELEBA_IMAGES).is_dir() else _plain(root)
    for field in fields(splits):
        if not getattr(splits, field.name):
            raise DataError(
                f"the {field.name} split of {root} is empty; a plain folder needs at least 3 pictures, and"
                " CelebA's needs pictures of each partition"
            )
    return splits


def all_pictures(root: Path) -> tuple[Path, ...]:
    """Find all pictures in a folder and its subfolders, of any split, sorted by path; hidden files are left out.

    Raises:
        DataError: The folder is missing or contains no pictures.
    """
    if not root.is_dir():
        raise DataError(f"there is no data folder {root}; give a folder of pictures, or CelebA's")
    files = tuple(
        sorted(
            path
            for path in root.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    )
    if not files:
        raise DataError(f"{root} contains no pictures; supported suffixes: {', '.join(sorted(SUFFIXES))}")
    return files


def _plain(root: Path) -> Splits:
    files = all_pictures(root)
    digests = {f: hashlib.sha256(f.relative_to(root).as_posix().encode()).digest() for f in files}
    buckets: dict[Split, list[Path]] = {"train": [], "val": [], "test": []}
    for file in files:
        tenth = int.from_bytes(digests[file][:8], "big") % 10
        buckets["val" if tenth == 8 else "test" if tenth == 9 else "train"].append(file)
    for bucket in buckets.values():
        largest = max(buckets.values(), key=len)
        if not bucket and len(largest) > 1:
            bucket.append(max(largest, key=digests.__getitem__))
            largest.remove(bucket[0])
    return Splits(*(tuple(files) for files in buckets.values()))


def _celeba(root: Path) -> Splits:
    partition = next((root / name for name in CELEBA_PARTITIONS if (root / name).is_file()), None)
    if partition is None:
        raise DataError(f"{root} contains {CELEBA_IMAGES}/ but neither {' nor '.join(CELEBA_PARTITIONS)}")
    present = {p.name for p in (root / CELEBA_IMAGES).iterdir()}
    buckets: dict[Split, list[Path]] = {"train": [], "val": [], "test": []}
    for number, row in enumerate(_rows(partition), start=1):
        if row == ["image_id", "partition"] or not row:
            continue
        if len(row) != 2 or row[1] not in _PARTITION:
            raise DataError(
                f"{partition}, line {number}: expected a file name and 0, 1 or 2, found {' '.join(row)!r}"
            )
        if row[0] in present:
            buckets[_PARTITION[row[1]]].append(root / CELEBA_IMAGES / row[0])
    if not any(buckets.values()):
        raise DataError(f"{partition} lists no picture in {root / CELEBA_IMAGES}")
    return Splits(*(tuple(sorted(files)) for files in buckets.values()))


def _rows(partition: Path) -> list[list[str]]:
    try:
        lines = partition.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{partition} cannot be read as text: {error}") from error
    return list(csv.reader(lines)) if partition.suffix == ".csv" else [line.split() for line in lines]


def load_picture(path: PictureFile, size: int = MODEL_SIZE) -> Image:
    """Read a picture, crop its central square and resize it to `size`; CelebA's 178×218 keep rows 20 to 197.

    Returns:
        HWC uint8 RGB in [0, 255], `size` × `size`.

    Raises:
        DataError: The file cannot be decoded completely.
    """
    square = _square(path, cv2.IMREAD_COLOR_RGB)
    side = len(square)
    if side != size:
        square = cv2.resize(
            square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        )
    return np.ascontiguousarray(square, dtype=np.uint8)


def load_mask(path: Path, size: int = MODEL_SIZE) -> NDArray[np.uint8]:
    """Read a mask that is white (≥ 128) at the hole, cropped and resized as `load_picture` does.

    A pixel is part of the hole if any of its area is.

    Returns:
        HW uint8, 255 = hole, 0 = known, `size` × `size`.

    Raises:
        DataError: The file cannot be decoded completely, or marks nothing or everything.
    """
    hole = (_square(path, cv2.IMREAD_GRAYSCALE) >= 128).astype(np.float32)
    method = cv2.INTER_AREA if len(hole) > size else cv2.INTER_NEAREST
    share = cv2.resize(hole, (size, size), interpolation=method)
    mask = np.where(share > 0, 255, 0).astype(np.uint8)
    if mask.min() == mask.max():
        raise DataError(
            f"{path} marks {'everything' if mask.any() else 'nothing'} in its central square; a mask is white at the"
            " hole and black elsewhere"
        )
    return mask


def _square(path: PictureFile, flags: int) -> cv2.typing.MatLike:
    """Decode a file and return its central square."""
    try:
        # `imread` would fill the missing part of a truncated JPEG with grey.
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except (OSError, cv2.error):
        pixels = None
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as a picture; remove or replace it")
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]
