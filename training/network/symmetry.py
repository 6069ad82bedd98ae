"""What the other side of a face offers for the hole: the detail of the picture mirrored about the face's axis.

Faces are nearly symmetrical, so a covered eye can often be seen on the other side. What is offered is the fine detail
alone; light and colour, which may differ from side to side, remain those of the first fill. The picture is sampled at
each position's counterpart, as in Jaderberg et al., "Spatial Transformer Networks" (NIPS 2015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812

from training.network.alignment import mirror, positions, resample
from training.network.smooth_fill import downsample

if TYPE_CHECKING:
    from torch import Tensor

    from training.network.face_locator import Face

LEVELS = 3
"""Detail is what is lost when the size is halved so many times: finer than about 8 pixels."""


def detail_of_other_side(masked: Tensor, known: Tensor, fill: Tensor, face: Face) -> tuple[Tensor, Tensor]:
    """Return the detail to add to a first fill so that the hole looks like its counterpart, and where it is offered.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        fill: N3HW float32, equal to `masked` where that is known.
        face: The face in the picture.

    Returns:
        N3HW float32, zero where nothing is offered, and N1HW in [0, 1], the face's weight where the counterpart is
        known. No gradient flows through them.
    """
    with torch.no_grad(), torch.autocast(masked.device.type, enabled=False):
        mirrored, mirrored_known = mirror_image(masked, known, face.alignment)
        difference = mirrored - fill * mirrored_known
        detail = difference - _low_pass(difference, mirrored_known) * mirrored_known
        return detail * face.weight, mirrored_known * face.weight


def mirror_image(masked: Tensor, known: Tensor, alignment: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror a picture with holes about the axis of the face in it.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        alignment: N×4, of the face.

    Returns:
        The colours, zero where the counterpart is a hole, N3HW float32, and how far it is known, N1HW in [0, 1].
    """
    return resample(masked, known, mirror(alignment, positions(masked.shape[2], masked.shape[3], masked)))


def _low_pass(x: Tensor, weight: Tensor) -> Tensor:
    """Halve the size `LEVELS` times, without what has no weight, and double it again."""
    height, width = x.shape[2:]
    for _ in range(LEVELS):
        x, weight = downsample(x, weight, any_size=True)
    for _ in range(LEVELS):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., :height, :width]
