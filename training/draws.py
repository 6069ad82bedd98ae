"""Training draws: which picture, which augmentation, which mask, as a pure function of a seed and a draw number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from training.mask_files import PAIRED
from training.masks import ALIGNED, DrawMask, Mask
from training.pictures import Image, PictureFile, load_mask, load_picture
from training.transforms import AugmentConfig, Matrix, draw_augmentation, warp_mask


class Draw(NamedTuple):
    """One draw. The loader collates draws into a batch: each field becomes a tensor with a leading batch axis.

    Attributes:
        picture: HWC uint8 RGB; or the picture's position among those that the training process holds in memory.
        warp: Affine warp of the picture, 2×3 float32.
        colours: Colour transform of the picture, 3×3 float32.
        mask: HW uint8, 255 = hole.
    """

    picture: Image | int
    warp: Matrix
    colours: Matrix
    mask: Mask


@dataclass(frozen=True)
class Mixture:
    """The pictures of several folders, numbered consecutively, and how often each folder is drawn.

    Attributes:
        counts: Number of pictures of each folder.
        draws: Draws from each folder in an epoch. Each folder's pictures are taken in turn, across epochs.
    """

    counts: tuple[int, ...]
    draws: tuple[int, ...]

    @classmethod
    def weighted(cls, counts: Sequence[int], weights: Sequence[float]) -> Mixture:
        """Distribute as many draws as there are pictures over the folders, in proportion to their weights."""
        edges = np.rint(np.cumsum([0.0, *weights]) / sum(weights) * sum(counts)).astype(int)
        return cls(tuple(counts), tuple(np.diff(edges).tolist()))

    def __len__(self) -> int:
        return sum(self.draws)

    def picture(self, epoch: int, slot: int) -> int:
        """Return the number of the picture in a slot of an epoch, 0 ≤ slot < len(self)."""
        first = 0
        for count, draws in zip(self.counts, self.draws, strict=True):
            if slot < draws:
                return first + (epoch * draws + slot) % count
            first, slot = first + count, slot - draws
        raise IndexError(slot)


class TrainingDraws(Dataset[Draw]):
    """Maps a draw number to a picture, an augmentation and a mask.

    Args:
        mixture: The pictures.
        size: Side length of the masks and of decoded pictures, in pixels.
        masks: Relative frequency of each kind of mask.
        kinds: How each kind of mask is drawn.
        augmentation: Range of the random changes to pictures.
        seed: Seed of all random draws.
        files: The pictures' files, decoded for each draw; None if the training process holds the decoded pictures.
        paired: The mask of each picture, for the kind "paired".
        window: Size of the shuffle window, in pictures, if each folder is read in order; None shuffles all.
    """

    def __init__(
        self,
        mixture: Mixture,
        size: int,
        masks: Mapping[str, float],
        kinds: Mapping[str, DrawMask],
        augmentation: AugmentConfig,
        seed: int,
        files: Sequence[PictureFile] | None = None,
        paired: Sequence[Path] = (),
        window: int | None = None,
    ) -> None:
        self.mixture, self.size, self.files = mixture, size, files
        self.augmentation, self.seed, self.paired, self.window = augmentation, seed, paired, window
        self.names, self.kinds = list(masks), kinds
        self.shares = np.array(list(masks.values())) / sum(masks.values())

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, draw: int) -> Draw:
        epoch, position = divmod(draw, len(self))
        rng = np.random.default_rng([self.seed, epoch, position])
        slot = int(_order(self.mixture, self.seed, epoch, self.window)[position])
        number = self.mixture.picture(epoch, slot)
        warp, colours = draw_augmentation(rng, self.augmentation)
        name = self.names[rng.choice(len(self.names), p=self.shares)]
        if name == PAIRED:
            mask = load_mask(self.paired[number], self.size)
        else:
            mask = self.kinds[name](rng, self.size, self.size)
        if name in ALIGNED or name == PAIRED:
            warped = warp_mask(mask, warp)
            mask = warped if warped.any() else mask
        picture = number if self.files is None else load_picture(self.files[number], self.size)
        return Draw(picture, warp, colours, mask)


@lru_cache(maxsize=2)
def _order(mixture: Mixture, seed: int, epoch: int, window: int | None) -> NDArray[np.int64]:
    """Return the slots of an epoch in the order in which they are drawn."""
    rng = np.random.default_rng([seed, epoch])
    if window is None:
        return rng.permutation(len(mixture))
    times = [(np.arange(draws) + rng.uniform(0, window, draws)) / draws for draws in mixture.draws if draws]
    return np.argsort(np.concatenate(times))
