"""A U-Net at half resolution that corrects a smooth first fill of the hole.

The picture is unshuffled: every 2×2 block of pixels becomes one position with four times the channels (Shi et al.,
"Real-Time Single Image and Video Super-Resolution", CVPR 2016). Full resolution then costs one pass in and one pass
out, and most of the capacity is at low resolution, where it is cheap. The first layer is a partial convolution (Liu et
al., 2018) over the four sub-pixel masks. Its input includes the first fill, which is known everywhere, so every window
after it is known as well; there a partial convolution equals an ordinary one, which the other layers use. Residual
blocks have no normalisation, as in Lim et al., "Enhanced Deep Residual Networks" (CVPRW 2017), and are initialised to
the identity.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.network.partial_conv import PartialConv2d, coverage
from training.network.smooth_fill import MULTIPLES_OF_32, smooth_fill

WIDTHS = (1, 2, 4, 6, 8)
"""Channels of each level, in multiples of the width."""
ENCODER_BLOCKS = (1, 1, 1, 2, 3)
"""Number of residual blocks per encoder level; the last is the bottleneck."""
DECODER_BLOCKS = (1, 1, 1, 2)
"""Number of residual blocks per decoder level, finest first."""
SUBPIXELS = 4
"""Pixels per position of the unshuffled picture."""
MULTIPLE = 32
"""Height and width are padded to a multiple of this, with unknown pixels."""


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))) with 3×3 convolutions; initialised to the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        _zero(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        """Take and return NCHW features."""
        change: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + change


class CorrectionUNet(nn.Module):
    """The first fill and its correction; height and width may be any size from 32 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [width * multiple for multiple in WIDTHS]
        steps = list(pairwise(channels))
        self.first = PartialConv2d(SUBPIXELS * (3 + 3 + 1), channels[0], bias=True)
        self.encoder = nn.ModuleList(map(_blocks, channels, ENCODER_BLOCKS))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in steps)
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in steps)
        self.decoder = nn.ModuleList(map(_blocks, channels[:-1], DECODER_BLOCKS))
        self.out = nn.Conv2d(channels[0], SUBPIXELS * 3, 3, padding=1)
        _zero(self.out)

    def forward(self, masked: Tensor, known: Tensor) -> Tensor:
        """Predict the picture.

        Args:
            masked: N3HW float in [0, 1], zero in the hole.
            known: N1HW float, 1 = known, 0 = hole.

        Returns:
            N3HW float32, unbounded.
        """
        height, width = masked.shape[2:]
        with torch.no_grad(), torch.autocast(masked.device.type, enabled=False):
            masked, known = pad(masked), pad(known)
            fill = smooth_fill(masked, known, MULTIPLES_OF_32)
            x, share = unshuffled_input(masked, known, fill)
        x, _ = self.first(x.to(self.out.weight.dtype), share)
        skips: list[Tensor] = []
        *encoder, bottleneck = self.encoder
        for blocks, down in zip(encoder, self.down, strict=True):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = bottleneck(x)
        for blocks, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = blocks(F.pixel_shuffle(up(x), 2) + skips.pop())
        prediction = fill + F.pixel_shuffle(self.out(x), 2).float()
        return prediction[..., :height, :width]


def pad(x: Tensor) -> Tensor:
    """Pad NCHW with zeros on the right and at the bottom to multiples of `MULTIPLE`."""
    height, width = ((side + MULTIPLE - 1) // MULTIPLE * MULTIPLE for side in x.shape[2:])
    # Pad by a fixed amount and crop: padding by an amount that depends on the size would fix an exported graph's size.
    return F.pad(x, (0, MULTIPLE - 1, 0, MULTIPLE - 1))[..., :height, :width]


def unshuffled_input(masked: Tensor, known: Tensor, fill: Tensor) -> tuple[Tensor, Tensor]:
    """Unshuffle the network's input: the masked picture, its first fill and the mask.

    Args:
        masked: N3HW float, zero in the hole; H and W even.
        known: N1HW float, 1 = known, 0 = hole.
        fill: N3HW float.

    Returns:
        The 28 input channels at half size, and the coverage of their 3×3 windows, N1HW.
    """
    masked, fill, known = (F.pixel_unshuffle(x, 2) for x in (masked, fill, known))
    everywhere = torch.ones_like(known[:, :1])
    share = coverage([*torch.split(known, 1, 1), everywhere], [*[3] * SUBPIXELS, SUBPIXELS * (3 + 1)])
    return torch.cat([masked, fill, known], 1), share


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


def _zero(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None  # noqa: S101 (the layer is built with one)
    nn.init.zeros_(conv.bias)
