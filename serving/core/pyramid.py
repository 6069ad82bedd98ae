"""Fill holes of any width in images of any size, coarse to fine.

The model sees a window of a few hundred pixels. A hole that is too wide for it at the image's own scale is filled at
half the scale, recursively, and the result is upscaled into the middle of the hole. Only narrow holes are left:
scratches, and a band along the rim of each wide hole, which hides the seam between sharp surroundings and soft filling.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.core.graph import MODEL_SIZE, Bools
from serving.core.tiling import Model, fill_windows

WHOLE = 1.5  # an image of at most this many times the model's side is filled in one window, at its own size
# A hole is too wide for one scale where a disc of this diameter fits into it. In pixels for a model of `MODEL_SIZE`;
# it is proportional to the model's size.
THICK = 32
RIM = 8  # pixels: width of the band along a wide hole's rim that is filled at the finer scale
_MARGIN = 1  # half-size pixels around a filled one that upscaling reads


def fill_holes(colours: NDArray[Any], hole: Bools, model: Model) -> NDArray[Any]:
    """Return a copy of an image with its holes filled and every other pixel unchanged.

    The image's values inside the holes do not affect the result.

    Args:
        colours: HW3 RGB, uint8 or uint16 over its full range.
        hole: HW, True where to fill; not everywhere.
        model: fills one window at a time.
    """
    canvas = np.where(hole[:, :, np.newaxis], colours.dtype.type(0), colours)
    _fill(canvas, hole, hole, model)
    return canvas


def _fill(canvas: NDArray[Any], hole: Bools, wanted: Bools, model: Model) -> None:
    """Fill the wanted part of the hole in place; the rest of the hole stays zero."""
    if not wanted.any():
        return
    if max(hole.shape) <= model.side * (1 if model.fixed else WHOLE):
        fill_windows(canvas, hole, wanted, model, max(hole.shape))
        return
    core = _fill_core(canvas, hole, wanted, model)
    fill_windows(canvas, hole & ~core, wanted & ~core, model, model.side)


def _fill_core(canvas: NDArray[Any], hole: Bools, wanted: Bools, model: Model) -> Bools:
    """Fill the middle of wide holes in place, from half the scale. Return HW: True where it was filled."""
    thick = THICK * model.side / MODEL_SIZE
    half_hole: Bools = np.all(_quarters(hole), axis=0)
    # Opening by a disc is erosion, then dilation; a smaller dilation also excludes the rim.
    middle = _distance(half_hole) > thick / 4
    half_core = (_distance(~middle) <= (thick / 2 - RIM) / 2) & np.any(_quarters(wanted), axis=0)
    core = np.zeros_like(hole)
    if not half_core.any():
        return core
    half = _halved(canvas, hole)
    around = cv2.dilate(half_core.view(np.uint8), np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8))
    _fill(half, half_hole, around.view(np.bool_) & half_hole, model)
    _paste_doubled(canvas, core, half, half_core)
    return core


def _paste_doubled(canvas: NDArray[Any], core: Bools, half: NDArray[Any], half_core: Bools) -> None:
    """Upscale the filled part of the half-size image by two, copy it into the canvas and mark it in `core`."""
    x, y, width, height = cv2.boundingRect(half_core.view(np.uint8))
    top, left = max(y - _MARGIN, 0), max(x - _MARGIN, 0)
    part = np.s_[top : y + height + _MARGIN, left : x + width + _MARGIN]
    # Linear, because OpenCV's cubic interpolation produces ripples even on a plain gradient.
    doubled = cv2.resize(half[part], None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    area = np.s_[2 * top : 2 * top + doubled.shape[0], 2 * left : 2 * left + doubled.shape[1]]
    rows, columns = core[area].shape  # an odd-sized image ends one pixel earlier
    core[area] = half_core[part].repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
    canvas[area][core[area]] = doubled[:rows, :columns][core[area]]


def _distance(area: Bools) -> NDArray[np.float32]:
    """Return HW: the distance of each True pixel to the nearest False one; outside the image counts as True."""
    if area.all():
        return np.full(area.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(area.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)


def _halved(canvas: NDArray[Any], hole: Bools) -> NDArray[Any]:
    """Return the image at half size: the mean of the known pixels among each four, zero if none is known."""
    even = _even(canvas)
    half = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    known_count = (~_quarters(hole)).sum(axis=0)
    ys, xs = np.nonzero(
        (known_count > 0) & (known_count < 4)
    )  # the mean of all four includes zeros from the hole
    total = sum(even[2 * ys + y, 2 * xs + x].astype(np.uint32) for y in (0, 1) for x in (0, 1))
    half[ys, xs] = np.rint(total / known_count[ys, xs, np.newaxis])
    return np.asarray(half)


def _quarters(array: NDArray[Any]) -> NDArray[Any]:
    """Return [4,H/2,W/2]: the four pixels that each half-size pixel stands for."""
    even = _even(array)
    return np.stack([even[y::2, x::2] for y in (0, 1) for x in (0, 1)])


def _even(array: NDArray[Any]) -> NDArray[Any]:
    """Return the image with its last row or column repeated where their number is odd."""
    height, width = array.shape[:2]
    if height % 2 == width % 2 == 0:
        return array
    return np.pad(array, [(0, height % 2), (0, width % 2)] + [(0, 0)] * (array.ndim - 2), mode="edge")
