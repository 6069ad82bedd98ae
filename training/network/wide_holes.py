"""The wide parts of a hole, where something has to be drawn; thin marks are continued from both sides."""

from __future__ import annotations

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
    centres = 1 - _anywhere(known, WIDTH)
    # Dilated by half the fade more, and then averaged, the weight is 1 up to the border of the wide part.
    around = _anywhere(centres, WIDTH + FADE - 1)
    return F.avg_pool2d(around, FADE, 1, FADE // 2, count_include_pad=False) * (1 - known)


def _anywhere(x: Tensor, side: int) -> Tensor:
    """Return 1 where a `side`×`side` window has a 1, otherwise 0.

    Rows and columns are averaged in turn, which costs far less than a square, and which more runtimes can do than
    the maximum.
    """
    rows = F.avg_pool2d(x, (1, side), 1, (0, side // 2))
    share = F.avg_pool2d(rows, (side, 1), 1, (side // 2, 0))
    return (share > 0.5 / side**2).to(x.dtype)
