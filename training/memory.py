"""The decoded training pictures in memory, and how much memory they may take."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
import torch
from torch import Tensor
from tqdm import tqdm

from training.errors import DataError
from training.network.model import MODEL_SIZE
from training.pictures import Image, PictureFile, load_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lightning as L  # noqa: N812

CGROUP: Final = Path("/sys/fs/cgroup")
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a file of unpredictable name, removed at once)


def budget(memory: float) -> int:
    """Return a limit in bytes.

    Args:
        memory: A share of the available memory if at most 1, else bytes.
    """
    return int(memory * available_memory()) if memory <= 1 else int(memory)


def available_memory() -> int:
    """Return the available memory in bytes: the machine's, or less under a container's limit."""
    available = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no limit
        return available
    return min(available, limit - used + int(statistics["inactive_file"]))


def hold_pictures(files: Sequence[PictureFile], size: int, limit: int, trainer: L.Trainer) -> Tensor | None:
    """Decode pictures into memory if they fit; the processes on one machine each decode a part and share one copy.

    Args:
        files: The pictures, the same in every process.
        size: Side length that they are cropped and resized to.
        limit: Bytes that the decoded pictures may take on a machine.
        trainer: The trainer, whose processes take part.

    Returns:
        NHWC uint8 RGB, on the training device if it is a GPU with enough free memory; None if the pictures do not fit.

    Raises:
        DataError: A file cannot be read.
    """
    shape = (len(files), size, size, 3)
    needed = int(np.prod(shape))
    shared = trainer.num_devices > 1
    folder = next((f for f in _shared_folders() if shutil.disk_usage(f).free > needed), None)
    fits = needed <= limit and not (shared and folder is None)
    if not trainer.strategy.reduce_boolean_decision(fits):
        return None
    if not shared:
        return place(load_pictures(files, size), trainer.strategy.root_device)
    path = None
    if trainer.local_rank == 0:
        handle, path = tempfile.mkstemp(prefix="inpaint-", dir=folder)
        os.truncate(handle, needed)
        os.close(handle)
    path = _gathered(path, trainer)[trainer.global_rank - trainer.local_rank]
    pictures = np.memmap(path, np.uint8, "r+", shape=shape)
    trainer.strategy.barrier("pictures are mapped")
    if trainer.local_rank == 0:
        Path(path).unlink()  # the memory stays until the last process ends, however it ends
    part = range(trainer.local_rank, len(files), trainer.num_devices)
    message = None
    try:
        _decode(files, part, pictures)
    except DataError as error:
        message = str(error)
    for failed in filter(None, _gathered(message, trainer)):
        raise DataError(failed)
    return place(torch.from_numpy(pictures), trainer.strategy.root_device)


def _shared_folders() -> list[Path]:
    return [folder for folder in (SHARED_MEMORY, Path(tempfile.gettempdir())) if folder.is_dir()]


def _gathered(value: Any, trainer: L.Trainer) -> list[Any]:
    """Return the values of all processes, by rank."""
    values: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def load_pictures(files: Sequence[PictureFile], size: int = MODEL_SIZE) -> Tensor:
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
            " lower --data.memory"
        ) from error
    _decode(files, range(len(files)), pictures)
    return torch.from_numpy(pictures)


def _decode(files: Sequence[PictureFile], numbers: range, pictures: Image) -> None:
    size = pictures.shape[1]

    def decode(number: int) -> None:
        pictures[number] = load_picture(files[number], size)

    with ThreadPoolExecutor() as pool:
        for _ in tqdm(pool.map(decode, numbers), "decode", len(numbers), unit="picture"):
            pass


def place(pictures: Tensor, device: torch.device) -> Tensor:
    """Move pictures to a GPU if they need at most half of its free memory."""
    if device.type != "cuda":
        return pictures
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.to(device) if pictures.nbytes <= free // 2 else pictures
