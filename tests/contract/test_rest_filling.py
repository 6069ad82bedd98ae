"""The pixels of the answer: the known ones unchanged, the hole filled from them, at any size."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rest import Fill, RestClient, deployed
from sample_pictures import (
    RED,
    block,
    decode_rgba,
    encode,
    encode_mask,
    face,
    painted,
    rms,
    scratch,
)


def decoded(file: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def nearest_known(photo: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The photo with each hole pixel replaced by the nearest known one."""
    _, nearest = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.empty((nearest.max() + 1, 3), np.uint8)
    colours[nearest[~hole]] = photo[~hole]
    replaced: NDArray[np.uint8] = colours[nearest]
    return replaced


@pytest.mark.deployed
def test_a_pen_line_over_a_face_is_removed(rest: RestClient) -> None:
    photo, hole = face(), scratch(178, 178, 9)
    filled = rest.fill(Fill(encode(painted(photo, hole)), encode_mask(hole))).rgb
    assert (filled[~hole] == photo[~hole]).all()
    # No red is left: the line is filled with the photo's own colours, in which red dominates only slightly.
    redness = filled[hole].astype(int) @ (2, -1, -1)
    assert redness.max() < np.array(RED) @ (2, -1, -1) / 2
    error = rms(filled, photo, hole)
    mean = np.broadcast_to(photo[~hole].mean(axis=0), photo.shape)
    assert error < 0.5 * rms(mean, photo, hole)
    assert error < rms(nearest_known(photo, hole), photo, hole)


LARGE = {
    "900x700": (700, 900, "PNG", {}),
    "700x900-jpeg": (900, 700, "JPEG", {"quality": 92, "subsampling": 0}),
    "12-megapixel-jpeg": (3000, 4000, "JPEG", {"quality": 92, "subsampling": 0}),
}


@pytest.mark.parametrize("size", deployed(LARGE, "900x700"))
def test_a_scratch_through_a_large_photo_is_filled_at_its_own_size(rest: RestClient, size: str) -> None:
    height, width, picture_format, options = LARGE[size]
    photo = face(height, width)
    # The mask is drawn wider than the line because JPEG spreads colour by some pixels.
    line, hole = scratch(height, width, 5), scratch(height, width, 17)
    file = encode(painted(photo, line), picture_format, **options)
    sent = decoded(file)
    filled = decode_rgba(rest.fill_png(Fill(file, encode_mask(hole))).content)
    assert filled.shape == (height, width, 4)
    assert (filled[~hole, :3] == sent[~hole]).all()
    assert (filled[:, :, 3] == 255).all()
    # A face that large is smooth: what surrounds a thin line tells what was under it.
    mean = np.broadcast_to(photo[~hole].mean(axis=0), photo.shape)
    assert rms(filled[:, :, :3], photo, hole) < 0.4 * rms(mean, photo, hole)


def test_a_wide_hole_in_a_large_photo_is_filled_to_its_middle(rest: RestClient) -> None:
    """It is wider than the model sees at the photo's own scale: a brightness gradient must continue through it."""
    slope = np.linspace(40, 210, 900).round().astype(np.uint8)
    photo = np.ascontiguousarray(np.broadcast_to(slope[np.newaxis, :, np.newaxis], (700, 900, 3)))
    hole = block(700, 900, 200, 300, 300)
    filled = rest.fill(Fill(encode(painted(photo, hole)), encode_mask(hole))).rgb
    assert (filled[~hole] == photo[~hole]).all()
    mean = np.broadcast_to(photo[~hole].mean(axis=0), photo.shape)
    assert rms(filled, photo, hole) < 0.5 * rms(mean, photo, hole)


def test_holes_far_apart_are_filled_independently(rest: RestClient) -> None:
    photo = face(700, 900)
    left, right = block(700, 900, 300, 150, 20), block(700, 900, 400, 700, 20)
    both = rest.fill(Fill(encode(photo), encode_mask(left | right))).rgb
    for hole in (left, right):
        alone = rest.fill(Fill(encode(photo), encode_mask(hole))).rgb
        assert (both[hole] == alone[hole]).all()


@pytest.mark.parametrize(
    ("top", "left", "side"),
    [(0, 0, 20), (158, 158, 20), (0, 79, 20), (79, 0, 20), (20, 20, 138)],
    ids=["corner", "far-corner", "top", "left", "wide"],
)
def test_holes_at_borders_and_wide_ones(rest: RestClient, top: int, left: int, side: int) -> None:
    photo, hole = face(), block(178, 178, top, left, side)
    filled = rest.fill(Fill(encode(painted(photo, hole)), encode_mask(hole))).rgb
    assert (filled[~hole] == photo[~hole]).all()
    mean = np.broadcast_to(photo[~hole].mean(axis=0), photo.shape)
    assert rms(filled, photo, hole) < rms(mean, photo, hole)


@pytest.mark.parametrize(
    "photo", [face(), np.dstack([face(90, 120), face(90, 120)[:, :, 0]])], ids=["rgb", "rgba"]
)
def test_an_empty_mask_gets_the_photo_unchanged(rest: RestClient, photo: NDArray[np.uint8]) -> None:
    empty = np.zeros(photo.shape[:2], bool)
    filled = rest.fill(Fill(encode(photo), encode_mask(empty)))
    assert (filled.rgba[:, :, : photo.shape[2]] == photo).all()
    assert filled.facts["hole_ratio"] == 0


def test_a_photo_without_transparent_pixels_is_its_own_empty_mask(rest: RestClient) -> None:
    photo = np.dstack([face(), np.full((178, 178), 255, np.uint8)])
    filled = rest.fill(Fill(encode(photo)))
    assert (filled.rgba == photo).all()
    assert filled.facts["hole_ratio"] == 0


@pytest.mark.parametrize(("height", "width"), [(1, 2), (1, 300), (400, 3), (31, 33), (267, 268), (177, 600)])
def test_odd_sizes(rest: RestClient, height: int, width: int) -> None:
    photo = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    hole = np.zeros((height, width), bool)
    hole[height // 3 : 2 * height // 3 + 1, width // 2 : width // 2 + 5] = True
    filled = rest.fill(Fill(encode(photo), encode_mask(hole)))
    assert filled.rgb.shape == photo.shape
    assert (filled.rgb[~hole] == photo[~hole]).all()


@pytest.mark.parametrize("output_size", ["original", "model"])
@pytest.mark.parametrize(("height", "width"), [(178, 178), (700, 900)])
def test_what_is_under_the_hole_never_matters(
    rest: RestClient, height: int, width: int, output_size: str
) -> None:
    photo, hole = face(height, width), scratch(height, width, 20) | block(height, width, 60, 90, 70)
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    answers = {
        rest.fill_png(Fill(encode(marked), encode_mask(hole), output_size)).content
        for marked in (photo, painted(photo, hole), np.where(hole[:, :, np.newaxis], noise, photo))
    }
    assert len(answers) == 1


def test_what_is_under_transparent_pixels_never_matters(rest: RestClient) -> None:
    photo, hole = face(), scratch(178, 178, 9)
    cut_out = np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)])
    other = painted(cut_out, hole, (*RED, 0))
    assert rest.fill(Fill(encode(cut_out))).png == rest.fill(Fill(encode(other))).png


@st.composite
def photos_and_holes(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """A photo, the same photo with other pixels under the hole, and the hole: any size, any share of it."""
    height, width = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    channels = draw(st.sampled_from([1, 3, 4]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    photo = random.integers(0, 256, (height, width, channels), np.uint8)
    cell = draw(st.sampled_from([1, 5, 40]))  # speckles, lumps, areas
    cells = random.random((-(-height // cell), -(-width // cell))) < draw(st.floats(0, 1))
    hole = cells.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    hole[random.integers(height), random.integers(width)] = False  # something must be known
    other = np.where(hole[..., np.newaxis], random.integers(0, 256, photo.shape, np.uint8), photo)
    # If a mask is sent, alpha is part of the picture and stays as it is.
    other[:, :, 3:] = photo[:, :, 3:]
    return photo, other, hole


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(photos_and_holes())
def test_known_pixels_stay_and_hidden_ones_do_not_matter(
    rest: RestClient, sample: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]
) -> None:
    photo, other, hole = sample
    mask = encode_mask(hole)
    filled = rest.fill(Fill(encode(photo), mask))
    colours = np.broadcast_to(photo[:, :, :3], (*hole.shape, 3))
    assert (filled.rgb[~hole] == colours[~hole]).all()
    if photo.shape[2] == 4:
        assert (filled.rgba[:, :, 3] == photo[:, :, 3]).all()
    assert filled.facts["hole_ratio"] == pytest.approx(hole.mean(), abs=1e-6)
    again = rest.fill(Fill(encode(other), mask))
    assert again.png == filled.png
