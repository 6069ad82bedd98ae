"""The report's network (section on the network): a U-Net of partial convolutions.

Features 64-128-256-512, bottleneck 1024, two 3×3 partial convolutions per block, 2×2 max-pooling, 2×2 stride-2
transposed convolutions, skip concatenation and a 1×1 output convolution; 31,037,763 parameters at width 64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.network.partial_conv import PartialConv2d, coverage

DEPTH = 4
"""Number of pooling steps between the first block and the bottleneck."""


class DoubleConv(nn.Module):
    """(3×3 partial convolution, batch normalisation, ReLU) twice; the output is zero at unknown positions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = PartialConv2d(in_channels, out_channels)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = PartialConv2d(out_channels, out_channels)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block to NCHW features with N1HW window coverage `share`; return features and mask."""
        x, mask = self.conv1(x, share)
        x = F.relu(self.norm1(x)) * mask.to(x.dtype)
        x, mask = self.conv2(x, coverage([mask], [1]))
        return F.relu(self.norm2(x)) * mask.to(x.dtype), mask


class UpBlock(nn.Module):
    """Transposed convolution, concatenation with the skip connection, double convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, 2)
        self.block = DoubleConv(2 * out_channels, out_channels)

    def forward(self, x: Tensor, mask: Tensor, skip: Tensor, skip_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's features and mask at the size of `skip`."""
        x, size = self.up(x), skip.shape[2:]
        if x.shape[2:] != size:  # resizing to the same size would only take time
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        mask = F.interpolate(mask, size=size, mode="nearest")
        share = coverage([skip_mask, mask], [skip.shape[1], x.shape[1]])
        features, known = self.block(torch.cat([skip, x * mask.to(x.dtype)], 1), share)
        return features, known


class PartialConvUNet(nn.Module):
    """The U-Net; height and width may be any size from 32 pixels.

    Args:
        width: Channels of the first block.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, width: int, in_channels: int = 3, out_channels: int = 3) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(DEPTH + 1)]
        inputs = [in_channels, *channels[:-1]]
        self.down = nn.ModuleList(DoubleConv(i, o) for i, o in zip(inputs, channels, strict=True))
        self.up = nn.ModuleList(UpBlock(channels[i + 1], channels[i]) for i in reversed(range(DEPTH)))
        self.out = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """Predict the picture, or a correction to its first fill.

        Args:
            x: NCHW float, the input channels, zero where they are unknown.
            share: N1HW float in [0, 1], the coverage of each window of `x`, from `coverage`.

        Returns:
            NCHW float, the output channels, unbounded.
        """
        skips: list[tuple[Tensor, Tensor]] = []
        *encoder, bottleneck = self.down
        for block in encoder:
            x, known = block(x, share)
            skips.append((x, known))
            x, share = F.max_pool2d(x, 2), coverage([F.max_pool2d(known, 2)], [1])
        x, known = bottleneck(x, share)
        for block in self.up:
            x, known = block(x, known, *skips.pop())
        prediction: Tensor = self.out(x)
        return prediction
