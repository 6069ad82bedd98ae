"""Fill narrow holes at one scale, in windows of the size that the model was trained on.

Windows are placed on the holes, not on a grid over the image: a hole that fits into a window together with some
context gets one window; a longer hole gets a chain of overlapping windows whose outputs are blended, so that no seam
is visible. Holes that are far from each other never share a window and are filled independently.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.core.graph import CHANNELS, IMAGE, MASK, MIN_SIZE, VALUE_RANGE, Bools, Floats, known_from_hole

Indices = NDArray[np.intp]

MERGE = 16  # pixels: cell size of the grid on which neighbouring holes are joined into one
CONTEXT = 32  # pixels of surroundings between the ends of a hole and the edge of its window
EDGE = 16  # border pixels of a window excluded from blending: the model sees only one side of them
RAMP = 32  # pixels over which a window's blend weight rises to 1, where the next window overlaps
MIN_WINDOW = 2 * (EDGE + RAMP)  # minimum side of a window that has pixels of full blend weight


@dataclass(frozen=True)
class Model:
    """What tiling needs to know of a model.

    Attributes:
        run: images [N,3,H,W] in [0, 1] and known [N,1,H,W] with 1 = known, to filled images [N,3,H,W] in [0, 1];
            all float32, H and W at least `MIN_SIZE`.
        side: height and width that the model was trained on, in pixels.
        batch: how many windows to run at a time.
        fixed: whether the model takes no larger image than `side`.
    """

    run: Callable[[Floats, Floats], Floats]
    side: int
    batch: int = 1
    fixed: bool = False


@dataclass(frozen=True)
class _Window:
    top: int
    left: int
    fills: Indices  # indices into the list of wanted pixels


def fill_windows(canvas: NDArray[Any], hole: Bools, wanted: Bools, model: Model, side: int) -> None:
    """Fill the wanted pixels of an image in place.

    Args:
        canvas: HW3, uint8 or uint16, zero in the hole.
        hole: HW, True where the model must not read the canvas.
        wanted: HW, True where to fill; a subset of `hole`.
        model: fills the windows.
        side: height and width of a window; the image's own where that is less.
    """
    shape = hole.shape
    size = min(side, shape[0]), min(side, shape[1])
    ys, xs, bounds = _components(wanted)
    windows = (
        iter([_Window(0, 0, np.arange(len(ys)))])  # one window contains every hole
        if size == shape
        else (
            window
            for start, end in pairwise(bounds)
            for window in _place(ys[start:end], xs[start:end], start, shape, size)
        )
    )
    total = np.zeros((len(ys), 3), np.float32)
    total_weight = np.zeros((len(ys), 1), np.float32)
    while group := list(islice(windows, model.batch)):
        inputs = [_cut(canvas, hole, window, size) for window in group]
        images, known = (np.stack(arrays) for arrays in zip(*inputs, strict=True))
        for window, output in zip(group, model.run(images, known), strict=True):
            y, x = ys[window.fills] - window.top, xs[window.fills] - window.left
            rows = _blend_weight(window.top, size[0], shape[0])
            columns = _blend_weight(window.left, size[1], shape[1])
            weight = (rows[y] * columns[x])[:, np.newaxis]
            total[window.fills] += weight * output[:, y, x].T
            total_weight[window.fills] += weight
    canvas[ys, xs] = np.rint(np.clip(total / total_weight, *VALUE_RANGE) * np.iinfo(canvas.dtype).max)


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
    """Place windows over one hole, given by its pixels, numbered from `start`."""
    axis = int(np.ptp(xs) > np.ptp(ys))  # a chain along the longer axis needs the fewest windows
    order = np.argsort((ys, xs)[axis], kind="stable")
    along, across = (ys, xs)[axis][order], (ys, xs)[1 - axis][order]
    chain = _chain(int(along[0]), int(along[-1]) + 1, size[axis], shape[axis])
    # The pixels nearest to a window of the chain decide its position on the other axis.
    nearest = np.searchsorted(along, [(one + other + size[axis]) // 2 for one, other in pairwise(chain)])
    for first, own in zip(chain, np.split(across, nearest), strict=True):
        strip = slice(*np.searchsorted(along, _reach(first, size[axis], shape[axis])))
        for low, high in _parts(own):
            for second in _chain(low, high, size[1 - axis], shape[1 - axis]):
                low_reach, high_reach = _reach(second, size[1 - axis], shape[1 - axis])
                inside = (across[strip] >= low_reach) & (across[strip] < high_reach)
                top, left = (first, second) if axis == 0 else (second, first)
                yield _Window(top, left, order[strip][inside] + start)


def _parts(values: Indices) -> Iterator[tuple[int, int]]:
    """Return the bounds of each group of positions: groups that are far from each other get windows of their own."""
    positions = np.unique(values)
    for part in np.split(positions, np.flatnonzero(np.diff(positions) > 2 * CONTEXT) + 1):
        if len(part):
            yield int(part[0]), int(part[-1]) + 1


def _chain(low: int, high: int, side: int, length: int) -> list[int]:
    """Return the start positions along an axis of the windows that cover [low, high), all within [0, length)."""
    first, last = low - CONTEXT, high + CONTEXT - side
    if side == length:
        starts = np.array([0])
    elif last <= first:
        starts = np.array([(low + high - side) // 2])
    else:
        stride = side - 2 * EDGE - RAMP
        starts = np.rint(np.linspace(first, last, -((first - last) // stride) + 1)).astype(int)
    return [int(start) for start in np.unique(np.clip(starts, 0, length - side))]


def _blend_weight(start: int, side: int, length: int) -> Floats:
    """Return the blend weights in [0, 1] of a window's pixels along an axis: smooth, and 1 at the image's edge."""
    index = np.arange(side) + 0.5
    low = np.full(side, np.inf) if start == 0 else index
    high = np.full(side, np.inf) if start + side == length else index[::-1]
    rise = np.clip((np.minimum(low, high) - EDGE) / RAMP, 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise), np.float32)


def _reach(start: int, side: int, length: int) -> tuple[int, int]:
    """Return the bounds of the positions in the image at which a window has a nonzero weight."""
    positions = np.flatnonzero(_blend_weight(start, side, length))
    return start + int(positions[0]), start + int(positions[-1]) + 1


def _cut(canvas: NDArray[Any], hole: Bools, window: _Window, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return one window as the graph takes it: image [3,H,W] and known [1,H,W]; padding is not known."""
    area = slice(window.top, window.top + size[0]), slice(window.left, window.left + size[1])
    height, width = max(size[0], MIN_SIZE), max(size[1], MIN_SIZE)
    image = np.zeros((CHANNELS[IMAGE], height, width), np.float32)
    known = np.zeros((CHANNELS[MASK], height, width), np.float32)
    image[:, : size[0], : size[1]] = canvas[area].transpose(2, 0, 1) / np.float32(np.iinfo(canvas.dtype).max)
    known[0, : size[0], : size[1]] = known_from_hole(hole[area])
    return image, known
