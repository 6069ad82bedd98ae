"""The photo that the benchmarks fill: NASA's portrait of Eileen Collins (public domain), from scikit-image."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from training.masks import report_text
from training.network.model import MODEL_SIZE

Picture = NDArray[np.uint8]


def portrait() -> Picture:
    """Return the whole photo, 512×512×3 uint8 RGB."""
    return np.array(astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def sample() -> tuple[Picture, Picture]:
    """Return a part of the photo, 178×178×3 uint8 RGB, and one of the report's masks, 178×178 uint8, 255 = hole."""
    mask = report_text(np.random.default_rng(0), MODEL_SIZE, MODEL_SIZE)
    return portrait()[:MODEL_SIZE, 128 : 128 + MODEL_SIZE], mask


def png(pixels: Picture) -> bytes:
    """Encode HWC (RGB) or HW (grey) uint8 as a small PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
