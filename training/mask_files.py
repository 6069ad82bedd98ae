"""Masks read from files, as an alternative to presets, which are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.errors import DataError
from training.pictures import all_pictures, load_mask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from training.masks import Mask

FOLDER: Final = "folder"
"""Preset name of masks from files, any of which may be chosen for a picture."""

PAIRED: Final = "paired"
"""Preset name of masks from files, each for the picture with the same name."""


class MaskFolder:
    """The masks of a folder and its subfolders: pictures that are white (≥ 128) at the hole, of any size.

    Args:
        root: The folder.

    Raises:
        DataError: The folder is missing or contains no pictures.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.files = root, all_pictures(root)

    def __call__(self, rng: np.random.Generator, height: int, width: int) -> Mask:
        """Choose a mask, and crop and resize it to a square of `height` = `width` pixels. HW uint8, 255 = hole.

        Raises:
            DataError: The file cannot be decoded, or marks nothing or everything.
        """
        return load_mask(self.choose(rng), height)

    def choose(self, rng: np.random.Generator) -> Path:
        """Choose one of the files."""
        return self.files[rng.integers(len(self.files))]

    def of(self, root: Path, pictures: Sequence[Path]) -> tuple[Path, ...]:
        """Return the mask of each picture: the file with its path below `root`, whatever the suffix.

        Raises:
            DataError: A picture has no mask, or several.
        """
        masks: dict[Path, Path] = {}
        for file in self.files:
            other = masks.setdefault(file.relative_to(self.root).with_suffix(""), file)
            if other != file:
                raise DataError(f"{other} and {file} are masks of the same picture; remove one of them")
        names = [picture.relative_to(root).with_suffix("") for picture in pictures]
        missing = [name for name in names if name not in masks]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(names)} pictures have no mask with their name in {self.root}, such as"
                f" {missing[0]}"
            )
        return tuple(masks[name] for name in names)
