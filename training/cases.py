"""Evaluation cases: a picture and a mask, identical in every evaluation, calibration and parity check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from training.errors import DataError
from training.mask_files import FOLDER, PAIRED, MaskFolder
from training.masks import PRESETS, Mask
from training.network.model import MODEL_SIZE
from training.pictures import Image, PictureFile, Split, all_pictures, find_pictures, load_mask, load_picture
from training.transforms import move

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One picture with one mask, which is read from `mask_file` or drawn by the preset; `moved` moves both."""

    file: PictureFile
    preset: str
    seed: tuple[int, int]
    size: int = MODEL_SIZE
    mask_file: Path | None = None
    moved: bool = False

    def load(self) -> tuple[Image, Mask]:
        """Return the picture, HWC uint8 RGB, and its mask, HW uint8 with 255 = hole."""
        image = load_picture(self.file, self.size)
        random = np.random.default_rng(self.seed)
        if self.mask_file is not None:
            mask = load_mask(self.mask_file, self.size)
        else:
            mask = PRESETS[self.preset](random, *image.shape[:2])
        return move(image, mask, random) if self.moved else (image, mask)


def stack(cases: Sequence[Case]) -> tuple[Image, Mask]:
    """Load one or more cases: their pictures, NHWC uint8 RGB, and their masks, NHW uint8 with 255 = hole."""
    images, masks = zip(*(case.load() for case in cases), strict=True)
    return np.stack(images), np.stack(masks)


def files_of(root: Path, split: Split | Literal["all"], count: int | None) -> tuple[Path, ...]:
    """List the first pictures of a folder.

    Args:
        root: CelebA's folder or any folder of pictures.
        split: Which pictures; "all" takes every picture below the folder.
        count: Number of pictures; None takes all.

    Raises:
        DataError: The folder is invalid, or `count` is less than 1.
    """
    files: tuple[Path, ...] = all_pictures(root) if split == "all" else getattr(find_pictures(root), split)
    if count is not None and count < 1:
        raise DataError(f"the count must be at least 1, not {count}")
    return files[:count]


def cases_of(
    root: Path,
    split: Split | Literal["all"],
    presets: Sequence[str],
    count: int | None,
    seed: int = 0,
    size: int = MODEL_SIZE,
    mask_folder: MaskFolder | None = None,
) -> list[Case]:
    """List the cases of a folder: its first pictures, each with one mask per preset.

    Args:
        root: As for `files_of`.
        split: As for `files_of`.
        presets: Names of mask presets; "folder" and "paired" stand for the masks of `mask_folder`.
        count: As for `files_of`.
        seed: Seed of the masks.
        size: Side length that pictures are cropped and resized to, in pixels.
        mask_folder: Masks from files.

    Raises:
        DataError: As for `files_of`, or a picture has no mask with its name.
    """
    files = files_of(root, split, count)
    paired = mask_folder.of(root, files) if mask_folder is not None and PAIRED in presets else ()
    return cases_with(files, presets, seed, size, mask_folder, paired)


def cases_with(
    files: Sequence[PictureFile],
    presets: Sequence[str],
    seed: int,
    size: int,
    mask_folder: MaskFolder | None,
    paired: Sequence[Path] = (),
) -> list[Case]:
    """List the cases of given pictures; `paired` has the mask of each. Other arguments are as for `cases_of`."""

    def mask_file(preset: str, number: int) -> Path | None:
        if preset == PAIRED:
            return paired[number]
        if mask_folder is None or preset != FOLDER:
            return None
        return mask_folder.choose(np.random.default_rng((seed, number)))

    return [
        Case(file, preset, (seed, i), size, mask_file(preset, i))
        for preset in presets
        for i, file in enumerate(files)
    ]
