"""The first fill of a coarse-to-fine model: a network's answer at half size, with the detail around the hole.

Wide holes are first filled at half size, where a window covers four times the area and a picture costs a quarter;
another network then corrects the fill at full size, as in Yu et al., "Generative Image Inpainting with Contextual
Attention" (CVPR 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812

from training.network.aligned_answer import aligned_answer
from training.network.smooth_fill import DETAIL, downsample, interpolate_hole

if TYPE_CHECKING:
    from torch import Tensor, nn

    from training.network.face_locator import Face


def coarse_fill(masked: Tensor, known: Tensor, coarse: nn.Module, face: Face | None = None) -> Tensor:
    """Fill the hole from a coarse network's answer.

    The detail that the answer lacks at full size is known outside the hole, and is continued into the hole smoothly.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        coarse: The network, which takes both at half size and predicts the picture.
        face: The face in the picture, if it is known; where it has weight, the network's answer for the aligned picture
            is taken.

    Returns:
        N3HW float32, unbounded in the hole; known pixels equal those of `masked` to rounding.
    """
    half, half_known = downsample(masked, known, any_size=True)
    answer = torch.where(half_known > 0, half, coarse(half, half_known))
    # An odd side was rounded up: upsampling by exactly two, then cropping, keeps every pixel where it was.
    upsampled = F.interpolate(answer, scale_factor=2, mode="bilinear", align_corners=False)
    upsampled = upsampled[..., : masked.shape[2], : masked.shape[3]]
    if face is not None:
        aligned, weight = aligned_answer(masked, known, face, coarse)
        upsampled = upsampled + weight * (aligned - upsampled)
    # In the hole, except at its rim, the gradient of the sum is that of `upsampled` alone.
    with torch.no_grad(), torch.autocast(masked.device.type, enabled=False):
        detail = interpolate_hole((masked - upsampled) * known, known, DETAIL)
    return upsampled + detail
