"""Alignments of faces: similarity transforms of the plane, and sampling pictures by them.

Positions are pairs (x, y) in a square, [-1, 1] along either axis, that the picture spans along its longer side. An
alignment maps positions in a picture aligned like CelebA's to positions in another one: (a, b, x, y) for
p ↦ (a + bi)·p + (x + yi), with positions as complex numbers.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

FEATURES: Final = ((-0.219, 0.028), (0.208, 0.028), (-0.006, 0.5))
"""Positions of the eyes and the mouth in an aligned picture: at 178×178, (69, 91), (107, 91) and (88, 133)."""
MIDDLE: Final = -0.0055
"""Horizontal position of the middle between the eyes, about which an aligned face is symmetrical."""


def positions(height: int, width: int, like: Tensor) -> Tensor:
    """Return the positions of a picture's pixels, H×W×2, with the device and type of another tensor."""
    side = longer_side(height, width)
    rows, columns = (
        (torch.arange(length, device=like.device, dtype=like.dtype) * 2 + 1 - length) / side
        for length in (height, width)
    )
    return torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], 2)


def transform(alignment: Tensor, places: Tensor) -> Tensor:
    """Map positions, …×2, by N alignments, N×4. Return N×…×2."""
    a, b, x, y = (value.reshape(-1, *[1] * (places.dim() - 1)) for value in alignment.unbind(1))
    across, down = places.unbind(-1)
    return torch.stack([a * across - b * down + x, b * across + a * down + y], -1)


def mirror(alignment: Tensor, places: Tensor) -> Tensor:
    """Map positions, …×2, to their counterparts on the other side of faces with N alignments, N×4. Return N×…×2.

    An aligned face with the middle m is mirrored by q ↦ 2m - conj(q), so with an alignment p = c·q + t, p is mirrored
    to 2mc + t - u·conj(t) + u·conj(p), where u = -c/conj(c).
    """
    a, b, x, y = alignment.unbind(1)
    norm = (a * a + b * b).clamp(min=1e-4)
    u, v = (b * b - a * a) / norm, -2 * a * b / norm
    shift = 2 * MIDDLE * a + x - u * x - v * y, 2 * MIDDLE * b + y - v * x + u * y
    return transform(torch.stack([u, v, *shift], 1), places * places.new_tensor([1, -1]))


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the alignments that apply the inner ones and then the outer ones; all N×4."""
    a, b, x, y = outer.unbind(1)
    inner_a, inner_b, inner_x, inner_y = inner.unbind(1)
    return torch.stack(
        [
            a * inner_a - b * inner_b,
            a * inner_b + b * inner_a,
            a * inner_x - b * inner_y + x,
            b * inner_x + a * inner_y + y,
        ],
        1,
    )


def inverse(alignment: Tensor) -> Tensor:
    """Return the alignments that map positions in a window to positions in the aligned picture; both N×4."""
    a, b, x, y = alignment.unbind(1)
    norm = (a * a + b * b).clamp(min=1e-4)
    a, b = a / norm, -b / norm
    return torch.stack([a, b, b * y - a * x, -b * x - a * y], 1)


def resample(colour: Tensor, weight: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Sample a picture at N×h×w×2 positions.

    Args:
        colour: N3HW, colours multiplied by their weight.
        weight: N1HW in [0, 1], 1 = known, 0 = hole.
        places: The positions; beyond the picture nothing is known.

    Returns:
        The sampled colours and weights, N3hw and N1hw.
    """
    height, width = colour.shape[2:]
    side = longer_side(height, width)
    places = torch.stack([places[..., 0] * (side / width), places[..., 1] * (side / height)], -1)
    places = places.expand(colour.shape[0], -1, -1, -1)
    both = F.grid_sample(torch.cat([colour, weight], 1), places, padding_mode="zeros", align_corners=False)
    return both[:, :3], both[:, 3:]


def longer_side(height: int, width: int) -> int:
    """Return the larger of both, also where a graph is exported whose size is not fixed."""
    side: int = torch.sym_max(height, width)  # type: ignore[no-untyped-call] # `max` would fix an exported graph's size
    return side
