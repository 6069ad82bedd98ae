"""The quality figures against independent implementations and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.functional.regression import mean_absolute_error

from training.metrics import gradient_energy, l1, psnr, sharpness, ssim


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
    expected = skimage.metrics.peak_signal_noise_ratio(*pair, data_range=255)  # type: ignore[no-untyped-call]
    assert psnr(*pair) == pytest.approx(expected, rel=1e-12)
    truth, answer = (torch.from_numpy(a).double() for a in pair)
    assert psnr(*pair) == pytest.approx(
        peak_signal_noise_ratio(answer, truth, data_range=255.0).item(), rel=1e-6
    )


def test_ssim(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert ssim(*pair) == pytest.approx(literal_ssim(*pair), rel=1e-9)


def test_l1(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, answer = (torch.from_numpy(a).double().flatten() / 255 for a in pair)
    assert l1(*pair) == pytest.approx(mean_absolute_error(truth, answer).item(), rel=1e-9)


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


# --- sharpness ---------------------------------------------------------------------------------------------------


@pytest.fixture
def hole() -> np.ndarray:
    """HW bool: a part of the face, away from the border."""
    hole = np.zeros((178, 178), bool)
    hole[40:90, 30:120] = True
    return hole


def test_gradient_energy(face: np.ndarray, hole: np.ndarray) -> None:
    luma = face @ np.array([0.299, 0.587, 0.114])
    derivatives = (scipy.ndimage.correlate1d(luma, [-0.5, 0, 0.5], axis=axis) for axis in (0, 1))
    expected = sum((derivative[hole] ** 2).sum() for derivative in derivatives)
    assert gradient_energy(face, hole) == pytest.approx(expected, rel=1e-4)


def test_gradient_energy_by_hand() -> None:
    picture = np.zeros((5, 6, 3), np.uint8)
    picture[:] = 3 * np.arange(6)[:, None]  # rises by 3 from column to column
    picture[3:] += 20  # and between rows 2 and 3 by 20, half of which is either row's gradient
    hole = np.zeros((5, 6), bool)
    hole[0, :2] = hole[2, 3] = hole[4, 5] = True
    assert gradient_energy(picture, hole) == pytest.approx(9 + 9 + (9 + 100) + 9)


def test_smoother_pictures_are_below_1_and_rougher_ones_above(face: np.ndarray, hole: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(-20, 21, face.shape)
    blurred = scipy.ndimage.uniform_filter(face, (5, 5, 1))
    rough = np.clip(face + noise, 0, 255).astype(np.uint8)
    assert 0.05 < sharpness(face, blurred, hole) < 0.8
    assert sharpness(face, face.copy(), hole) == 1
    assert sharpness(face, rough, hole) > 1.2


def test_half_the_contrast_is_a_quarter_of_the_sharpness(face: np.ndarray, hole: np.ndarray) -> None:
    even = face - face % 2
    assert sharpness(even, even // 2, hole) == pytest.approx(0.25)


def test_what_is_beyond_the_rim_does_not_matter(face: np.ndarray, hole: np.ndarray) -> None:
    other, beyond = face.copy(), ~scipy.ndimage.binary_dilation(hole)
    other[beyond] = 0
    assert gradient_energy(other, hole) == gradient_energy(face, hole)


def test_sharpness_over_a_flat_truth(face: np.ndarray, hole: np.ndarray) -> None:
    grey, light = np.full_like(face, 90), np.full_like(face, 91)
    assert sharpness(grey, light, hole) == 1
    assert sharpness(grey, face, hole) == float("inf")
    assert sharpness(face, grey, hole) == 0
    assert sharpness(face, face[::-1], np.zeros_like(hole)) == 1  # no hole, nothing to blur
