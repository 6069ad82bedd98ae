"""A smooth first fill of the hole without learned weights: a pyramid, relaxed towards the biharmonic equation.

The push-pull pyramid (Gortler et al., "The Lumigraph", 1996) averages known pixels to coarser levels and
interpolates them back into the hole. On some levels a few heavy-ball iterations of Δ²u = 0 then continue edges and
gradients into the hole, as biharmonic interpolation does, the best classical method on thin holes. All operators are
plain convolutions, poolings and resizing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

STEP = 0.036
"""Step size; Δ² has eigenvalues up to 64, so the iteration is stable for steps up to 2·(1 + momentum)/64."""
SATURATION = 4.0
"""A coarser pixel counts as fully known if one of its four finer pixels is."""

_BILAPLACIAN = (
    (0.0, 0.0, 1.0, 0.0, 0.0),
    (0.0, 2.0, -8.0, 2.0, 0.0),
    (1.0, -8.0, 20.0, -8.0, 1.0),
    (0.0, 2.0, -8.0, 2.0, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0),
)


@dataclass(frozen=True)
class FillConfig:
    """Size of the pyramid, and where it is relaxed.

    Attributes:
        levels: Levels of the pyramid, each half the size of the one before.
        relaxed_levels: The levels on which the biharmonic equation is relaxed; level 0 is the picture's own size.
        iterations: Iterations on each relaxed level.
        any_size: Whether height and width may be any; otherwise they are multiples of 2 ** (levels - 1).
    """

    levels: int
    relaxed_levels: tuple[int, ...]
    iterations: int
    any_size: bool


ANY_SIZE = FillConfig(levels=7, relaxed_levels=(0, 1, 2, 3), iterations=10, any_size=True)
"""Relaxed at the picture's own size too, which takes most of the time and gains 0.1 dB."""
MULTIPLES_OF_32 = FillConfig(levels=6, relaxed_levels=(1, 2, 3), iterations=8, any_size=False)
DETAIL = FillConfig(levels=4, relaxed_levels=(0, 1), iterations=6, any_size=True)
"""For the difference from a coarse answer, which is close to zero in the middle of a wide hole."""


def smooth_fill(image: Tensor, known: Tensor, config: FillConfig) -> Tensor:
    """Fill the hole smoothly from the known pixels around it.

    Args:
        image: N3HW float32 in [0, 1], zero in the hole.
        known: N1HW float32, 1 = known, 0 = hole.
        config: The pyramid; it may restrict H and W.

    Returns:
        N3HW float32 in [0, 1]; known pixels equal those of `image`. If everything is hole, the result is 0.
    """
    return interpolate_hole(image, known, config).clamp(0, 1)


def interpolate_hole(image: Tensor, known: Tensor, config: FillConfig) -> Tensor:
    """Fill the hole as `smooth_fill` does, but with values of any range, for a picture of any range."""
    pyramid = [(image, known)]
    for _ in range(config.levels - 1):
        pyramid.append(downsample(*pyramid[-1], config.any_size))
    colour, weight = pyramid[-1]
    # Where even the coarsest level has no known pixel, in the middle of a very wide hole, use the picture's mean.
    mean = colour.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-4)
    filled = torch.where(weight > 0, colour / weight.clamp(min=1e-4), mean)
    for level in range(config.levels - 2, -1, -1):
        colour, weight = pyramid[level]
        coarse = F.interpolate(filled, size=colour.shape[2:], mode="bilinear", align_corners=False)
        filled = colour + (1 - weight) * coarse
        if level in config.relaxed_levels:
            filled = _relax(filled, weight, config.iterations)
    return filled


def downsample(colour: Tensor, weight: Tensor, any_size: bool) -> tuple[Tensor, Tensor]:
    """Halve the size: each pixel is the mean of the known ones of its four.

    Args:
        colour: N3HW float, colours multiplied by their weight.
        weight: N1HW float in [0, 1], 1 = known, 0 = hole.
        any_size: Whether H and W may be odd, and their halves are then rounded up.

    Returns:
        The same at half size; a pixel is fully known if one of its four pixels is.
    """
    # Not every runtime has `ceil_mode`. Instead, one more pixel is appended, which an even side ignores.
    share, colour = (
        F.avg_pool2d(F.pad(x, (0, 1, 0, 1), mode="replicate") if any_size else x, 2, 2)
        for x in (weight, colour)
    )
    weight = (share * SATURATION).clamp(max=1)
    return colour / share.clamp(min=1e-4) * weight, weight


def without_finest(x: Tensor) -> Tensor:
    """Remove the finest detail: a binomial filter, 3×3, in which nothing is left of a pattern of two pixels.

    Networks that predict four pixels at a time can draw such patterns, which become a grid that one sees when they are
    enlarged.
    """
    channels = x.shape[1]
    line = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line).expand(channels, 1, 3, 3)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)


def _relax(filled: Tensor, known: Tensor, iterations: int) -> Tensor:
    """Iterate Δ²u = 0 in the hole by Polyak's heavy-ball method, with momentum t/(t+1).

    A step of u - STEP·Δ²u + momentum·(u - previous) is one convolution of u and one subtraction. Partly known pixels
    take part of the step, so that the result is a continuous function of the mask.
    """
    hole = 1 - known
    channels = filled.shape[1]
    bilaplacian = filled.new_tensor(_BILAPLACIAN)
    centre = torch.zeros_like(bilaplacian)
    centre[2, 2] = 1
    previous = filled
    for t in range(iterations):
        momentum = t / (t + 1)
        kernel = ((1 + momentum) * centre - STEP * bilaplacian).expand(channels, 1, 5, 5)
        step = F.conv2d(F.pad(filled, (2, 2, 2, 2), mode="replicate"), kernel, groups=channels)
        if t:
            step = step - momentum * previous
        filled, previous = known * filled + hole * step, filled
    return filled
