"""Picture folders: assignment of files to splits, and decoding to square pictures."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal

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
    hash of its relative path, so adding pictures never moves existing ones.

    Raises:
        DataError: The folder is missing or empty, a split is empty, or CelebA's partition file is missing, malformed or
            lists no existing picture.
    """
    splits = _celeba(root) if (root / CELEBA_IMAGES).is_dir() else _plain(root)
    for field in fields(splits):
        if not getattr(splits, field.name):
            raise DataError(
                f"the {field.name} split of {root} is empty; a plain folder needs at least about 30 pictures, and"
                " CelebA's needs pictures of each partition"
            )
    return splits


def all_pictures(root: Path) -> tuple[Path, ...]:
    """Find all pictures in a folder and its subfolders, of any split, sorted by path.

    Raises:
        DataError: The folder is missing or contains no pictures.
    """
    if not root.is_dir():
        raise DataError(f"there is no data folder {root}; give a folder of pictures, or CelebA's")
    files = tuple(sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()))
    if not files:
        raise DataError(f"{root} contains no pictures; supported suffixes: {', '.join(sorted(SUFFIXES))}")
    return files


def _plain(root: Path) -> Splits:
    files = all_pictures(root)
    buckets: dict[Split, list[Path]] = {"train": [], "val": [], "test": []}
    for file in files:
        digest = hashlib.sha256(file.relative_to(root).as_posix().encode()).digest()
        tenth = int.from_bytes(digest[:8], "big") % 10
        buckets["val" if tenth == 8 else "test" if tenth == 9 else "train"].append(file)
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


def load_picture(path: Path, size: int = MODEL_SIZE) -> Image:
    """Read a picture, crop its central square and resize it to `size`; CelebA's 178×218 keep rows 20 to 197.

    Returns:
        HWC uint8 RGB in [0, 255], `size` × `size`.

    Raises:
        DataError: The file cannot be decoded completely.
    """
    pixels = _decode(path)
    if pixels is None:
        raise DataError(f"{path} cannot be decoded as a picture; remove or replace it")
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side != size:
        square = cv2.resize(
            square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        )
    return np.ascontiguousarray(square, dtype=np.uint8)


def _decode(path: Path) -> cv2.typing.MatLike | None:
    try:
        # `imread` would fill the missing part of a truncated JPEG with grey.
        return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    except (OSError, cv2.error):
        return None
