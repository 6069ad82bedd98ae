"""Filling holes of any width in pictures of any size: coarse to fine.

The model sees a window of a few hundred pixels. What is too wide for it at the picture's own scale is filled
at half the scale, recursively, and pasted into the middle of the hole. That leaves thin holes only: scratches
and a band along the rim of each wide hole, which hides the seam between sharp surroundings and soft filling.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.core.tiling import Bools, Model, fill_windows

WHOLE = 1.5  # a picture up to this many times the model's side goes through whole, at its own size
THICK = 32  # pixels: a hole is too wide for one scale where a disc of this diameter fits into it
RIM = 8  # pixels: width of the band along a wide hole's rim that is filled at the finer scale
_SMEAR = 1  # half-size pixels around a filled one that doubling reads


def fill_holes(colours: NDArray[Any], hole: Bools, model: Model) -> NDArray[Any]:
    """Return a copy of a picture with its holes filled and every other pixel as it was.

    What the picture holds inside the holes has no influence on the result.

    Args:
        colours: HW3 RGB, uint8 or uint16 over its full range.
        hole: HW, True where to fill; not everywhere.
        model: fills what it can see at one glance.
    """
    canvas = np.where(hole[:, :, np.newaxis], colours.dtype.type(0), colours)
    _fill(canvas, hole, hole, model)
    return canvas


def _fill(canvas: NDArray[Any], hole: Bools, wanted: Bools, model: Model) -> None:
    """Fill the wanted part of the hole in place; the rest of the hole stays zero."""
    if not wanted.any():
        return
    if max(hole.shape) <= WHOLE * model.side:
        fill_windows(canvas, hole, wanted, model, max(hole.shape))
        return
    core = _fill_core(canvas, hole, wanted, model)
    fill_windows(canvas, hole & ~core, wanted & ~core, model, model.side)


def _fill_core(canvas: NDArray[Any], hole: Bools, wanted: Bools, model: Model) -> Bools:
    """Fill the middle of too wide holes, in place, from half the scale. Return HW: what was filled."""
    half_hole: Bools = np.all(_quarters(hole), axis=0)
    # Opening by a disc is erosion, then dilation; dilating by less leaves the rim out at once.
    middle = _distance(half_hole) > THICK / 4
    half_core = (_distance(~middle) <= (THICK / 2 - RIM) / 2) & np.any(_quarters(wanted), axis=0)
    core = np.zeros_like(hole)
    if not half_core.any():
        return core
    half = _halved(canvas, hole)
    around = cv2.dilate(half_core.view(np.uint8), np.ones((2 * _SMEAR + 1, 2 * _SMEAR + 1), np.uint8))
    _fill(half, half_hole, around.view(np.bool_) & half_hole, model)
    _paste_doubled(canvas, core, half, half_core)
    return core


def _paste_doubled(canvas: NDArray[Any], core: Bools, half: NDArray[Any], half_core: Bools) -> None:
    """Double the part of the half-size picture that was filled, lay it into the canvas, and mark it in `core`."""
    x, y, width, height = cv2.boundingRect(half_core.view(np.uint8))
    top, left = max(y - _SMEAR, 0), max(x - _SMEAR, 0)
    part = np.s_[top : y + height + _SMEAR, left : x + width + _SMEAR]
    # Linear, for OpenCV's cubic interpolation makes ripples even on a plain gradient.
    doubled = cv2.resize(half[part], None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    area = np.s_[2 * top : 2 * top + doubled.shape[0], 2 * left : 2 * left + doubled.shape[1]]
    rows, columns = core[area].shape  # an odd picture ends half a doubled pixel earlier
    core[area] = half_core[part].repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
    canvas[area][core[area]] = doubled[:rows, :columns][core[area]]


def _distance(area: Bools) -> NDArray[np.float32]:
    """Return HW: how far each True pixel is from the nearest False one; the picture's edge counts as True."""
    if area.all():
        return np.full(area.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(area.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)


def _halved(canvas: NDArray[Any], hole: Bools) -> NDArray[Any]:
    """Return the picture at half size: the mean of the known ones among each four pixels, zero if none is."""
    even = _even(canvas)
    half = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    known = (~_quarters(hole)).sum(axis=0)
    ys, xs = np.nonzero((known > 0) & (known < 4))  # where the mean of all four is that of some zeros, too
    total = sum(even[2 * ys + y, 2 * xs + x].astype(np.uint32) for y in (0, 1) for x in (0, 1))
    half[ys, xs] = np.rint(total / known[ys, xs, np.newaxis])
    return np.asarray(half)


def _quarters(array: NDArray[Any]) -> NDArray[Any]:
    """Return [4,H/2,W/2]: the four pixels behind each half-size pixel."""
    even = _even(array)
    return np.stack([even[y::2, x::2] for y in (0, 1) for x in (0, 1)])


def _even(array: NDArray[Any]) -> NDArray[Any]:
    """Return the picture with its last row and column repeated, where there is an odd number of them."""
    height, width = array.shape[:2]
    if height % 2 == width % 2 == 0:
        return array
    return np.pad(array, [(0, height % 2), (0, width % 2)] + [(0, 0)] * (array.ndim - 2), mode="edge")
