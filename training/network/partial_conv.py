"""Partial convolutions with one-channel masks (Liu et al., "Image Inpainting for Irregular Holes", ECCV 2018).

A partial convolution computes x' = Wᵀ(X⊙M)·sum(1)/sum(M) + b where sum(M) > 0 and 0 elsewhere, and the new mask is 1
where sum(M) > 0. In the paper M has as many channels as X. All channels of a feature map share one mask here, so a
one-channel mask carries the same information and its window sum costs one box filter in place of a C-channel
convolution. Where a decoder concatenates features under different masks, the sum is taken over every group:
sum(M) = Σ Cᵢ·box(Mᵢ).

Feature maps are kept zero wherever their mask is zero; `X⊙M` is then X itself.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch's own documentation uses)
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 3
"""Side of every partial convolution's window, in pixels."""


def coverage(masks: Sequence[Tensor], channels: Sequence[int]) -> Tensor:
    """Return the share of each 3×3 window that is known, over all channels: sum(M) / sum(1).

    Pixels beyond the border count as unknown, as in the paper's published code.

    Args:
        masks: One-channel masks, each N1HW float with 1 = known and 0 = hole.
        channels: How many feature channels lie under each mask.

    Returns:
        N1HW float in [0, 1].
    """
    total = sum(channels)
    shares = [
        F.avg_pool2d(m, WINDOW, 1, WINDOW // 2) * (c / total) for m, c in zip(masks, channels, strict=True)
    ]
    return reduce(torch.add, shares)


def renormalise(share: Tensor) -> tuple[Tensor, Tensor]:
    """Turn window coverage into the factor sum(1)/sum(M) and the new mask.

    Args:
        share: N1HW float in [0, 1], from `coverage`.

    Returns:
        The factor (0 where nothing in the window is known) and the new mask (1 = known), both N1HW float.
    """
    known = (share > 0).to(share.dtype)
    # The clamp only guards the division, in half precision too: one known pixel covers 1/9 of a window's group.
    return known / share.clamp(min=1e-3), known


class PartialConv2d(nn.Module):
    """A 3×3 partial convolution; without bias where batch normalisation follows it, as in the report's network."""

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
            NC'HW features, zero where nothing is known, and their N1HW mask (1 = known).
        """
        factor, known = renormalise(share)
        features = self.conv(x) * factor.to(x.dtype)
        if self.bias is not None:
            features = features + self.bias * known.to(x.dtype)
        return features, known
