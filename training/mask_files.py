"""Masks from files, beside the presets that are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.pictures import all_pictures, load_mask

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from training.masks import Mask

FOLDER: Final = "folder"
"""The name of these masks among the presets' names."""


class MaskFolder:
    """The masks of a folder and its subfolders: pictures that are white (≥ 128) at the hole, of any size.

    Args:
        root: The folder.

    Raises:
        DataError: The folder is missing or contains no pictures.
    """

    def __init__(self, root: Path) -> None:
        self.files = all_pictures(root)

    def __call__(self, rng: np.random.Generator, height: int, width: int) -> Mask:
        """Choose a mask and bring it to a square of `height` = `width` pixels. HW uint8, 255 = hole.

        Raises:
            DataError: The file cannot be decoded, or marks nothing or everything.
        """
        return load_mask(self.choose(rng), height)

    def choose(self, rng: np.random.Generator) -> Path:
        """Choose one of the files."""
        return self.files[rng.integers(len(self.files))]
