"""The quality figures against independent implementations and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.metrics
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.functional.regression import mean_absolute_error

from training.metrics import l1, psnr, ssim


@pytest.fixture(params=[0, 1, 2])
def pair(request: pytest.FixtureRequest, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A face and the same face with some of it changed."""
    rng = np.random.default_rng(request.param)
    answer = face.copy()
    answer[40:90, 30:120] = rng.integers(0, 256, (50, 90, 3))
    return face, np.clip(answer + rng.integers(-9, 10, face.shape), 0, 255).astype(np.uint8)


def literal_ssim(truth: np.ndarray, answer: np.ndarray) -> float:
    """Wang et al. (2004) with 7×7 uniform windows wholly inside the picture and sample (co)variances."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    x, y = (sliding_window_view(a.astype(float), (7, 7), (0, 1)).reshape(-1, 49) for a in (truth, answer))
    mean_x, mean_y = x.mean(1), y.mean(1)
    covariance = ((x - mean_x[:, None]) * (y - mean_y[:, None])).sum(1) / 48
    spread = x.var(1, ddof=1) + y.var(1, ddof=1)
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + c1) * (spread + c2))))


def test_psnr(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = skimage.metrics.peak_signal_noise_ratio(*pair, data_range=255)
    assert psnr(*pair) == pytest.approx(expected, rel=1e-12)
    tensors = (torch.from_numpy(a).double() for a in reversed(pair))
    assert psnr(*pair) == pytest.approx(peak_signal_noise_ratio(*tensors, data_range=255.0).item(), rel=1e-6)


def test_ssim(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert ssim(*pair) == pytest.approx(literal_ssim(*pair), rel=1e-9)


def test_l1(pair: tuple[np.ndarray, np.ndarray]) -> None:
    tensors = (torch.from_numpy(a).double().flatten() / 255 for a in pair)
    assert l1(*pair) == pytest.approx(mean_absolute_error(*tensors).item(), rel=1e-9)


def test_by_hand() -> None:
    truth, answer = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    answer[:, :4] = 51  # half of the picture is off by a fifth
    assert psnr(truth, answer) == pytest.approx(10 * math.log10(50))
    assert l1(truth, answer) == pytest.approx(0.1)


def test_differences_do_not_wrap_around() -> None:
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert psnr(black, white) == psnr(white, black) == 0
    assert l1(black, white) == l1(white, black) == 1


def test_equal_pictures(face: np.ndarray) -> None:
    assert psnr(face, face.copy()) == float("inf")
    assert ssim(face, face.copy()) == pytest.approx(1)
    assert l1(face, face.copy()) == 0
