"""The report's network exactly as in its listing: masks with as many channels as features, convolved like them.

It computes the same as `training.network.report_unet.PartialConvUNet`, at the cost of the report's own code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.network.report_unet import DEPTH


class LiteralPartialConv(nn.Module):
    """A 3×3 partial convolution whose mask is convolved channel by channel, then batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.register_buffer("window", torch.ones(out_channels, in_channels, 3, 3))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Take NCHW features and an NCHW mask (1 = known); return both for the next layer."""
        window: Tensor = self.get_buffer("window")
        total = F.conv2d(mask, window, padding=1)
        known = (total > 0).to(x.dtype)
        x = self.conv(x * mask) * known * window[0].numel() / total.clamp(min=1)
        return F.relu(self.norm(x)) * known, known


class LiteralDoubleConv(nn.Module):
    """Two literal partial convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = LiteralPartialConv(in_channels, out_channels)
        self.second = LiteralPartialConv(out_channels, out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Take and return NCHW features and mask."""
        features, known = self.second(*self.first(x, mask))
        return features, known


class LiteralUNet(nn.Module):
    """The report's U-Net at a given width; the parameters and multiplications of ours, plus those for the masks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(
            LiteralDoubleConv(i, o) for i, o in zip([3, *channels[:-1]], channels, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(channels[i + 1], channels[i], 2, 2) for i in reversed(range(DEPTH))
        )
        self.block = nn.ModuleList(
            LiteralDoubleConv(channels[i + 1], channels[i]) for i in reversed(range(DEPTH))
        )
        self.out = nn.Conv2d(width, 3, 1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Take N3HW image and N1HW mask (1 = known); return N3HW."""
        x, known = image, mask.expand_as(image)
        skips: list[tuple[Tensor, Tensor]] = []
        *encoder, bottleneck = self.down
        for block in encoder:
            x, known = block(x, known)
            skips.append((x, known))
            x, known = F.max_pool2d(x, 2), F.max_pool2d(known, 2)
        x, known = bottleneck(x, known)
        for up, block in zip(self.up, self.block, strict=True):
            skip, skip_known = skips.pop()
            x = F.interpolate(up(x), size=skip.shape[2:], mode="bilinear", align_corners=False)
            known = F.interpolate(known[:, : x.shape[1]], size=skip.shape[2:], mode="nearest")
            x, known = block(torch.cat([skip, x], 1), torch.cat([skip_known, known], 1))
        prediction: Tensor = self.out(x)
        return prediction
