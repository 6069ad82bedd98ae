"""Training and validation data: pictures with masks, drawn reproducibly.

Draw number d of a training run is a pure function of the seed and d (`training.draws`). A run that was killed therefore
resumes with exactly the draws that it would have made. Pictures that fit the memory budget are held decoded, on the
training device if possible; others are decoded in each draw, by the loader processes. They are augmented on the
training device.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import lightning as L  # noqa: N812 (the name that Lightning's own documentation uses)
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.cases import Case, cases_of, files_of
from training.draws import Draw, Mixture, TrainingDraws
from training.errors import DataError, SettingsError, check_at_least
from training.mask_files import FOLDER, MaskFolder
from training.masks import PRESETS, DrawMask, Mask
from training.memory import budget, hold_pictures
from training.network.model import MIN_SIZE, MODEL_SIZE
from training.pictures import Image
from training.transforms import AugmentConfig, Batch, augment, to_model


class CaseDataset(Dataset[tuple[Image, Mask]]):
    """Evaluation cases, in order."""

    def __init__(self, cases: list[Case]) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        return self.cases[index].load()


class DrawSampler(Sampler[int]):
    """Yields the draw numbers of this process for the rest of the current epoch.

    Args:
        trainer: The trainer, whose batch count gives the current position, also after a resume.
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


class ResumableLoader(DataLoader[Draw]):
    """A loader that Lightning can resume mid-epoch: `DrawSampler` reads the position from the trainer."""

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: the position is part of the trainer's own state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Ignore the empty state that `state_dict` returned."""


class InpaintingData(L.LightningDataModule):
    """Pictures of one or several folders, with masks drawn from chosen presets.

    Args:
        root: CelebA's folder (`img_align_celeba/` with its partition file) or any folder of pictures; or several
            folders, each with its weight in training.
        batch_size: Pictures per process and step.
        masks: Relative frequency of each mask preset in training; "folder" stands for the masks of `mask_folder`.
        size: Side length that pictures are cropped and resized to, in pixels.
        mask_folder: Folder of masks, white at the hole. They replace the presets, unless `masks` has "folder".
        validation_mask: Preset of the validation masks; None is "folder" with a mask folder, else "report-text".
        validation_pictures: Number of validation pictures to use, from the beginning of the split.
        training_pictures: Number of training pictures of each folder to use, from the beginning of the split; None
            uses all.
        augmentation: Range of the random changes to training pictures.
        memory: Memory for decoded pictures, on each machine: a share of what is available if at most 1, else bytes.
            Pictures that need more are decoded by the loader processes, in every epoch.
        workers: Number of loader processes; 0 loads in the training process.
        seed: Seed of all random draws.

    Raises:
        SettingsError: A number is too small, a mask preset is unknown, a frequency is negative, or all are 0.
        DataError: The folder of masks is missing or empty.
    """

    def __init__(
        self,
        root: dict[str, float] | Path,
        batch_size: int,
        masks: dict[str, float],
        size: int = MODEL_SIZE,
        mask_folder: Path | None = None,
        validation_mask: str | None = None,
        validation_pictures: int = 200,
        training_pictures: int | None = None,
        augmentation: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        memory: float = 0.5,
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("size", size, MIN_SIZE),
            ("validation_pictures", validation_pictures, 1),
            ("training_pictures", 1 if training_pictures is None else training_pictures, 1),
            ("memory", memory, 0),
            ("workers", workers, 0),
            ("seed", seed, 0),
        ):
            check_at_least(name, value, least)
        self.mask_folder = None if mask_folder is None else MaskFolder(mask_folder)
        self.kinds: dict[str, DrawMask] = dict(PRESETS)
        if self.mask_folder is not None:
            self.kinds[FOLDER] = self.mask_folder
        if mask_folder is not None and FOLDER not in masks:
            masks = {FOLDER: 1.0}
        if validation_mask is None:
            validation_mask = "report-text" if mask_folder is None else FOLDER
        unknown = sorted({validation_mask, *masks} - set(self.kinds))
        if unknown:
            raise SettingsError(
                f"unknown mask preset {', '.join(unknown)}; choose from {', '.join(self.kinds)}"
            )
        if min(masks.values(), default=0) < 0 or sum(masks.values()) == 0:
            raise SettingsError(
                f"the frequencies of mask presets must be at least 0 and not all 0, not {masks}"
            )
        self.roots = (
            {Path(folder): weight for folder, weight in root.items()}
            if isinstance(root, dict)
            else {root: 1.0}
        )
        if min(self.roots.values(), default=0) <= 0:
            raise SettingsError(f"root needs at least one folder, and weights above 0, not {root}")
        self.batch_size, self.masks, self.size = batch_size, masks, size
        self.validation_mask, self.validation_pictures = validation_mask, validation_pictures
        self.training_pictures, self.augmentation = training_pictures, augmentation
        self.memory, self.workers, self.seed = memory, workers, seed
        self.files: list[Path] = []
        self.mixture = Mixture((), ())
        self.pictures: Tensor | None = None

    def setup(self, stage: str) -> None:
        """Find the pictures and decode the training split, if it fits into the memory budget.

        Raises:
            DataError: The training split does not fill one batch, or a picture cannot be read.
        """
        trainer = self._trainer()
        parts = [files_of(root, "train", self.training_pictures) for root in self.roots]
        if len(parts) > 1:  # an epoch may take a part of a folder only, which should be a mixed one
            rng = np.random.default_rng(self.seed)
            parts = [tuple(part[i] for i in rng.permutation(len(part))) for part in parts]
        self.files = [file for part in parts for file in part]
        self.mixture = Mixture.weighted([len(part) for part in parts], list(self.roots.values()))
        step = self.batch_size * trainer.world_size
        if len(self.files) < step:
            raise DataError(
                f"{', '.join(map(str, self.roots))} has {len(self.files)} training pictures, fewer than one batch of"
                f" {step}; add pictures or lower --data.batch_size"
            )
        limit = budget(self.memory)
        self.pictures = hold_pictures(self.files, self.size, limit, trainer)
        if self.pictures is None and trainer.is_global_zero:
            needed = len(self.files) * 3 * self.size**2
            print(
                f"{len(self.files)} pictures need {needed / 1e9:.2f} GB decoded; --data.memory allows"
                f" {limit / 1e9:.2f} GB, so they are decoded in every epoch",
                file=sys.stderr,
            )

    def train_dataloader(self) -> ResumableLoader:
        """Return this process's share of the training draws."""
        draws = TrainingDraws(
            self.mixture,
            self.size,
            self.masks,
            self.kinds,
            self.augmentation,
            self.seed,
            self.files if self.pictures is None else None,
        )
        return ResumableLoader(
            draws,
            batch_size=self.batch_size,
            sampler=DrawSampler(self._trainer(), len(draws), self.batch_size),
            **loader_processes(self.workers),
            pin_memory=torch.cuda.is_available(),
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader[tuple[Image, Mask]]:
        """Return the validation pictures under fixed masks; every process evaluates all of them."""
        total = sum(self.roots.values())
        cases: list[Case] = []
        for root, weight in self.roots.items():
            count = max(1, round(self.validation_pictures * weight / total))
            masks = self.mask_folder
            cases += cases_of(root, "val", [self.validation_mask], count, self.seed, self.size, masks)
        return DataLoader(
            CaseDataset(cases),
            batch_size=self.batch_size,
            **loader_processes(min(self.workers, 1)),
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch of draws or evaluation cases to the device, in the model's convention."""

        def move(tensor: Any) -> Tensor:
            return torch.as_tensor(tensor).to(device, non_blocking=True)

        if not isinstance(batch, Draw):
            return to_model(*map(move, batch))
        pictures = torch.as_tensor(batch.picture)
        if self.pictures is not None:
            pictures = self.pictures[pictures.to(self.pictures.device, non_blocking=True)]
        images, masks = to_model(move(pictures), move(batch.mask))
        return augment(images, move(batch.warp), move(batch.colours)), masks

    def _trainer(self) -> L.Trainer:
        assert self.trainer is not None  # noqa: S101 (Lightning's order of calls)
        return self.trainer


def loader_processes(count: int) -> dict[str, Any]:
    """Return a loader's arguments for so many processes, which stay from one epoch to the next.

    They are not forked: a fork of a process with threads, of which the distributed strategies have many, may wait for
    ever for a lock that one of them held.
    """
    if count == 0:
        return {}
    return {
        "num_workers": count,
        "persistent_workers": True,
        "multiprocessing_context": "spawn",
        "worker_init_fn": prepare_worker,
    }


def prepare_worker(worker: int) -> None:
    """Let a loader process use one thread, and keep it running on Ctrl-C or SIGTERM: the training process ends it."""
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
