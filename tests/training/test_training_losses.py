"""The pixel loss against PyTorch's own and against values worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from training.losses import LossConfig, pixel_loss


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Prediction, truth and mask."""
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.rand(2, 2, 3, 9, 11, generator=generator)
    return prediction, truth, (torch.rand(2, 1, 9, 11, generator=generator) > 0.4).float()


def test_equal_weights_are_the_plain_mean(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, truth, _ = batch
    torch.testing.assert_close(pixel_loss(*batch, LossConfig("l2")), F.mse_loss(prediction, truth))
    torch.testing.assert_close(pixel_loss(*batch, LossConfig("l1")), F.l1_loss(prediction, truth))


def test_the_default_is_the_reports_mse(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    assert LossConfig() == LossConfig(norm="l2", hole=1.0, known=1.0)


@pytest.mark.parametrize(("norm", "expected"), [("l1", 0.175), ("l2", 0.0775)])
def test_hole_and_known_weigh_differently(norm: str, expected: float) -> None:
    """One known pixel off by 0.1 in each channel, one hole pixel off by 0.5, -0.5 and 0; one channel is right.

    l1: (3 · 0.1 · 0.5 + (0.5 + 0.5 + 0) · 0.9) / 6 = 0.175;
    l2: (3 · 0.01 · 0.5 + (0.25 + 0.25 + 0) · 0.9) / 6 = 0.0775.
    """
    prediction = torch.tensor([[[0.6, 1.0]], [[0.6, 0.0]], [[0.6, 0.5]]])[None]
    truth = torch.full((1, 3, 1, 2), 0.5)
    mask = torch.tensor([[[[1.0, 0.0]]]])
    loss = pixel_loss(prediction, truth, mask, LossConfig(norm, hole=0.9, known=0.5))  # type: ignore[arg-type]
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected)


def test_psnr_is_the_mean_of_each_pictures_decibels(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    """Over the hole alone, as the default recipe has it; to be minimised, so with the sign turned."""
    prediction, truth, mask = batch
    errors = ((prediction - truth) * (1 - mask)).square().mean((1, 2, 3))
    decibels = [peak_signal_noise_ratio(e.sqrt(), torch.zeros(()), data_range=1.0).item() for e in errors]
    loss = pixel_loss(prediction, truth, mask, LossConfig("psnr", hole=1.0, known=0.0))
    assert loss.item() == pytest.approx(-sum(decibels) / 2, abs=1e-4)


def test_a_perfect_answer_has_a_finite_psnr_loss_and_gradient() -> None:
    truth = torch.rand(1, 3, 4, 4)
    prediction = truth.clone().requires_grad_()
    loss = pixel_loss(prediction, truth, torch.zeros(1, 1, 4, 4), LossConfig("psnr"))
    loss.backward()
    assert loss.item() == pytest.approx(-80)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_pixels_without_weight_teach_nothing(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, truth, mask = batch
    prediction.requires_grad_()
    pixel_loss(prediction, truth, mask, LossConfig("l1", hole=1.0, known=0.0)).backward()
    assert prediction.grad is not None
    learnt = (prediction.grad != 0).all(dim=1, keepdim=True)
    assert torch.equal(learnt, mask == 0)
