"""Training and validation data: pictures with masks, drawn reproducibly.

Draw number d of a training run is a pure function of the seed and d: which picture, which augmentation, which
mask. A run that was killed therefore resumes with exactly the draws that it would have made. Loader processes draw
augmentations and masks; the pictures are kept decoded in memory, on the training device if they fit, and are augmented
there.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L  # noqa: N812 (the name that Lightning's own documentation uses)
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from training.cases import Case, cases_of, files_of
from training.errors import DataError, SettingsError, check_at_least
from training.masks import ALIGNED, PRESETS, Mask
from training.network.model import MIN_SIZE, MODEL_SIZE
from training.pictures import Image, load_picture
from training.transforms import AugmentConfig, Batch, Matrix, augment, draw_augmentation, to_model, warp_mask


class Draw(NamedTuple):
    """One draw. The loader collates draws into a batch: each field becomes a tensor with a leading batch axis.

    Attributes:
        position: Index of the picture in the training split.
        warp: Affine warp of the picture, 2×3 float32.
        colours: Colour transform of the picture, 3×3 float32.
        mask: HW uint8, 255 = hole.
    """

    position: int
    warp: Matrix
    colours: Matrix
    mask: Mask


class TrainingDraws(Dataset[Draw]):
    """Maps a draw number to a picture, an augmentation and a mask of a randomly chosen preset."""

    def __init__(
        self, pictures: int, size: int, masks: Mapping[str, float], augmentation: AugmentConfig, seed: int
    ) -> None:
        self.pictures, self.size, self.augmentation, self.seed = pictures, size, augmentation, seed
        self.presets = list(masks)
        self.shares = np.array(list(masks.values())) / sum(masks.values())

    def __len__(self) -> int:
        return self.pictures

    def __getitem__(self, draw: int) -> Draw:
        epoch, position = divmod(draw, self.pictures)
        rng = np.random.default_rng([self.seed, epoch, position])
        picture = int(_permutation(self.seed, epoch, self.pictures)[position])
        warp, colours = draw_augmentation(rng, self.augmentation)
        preset = self.presets[rng.choice(len(self.presets), p=self.shares)]
        mask = PRESETS[preset](rng, self.size, self.size)
        if preset in ALIGNED:
            warped = warp_mask(mask, warp)
            mask = warped if warped.any() else mask
        return Draw(picture, warp, colours, mask)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(size)


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
    """Pictures of one folder, with masks drawn from chosen presets.

    Args:
        root: CelebA's folder (`img_align_celeba/` with its partition file) or any folder of pictures.
        batch_size: Pictures per process and step.
        masks: Relative frequency of each mask preset in training.
        size: Side length that pictures are cropped and resized to, in pixels.
        validation_mask: Preset of the validation masks.
        validation_pictures: Number of validation pictures to use, from the beginning of the split.
        training_pictures: Number of training pictures to use, from the beginning of the split; None uses all.
        augmentation: Range of the random changes to training pictures.
        workers: Number of loader processes, which draw augmentations and masks; 0 draws in the training process.
        seed: Seed of all random draws.

    Raises:
        SettingsError: A number is too small, a mask preset is unknown, a frequency is negative, or all are 0.
    """

    def __init__(
        self,
        root: Path,
        batch_size: int,
        masks: dict[str, float],
        size: int = MODEL_SIZE,
        validation_mask: str = "report-text",
        validation_pictures: int = 200,
        training_pictures: int | None = None,
        augmentation: AugmentConfig = AugmentConfig(),  # noqa: B008 (frozen)
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("size", size, MIN_SIZE),
            ("validation_pictures", validation_pictures, 1),
            ("training_pictures", 1 if training_pictures is None else training_pictures, 1),
            ("workers", workers, 0),
            ("seed", seed, 0),
        ):
            check_at_least(name, value, least)
        unknown = sorted({validation_mask, *masks} - set(PRESETS))
        if unknown:
            raise SettingsError(f"unknown mask preset {', '.join(unknown)}; choose from {', '.join(PRESETS)}")
        if min(masks.values(), default=0) < 0 or sum(masks.values()) == 0:
            raise SettingsError(
                f"the frequencies of mask presets must be at least 0 and not all 0, not {masks}"
            )
        self.root, self.batch_size, self.masks, self.size = Path(root), batch_size, masks, size
        self.validation_mask, self.validation_pictures = validation_mask, validation_pictures
        self.training_pictures, self.augmentation = training_pictures, augmentation
        self.workers, self.seed = workers, seed
        self.pictures: Tensor | None = None

    def setup(self, stage: str) -> None:
        """Find the pictures and decode the training split.

        Raises:
            DataError: The training split does not fill one batch, or a picture cannot be read.
        """
        assert self.trainer is not None  # noqa: S101 (Lightning's order of calls)
        files = files_of(self.root, "train", self.training_pictures)
        step = self.batch_size * self.trainer.world_size
        if len(files) < step:
            raise DataError(
                f"{self.root} has {len(files)} training pictures, fewer than one batch of {step};"
                " add pictures or lower --data.batch_size"
            )
        self.pictures = place(load_pictures(files, self.size), self.trainer.strategy.root_device)

    def train_dataloader(self) -> ResumableLoader:
        """Return this process's share of the training draws."""
        assert self.pictures is not None and self.trainer is not None  # noqa: S101, PT018 (Lightning's order of calls)
        draws = TrainingDraws(len(self.pictures), self.size, self.masks, self.augmentation, self.seed)
        return ResumableLoader(
            draws,
            batch_size=self.batch_size,
            sampler=DrawSampler(self.trainer, len(draws), self.batch_size),
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=ignore_stop_signals,
            pin_memory=torch.cuda.is_available(),
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader[tuple[Image, Mask]]:
        """Return the validation pictures under fixed masks; every process evaluates all of them."""
        cases = cases_of(
            self.root, "val", [self.validation_mask], self.validation_pictures, self.seed, self.size
        )
        return DataLoader(
            CaseDataset(cases),
            batch_size=self.batch_size,
            num_workers=min(self.workers, 1),
            worker_init_fn=ignore_stop_signals,
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch of draws or evaluation cases to the device, in the model's convention."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        if not isinstance(batch, Draw):
            return to_model(*map(move, batch))
        assert self.pictures is not None  # noqa: S101 (Lightning's order of calls)
        positions = torch.as_tensor(batch.position).to(self.pictures.device, non_blocking=True)
        images, masks = to_model(move(self.pictures[positions]), move(torch.as_tensor(batch.mask)))
        return augment(images, move(torch.as_tensor(batch.warp)), move(torch.as_tensor(batch.colours))), masks


def ignore_stop_signals(worker: int) -> None:
    """Keep a loader process running on Ctrl-C or SIGTERM: the training process finishes its step and then ends it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def load_pictures(files: Sequence[Path], size: int = MODEL_SIZE) -> Tensor:
    """Decode pictures as `load_picture` does, with a progress bar; besides the result, each thread holds one picture.

    Returns:
        NHWC uint8 RGB, `size` × `size`; 95 kB for each picture of 178 pixels.

    Raises:
        DataError: A file cannot be read, or the pictures do not fit into memory.
    """
    shape = (len(files), size, size, 3)
    try:
        pictures = np.empty(shape, np.uint8)
    except MemoryError as error:
        raise DataError(
            f"{len(files)} pictures need {np.prod(shape) / 2**30:.1f} GiB, more memory than is available;"
            " train on fewer with --data.training_pictures"
        ) from error

    def decode(index: int) -> None:
        pictures[index] = load_picture(files[index], size)

    with ThreadPoolExecutor() as pool:
        for _ in tqdm(pool.map(decode, range(len(files))), "decode", len(files), unit="picture"):
            pass
    return torch.from_numpy(pictures)


def place(pictures: Tensor, device: torch.device) -> Tensor:
    """Move pictures to a GPU if they need at most half of its free memory."""
    if device.type != "cuda":
        return pictures
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.to(device) if pictures.nbytes <= free // 2 else pictures
