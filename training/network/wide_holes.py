"""The wide parts of a hole, where something has to be drawn; thin marks are continued from both sides."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

WIDTH = 13
"""A square of this side, in pixels, fits into a wide part: the report's lines, of up to 11 pixels, are thin."""
FADE = 9
"""Pixels over which the weight falls off from a wide part into a thin one."""


def wide_parts(known: Tensor) -> Tensor:
    """Return a weight that is 1 in the wide parts of the hole and 0 in the thin ones.

    It is the hole's morphological opening by a square; what is outside the picture counts as hole.

    Args:
        known: N1HW float, 1 = known, 0 = hole.

    Returns:
        N1HW float in [0, 1], zero where the picture is known.
    """
    centres = (_window_sums(known, WIDTH) < 0.5).to(known.dtype)
    # Dilated by half the fade more, and then averaged, the weight is 1 up to the border of the wide part.
    around = (_window_sums(centres, WIDTH + FADE - 1) > 0.5).to(known.dtype)
    average = _window_sums(around, FADE) / _window_sums(torch.ones_like(around), FADE)
    return average * (1 - known)


def _window_sums(x: Tensor, side: int) -> Tensor:
    """Return the sum of each `side`×`side` window, with zeros around the picture.

    Convolutions of rows and then of columns take a fifth of the time of pooling in ONNX Runtime.
    """
    ones = x.new_ones(1, 1, 1, side)
    return F.conv2d(F.conv2d(x, ones, padding=(0, side // 2)), ones.mT, padding=(side // 2, 0))
