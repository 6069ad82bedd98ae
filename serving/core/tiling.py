"""Filling thin holes at one scale, through windows of the size that the model was trained on.

Windows lie on the holes, not on the picture: a hole that fits, with context around it, gets one window of its
own; a longer one gets a chain of overlapping windows, blended so that no window's edge shows. Holes that are
not near each other share no window, so each is filled as if it were alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

MIN_SIDE = 32  # the graph's contract
MERGE = 16  # pixels: the cells on whose grid near holes are found to be one
CONTEXT = 32  # pixels of surroundings kept between a hole's ends and its window's edge
EDGE = 16  # outermost pixels of a window that have no say, for the model sees only one side of them
RAMP = 32  # pixels over which a window's say rises to full, where the next one takes over
SMALLEST = 2 * (EDGE + RAMP)  # the least side of a window of which a part has full say


@dataclass(frozen=True)
class Model:
    """What filling needs to know of a model.

    Attributes:
        run: images [N,3,H,W] in [0, 1] and masks [N,1,H,W] with 1 = known, to pictures [N,3,H,W] in [0, 1];
            all float32, H and W at least `MIN_SIDE`.
        side: height and width that the model was trained on, in pixels.
        batch: how many windows to run at a time.
    """

    run: Callable[[Floats, Floats], Floats]
    side: int
    batch: int = 1


@dataclass(frozen=True)
class _Window:
    top: int
    left: int
    fills: Indices  # which of the wanted pixels, by their place in the list of them


def fill_windows(canvas: NDArray[Any], unknown: Bools, wanted: Bools, model: Model, side: int) -> None:
    """Fill the wanted pixels of a picture in place.

    Args:
        canvas: HW3, uint8 or uint16, zero where unknown.
        unknown: HW, True where the model must not look.
        wanted: HW, True where a value is asked for; a part of `unknown`.
        model: fills the windows.
        side: height and width of a window; the picture's own where that is less.
    """
    shape = unknown.shape
    size = min(side, shape[0]), min(side, shape[1])
    ys, xs, bounds = _components(wanted)
    windows = (
        iter([_Window(0, 0, np.arange(len(ys)))])  # one window shows every hole
        if size == shape
        else (
            window
            for start, end in pairwise(bounds)
            for window in _place(ys[start:end], xs[start:end], start, shape, size)
        )
    )
    total = np.zeros((len(ys), 3), np.float32)
    weight = np.zeros((len(ys), 1), np.float32)
    while group := list(islice(windows, model.batch)):
        inputs = [_cut(canvas, unknown, window, size) for window in group]
        outputs = model.run(np.stack([image for image, _ in inputs]), np.stack([mask for _, mask in inputs]))
        for window, output in zip(group, outputs, strict=True):
            y, x = ys[window.fills] - window.top, xs[window.fills] - window.left
            say = _say(window.top, size[0], shape[0])[y] * _say(window.left, size[1], shape[1])[x]
            total[window.fills] += say[:, np.newaxis] * output[:, y, x].T
            weight[window.fills] += say[:, np.newaxis]
    canvas[ys, xs] = np.rint(np.clip(total / weight, 0, 1) * np.iinfo(canvas.dtype).max)


def _components(wanted: Bools) -> tuple[Indices, Indices, list[int]]:
    """List the wanted pixels hole by hole, row by row: rows, columns, and the bounds between the holes."""
    flat = np.flatnonzero(wanted)
    ys, xs = np.divmod(flat, wanted.shape[1])
    cells = np.zeros([-(-n // MERGE) for n in wanted.shape], np.uint8)
    cells[ys // MERGE, xs // MERGE] = 1
    count, labels = cv2.connectedComponents(cells, connectivity=8)
    label = labels[ys // MERGE, xs // MERGE]
    order = np.argsort(label, kind="stable")
    return (
        ys[order],
        xs[order],
        [int(bound) for bound in np.searchsorted(label[order], np.arange(1, count + 1))],
    )


def _place(
    ys: Indices, xs: Indices, start: int, shape: tuple[int, ...], size: tuple[int, int]
) -> Iterator[_Window]:
    """Lay windows over one hole, given by its pixels row by row, numbered from `start`."""
    for top in _chain(int(ys[0]), int(ys[-1]) + 1, size[0], shape[0]):
        rows = np.flatnonzero(_say(top, size[0], shape[0])) + top
        strip = slice(*np.searchsorted(ys, (rows[0], rows[-1] + 1)))
        columns = np.unique(xs[strip])
        # The hole's parts in this strip that lie far from each other have their own chains.
        for part in np.split(columns, np.flatnonzero(np.diff(columns) > 2 * CONTEXT) + 1):
            for left in _chain(int(part[0]), int(part[-1]) + 1, size[1], shape[1]):
                reach = np.flatnonzero(_say(left, size[1], shape[1])) + left
                inside = (xs[strip] >= max(reach[0], part[0])) & (xs[strip] <= min(reach[-1], part[-1]))
                yield _Window(top, left, np.flatnonzero(inside) + strip.start + start)


def _chain(low: int, high: int, side: int, length: int) -> list[int]:
    """Return where along an axis to begin the windows that cover [low, high), all within [0, length)."""
    first, last = low - CONTEXT, high + CONTEXT - side
    if side == length:
        starts = np.array([0])
    elif last <= first:
        starts = np.array([(low + high - side) // 2])
    else:
        stride = side - 2 * EDGE - RAMP
        starts = np.rint(np.linspace(first, last, -((first - last) // stride) + 1)).astype(int)
    return [int(start) for start in np.unique(np.clip(starts, 0, length - side))]


def _say(start: int, side: int, length: int) -> Floats:
    """Return the weights in [0, 1] of a window's pixels along an axis: smooth, full at the picture's edge."""
    index = np.arange(side) + 0.5
    low = np.full(side, np.inf) if start == 0 else index
    high = np.full(side, np.inf) if start + side == length else index[::-1]
    rise = np.clip((np.minimum(low, high) - EDGE) / RAMP, 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)


def _cut(
    canvas: NDArray[Any], unknown: Bools, window: _Window, size: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Return one window as the model takes it: image [3,H,W], mask [1,H,W]; what pads it is unknown."""
    area = slice(window.top, window.top + size[0]), slice(window.left, window.left + size[1])
    height, width = max(size[0], MIN_SIDE), max(size[1], MIN_SIDE)
    image, mask = np.zeros((3, height, width), np.float32), np.zeros((1, height, width), np.float32)
    image[:, : size[0], : size[1]] = canvas[area].transpose(2, 0, 1) / np.float32(np.iinfo(canvas.dtype).max)
    mask[0, : size[0], : size[1]] = ~unknown[area]
    return image, mask
