"""A small U-Net that finds marks in a photo: scratches, dust, pen strokes and lines.

As in `correction_unet`, the picture is unshuffled, so that full resolution costs one pass in and one pass out.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

CHANNELS = (24, 48, 64, 64)
"""Channels of each level, from half the picture's resolution to a sixteenth."""
MULTIPLE = 16
"""Height and width are padded to a multiple of this."""
CONTRAST = 4.0
"""Scale of the input, which is centred on mid-grey: about unit variance for photos."""


class MarksUNet(nn.Module):
    """The network; height and width may be any size from 1 pixel. 250,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        steps = list(pairwise(CHANNELS))
        self.encoder = nn.ModuleList(map(_two_convs, (4 * 3, *CHANNELS), CHANNELS))
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(fine, fine, 3, padding=1), nn.ReLU()) for fine, _ in steps
        )
        self.out = nn.Conv2d(CHANNELS[0], 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Take N3HW RGB in [0, 1]; return the logits of each pixel's probability of belonging to a mark, N1HW."""
        height, width = image.shape[2:]
        # Pad by a fixed amount and crop, as in `correction_unet.pad`.
        x = F.pad((image - 0.5) * CONTRAST, (0, MULTIPLE - 1, 0, MULTIPLE - 1), mode="replicate")
        rows, columns = ((side + MULTIPLE - 1) // MULTIPLE * MULTIPLE for side in (height, width))
        x = F.pixel_unshuffle(x[..., :rows, :columns], 2)
        skips: list[Tensor] = []
        first, *others = self.encoder
        x = first(x)
        for convs in others:
            skips.append(x)
            x = convs(F.max_pool2d(x, 2))
        for up, convs in zip(reversed(self.up), reversed(self.decoder), strict=True):
            x = convs(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skips.pop())
        return F.pixel_shuffle(self.out(x), 2)[..., :height, :width]


def _two_convs(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU(), nn.Conv2d(outer, outer, 3, padding=1), nn.ReLU()
    )
