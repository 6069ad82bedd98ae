"""Every term against PyTorch's own or against values worked out by hand, and their sum."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from training.adversary import discriminator_loss
from training.errors import CheckpointError, SettingsError
from training.losses import LossConfig, Objective, pixel_loss, total_variation
from training.perceptual import VGGFeatures, perceptual_loss, style_loss

VGG_LAYERS = {
    **{0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128)},
    **{10: (128, 256), 12: (256, 256), 14: (256, 256)},
}
"""Channels of VGG-16's first convolutions by their position in torchvision's `features`."""
POOLINGS = [4, 9, 16]


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the format of torchvision's VGG-16 weights, of random numbers: the real one is not at hand."""
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (inner, outer) in VGG_LAYERS.items():
        state[f"features.{number}.weight"] = (
            torch.randn(outer, inner, 3, 3, generator=generator) * (2 / inner / 9) ** 0.5
        )
        state[f"features.{number}.bias"] = torch.randn(outer, generator=generator) * 0.1
    torch.save(state, path)
    return path


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

    def test_terms_add_up_by_their_weights(
        self, batch: tuple[Tensor, Tensor, Tensor], vgg_file: Path
    ) -> None:
        prediction, truth, mask = (part.repeat(1, 1, 4, 4) for part in batch)
        config = LossConfig("l1", 6.0, 1.0, perceptual=0.05, style=120.0, total_variation=0.1, vgg=vgg_file)
        filled = torch.where(mask > 0, truth, prediction)
        vgg = VGGFeatures(vgg_file)
        expected = pixel_loss(prediction, truth, mask, config) + 0.1 * total_variation(filled, mask)
        for answer in (prediction, filled):
            expected = expected + 0.05 * perceptual_loss(vgg(answer), vgg(truth))
            expected = expected + 120 * style_loss(vgg(answer), vgg(truth))
        _, loss = Objective(config)(prediction, truth, mask)
        torch.testing.assert_close(loss, expected)

    def test_the_adversary_turns_the_predictions_gradient_and_learns_to_judge(self) -> None:
        torch.manual_seed(0)
        truth, prediction = torch.rand(2, 2, 3, 64, 64)
        mask = (torch.rand(2, 1, 64, 64) > 0.4).float()
        objective = Objective(LossConfig("psnr", 1.0, 0.0, adversary=0.5))
        assert objective.discriminator is not None

        prediction.requires_grad_()
        (own,) = torch.autograd.grad(pixel_loss(prediction, truth, mask, objective.config), prediction)
        torch.manual_seed(1)
        backward, loss = objective(prediction, truth, mask)
        backward.backward()
        assert torch.equal(loss, pixel_loss(prediction, truth, mask, objective.config).detach())
        assert prediction.grad is not None
        pulled = (prediction.grad - own).flatten(1).norm(dim=1)
        torch.testing.assert_close(pulled, 0.5 * own.flatten(1).norm(dim=1))
        kernels = [p for p in objective.discriminator.parameters() if p.dim() == 4]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in kernels)

    def test_a_discriminator_in_training_tells_filled_from_real(self) -> None:
        """Real pictures are smooth, filled ones noisy: after a few steps its scores part."""
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
            (
                {"perceptual": 0.05},
                r"need VGG-16's weights: give torchvision's file, such as .* by --model\.loss\.vgg",
            ),
            ({"style": 120.0}, "nothing is downloaded"),
            ({"hole": -1.0}, "the loss's hole must be at least 0, not -1.0"),
            ({"adversary": -0.1}, "adversary must be at least 0"),
        ],
    )
    def test_settings_that_cannot_work_are_refused(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            LossConfig(**options)  # type: ignore[arg-type]


class TestVGG:
    def test_features_are_those_of_the_layers_in_order(self, vgg_file: Path) -> None:
        """Beside the same layers as modules, as torchvision builds them."""
        layers: list[torch.nn.Module] = []
        for number, (inner, outer) in VGG_LAYERS.items():
            while len(layers) < number:
                layers.append(torch.nn.MaxPool2d(2) if len(layers) in POOLINGS else torch.nn.ReLU())
            layers.append(torch.nn.Conv2d(inner, outer, 3, padding=1))
        layers += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        network = torch.nn.Sequential(*layers)
        state = torch.load(vgg_file, weights_only=True)
        network.load_state_dict({k.removeprefix("features."): v for k, v in state.items()})
        pictures = torch.rand(1, 3, 32, 32)
        x = (pictures - torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)) / torch.tensor(
            [0.229, 0.224, 0.225]
        ).reshape(1, 3, 1, 1)
        features = VGGFeatures(vgg_file)(pictures)
        for position, layer in enumerate(network):
            x = layer(x)
            if position in POOLINGS:
                torch.testing.assert_close(features[POOLINGS.index(position)], x)
        assert len(features) == 3

    def test_no_checkpoint_keeps_them(self, vgg_file: Path) -> None:
        assert not Objective(LossConfig(perceptual=1.0, vgg=vgg_file)).state_dict()

    def test_files_that_hold_something_else_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="there are no VGG-16 weights"):
            VGGFeatures(tmp_path / "none.pth")
        torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(CheckpointError, match=r"other\.pth does not hold torchvision's VGG-16 weights"):
            VGGFeatures(tmp_path / "other.pth")
        (tmp_path / "text.pth").write_text("no weights")
        with pytest.raises(CheckpointError, match=r"text\.pth does not hold"):
            VGGFeatures(tmp_path / "text.pth")
