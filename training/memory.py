"""Pictures in memory: decoded once, ready on the device that trains."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from training.errors import DataError
from training.model import MODEL_SIZE
from training.pictures import load_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor


def load_pictures(files: Sequence[Path], size: int = MODEL_SIZE) -> Tensor:
    """Decode pictures as `load_picture` does, with a progress bar.

    Returns:
        NHWC uint8 RGB, `size` × `size`; 95 kB a picture of 178 pixels.

    Raises:
        DataError: A file cannot be read, or the memory does not hold all of them.
    """
    shape = (len(files), size, size, 3)
    try:
        pictures = np.empty(shape, np.uint8)
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(partial(load_picture, size=size), files)
            for row, picture in zip(
                pictures, tqdm(decoded, "decode", len(files), unit="picture"), strict=True
            ):
                row[...] = picture
    except MemoryError as error:
        raise DataError(
            f"{len(files)} pictures take {np.prod(shape) / 2**30:.1f} GiB, more than this machine's memory has left;"
            " train on fewer by --data.training_pictures"
        ) from error
    return torch.from_numpy(pictures)


def place(pictures: Tensor, device: torch.device) -> Tensor:
    """Move pictures to the device, if they leave half of what is free there to the training."""
    if device.type != "cuda":
        return pictures
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.to(device) if pictures.nbytes <= free // 2 else pictures
