"""The training objective: pixel differences, weighted by whether a pixel is a hole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-8
"""Added to mean squared differences before their logarithm: 80 dB is as good as perfect."""


@dataclass(frozen=True)
class LossConfig:
    """The pixel loss.

    Attributes:
        norm: "l1", mean absolute difference (Liu et al.); "l2", mean squared difference (the report); or "psnr",
            each picture's mean squared difference in dB, which weighs easy and hard pictures alike
            (Chen et al., "HINet", 2021).
        hole: Weight of hole pixels.
        known: Weight of known pixels.
    """

    norm: Literal["l1", "l2", "psnr"] = "l2"
    hole: float = 1.0
    known: float = 1.0


def pixel_loss(prediction: Tensor, truth: Tensor, mask: Tensor, config: LossConfig) -> Tensor:
    """Return the weighted mean difference over all pixels, a scalar.

    Args:
        prediction: N3HW float.
        truth: N3HW float in [0, 1].
        mask: N1HW float, 1 = known, 0 = hole.
        config: Norm and weights.
    """
    difference = prediction - truth
    distance = difference.abs() if config.norm == "l1" else difference.square()
    weight = config.hole + (config.known - config.hole) * mask
    if config.norm == "psnr":
        return 10 * torch.log10((distance * weight).mean((1, 2, 3)) + EPSILON).mean()
    return (distance * weight).mean()
