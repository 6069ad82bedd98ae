"""Bytes to bytes: what the filled picture keeps of the one that was sent."""

import io
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import cv2
import numpy as np
import pytest
from deep_files import png16
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms
from sample_pictures import as_mask, block, encode, encode_mask, face, scratch

from serving.core import encoders
from serving.core.codec import Picture, decode_image
from serving.core.contract import FillRequest, OutputSize
from serving.core.errors import (
    InvalidMaskError,
    MaskSizeMismatchError,
    MissingInputError,
    TooManyPixelsError,
)
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

HOLE = scratch(120, 90, 6)
CHANNELS = {1: "grey", 2: "grey-alpha", 3: "rgb", 4: "rgba"}


def photo(channels: int, dtype: Any, height: int = 120, width: int = 90) -> NDArray[Any]:
    """A face in any mode and depth; its alpha is half transparent on the left, opaque on the right."""
    colours = face(height, width)
    samples = colours if channels > 2 else colours[:, :, :1]
    if channels in (2, 4):
        alpha = np.full((height, width, 1), 255, np.uint8)
        alpha[:, : width // 2] = 160
        samples = np.concatenate([samples, alpha], axis=2)
    if dtype == np.uint16:
        low: NDArray[np.uint16] = np.random.default_rng(1).integers(0, 256, samples.shape, np.uint16)
        deep: NDArray[np.uint16] = samples.astype(np.uint16) * 256 + low
        return deep
    return samples


def png(picture: Picture) -> bytes:
    return encoders.encode(picture, "png")


def fill(
    pipeline: Pipeline, image: bytes, mask: bytes | None, output_size: OutputSize = "original"
) -> Picture:
    filled = pipeline.fill(FillRequest(image, mask, output_size))
    picture = decode_image(filled.response.image, 10**6)
    assert picture.size == (filled.response.height, filled.response.width)
    return picture


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", CHANNELS, ids=CHANNELS.values())
def test_known_pixels_come_back_bit_for_bit_in_every_mode(
    pipeline: Pipeline, channels: int, dtype: Any
) -> None:
    samples = photo(channels, dtype)
    file = png(Picture(samples))
    if channels == 2 and dtype == np.uint16:  # this mode is read, but answered as RGBA
        file, samples = png16(samples, 4), samples[:, :, [0, 0, 0, 1]]
    filled = fill(pipeline, file, encode_mask(HOLE)).samples
    assert filled.dtype == dtype
    assert filled.shape == samples.shape  # grey stays grey
    np.testing.assert_array_equal(filled[~HOLE], samples[~HOLE])
    if channels in (2, 4):
        np.testing.assert_array_equal(
            filled[:, :, -1], samples[:, :, -1]
        )  # if a mask is sent, alpha stays as it is
    error = np.abs(filled[HOLE].astype(int) - samples[HOLE]).mean() / np.iinfo(dtype).max
    assert error < 0.08


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_photo_is_filled_as_the_same_in_colour(pipeline: Pipeline, dtype: Any) -> None:
    grey = photo(1, dtype)
    filled_grey = fill(pipeline, png(Picture(grey)), encode_mask(HOLE)).samples
    filled_rgb = fill(pipeline, png(Picture(grey.repeat(3, axis=2))), encode_mask(HOLE)).samples
    mean = filled_rgb.astype(float).mean(axis=2, keepdims=True)
    assert np.abs(filled_grey - mean).max() <= 0.5


def test_16_bits_are_filled_in_16_bits(pipeline: Pipeline) -> None:
    deep = fill(pipeline, png(Picture(photo(3, np.uint16))), encode_mask(HOLE)).samples
    assert len(np.unique(deep[HOLE] % 256)) > 100


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_is_the_mask_where_there_is_none(pipeline: Pipeline, dtype: Any) -> None:
    samples = photo(4, dtype)
    full = np.iinfo(dtype).max
    samples[HOLE, 3] = full // 3
    samples[HOLE, :3] = full
    filled = fill(pipeline, png(Picture(samples)), None).samples
    np.testing.assert_array_equal(filled[~HOLE], samples[~HOLE])
    assert (filled[HOLE, 3] == full).all()  # otherwise the filling would be invisible
    assert not (filled[HOLE, :3] == full).all(axis=1).any()


def test_transparency_of_a_palette_is_a_mask_too(pipeline: Pipeline) -> None:
    image = Image.fromarray(face(120, 90)).quantize(32)
    image.paste(31, mask=Image.fromarray(as_mask(HOLE)))
    file = encode(image, transparency=31)
    hole = np.asarray(image) == 31
    filled = fill(pipeline, file, None).samples
    assert (filled[:, :, 3] == 255).all()
    expected = np.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))
    np.testing.assert_array_equal(filled[~hole], expected[~hole])


def test_neither_mask_nor_transparency_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(MissingInputError, match="'mask' is missing"):
        pipeline.fill(FillRequest(encode(face(40, 40))))


@pytest.mark.parametrize("output_size", ["original", "model"])
def test_an_empty_mask_changes_nothing(pipeline: Pipeline, output_size: OutputSize) -> None:
    samples = photo(3, np.uint8, 178, 178)
    filled = pipeline.fill(FillRequest(encode(samples), encode_mask(np.zeros((178, 178), bool)), output_size))
    np.testing.assert_array_equal(decode_image(filled.response.image, 10**6).samples, samples)
    assert filled.response.hole_ratio == 0


def test_an_opaque_picture_with_alpha_and_no_mask_has_an_empty_mask(pipeline: Pipeline) -> None:
    samples = np.dstack([face(50, 60), np.full((50, 60), 255, np.uint8)])
    np.testing.assert_array_equal(fill(pipeline, encode(samples), None).samples, samples)


@pytest.mark.parametrize("output_size", ["original", "model"])
def test_a_full_mask_is_refused(pipeline: Pipeline, output_size: OutputSize) -> None:
    with pytest.raises(InvalidMaskError, match="whole image"):
        pipeline.fill(FillRequest(encode(face(50, 60)), encode_mask(np.ones((50, 60), bool)), output_size))


def test_a_mask_of_another_size_is_refused_with_both_sizes(pipeline: Pipeline) -> None:
    with pytest.raises(MaskSizeMismatchError, match=r"61x50.*60x50"):
        pipeline.fill(FillRequest(encode(face(50, 60)), encode_mask(np.zeros((50, 61), bool))))


def test_either_file_may_have_too_many_pixels(runtime: Runtime) -> None:
    pipeline = Pipeline(runtime, max_pixels=2000)
    small, large = encode(face(40, 50)), encode(face(41, 50))
    for image, mask, name in ((large, small, "image"), (small, large, "mask")):
        with pytest.raises(TooManyPixelsError, match=name):
            pipeline.fill(FillRequest(image, mask))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 4]), st.sampled_from(["original", "model"]))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_what_is_under_the_hole_does_not_matter(
    pipeline: Pipeline, seed: int, channels: int, output_size: OutputSize
) -> None:
    rng = np.random.default_rng(seed)
    first = photo(channels, np.uint8)
    second = first.copy()
    second[HOLE, : 3 if channels > 2 else 1] = rng.integers(0, 256, (HOLE.sum(), 3 if channels > 2 else 1))
    mask = encode_mask(HOLE)
    one, other = (fill(pipeline, png(Picture(s)), mask, output_size).samples for s in (first, second))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [(178, 178), (50, 60), (400, 600), (1000, 40), (178, 900)])
def test_the_models_size_loses_no_hole_pixel(pipeline: Pipeline, size: tuple[int, int]) -> None:
    hole = np.zeros(size, bool)
    hole[size[0] // 3, size[1] // 4] = True  # a single pixel
    samples = face(*size).copy()
    samples[hole] = (255, 0, 255)
    filled = pipeline.fill(FillRequest(encode(samples), encode_mask(hole), "model")).response
    assert (filled.width, filled.height) == (178, 178)
    pixels = round(filled.hole_ratio * 178 * 178)
    # It covers this much of the resized picture, and a pixel of blur on each side.
    reach = [int(np.ceil(178 / n)) for n in size]
    assert 1 <= pixels <= (reach[0] + 3) * (reach[1] + 3)
    picture = decode_image(filled.image, 10**6).samples.astype(int)
    magenta = picture[:, :, 0] + picture[:, :, 2] - 2 * picture[:, :, 1]
    plain = cv2.resize(face(*size), (178, 178), interpolation=cv2.INTER_AREA).astype(int)
    assert magenta.max() <= (plain[:, :, 0] + plain[:, :, 2] - 2 * plain[:, :, 1]).max() + 25


def test_at_the_models_size_known_pixels_are_the_shrunken_ones(pipeline: Pipeline) -> None:
    samples, hole = face(356, 534), block(356, 534, 100, 150, 40)
    filled = fill(pipeline, encode(samples), encode_mask(hole), "model").samples
    shrunken = cv2.resize(samples, (178, 178), interpolation=cv2.INTER_AREA)
    touched = cv2.resize(hole.astype(np.float32), (178, 178), interpolation=cv2.INTER_AREA) > 0
    np.testing.assert_array_equal(filled[~touched], shrunken[~touched])


def test_a_mask_that_is_full_only_at_the_models_size_is_refused_there(pipeline: Pipeline) -> None:
    hole = np.ones((240, 240), bool)
    hole[::3] = False
    image, mask = encode(face(240, 240)), encode_mask(hole)
    assert fill(pipeline, image, mask).size == (240, 240)
    with pytest.raises(InvalidMaskError, match="original"):
        pipeline.fill(FillRequest(image, mask, "model"))


def test_the_colour_profile_comes_back(pipeline: Pipeline) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for picture_format in ("JPEG", "PNG", "TIFF", "WEBP"):
        file = encode(face(120, 90), picture_format, icc_profile=profile)
        assert fill(pipeline, file, encode_mask(HOLE)).icc_profile == profile


def test_facts_and_times_are_reported(pipeline: Pipeline, runtime: Runtime) -> None:
    filled = pipeline.fill(FillRequest(encode(face(120, 90)), encode_mask(HOLE)))
    assert filled.response.hole_ratio == HOLE.mean()
    assert filled.response.model_version == runtime.version
    assert list(filled.seconds) == ["decode", "prepare", "run", "composite", "encode"]
    assert all(seconds > 0 for seconds in filled.seconds.values())


def test_a_cancelled_large_image_stops_before_its_next_run_of_the_model(pipeline: Pipeline) -> None:
    turns: list[bool] = []
    most = 3

    def checkpoint() -> None:
        if len(turns) == most:
            raise InterruptedError

    def turn() -> AbstractContextManager[bool]:
        turns.append(True)
        return nullcontext(True)

    hole = np.zeros((300, 2000), bool)
    hole[150:153] = True
    with pytest.raises(InterruptedError):
        pipeline.fill(FillRequest(encode(face(300, 2000)), encode_mask(hole)), checkpoint, turn)
    assert len(turns) == most


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_the_pixels_of_a_request_are_read_from_its_headers(pipeline: Pipeline, kind: str) -> None:
    small, mask = encode(face(60, 80), kind), encode_mask(scratch(60, 80, 5))
    assert pipeline.pixels(small) == 60 * 80
    assert pipeline.pixels(small, encode_mask(np.zeros((100, 200), bool))) == 100 * 200
    assert pipeline.pixels(encode(face(1500, 1000), kind), mask) == 1_000_000  # at most that
    assert pipeline.pixels(small[:12], mask) == 1_000_000
    assert pipeline.pixels(encode(face(60, 80), "TIFF"), mask) == 1_000_000
    assert 60 * 80 <= pipeline.small_pixels < 300 * 300
