"""Training and validation data: pictures with masks, drawn reproducibly.

Draw number d of a training run is a pure function of the seed and d (`training.draws`). A run that was killed therefore
resumes with exactly the draws that it would have made. If the pictures fit into the memory budget, they are held
decoded, on the training device if possible; otherwise the loader processes decode them for each draw. They are
augmented on the training device.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import lightning as L  # noqa: N812 (the name that Lightning's own documentation uses)
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from training.cases import Case, cases_of, cases_with, files_of
from training.draws import Draw, Mixture, TrainingDraws
from training.errors import DataError, SettingsError, check_at_least
from training.mask_files import FOLDER, PAIRED, MaskFolder
from training.masks import PRESETS, DrawMask, Mask
from training.memory import budget, hold_pictures
from training.network.model import MIN_SIZE, MODEL_SIZE
from training.pictures import Image, PictureFile
from training.shards import SHUFFLE_WINDOW, ShardCache, ShardedPictures, is_sharded
from training.transforms import AugmentConfig, Batch, augment, to_model

CACHE = Path(tempfile.gettempdir()) / "inpaint-shards"


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
        root: CelebA's folder (`img_align_celeba/` with its partition file), any folder of pictures, or a folder or URL
            of shards; or several of these, each with its weight in training.
        batch_size: Pictures per process and step.
        masks: Relative frequency of each mask preset in training; "folder" stands for any mask of `mask_folder`, and
            "paired" for the one with the picture's own name.
        size: Side length that pictures are cropped and resized to, in pixels.
        mask_folder: Folder of masks, white at the hole. They replace the presets, unless `masks` has "folder" or
            "paired".
        validation_mask: Preset of the validation masks; None means "report-text", or with a mask folder "paired" or
            "folder", as in training.
        validation_pictures: Number of validation pictures to use, from the beginning of the split.
        training_pictures: Number of training pictures of each folder to use, from the beginning of the split; None
            uses all.
        augmentation: Range of the random changes to training pictures.
        memory: Memory for decoded pictures, on each machine: a share of what is available if at most 1, else bytes.
            If the pictures need more, the loader processes decode them in every epoch.
        workers: Number of loader processes; 0 loads in the training process.
        seed: Seed of all random draws.
        cache: Folder for downloaded shards, shared by all runs on the machine.
        cache_bytes: Maximum size of the downloaded shards, in bytes.

    Raises:
        SettingsError: A number is too small, a mask preset is unknown, a frequency is negative, or all are 0.
        DataError: The folder of masks is missing or empty.
    """

    def __init__(
        self,
        root: dict[str, float] | str | Path,
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
        cache: Path = CACHE,
        cache_bytes: float = 20e9,
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
            ("cache_bytes", cache_bytes, 0),
        ):
            check_at_least(name, value, least)
        self.mask_folder = None if mask_folder is None else MaskFolder(mask_folder)
        self.kinds: dict[str, DrawMask] = dict(PRESETS)
        if self.mask_folder is not None:
            self.kinds[FOLDER] = self.mask_folder
        own = [] if mask_folder is None else [PAIRED, FOLDER]
        if own and not set(own).intersection(masks):
            masks = {FOLDER: 1.0}
        if validation_mask is None:
            validation_mask = next((kind for kind in own if kind in masks), "report-text")
        known = list(dict.fromkeys([*self.kinds, *own]))
        unknown = sorted({validation_mask, *masks}.difference(known))
        if unknown:
            raise SettingsError(f"unknown mask preset {', '.join(unknown)}; choose from {', '.join(known)}")
        if min(masks.values(), default=0) < 0 or sum(masks.values()) == 0:
            raise SettingsError(
                f"the frequencies of mask presets must be at least 0 and not all 0, not {masks}"
            )
        self.roots = root if isinstance(root, dict) else {str(root): 1.0}
        if min(self.roots.values(), default=0) <= 0:
            raise SettingsError(f"root needs at least one folder, and weights above 0, not {root}")
        self.batch_size, self.masks, self.size = batch_size, masks, size
        self.validation_mask, self.validation_pictures = validation_mask, validation_pictures
        self.training_pictures, self.augmentation = training_pictures, augmentation
        self.memory, self.workers, self.seed = memory, workers, seed
        self.is_paired = PAIRED in {validation_mask, *masks}
        self.is_streamed = any(map(is_sharded, self.roots))
        if self.is_paired and self.is_streamed:
            raise SettingsError("masks with their pictures' names need folders of pictures, not shards")
        self.cache = ShardCache(cache, int(cache_bytes))
        self.files: Sequence[PictureFile] = ()
        self.paired: list[Path] = []
        self.mixture = Mixture((), ())
        self.pictures: Tensor | None = None

    def setup(self, stage: str) -> None:
        """Find the pictures and decode the training split, if it fits into the memory budget.

        Raises:
            DataError: The training split does not fill one batch, or a picture cannot be read.
        """
        trainer = self._trainer()
        parts = [self._training_files(root) for root in self.roots]
        self.files = cast("Sequence[PictureFile]", ConcatDataset(cast("list[Dataset[Any]]", parts)))
        if self.is_paired:
            assert self.mask_folder is not None  # noqa: S101 (checked with the presets)
            for root, files in zip(self.roots, parts, strict=True):
                self.paired += self.mask_folder.of(Path(root), files)
        self.mixture = Mixture.weighted([len(part) for part in parts], list(self.roots.values()))
        step = self.batch_size * trainer.world_size
        if len(self.files) < step:
            raise DataError(
                f"{', '.join(map(str, self.roots))} has {len(self.files)} training pictures, fewer than one batch of"
                f" {step}; add pictures or lower --data.batch_size"
            )
        if self.is_streamed:
            return
        limit = budget(self.memory)
        self.pictures = hold_pictures(self.files, self.size, limit, trainer)
        if self.pictures is None and trainer.is_global_zero:
            needed = len(self.files) * 3 * self.size**2
            print(
                f"{len(self.files)} pictures need {needed / 1e9:.2f} GB decoded; --data.memory allows"
                f" {limit / 1e9:.2f} GB, so they are decoded in every epoch",
                file=sys.stderr,
            )

    def _training_files(self, root: str) -> Sequence[Any]:
        """Find the training pictures of one folder."""
        if is_sharded(root):
            return ShardedPictures(root, "train", self.cache, self.training_pictures)
        files = files_of(Path(root), "train", self.training_pictures)
        if len(self.roots) == 1:
            return files
        # An epoch may take only part of a folder, which should then be a random part.
        return [files[i] for i in np.random.default_rng(self.seed).permutation(len(files))]

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
            self.paired,
            SHUFFLE_WINDOW if self.is_streamed else None,
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
        """Return the validation pictures with fixed masks; every process evaluates all of them."""
        total = sum(self.roots.values())
        cases: list[Case] = []
        for root, weight in self.roots.items():
            count = max(1, round(self.validation_pictures * weight / total))
            presets, masks = [self.validation_mask], self.mask_folder
            if is_sharded(root):
                pictures = ShardedPictures(root, "val", self.cache, count)
                cases += cases_with(pictures, presets, self.seed, self.size, masks)
            else:
                cases += cases_of(Path(root), "val", presets, count, self.seed, self.size, masks)
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
    """Return a loader's arguments for this many processes, which persist from one epoch to the next.

    They are not forked: the distributed strategies run many threads, and a forked process may wait for ever for a lock
    that one of them held.
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
    """Limit a loader process to one thread, and keep it running on Ctrl-C or SIGTERM: the training process ends it."""
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
