"""Training and validation data: pictures with masks, drawn reproducibly.

Draw number d of a training run is a pure function of the seed and d: which picture, which augmentation, which
mask. A run that was killed therefore goes on with exactly the draws that it would have made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812 (the name that Lightning's own documentation uses)
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.augment import AugmentConfig, augment
from training.errors import DataError, SettingsError
from training.masks import PRESETS
from training.model import MODEL_SIZE
from training.pictures import Splits, find_pictures, load_picture

Batch = tuple[Tensor, Tensor]
"""Pictures, NHWC uint8 RGB, and masks, NHW uint8 with 255 = hole."""


def to_model(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a batch over to the model's convention.

    Args:
        images: NHWC uint8 RGB in [0, 255].
        masks: NHW uint8, 128 and more = hole.

    Returns:
        N3HW float32 in [0, 1] and N1HW float32 with 1 = known, 0 = hole.
    """
    return images.permute(0, 3, 1, 2).float() / 255, (masks < 128).float().unsqueeze(1)


class TrainingDraws(Dataset[tuple[Tensor, Tensor]]):
    """Maps a draw number to an augmented picture and a mask of a randomly chosen preset."""

    def __init__(
        self, files: tuple[Path, ...], masks: Mapping[str, float], augmentation: AugmentConfig, seed: int
    ) -> None:
        self.files, self.augmentation, self.seed = files, augmentation, seed
        self.presets = list(masks)
        self.shares = np.array(list(masks.values())) / sum(masks.values())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, draw: int) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(draw, len(self.files))
        rng = np.random.default_rng([self.seed, epoch, position])
        file = self.files[_permutation(self.seed, epoch, len(self.files))[position]]
        image = augment(rng, load_picture(file), self.augmentation)
        preset = self.presets[rng.choice(len(self.presets), p=self.shares)]
        mask = PRESETS[preset](rng, MODEL_SIZE, MODEL_SIZE)
        return torch.from_numpy(image), torch.from_numpy(mask)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(size)


class FixedPairs(Dataset[tuple[Tensor, Tensor]]):
    """Pictures in order, each under one mask of a preset that depends on the seed and its position alone."""

    def __init__(self, files: tuple[Path, ...], preset: str, seed: int) -> None:
        self.files, self.preset, self.seed = files, preset, seed

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, index])
        mask = PRESETS[self.preset](rng, MODEL_SIZE, MODEL_SIZE)
        return torch.from_numpy(load_picture(self.files[index])), torch.from_numpy(mask)


class DrawSampler(Sampler[int]):
    """Yields the draw numbers of this process for the rest of the current epoch.

    Args:
        trainer: Its count of finished batches says where the run stands, also after a resume.
        size: Pictures in the training split.
        batch_size: Pictures per process and step.
    """

    def __init__(self, trainer: L.Trainer, size: int, batch_size: int) -> None:
        self.trainer, self.batch_size = trainer, batch_size
        self.batches = size // (batch_size * trainer.world_size)

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        done = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready
        for batch in range(done, done - done % self.batches + self.batches):
            first = (batch * self.trainer.world_size + self.trainer.global_rank) * self.batch_size
            yield from range(first, first + self.batch_size)


class ResumableLoader(DataLoader[tuple[Tensor, Tensor]]):
    """A loader that Lightning may resume in mid-epoch: `DrawSampler` reads the position from the trainer."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the trainer's own progress is all the state there is."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""


class InpaintingData(L.LightningDataModule):
    """Pictures of one folder with holes of chosen presets.

    Args:
        root: CelebA's folder (`img_align_celeba/` with its partition file) or any folder of pictures.
        batch_size: Pictures per process and step.
        masks: Share of each mask preset in training.
        validation_mask: The preset of the validation masks.
        validation_pictures: How many pictures of the validation split are used, from its beginning.
        augmentation: How far training pictures are changed.
        workers: Loader processes; 0 loads in the training process.
        seed: Seed of every draw.

    Raises:
        SettingsError: A number is too small, a mask preset is unknown, a share is negative, or all shares are 0.
    """

    def __init__(
        self,
        root: Path,
        batch_size: int,
        masks: dict[str, float],
        validation_mask: str = "report-text",
        validation_pictures: int = 200,
        augmentation: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("validation_pictures", validation_pictures, 1),
            ("workers", workers, 0),
            ("seed", seed, 0),
        ):
            if value < least:
                raise SettingsError(f"{name} must be at least {least}, not {value}")
        unknown = sorted({validation_mask, *masks} - set(PRESETS))
        if unknown:
            raise SettingsError(
                f"there is no mask preset {', '.join(unknown)}; there are {', '.join(PRESETS)}"
            )
        if min(masks.values(), default=0) < 0 or sum(masks.values()) == 0:
            raise SettingsError(
                f"the shares of the mask presets must be 0 or more and not all 0, not {masks}"
            )
        self.root, self.batch_size, self.masks = Path(root), batch_size, masks
        self.validation_mask, self.validation_pictures = validation_mask, validation_pictures
        self.augmentation, self.workers, self.seed = augmentation, workers, seed
        self.splits: Splits | None = None

    def setup(self, stage: str) -> None:
        """Find the pictures."""
        self.splits = find_pictures(self.root)

    def train_dataloader(self) -> ResumableLoader:
        """Return the draws of the training split, this process's share of them.

        Raises:
            DataError: The training split does not fill one batch.
        """
        assert self.splits is not None and self.trainer is not None  # noqa: S101, PT018 (Lightning's order of calls)
        draws = TrainingDraws(self.splits.train, self.masks, self.augmentation, self.seed)
        step = self.batch_size * self.trainer.world_size
        if len(draws) < step:
            raise DataError(
                f"the training split of {self.root} has {len(draws)} pictures, which do not fill one batch of {step};"
                " add pictures or lower --data.batch_size"
            )
        return ResumableLoader(
            draws,
            batch_size=self.batch_size,
            sampler=DrawSampler(self.trainer, len(draws), self.batch_size),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the validation pictures under fixed masks; every process measures all of them."""
        assert self.splits is not None  # noqa: S101 (Lightning's order of calls)
        pairs = FixedPairs(self.splits.val[: self.validation_pictures], self.validation_mask, self.seed)
        return DataLoader(pairs, batch_size=self.batch_size, num_workers=min(self.workers, 1))
