"""Every term compared with PyTorch's own or with values worked out by hand, and their sum."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from training.adversary import discriminator_loss
from training.errors import SettingsError
from training.losses import LossConfig, Objective, pixel_loss, total_variation
from training.perceptual import STLPIPS, style_distance


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
    """Over the hole alone, as in the default recipe; negated, because a loss is minimised."""
    prediction, truth, mask = batch
    errors = ((prediction - truth) * (1 - mask)).square().mean((1, 2, 3))
    decibels = [peak_signal_noise_ratio(e.sqrt(), torch.zeros(()), data_range=1.0).item() for e in errors]
    loss = pixel_loss(prediction, truth, mask, LossConfig("psnr", hole=1.0, known=0.0))
    assert loss.item() == pytest.approx(-sum(decibels) / 2, abs=1e-4)


def test_a_perfect_answer_has_a_finite_psnr_loss_and_gradient() -> None:
    truth = torch.rand(1, 3, 4, 4)
    prediction = truth.clone().requires_grad_()
    loss = pixel_loss(prediction, truth, torch.zeros(1, 1, 4, 4), LossConfig("psnr"))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(-80)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_pixels_without_weight_have_no_gradient(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    prediction, truth, mask = batch
    prediction.requires_grad_()
    loss = pixel_loss(prediction, truth, mask, LossConfig("l1", hole=1.0, known=0.0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert prediction.grad is not None
    learnt = (prediction.grad != 0).all(dim=1, keepdim=True)
    assert torch.equal(learnt, mask == 0)


class TestTotalVariation:
    def test_counts_the_hole_and_one_pixel_around_it(self) -> None:
        """One bright pixel in a hole of one pixel: two steps across and two down, of 1 each, in each channel."""
        filled, mask = torch.zeros(1, 3, 7, 9), torch.ones(1, 1, 7, 9)
        filled[..., 3, 4], mask[..., 3, 4] = 1, 0
        assert total_variation(filled, mask).item() == pytest.approx(2 / (7 * 8) + 2 / (6 * 9))

    def test_leaves_the_rest_alone(self) -> None:
        filled = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(1, 1, 20, 20)
        assert total_variation(filled, mask).item() == 0
        mask[..., 10, 10] = 0
        before = total_variation(filled, mask)
        filled[..., 0, :] = 1
        assert torch.equal(total_variation(filled, mask), before)


class TestObjective:
    """The sum of the terms, and where gradients flow."""

    def test_pixels_alone_are_the_pixel_loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        backward, loss = Objective(LossConfig("l1"))(*batch)
        assert backward is loss
        assert torch.equal(loss, pixel_loss(*batch, LossConfig("l1")))

    def test_terms_add_up_by_their_weights(self, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        prediction, truth, mask = (part.repeat(1, 1, 4, 4) for part in batch)
        config = LossConfig(
            "l1", 6.0, 1.0, perceptual=0.05, style=120.0, backbone="alex", total_variation=0.1
        )
        filled = torch.where(mask > 0, truth, prediction)
        network = STLPIPS("alex")
        expected = pixel_loss(prediction, truth, mask, config) + 0.1 * total_variation(filled, mask)
        expected = expected + 0.05 * network(filled, truth).mean()
        expected = expected + 120 * style_distance(network.features(filled), network.features(truth))
        _, loss = Objective(config)(prediction, truth, mask)
        torch.testing.assert_close(loss, expected)

    def test_no_checkpoint_keeps_the_perceptual_network(self) -> None:
        assert not Objective(LossConfig(perceptual=1.0, backbone="alex")).state_dict()

    def test_the_adversary_turns_the_gradient_in_wide_holes_and_learns_to_judge(self) -> None:
        torch.manual_seed(0)
        truth, prediction = torch.rand(2, 2, 3, 64, 64)
        mask = torch.ones(2, 1, 64, 64)
        mask[..., 10:50, 10:50] = 0  # wide
        mask[..., 60, :] = 0  # thin
        objective = Objective(LossConfig("psnr", 1.0, 0.0, adversary=0.5))
        assert objective.discriminator is not None

        prediction.requires_grad_()
        (own,) = torch.autograd.grad(pixel_loss(prediction, truth, mask, objective.config), prediction)
        torch.manual_seed(1)
        backward, loss = objective(prediction, truth, mask)
        backward.backward()
        assert torch.equal(loss, pixel_loss(prediction, truth, mask, objective.config).detach())
        assert prediction.grad is not None
        pulled = prediction.grad - own
        assert not pulled[..., 60, :].any()
        wide = own[..., 10:50, 10:50]
        torch.testing.assert_close(pulled.flatten(1).norm(dim=1), 0.5 * wide.flatten(1).norm(dim=1))
        kernels = [p for p in objective.discriminator.parameters() if p.dim() == 4]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in kernels)

    def test_a_discriminator_in_training_tells_filled_from_real(self) -> None:
        """Real pictures are smooth, filled ones noisy: after a few steps its scores differ."""
        torch.manual_seed(0)
        objective = Objective(LossConfig(adversary=0.1))
        assert objective.discriminator is not None
        optimizer = torch.optim.Adam(objective.discriminator.parameters(), 1e-3)
        mask = torch.zeros(4, 1, 64, 64)
        truth, prediction = torch.full((4, 3, 64, 64), 0.5), torch.rand(4, 3, 64, 64)
        for _ in range(15):
            optimizer.zero_grad()
            objective(prediction.requires_grad_(), truth, mask)[0].backward()
            optimizer.step()
        real, filled = (objective.discriminator(p, mask).mean().item() for p in (truth, prediction))
        assert real > filled + 0.5

    def test_patches_without_a_hole_are_not_judged(self) -> None:
        real, fake = torch.zeros(2, 1, 1, 4, 4, requires_grad=True)
        mask = torch.ones(1, 1, 64, 64)
        mask[..., :16, :16] = 0
        (gradient,) = torch.autograd.grad(discriminator_loss(real, fake, mask), fake)
        assert gradient.nonzero().tolist() == [[0, 0, 0, 0]]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"hole": -1.0}, "the loss's hole must be at least 0, not -1.0"),
            ({"adversary": -0.1}, "adversary must be at least 0"),
        ],
    )
    def test_settings_that_cannot_work_are_refused(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            LossConfig(**options)  # type: ignore[arg-type]
