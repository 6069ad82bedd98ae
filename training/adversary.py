"""The adversarial term: a patch discriminator, and a bound on how far it may change the gradient.

The discriminator follows SN-PatchGAN (Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019):
spectrally normalised convolutions that judge overlapping patches of the composited picture, with the hinge loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = (32, 64, 128, 256)
"""Half of the paper's, for training on a CPU."""


class PatchDiscriminator(nn.Module):
    """Scores each patch of a picture: positive for real, negative for filled."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner, outer in zip((4, *CHANNELS), CHANNELS, strict=False):
            layers += [spectral_norm(nn.Conv2d(inner, outer, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(CHANNELS[-1], 1, 3, padding=1)))

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Score N3HW pictures in [0, 1] under N1HW masks (1 = known); return N1hw scores, one every 16 pixels."""
        scores: Tensor = self.layers(torch.cat([image * 2 - 1, mask], 1))
        return scores


def _over_holes(scores: Tensor, mask: Tensor) -> Tensor:
    """Average scores over the patches that contain hole pixels; the others are real in both pictures."""
    weight: Tensor = F.adaptive_max_pool2d(1 - mask, list(scores.shape[2:]))
    return (scores * weight).sum() / weight.sum().clamp(min=1)


def discriminator_loss(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Return the hinge loss over the scores of real and filled pictures, a scalar."""
    return _over_holes(F.relu(1 - real), mask) + _over_holes(F.relu(1 + fake), mask)


def adversarial_loss(fake: Tensor, mask: Tensor) -> Tensor:
    """Return the inpainting network's loss, a scalar: low where the discriminator takes its pictures for real."""
    return -_over_holes(fake, mask)


def combine(pixel: Tensor, adversarial: Tensor, weight: Tensor, share: float) -> Tensor:
    """Add two gradients with respect to the prediction, the second scaled to `share` times the first's norm.

    Each picture is scaled separately. Near the minimum squared error, the pixel gradient is proportional to the error
    itself, so the adversary can add at most `share`² times the squared error: 10·log10(1 + share²) dB.

    Args:
        pixel: N3HW, gradient of the pixel loss.
        adversarial: N3HW, gradient of the adversarial loss.
        weight: N1HW in [0, 1], how much the adversary counts at each pixel, in both gradients' norms too.
        share: At least 0.
    """
    adversarial = adversarial * weight
    scale = _norms(pixel * weight) / _norms(adversarial).clamp(min=1e-12)
    return pixel + share * scale * adversarial


def _norms(gradient: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2, 3), keepdim=True)
    return norms
