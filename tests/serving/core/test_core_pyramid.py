"""Holes of any width in pictures of any size: what is filled, from what, and what is left alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sample_pictures import block, face, rms, scratch
from simple_models import Watched, mean_of_known, plane_through_known

from serving.core.pyramid import THICK, WHOLE, fill_holes
from serving.core.runtime import Runtime
from serving.core.tiling import Model

SIDE = 178
Bools = NDArray[np.bool_]


def real(runtime: Runtime) -> Model:
    return Model(runtime.run, runtime.side, runtime.batch)


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([40 + 150 * rows / height, 60 + 120 * columns / width, 200 - 90 * rows / height]).astype(
        np.uint8
    )


def disc(height: int, width: int, row: int, column: int, diameter: int) -> Bools:
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (column, row), diameter // 2, 255, -1)
    return mask > 0


@st.composite
def holes(draw: st.DrawFn, largest: int = 700) -> Bools:
    """Masks of any size with strokes, discs, blocks and single pixels, at the borders, too."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    mask = np.zeros((height, width), np.uint8)
    place = st.tuples(st.integers(-5, width + 5), st.integers(-5, height + 5))
    for kind in draw(st.lists(st.sampled_from(["line", "disc", "block", "pixel"]), min_size=1, max_size=4)):
        if kind == "line":
            cv2.line(mask, draw(place), draw(place), 255, draw(st.integers(1, 15)))
        elif kind == "disc":
            cv2.circle(mask, draw(place), draw(st.integers(1, 120)), 255, -1)
        elif kind == "block":
            cv2.rectangle(mask, draw(place), draw(place), 255, -1)
        else:
            mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = 255
    mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = 0  # something is known
    return mask > 0


@given(holes(), st.sampled_from([np.uint8, np.uint16]), st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_hole_pixel_is_filled_and_no_other_is_touched(hole: Bools, dtype: type, batch: int) -> None:
    full = np.iinfo(dtype).max
    colours = np.full((*hole.shape, 3), full // 4, dtype)
    colours[hole] = full  # must not be seen
    watched = Watched(batch=batch)
    filled = fill_holes(colours, hole, watched.model)
    # In a picture of one colour every scale and every window can only answer that colour.
    assert (filled == full // 4).all()
    assert all(
        ((image == 0) | (mask > 0)).all() for image, mask in zip(watched.images, watched.known, strict=True)
    )
    assert max(watched.calls, default=0) <= batch
    assert all(min(mask.shape[1:]) >= 32 for mask in watched.known)
    assert all(max(mask.shape[1:]) <= WHOLE * SIDE for mask in watched.known)


@given(holes(largest=400), st.integers(0, 2**32 - 1))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_known_pixels_stay_and_hidden_ones_do_not_matter(runtime: Runtime, hole: Bools, seed: int) -> None:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (*hole.shape, 3), np.uint8)
    other = np.where(hole[:, :, np.newaxis], rng.integers(0, 256, colours.shape, np.uint8), colours)
    filled = fill_holes(colours, hole, real(runtime))
    np.testing.assert_array_equal(filled[~hole], colours[~hole])
    np.testing.assert_array_equal(fill_holes(other, hole, real(runtime)), filled)


@pytest.mark.parametrize("size", [(1, 2), (3, 5), (31, 33), (20, 900), (267, 267), (268, 200), (1001, 333)])
def test_pictures_of_any_size(runtime: Runtime, size: tuple[int, int]) -> None:
    hole = np.zeros(size, bool)
    hole[0, 0] = hole[size[0] // 2, size[1] // 2] = True
    colours = gradient(*size)
    filled = fill_holes(colours, hole, real(runtime))
    np.testing.assert_array_equal(filled[~hole], colours[~hole])
    assert filled.shape == colours.shape


@pytest.mark.parametrize("longest", [178, 267])
def test_a_small_picture_goes_through_whole(longest: int) -> None:
    watched = Watched()
    hole = block(100, longest, 10, 10, 80)
    fill_holes(gradient(100, longest), hole, watched.model)
    assert [mask.shape for mask in watched.known] == [(1, 100, longest)]
    np.testing.assert_array_equal(watched.known[0][0] == 0, hole)


def test_a_picture_too_small_for_the_model_is_padded_with_unknown_pixels() -> None:
    watched = Watched()
    fill_holes(gradient(10, 50), block(10, 50, 4, 20, 3), watched.model)
    (mask,) = watched.known
    assert mask.shape == (1, 32, 50)
    assert (mask[0, 10:] == 0).all()


def test_an_empty_hole_runs_no_model() -> None:
    watched = Watched()
    colours = gradient(500, 400)
    np.testing.assert_array_equal(fill_holes(colours, np.zeros((500, 400), bool), watched.model), colours)
    assert not watched.calls


def test_thin_holes_are_filled_at_the_finest_scale() -> None:
    watched = Watched()
    hole = scratch(400, 500, 11)
    colours = face(400, 500)
    fill_holes(colours, hole, watched.model)
    windows = [(image * 255).round().astype(np.uint8).transpose(1, 2, 0) for image in watched.images]
    known = [mask[0] > 0 for mask in watched.known]
    # Each window is a piece of the picture itself, not of a smaller one.
    for window, seen in zip(windows, known, strict=True):
        score = cv2.matchTemplate(colours, window, cv2.TM_CCORR_NORMED, mask=seen.astype(np.uint8))
        top, left = np.unravel_index(np.argmax(score), score.shape)
        piece = colours[top : top + SIDE, left : left + SIDE]
        np.testing.assert_array_equal(piece[seen], window[seen])


@pytest.mark.parametrize("diameter", [60, 130, 300])
def test_wide_holes_are_filled_from_coarse_to_fine(diameter: int) -> None:
    watched = Watched()
    fill_holes(gradient(1000, 1100), disc(1000, 1100, 480, 530, diameter), watched.model)
    # No window of the finer scales has a hole wider than the model may fill at once.
    assert max(watched.widest_holes(SIDE)) <= THICK + 2
    assert watched.known[0].shape[1] < 1000 // 2  # the coarsest comes first
    # The last windows are of the picture itself, where a band along the rim is left to fill.
    assert watched.widest_holes(SIDE)[-1] > 6


@pytest.mark.parametrize("size", [(1000, 1100), (777, 1001)])
@pytest.mark.parametrize("diameter", [60, 300])
def test_scales_are_aligned_exactly(size: tuple[int, int], diameter: int) -> None:
    """A model that is exact on gradients must stay exact through all scales and windows: any shift would show."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    colours = np.dstack([40 * rows + 9000, 30 * columns + 9000, 15 * rows + 20 * columns + 9000]).astype(
        np.uint16
    )
    hole = disc(*size, 480, 530, diameter) | scratch(*size, 9)
    filled = fill_holes(colours, hole, Model(plane_through_known, SIDE))
    assert np.abs(filled.astype(int) - colours).max() <= 2  # a shift by one pixel would make it 40


def test_a_wide_hole_is_filled_with_its_surroundings(runtime: Runtime) -> None:
    colours, hole = gradient(901, 1203), disc(901, 1203, 400, 700, 240)
    filled = fill_holes(colours, hole, real(runtime))
    assert rms(filled, colours, hole) < 8
    # No seam where scales meet: neighbours differ little, as they do in the picture.
    inside = cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    for axis in (0, 1):
        steps = np.abs(np.diff(filled.astype(int), axis=axis, prepend=filled.take([0], axis).astype(int)))
        assert steps[inside].max() <= 8


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_holes_in_corners_are_filled(runtime: Runtime, corner: tuple[int, int]) -> None:
    colours = gradient(500, 600)
    hole = np.zeros((500, 600), bool)
    rows = slice(0, 90) if corner[0] == 0 else slice(-90, None)
    columns = slice(0, 120) if corner[1] == 0 else slice(-120, None)
    hole[rows, columns] = True
    filled = fill_holes(colours, hole, real(runtime))
    np.testing.assert_array_equal(filled[~hole], colours[~hole])
    assert rms(filled, colours, hole) < 25


def test_holes_far_apart_are_filled_as_if_alone(runtime: Runtime) -> None:
    colours = face(800, 800)
    first, second = block(800, 800, 60, 80, 24), disc(800, 800, 640, 600, 20)
    both = fill_holes(colours, first | second, real(runtime))
    for hole in (first, second):
        alone = fill_holes(colours, hole, real(runtime))
        np.testing.assert_array_equal(both[hole], alone[hole])


def test_near_holes_do_not_take_each_other_for_known() -> None:
    hole = block(600, 600, 300, 300, 10) | block(600, 600, 300, 320, 10)
    watched = Watched()
    fill_holes(gradient(600, 600), hole, watched.model)
    for image, mask in zip(watched.images, watched.known, strict=True):
        assert (mask == 0).sum() >= 100
        assert (image[:, mask[0] == 0] == 0).all()


def test_scattered_known_pixels_are_enough() -> None:
    hole = np.ones((600, 500), bool)
    hole[np.random.default_rng(0).integers(0, 600, 50), np.random.default_rng(1).integers(0, 500, 50)] = False
    colours = np.full((600, 500, 3), 90, np.uint8)
    assert (fill_holes(colours, hole, Model(mean_of_known, SIDE)) == 90).all()


def test_the_input_is_left_as_it_was() -> None:
    colours, hole = gradient(400, 400), block(400, 400, 100, 100, 70)
    before = colours.copy()
    fill_holes(colours, hole, Model(mean_of_known, SIDE))
    np.testing.assert_array_equal(colours, before)
