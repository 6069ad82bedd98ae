"""The training objective: pixel differences, perceptual and style terms, total variation and an adversarial term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.adversary import PatchDiscriminator, adversarial_loss, combine, discriminator_loss
from training.errors import check_at_least
from training.network.partial_conv import WINDOW
from training.network.wide_holes import wide_parts
from training.perceptual import STLPIPS, Backbone, style_distance

EPSILON = 1e-8
"""Added to mean squared differences before their logarithm: 80 dB is as good as perfect."""


@dataclass(frozen=True)
class LossConfig:
    """What the network is trained to lower.

    Liu et al. have l1 with hole 6 and known 1, a perceptual and a style term, and total variation 0.1.

    Attributes:
        norm: "l1", mean absolute difference (Liu et al.); "l2", mean squared difference (the report); or "psnr",
            each picture's mean squared difference in dB, which weighs easy and hard pictures alike
            (Chen et al., "HINet", 2021).
        hole: Weight of hole pixels.
        known: Weight of known pixels.
        perceptual: Weight of the perceptual distance ST-LPIPS.
        style: Weight of the differences between the correlations of the features that ST-LPIPS compares.
        backbone: The network behind both of them.
        total_variation: Weight of the variation in and around the hole.
        adversary: The adversarial gradient's share of the other terms' gradient: it costs at most
            10·log10(1 + share²) dB. It acts in the wide parts of holes only.

    Raises:
        SettingsError: A weight is negative.
    """

    norm: Literal["l1", "l2", "psnr"] = "l2"
    hole: float = 1.0
    known: float = 1.0
    perceptual: float = 0.0
    style: float = 0.0
    backbone: Backbone = "vgg"
    total_variation: float = 0.0
    adversary: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hole", "known", "perceptual", "style", "total_variation", "adversary"):
            check_at_least(f"the loss's {name}", getattr(self, name), 0)


class Objective(nn.Module):
    """The loss with the networks that it needs.

    Raises:
        CheckpointError: A term needs ST-LPIPS, and its weights are not installed.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.stlpips = STLPIPS(config.backbone) if config.perceptual or config.style else None
        self.discriminator = PatchDiscriminator() if config.adversary else None

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Compare a prediction with the truth.

        Args:
            prediction: N3HW float.
            truth: N3HW float in [0, 1].
            mask: N1HW float, 1 = known, 0 = hole.

        Returns:
            What to propagate backwards, a scalar, and the loss without the adversarial term, another.
        """
        if self.discriminator is None:
            loss = self.terms(prediction, truth, mask)
            return loss, loss
        leaf = prediction.detach().requires_grad_()
        loss = self.terms(leaf, truth, mask)
        filled = torch.where(mask > 0, truth, leaf)
        (own,) = torch.autograd.grad(loss, leaf)
        (other,) = torch.autograd.grad(adversarial_loss(self.discriminator(filled, mask), mask), leaf)
        judgement = discriminator_loss(
            self.discriminator(truth, mask), self.discriminator(filled.detach(), mask), mask
        )
        gradient = combine(own, other, wide_parts(mask), self.config.adversary)
        # The gradient of this product is the combined one.
        return (prediction * gradient).sum() + judgement, loss.detach()

    def terms(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted sum of every term but the adversarial one, a scalar."""
        loss = pixel_loss(prediction, truth, mask, self.config)
        if self.stlpips is None and not self.config.total_variation:
            return loss
        filled = torch.where(mask > 0, truth, prediction)
        if self.config.total_variation:
            loss = loss + self.config.total_variation * total_variation(filled, mask)
        if self.stlpips is not None:
            with torch.no_grad():
                wanted = self.stlpips.features(truth)
            answer = self.stlpips.features(filled)
            if self.config.perceptual:
                loss = loss + self.config.perceptual * self.stlpips.distance(answer, wanted).mean()
            if self.config.style:
                loss = loss + self.config.style * style_distance(answer, wanted)
        return loss


def pixel_loss(prediction: Tensor, truth: Tensor, mask: Tensor, config: LossConfig) -> Tensor:
    """Return the weighted mean difference over all pixels, a scalar; arguments as for `Objective.forward`."""
    difference = prediction - truth
    distance = difference.abs() if config.norm == "l1" else difference.square()
    weight = config.hole + (config.known - config.hole) * mask
    if config.norm == "psnr":
        return 10 * torch.log10((distance * weight).mean((1, 2, 3)) + EPSILON).mean()
    return (distance * weight).mean()


def total_variation(filled: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbours in the hole and one pixel around it (Liu et al.), a scalar.

    Args:
        filled: N3HW float, the composited picture.
        mask: N1HW float, 1 = known, 0 = hole.
    """
    region = F.max_pool2d(1 - mask, WINDOW, 1, WINDOW // 2)
    right = (filled[..., 1:] - filled[..., :-1]).abs() * region[..., 1:] * region[..., :-1]
    down = (filled[..., 1:, :] - filled[..., :-1, :]).abs() * region[..., 1:, :] * region[..., :-1, :]
    return right.mean() + down.mean()
