"""Quality figures, as the project reports them: per picture, on composited uint8 RGB pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from skimage.metrics import structural_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.pictures import Image

MAX_VALUE = 255.0


def psnr(truth: Image, answer: Image) -> float:
    """Return the peak signal-to-noise ratio of two uint8 arrays in dB; infinite when they are equal."""
    error = np.mean((truth.astype(np.float64) - answer.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(MAX_VALUE**2 / error))


def hole_psnr(truth: Image, answer: Image, hole: NDArray[np.bool_]) -> float:
    """Return the peak signal-to-noise ratio inside the hole, HW bool, in dB; infinite when nothing differs there."""
    return psnr(truth[hole], answer[hole])


def ssim(truth: Image, answer: Image) -> float:
    """Return scikit-image's structural similarity (7×7 uniform window) of two HWC uint8 pictures, in [-1, 1]."""
    return float(structural_similarity(truth, answer, channel_axis=2))  # type: ignore[no-untyped-call]


def l1(truth: Image, answer: Image) -> float:
    """Return the mean absolute difference of two HWC uint8 pictures on the scale [0, 1]."""
    return float(np.mean(np.abs(truth.astype(np.float64) - answer.astype(np.float64))) / MAX_VALUE)


def precision_and_recall(found: NDArray[np.bool_], marks: NDArray[np.bool_]) -> tuple[float, float]:
    """Compare found marks with true ones, N pictures of HW bool.

    Soft edges do not lower either: a found pixel is correct within 2 pixels of a mark, and a mark's pixel counts as
    found within 1 pixel of a found one.

    Returns:
        Precision and recall over the pixels of all pictures, in [0, 1].
    """
    near_marks = np.stack([_grow(picture, 2) for picture in marks])
    near_found = np.stack([_grow(picture, 1) for picture in found])
    precision = (found & near_marks).sum() / max(1, found.sum())
    recall = (marks & near_found).sum() / max(1, marks.sum())
    return float(precision), float(recall)


def _grow(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    side = 2 * radius + 1
    return np.asarray(cv2.dilate(pixels.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def sharpness(truth: Image, answer: Image, hole: NDArray[np.bool_]) -> float:
    """Return how sharp an answer is: its gradient energy in the hole over the truth's.

    1 is as sharp as the truth, less is smoother, more is rougher; whether the content is right does not count. Where
    the truth is flat, an answer that is also flat has 1, and any other is infinitely sharp.

    Args:
        truth: HWC uint8 RGB.
        answer: HWC uint8 RGB, composited.
        hole: HW bool.
    """
    of_truth, of_answer = gradient_energy(truth, hole), gradient_energy(answer, hole)
    if of_truth == 0:
        return 1.0 if of_answer == 0 else float("inf")
    return of_answer / of_truth


def gradient_energy(picture: Image, hole: NDArray[np.bool_]) -> float:
    """Return the sum over the hole's pixels of the squared gradient of the luma (BT.601), in squared grey levels.

    The gradient is taken by central differences, one-sided at the picture's border, before the hole is cut out, so the
    step from the hole's rim to its surroundings counts, too.

    Args:
        picture: HWC uint8 RGB, at least 2×2.
        hole: HW bool.
    """
    luma = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY).astype(np.float64)
    squares = np.square(np.gradient(luma)).sum(axis=0)
    return float(squares[hole].sum())
