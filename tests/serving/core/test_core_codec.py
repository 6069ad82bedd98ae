"""Picture files to arrays and back: every mode, format, depth and orientation; and hostile files."""

import io
import itertools
import struct
from collections.abc import Callable
from typing import Any

import cv2
import hostile_images
import numpy as np
import pytest
from deep_files import png16, tiff
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageCms
from sample_pictures import encode, face, png_file

from serving.core import encoders
from serving.core.codec import Picture, decode_image, decode_mask
from serving.core.errors import (
    InvalidImageError,
    InvalidMaskError,
    InvalidRequestError,
    TooManyPixelsError,
)
from serving.core.image_headers import image_pixels, is_ordinary

LIMIT = 1_000_000
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = 274


def png(picture: Picture) -> bytes:
    return encoders.encode(picture, "png")


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def as_stored(oriented: NDArray[Any], orientation: int) -> NDArray[Any]:
    """How a camera stores a picture under an EXIF orientation, following the standard's table.

    The tag names the sides of the scene that the first stored row and column show.
    """
    row_0, column_0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = oriented
    if "bottom" in (row_0, column_0):
        stored = np.flipud(stored)
    if "right" in (row_0, column_0):
        stored = np.fliplr(stored)
    return stored.swapaxes(0, 1) if row_0 in ("left", "right") else stored


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@given(st.data())
@settings(max_examples=10, deadline=None, derandomize=True)
def test_what_is_encoded_is_decoded(channels: int, dtype: Any, data: st.DataObject) -> None:
    size = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    samples = data.draw(arrays.arrays(dtype, (*size, channels)))
    decoded = decode_image(png(Picture(samples)), LIMIT)
    if channels == 2 and dtype == np.uint16:  # written as RGBA
        samples = samples[:, :, [0, 0, 0, 1]]
    assert decoded.samples.dtype == samples.dtype
    np.testing.assert_array_equal(decoded.samples, samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_sample(picture_format: str, channels: int) -> None:
    samples = noise(13, 17, channels)
    options = {"lossless": True, "exact": True} if picture_format == "WEBP" else {}
    file = encode(Image.fromarray(samples.squeeze()), picture_format, **options)
    decoded = decode_image(file, LIMIT)
    if picture_format == "WEBP" and channels < 3:  # which has colour only
        samples = samples[:, :, [0, 0, 0, 1][: channels + 2]]
    np.testing.assert_array_equal(decoded.samples, samples)


def test_a_bmp_with_an_os2_header_has_the_size_it_states() -> None:
    """Its width and height have 16 bits. Pillow and OpenCV do not write such files."""
    rows = bytes([0, 0, 255] * 4) * 3  # red, as blue, green, red
    file = (
        b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, 4, 3, 1, 24) + rows
    )
    assert image_pixels(file) == 12
    assert (decode_image(file, 12).samples == [255, 0, 0]).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bmp_keeps_every_sample(channels: int) -> None:
    samples = noise(13, 17, channels)
    order = [2, 1, 0, 3][:channels] if channels > 1 else [0]
    file = cv2.imencode(".bmp", samples[:, :, order])[1].tobytes()  # Pillow writes none with alpha
    decoded = decode_image(file, LIMIT).samples
    np.testing.assert_array_equal(decoded, samples)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_become_their_colours(bits: int) -> None:
    image = Image.fromarray(face(40, 30)).quantize(2**bits)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode_image(encode(image, bits=bits), LIMIT).samples, expected)


def test_a_palettes_transparent_entry_becomes_alpha() -> None:
    image = Image.fromarray(face(40, 30)).quantize(8)
    samples = decode_image(encode(image, transparency=3), LIMIT).samples
    np.testing.assert_array_equal(samples[:, :, 3] == 0, np.asarray(image) == 3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode: str) -> None:
    image = Image.fromarray(noise(9, 9, 3) // 128 * 128).convert(mode)
    key: Any = image.getpixel((4, 4))
    samples = decode_image(encode(image, transparency=key), LIMIT).samples
    is_key = (np.asarray(image).reshape(9, 9, -1) == np.atleast_1d(key)).all(axis=2)
    np.testing.assert_array_equal(samples[:, :, -1] == 0, is_key)
    np.testing.assert_array_equal(samples[:, :, :-1], np.asarray(image).reshape(9, 9, -1))


def test_one_bit_is_black_and_white() -> None:
    bits = noise(9, 11) > 127
    samples = decode_image(encode(Image.fromarray(bits)), LIMIT).samples
    np.testing.assert_array_equal(samples, bits[:, :, np.newaxis] * np.uint8(255))


@pytest.mark.parametrize("picture_format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_and_its_profile_left_behind(picture_format: str) -> None:
    photo = face(64, 48)
    file = encode(Image.fromarray(photo).convert("CMYK"), picture_format, icc_profile=SRGB, quality=95)
    picture = decode_image(file, LIMIT)
    assert picture.icc_profile is None
    assert np.abs(picture.samples.astype(int) - photo).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_undone_in_pictures_and_masks(picture_format: str, orientation: int) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:8, :16] = 255  # in a corner, so that every turn shows
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(as_stored(upright, orientation))
    file = encode(
        stored, picture_format, exif=exif, **({"lossless": True} if picture_format == "WEBP" else {})
    )
    np.testing.assert_array_equal(decode_image(file, LIMIT).samples > 127, upright > 127)
    np.testing.assert_array_equal(decode_mask(file, LIMIT), upright[:, :, 0] > 127)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_orientation_is_undone_at_16_bits(picture_format: str, orientation: int) -> None:
    upright = noise(12, 20, 3, dtype=np.uint16)
    stored = as_stored(upright, orientation)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if picture_format == "PNG":
        file = png16(stored, 2, (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    else:
        file = tiff(stored, photometric="rgb", extratags=[(ORIENTATION, "H", 1, orientation, True)])
    np.testing.assert_array_equal(decode_image(file, LIMIT).samples, upright)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)])
def test_16_bit_pngs_keep_every_bit(colour_type: int, channels: int) -> None:
    samples = noise(9, 14, channels, dtype=np.uint16)
    np.testing.assert_array_equal(decode_image(png16(samples, colour_type), LIMIT).samples, samples)


@pytest.mark.parametrize("colour_type", [0, 2])
def test_a_transparent_colour_of_16_bits_becomes_alpha(colour_type: int) -> None:
    samples = noise(6, 7, colour_type + 1, dtype=np.uint16)
    key = samples[2, 3]
    decoded = decode_image(png16(samples, colour_type, (b"tRNS", key.astype(">u2").tobytes())), LIMIT).samples
    np.testing.assert_array_equal(decoded[:, :, :-1], samples)
    np.testing.assert_array_equal(decoded[:, :, -1] == 0, (samples == key).all(axis=2))


TIFFS: dict[str, tuple[int, dict[str, Any]]] = {
    "grey": (1, {"photometric": "minisblack"}),
    "rgb": (3, {"photometric": "rgb"}),
    "big-endian": (3, {"photometric": "rgb", "byteorder": ">"}),
    "deflated": (3, {"photometric": "rgb", "compression": "zlib", "predictor": True}),
    "rgba": (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_16_bit_tiffs_keep_every_bit(kind: str) -> None:
    channels, options = TIFFS[kind]
    samples = noise(9, 14, channels, dtype=np.uint16)
    file = tiff(samples.squeeze(), **options)
    np.testing.assert_array_equal(decode_image(file, LIMIT).samples, samples)


def test_a_tiff_whose_zero_is_white_is_inverted() -> None:
    samples = noise(9, 14, dtype=np.uint16)
    decoded = decode_image(tiff(samples, photometric="miniswhite"), LIMIT).samples
    np.testing.assert_array_equal(decoded[:, :, 0], 65535 - samples)


@pytest.mark.parametrize(
    "file",
    [
        tiff(noise(9, 14, 4, dtype=np.uint16), photometric="separated"),
        tiff(noise(9, 14, dtype=np.uint32), photometric="minisblack"),
        tiff(np.zeros((9, 14), np.float32), photometric="minisblack"),
    ],
    ids=["cmyk-16", "integer-32", "float-32"],
)
def test_kinds_that_are_not_supported_are_refused(file: bytes) -> None:
    with pytest.raises(InvalidImageError, match="save it"):
        decode_image(file, LIMIT)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_colour_profile_is_kept(dtype: Any) -> None:
    file = png(Picture(noise(8, 8, 3, dtype=dtype), SRGB))
    assert Image.open(io.BytesIO(file)).info["icc_profile"] == SRGB
    assert decode_image(file, LIMIT).icc_profile == SRGB


@pytest.mark.parametrize("profile", [b"no profile", bytes(200), SRGB[:200], SRGB + bytes(100)])
def test_a_damaged_profile_costs_no_pixel(profile: bytes) -> None:
    picture = Picture(noise(8, 8, 3), profile)
    np.testing.assert_array_equal(decode_image(png(picture), LIMIT).samples, picture.samples)


@pytest.mark.parametrize("picture_format", ["MPO", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_frames_is_taken(picture_format: str) -> None:
    first, second = Image.new("RGB", (32, 24), (200, 0, 0)), Image.new("RGB", (32, 24), (0, 200, 0))
    options = {"lossless": True} if picture_format == "WEBP" else {}
    file = encode(first, picture_format, save_all=True, append_images=[second], **options)
    assert getattr(Image.open(io.BytesIO(file)), "n_frames", 1) == 2
    assert np.abs(decode_image(file, LIMIT).samples.astype(int) - (200, 0, 0)).max() <= 2


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_masks_of_every_mode(mode: str) -> None:
    grey = np.array([[0, 127, 128, 255]], np.uint8).repeat(3, axis=0)
    hole = grey >= 128
    if mode == "I;16":
        image = Image.fromarray(np.array([[0, 32767, 32768, 65535]], np.uint16).repeat(3, axis=0))
    elif mode == "P":
        image = Image.fromarray(grey).quantize()
    else:
        image = Image.fromarray(grey if mode != "1" else hole).convert(mode)
    np.testing.assert_array_equal(decode_mask(encode(image), LIMIT), hole)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_with_alpha_is_paint_over_black(dtype: Any) -> None:
    full = np.iinfo(dtype).max
    grey = np.array([[full, full, full // 2, 0]], dtype)
    alpha = np.array([[full, full // 3, full, full]], dtype)
    mask = decode_mask(png(Picture(np.dstack([grey, grey, grey, alpha]))), LIMIT)
    np.testing.assert_array_equal(mask, [[True, False, False, False]])


@pytest.mark.parametrize("limit", [30 * 40 - 1, 30 * 40])
def test_the_limit_on_pixels_is_inclusive(limit: int) -> None:
    file = encode(face(30, 40))
    if limit == 30 * 40:
        assert decode_image(file, limit).size == (30, 40)
    else:
        with pytest.raises(TooManyPixelsError, match=r"40x30.*1199"):
            decode_image(file, limit)


@pytest.mark.parametrize("decode", [decode_image, decode_mask])
def test_a_bomb_is_refused_by_its_header(decode: Callable[[bytes, int], object]) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    with pytest.raises(TooManyPixelsError, match="30000x30000"):
        decode(png_file((b"IHDR", header), (b"IDAT", b"")), LIMIT)


WHOLE = {
    "png": encode(face(40, 50)),
    "jpeg": encode(face(40, 50), "JPEG"),
    "webp": encode(face(40, 50), "WEBP"),
    "bmp": encode(face(40, 50), "BMP"),
    "tiff": encode(face(40, 50), "TIFF"),
    "png-16": png(Picture(noise(40, 50, 3, dtype=np.uint16))),
    "tiff-16": tiff(noise(40, 50, 3, dtype=np.uint16), photometric="rgb"),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    file = WHOLE[kind]
    cut = file[: int(len(file) * share)]
    with pytest.raises(InvalidImageError):
        decode_image(cut, LIMIT)
    with pytest.raises(InvalidMaskError):
        decode_mask(cut, LIMIT)


@pytest.mark.parametrize("data", [b"", b"\0", b"This is no picture.", encode(face(40, 50), "GIF"), b"<svg/>"])
def test_other_files_are_refused_with_the_formats_that_are_read(data: bytes) -> None:
    with pytest.raises(InvalidImageError, match="PNG, JPEG, WebP, BMP or TIFF"):
        decode_image(data, LIMIT)


@pytest.mark.parametrize("kind", WHOLE)
@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_damaged_files_raise_nothing_else(kind: str, data: st.DataObject) -> None:
    file = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers are where the trouble is.
        position = data.draw(st.integers(0, min(len(file), 300) - 1) | st.integers(0, len(file) - 1))
        file[position] = data.draw(st.integers(0, 255))
    try:
        picture = decode_image(bytes(file), LIMIT)
    except (InvalidImageError, TooManyPixelsError):
        return
    height, width, channels = picture.samples.shape
    assert height * width <= LIMIT
    assert channels in (1, 2, 3, 4)
    assert picture.samples.dtype in (np.uint8, np.uint16)


def test_messages_reveal_no_internals_of_the_server() -> None:
    for file in (b"x", WHOLE["png"][:500], WHOLE["tiff-16"][:300]):
        with pytest.raises(InvalidImageError) as caught:
            decode_image(file, LIMIT)
        assert "0x" not in caught.value.message
        assert "object" not in caught.value.message


def test_opencv_reads_what_is_written() -> None:
    samples = noise(10, 10, 3, dtype=np.uint16)
    read = cv2.imdecode(np.frombuffer(png(Picture(samples)), np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    np.testing.assert_array_equal(read[:, :, ::-1], samples)


@pytest.mark.parametrize("kind", hostile_images.REFUSED)
@pytest.mark.parametrize("decode", [decode_image, decode_mask])
def test_hostile_files_are_refused(kind: str, decode: Callable[[bytes, int], object]) -> None:
    with pytest.raises((InvalidRequestError, TooManyPixelsError)):
        decode(hostile_images.REFUSED[kind](), 64_000_000)


def test_an_animated_png_of_16_bits_is_its_first_frame() -> None:
    samples = decode_image(hostile_images.apng_of_16_bits(), LIMIT).samples
    np.testing.assert_array_equal(samples, np.zeros((4, 4, 3), np.uint16))


def test_a_file_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.core.codec.WALL_SECONDS_PER_CPU_SECOND", 0)
    with pytest.raises(InvalidImageError, match="too long"):
        decode_image(hostile_images.png_of_many_chunks(), 64_000_000)


def test_decoding_is_cancelled_by_the_checkpoint() -> None:
    class GoneError(Exception):
        pass

    calls = itertools.count()

    def checkpoint() -> None:
        if next(calls) > 1:
            raise GoneError

    with pytest.raises(GoneError):
        decode_image(hostile_images.png_of_many_chunks(), 64_000_000, checkpoint)


def test_12_bits_are_spread_over_16() -> None:
    grey = np.array([[0, 1, 2048, 4095], [7, 70, 700, 4000]], np.uint16)
    samples = decode_image(hostile_images.tiff_of_12_bits(grey), LIMIT).samples[:, :, 0]
    np.testing.assert_allclose(samples, grey * (65535 / 4095), rtol=0, atol=1)
    assert samples[0, [0, 3]].tolist() == [0, 65535]


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_8_bit_planes_are_read_right(compression: str | None) -> None:
    planes = noise(3, 9, 14)
    file = hostile_images.tiff(planes, planarconfig="separate", compression=compression)
    np.testing.assert_array_equal(decode_image(file, LIMIT).samples, planes.transpose(1, 2, 0))


def test_16_bit_colours_are_divided_by_their_alpha() -> None:
    samples = np.array([[[100, 2000, 30000, 32768], [5, 6, 7, 65535], [0, 0, 0, 0]]], np.uint16)
    file = tiff(samples, photometric="rgb", extrasamples=["assocalpha"])
    expected = [[[199, 3999, 59999, 32768], [5, 6, 7, 65535], [0, 0, 0, 0]]]
    np.testing.assert_array_equal(decode_image(file, LIMIT).samples, expected)


@pytest.mark.parametrize("kind", WHOLE)
def test_ordinary_files_are_decoded_in_this_process(kind: str) -> None:
    assert is_ordinary(WHOLE[kind]) is (kind in ("png", "jpeg", "webp"))


def test_files_are_decoded_the_same_in_either_process(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for picture_format in ("PNG", "JPEG", "WEBP"):
        file = encode(face(40, 50), picture_format, exif=exif, icc_profile=SRGB)
        here = decode_image(file, LIMIT)
        with monkeypatch.context() as patch:
            patch.setattr("serving.core.codec.is_ordinary", lambda _: False)
            there = decode_image(file, LIMIT)
        np.testing.assert_array_equal(here.samples, there.samples)
        assert here.icc_profile == there.icc_profile == SRGB
