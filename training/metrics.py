"""Quality figures, as the project reports them: per picture, on uint8 RGB, composited pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.metrics import structural_similarity

if TYPE_CHECKING:
    from training.pictures import Image

MAX_VALUE = 255.0


def psnr(truth: Image, answer: Image) -> float:
    """Return the peak signal-to-noise ratio of two HWC uint8 pictures in dB; infinite when they are equal."""
    error = np.mean((truth.astype(np.float64) - answer.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(MAX_VALUE**2 / error))


def ssim(truth: Image, answer: Image) -> float:
    """Return scikit-image's structural similarity (7×7 uniform window) of two HWC uint8 pictures, in [-1, 1]."""
    return float(structural_similarity(truth, answer, channel_axis=2))  # type: ignore[no-untyped-call]


def l1(truth: Image, answer: Image) -> float:
    """Return the mean absolute difference of two HWC uint8 pictures on the scale [0, 1]."""
    return float(np.mean(np.abs(truth.astype(np.float64) - answer.astype(np.float64))) / MAX_VALUE)
