"""A network's answer for the picture as its face would stand in an aligned one, put back in its place.

Facial features are easier to draw where they always are. The picture is sampled so that its face is aligned like the
faces that the network was trained with, and the answer is sampled back, as in Jaderberg et al., "Spatial Transformer
Networks" (NIPS 2015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812

from training.network.alignment import inverse, longer_side, positions, resample, transform
from training.network.smooth_fill import downsample, without_finest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from training.network.face_locator import Face

ALIGNED_SIZE: Final = 178
"""Side of the aligned picture, in pixels, as of CelebA's; the network sees it at half size."""
FADE: Final = 0.1
"""Width of the aligned picture's border over which the weight of the answer falls to zero, in units of positions."""

ENLARGED: Final = (1.0, 1.3)
"""The answer's finest detail fades between these factors of enlargement: a network draws grids of two pixels, which the
next one removes at their own size, but which would be seen in a larger face."""


def aligned_answer(masked: Tensor, known: Tensor, face: Face, network: nn.Module) -> tuple[Tensor, Tensor]:
    """Return what a network that works at half size answers for the aligned picture, and how much that is worth.

    Args:
        masked: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        face: The face in the picture.
        network: Takes pictures like `masked` and `known`, but partly known at the hole's rim, and predicts the picture.

    Returns:
        The answer, N3HW float32, unbounded, and its weight, N1HW in [0, 1]: the face's, 0 beyond the aligned picture.
        The gradient flows through the answer alone.
    """
    with torch.no_grad(), torch.autocast(masked.device.type, enabled=False):
        places = transform(face.alignment, positions(ALIGNED_SIZE, ALIGNED_SIZE, masked))
        half = downsample(*resample(masked, known, places), any_size=False)
        back = transform(inverse(face.alignment), positions(masked.shape[2], masked.shape[3], masked))
        inside = ((1 - back.abs()) / FADE).clamp(0, 1)
        weight = (inside[..., 0] * inside[..., 1])[:, None] * face.weight
        a, b = face.alignment[:, 0], face.alignment[:, 1]
        enlargement = (a * a + b * b).sqrt() * longer_side(masked.shape[2], masked.shape[3]) / ALIGNED_SIZE
        softness = ((enlargement - ENLARGED[0]) / (ENLARGED[1] - ENLARGED[0])).clamp(0, 1)[
            :, None, None, None
        ]
    answer = network(*half)
    with torch.autocast(masked.device.type, enabled=False):
        answer = answer + softness * (without_finest(answer) - answer)
        most = 1 - 1 / answer.shape[3]  # beyond the centre of the last pixel, its colour
        return F.grid_sample(answer, back.clamp(-most, most), align_corners=False), weight
