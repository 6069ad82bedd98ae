"""Partial convolutions with one-channel masks (Liu et al., "Image Inpainting for Irregular Holes", ECCV 2018).

A partial convolution computes x' = Wᵀ(X⊙M)·sum(1)/sum(M) + b where sum(M) > 0 and 0 elsewhere, and the new mask is 1
where sum(M) > 0. In the paper M has as many channels as X. All channels of a feature map share one mask here, so a
one-channel mask carries the same information, and its window sum costs one box filter instead of a C-channel
convolution. Where a decoder concatenates features with different masks, the sum runs over all groups:
sum(M) = Σ Cᵢ·box(Mᵢ).

Feature maps are kept zero wherever their mask is zero, so that `X⊙M` equals X.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's documentation uses this name)
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 3
"""Side of every partial convolution's window, in pixels."""


def coverage(masks: Sequence[Tensor], channels: Sequence[int]) -> Tensor:
    """Return the known share of each 3×3 window over all channels: sum(M) / sum(1).

    Pixels outside the picture count as unknown, as in the paper's published code.

    Args:
        masks: One-channel masks, each N1HW float with 1 = known and 0 = hole.
        channels: Number of feature channels that each mask applies to.

    Returns:
        N1HW float in [0, 1].
    """
    total = sum(channels)
    shares = [
        F.avg_pool2d(m, WINDOW, 1, WINDOW // 2) * (c / total) for m, c in zip(masks, channels, strict=True)
    ]
    return reduce(torch.add, shares)


def renormalise(share: Tensor) -> tuple[Tensor, Tensor]:
    """Convert window coverage to the factor sum(1)/sum(M) and the new mask.

    Args:
        share: N1HW float in [0, 1], from `coverage`.

    Returns:
        The factor (0 where the window has no known pixel) and the new mask (1 = known), both N1HW float.
    """
    known = (share > 0).to(share.dtype)
    # The clamp only prevents division by zero: one known pixel covers at least 1/9 of its group's window.
    return known / share.clamp(min=1e-3), known


class PartialConv2d(nn.Module):
    """A 3×3 partial convolution; it needs no bias if batch normalisation follows."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, WINDOW, padding=WINDOW // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels, 1, 1)) if bias else None

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve known features.

        Args:
            x: NCHW float features, zero wherever they are unknown.
            share: N1HW float in [0, 1], the coverage of each window.

        Returns:
            NC'HW features, zero where the window has no known pixel, and their N1HW mask (1 = known).
        """
        factor, known = renormalise(share)
        features = self.conv(x) * factor.to(x.dtype)
        if self.bias is not None:
            features = features + self.bias * known.to(x.dtype)
        return features, known
