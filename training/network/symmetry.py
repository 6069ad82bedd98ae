"""What the other side of a face offers for the hole: the detail of the mirrored picture.

Faces are nearly symmetrical, so a covered eye can often be seen on the other side. What is offered is the fine detail
alone; light and colour, which may differ from side to side, remain those of the first fill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812

from training.network.alignment import mirror_image
from training.network.smooth_fill import downsample

if TYPE_CHECKING:
    from torch import Tensor

    from training.network.alignment import FaceLocator

LEVELS = 3
"""Detail is what is lost when the size is halved so many times: finer than about 8 pixels."""


def detail_of_other_side(
    masked: Tensor, known: Tensor, fill: Tensor, locator: FaceLocator
) -> tuple[Tensor, Tensor]:
    """Return the detail to add to a first fill so that the hole looks like its counterpart, and where it is offered.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        fill: N3HW float32, equal to `masked` where that is known.
        locator: Finds the face.

    Returns:
        N3HW float32, zero where nothing is offered, and N1HW, 1 where the hole's counterpart is known. Neither has a
        gradient.
    """
    with torch.no_grad(), torch.autocast(masked.device.type, enabled=False):
        mirrored, mirrored_known = mirror_image(masked, known, locator)
        difference = (mirrored - fill) * mirrored_known
        offered = (1 - known) * mirrored_known
        return (difference - _low_pass(difference, mirrored_known)) * offered, offered


def _low_pass(x: Tensor, weight: Tensor) -> Tensor:
    """Halve the size `LEVELS` times, without what has no weight, and double it again."""
    height, width = x.shape[2:]
    for _ in range(LEVELS):
        x, weight = downsample(x, weight, any_size=True)
    low = x / weight.clamp(min=1e-4)
    for _ in range(LEVELS):
        low = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
    return low[..., :height, :width]
