"""Windows over thin holes: where they lie, and that their edges do not show."""

from itertools import count

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sample_pictures import block, face, rms
from simple_models import Watched

from serving.core.runtime import Runtime
from serving.core.tiling import CONTEXT, EDGE, RAMP, Model, fill_windows

SIDE = 178
Floats = NDArray[np.float32]


def line(
    height: int, width: int, start: tuple[int, int], end: tuple[int, int], thickness: int
) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, start, end, 255, thickness)
    return mask > 0


def filled(colours: NDArray[np.uint8], hole: NDArray[np.bool_], model: Model) -> NDArray[np.uint8]:
    canvas = np.where(hole[:, :, np.newaxis], np.uint8(0), colours)
    fill_windows(canvas, hole, hole, model, SIDE)
    return canvas


def test_a_hole_that_fits_gets_one_window_with_it_in_the_middle() -> None:
    watched = Watched()
    hole = block(600, 700, 300, 400, 60)
    filled(face(600, 700), hole, watched.model)
    (mask,) = watched.known
    rows, columns = np.nonzero(mask[0] == 0)
    assert (rows.min(), rows.max()) == (59, 118)
    assert (columns.min(), columns.max()) == (59, 118)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 690), (590, 0), (590, 690)])
def test_a_window_stays_inside_the_picture(row: int, column: int) -> None:
    watched = Watched()
    colours, hole = face(600, 700), block(600, 700, row, column, 10)
    filled(colours, hole, watched.model)
    (mask,) = watched.known
    assert mask.shape == (1, SIDE, SIDE)
    assert (mask == 0).sum() == 100


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_a_long_scratch_keeps_its_surroundings_in_sight(angle: int) -> None:
    """Wherever a pixel lies, some window that fills it shows what is around it."""
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    start, end = (np.array([600, 500]) + 450 * sign * direction for sign in (-1, 1))
    hole = line(1000, 1200, tuple(start.astype(int)), tuple(end.astype(int)), 7)
    seen = np.zeros(hole.shape, bool)
    coordinates = np.dstack([*np.mgrid[:1000, :1200], np.zeros(hole.shape)]) + 1.0

    def look(images: Floats, known: Floats) -> Floats:
        for image, (mask,) in zip(images, known > 0, strict=True):
            top = round(float(image[0][mask].min()) * 65535) - 1
            left = round(float(image[1][mask].min()) * 65535) - 1
            inner = (
                slice(top + CONTEXT // 2, top + SIDE - CONTEXT // 2),
                slice(left + CONTEXT // 2, left + SIDE - CONTEXT // 2),
            )
            seen[inner] = True
        return images

    canvas = np.where(hole[:, :, np.newaxis], 0, coordinates).astype(np.uint16)
    fill_windows(canvas, hole, hole, Model(look, SIDE), SIDE)
    assert seen[hole].all()


@pytest.mark.parametrize(
    ("start", "end"),
    [((20, 300), (1180, 310)), ((600, 0), (610, 599)), ((0, 0), (1199, 599)), ((900, 20), (300, 580))],
)
def test_windows_that_disagree_are_blended_without_a_seam(
    start: tuple[int, int], end: tuple[int, int]
) -> None:
    level = count()

    def run(images: Floats, known: Floats) -> Floats:
        """Return alternately black and white: the worst case for neighbouring windows."""
        return np.stack([np.full_like(image, next(level) % 2) for image in images])

    hole = line(600, 1200, start, end, 9)
    result = filled(np.full((600, 1200, 3), 128, np.uint8), hole, Model(run, SIDE)).astype(int)
    assert next(level) > 4
    assert {result[hole].min(), result[hole].max()} == {0, 255}
    # The steepest a blend may be: the ramp's slope, where up to four windows meet.
    steepest = 4 * 1.5 / RAMP * 255
    for axis in (0, 1):
        both = hole & np.roll(hole, 1, axis)
        both[(slice(None),) * axis + (0,)] = False
        steps = np.abs(result - np.roll(result, 1, axis))[both]
        assert steps.max() <= steepest


@pytest.mark.parametrize("turned", [False, True])
def test_a_long_scratch_gets_one_chain_of_windows(turned: bool) -> None:
    watched = Watched()
    colours, hole = face(800, 1200), line(800, 1200, (40, 50), (1160, 750), 9)
    if turned:
        colours, hole = colours.swapaxes(0, 1), hole.T
    filled(colours, hole, watched.model)
    assert len(watched.known) == -(-(1120 + 9 + 2 * CONTEXT - SIDE) // (SIDE - 2 * EDGE - RAMP)) + 1


def test_border_pixels_of_a_window_are_excluded_from_blending() -> None:
    def run(images: Floats, known: Floats) -> Floats:
        """Return white within a dozen pixels of the window's edges, grey elsewhere."""
        output = np.ones_like(images)
        output[:, :, 12:-12, 12:-12] = 0.5
        return output

    hole = line(900, 1200, (150, 200), (1050, 700), 9)
    assert (filled(face(900, 1200), hole, Model(run, SIDE))[hole] == 128).all()


def test_holes_that_touch_across_a_corner_are_one() -> None:
    watched = Watched()
    filled(face(400, 400), block(400, 400, 140, 140, 20) | block(400, 400, 160, 160, 20), watched.model)
    assert len(watched.known) == 1


def test_a_scratch_over_a_smooth_picture_leaves_no_trace(runtime: Runtime) -> None:
    rows, columns = np.mgrid[:500, :1000]
    colours = np.dstack([60 + rows / 5, 80 + columns / 10, 200 - rows / 8]).astype(np.uint8)
    hole = line(500, 1000, (10, 60), (990, 430), 7)
    result = filled(colours, hole, Model(runtime.run, runtime.side, runtime.batch))
    assert rms(result, colours, hole) < 4
    assert np.abs(result.astype(int) - colours)[hole].max() <= 16


def test_a_batch_of_windows_is_the_same_as_one_by_one(runtime: Runtime) -> None:
    colours, hole = face(500, 700), line(500, 700, (5, 5), (695, 480), 9)
    one, many = (filled(colours, hole, Model(runtime.run, SIDE, batch)) for batch in (1, 5))
    assert np.abs(one.astype(int) - many).max() <= 1


def test_batches_are_as_large_as_allowed() -> None:
    watched = Watched(batch=4)
    filled(face(400, 1200), line(400, 1200, (5, 5), (1195, 380), 9), watched.model)
    assert set(watched.calls[:-1]) == {4}
    assert 1 <= watched.calls[-1] <= 4


def test_only_what_is_wanted_is_filled() -> None:
    hole = block(400, 400, 100, 100, 60)
    wanted = block(400, 400, 110, 110, 20)
    canvas = np.where(hole[:, :, np.newaxis], np.uint8(0), np.uint8(200)).repeat(3, axis=2)
    fill_windows(canvas, hole, wanted, Watched().model, SIDE)
    assert (canvas[wanted] == 200).all()
    assert (canvas[hole & ~wanted] == 0).all()
