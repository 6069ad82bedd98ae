"""Every picture format and kind that the contract names, for photos and for masks."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps
from rest import ENCODINGS, Fill, RestClient, assert_error, deployed
from sample_pictures import (
    Samples,
    as_mask,
    block,
    decode_rgba,
    encode,
    encode_mask,
    face,
    painted,
    png_file,
    scratch,
)

HEIGHT, WIDTH = 96, 128
HOLE = scratch(HEIGHT, WIDTH, 7)
MASK = encode_mask(HOLE)
PHOTO = face(HEIGHT, WIDTH)
GREY = np.asarray(Image.fromarray(PHOTO).convert("L"))
# 16-bit values that no 8-bit picture has.
DEEP = PHOTO.astype(np.uint16) * 256 + np.random.default_rng(1).integers(0, 256, PHOTO.shape, np.uint16)
DEEP_GREY = np.ascontiguousarray(DEEP[:, :, 0])
# Three levels of opacity: full, partial, and none in the hole.
ALPHA = np.where(np.arange(WIDTH) < WIDTH // 2, 255, 200)[np.newaxis].repeat(HEIGHT, axis=0).astype(np.uint8)
RGBA = np.dstack([PHOTO, ALPHA])
CUT_OUT = np.dstack([PHOTO, np.where(HOLE, 0, ALPHA)]).astype(np.uint8)


def pillow(
    picture: Samples | Image.Image, picture_format: str = "PNG", **options: Any
) -> Callable[[], bytes]:
    return lambda: encode(picture, picture_format, **options)


def opencv(suffix: str, samples: Samples) -> Callable[[], bytes]:
    """A file written by OpenCV, which supports 16-bit colour; `samples` are RGB, RGBA or grey."""
    conversions = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    conversion = conversions[samples.ndim if samples.ndim == 2 else samples.shape[2]]
    stored = samples if conversion is None else cv2.cvtColor(samples, conversion)
    return lambda: cv2.imencode(suffix, stored)[1].tobytes()


def by_pillow(file: bytes) -> Samples:
    """A lossy file as Pillow decodes it with libjpeg and libwebp: HW4 RGBA uint8."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))


def rgba(samples: Samples) -> Samples:
    """The samples of a lossless file as HW4 RGBA, in their own dtype."""
    full = np.iinfo(samples.dtype).max
    colours = samples if samples.ndim == 3 else np.dstack([samples] * 3)
    if colours.shape[2] == 3:
        colours = np.dstack([colours, np.full(colours.shape[:2], full, samples.dtype)])
    return colours


PALETTE = Image.fromarray(PHOTO).quantize(64)

# What to send, and what its known pixels must come back as: an array, or None for "as Pillow reads it".
PHOTOS: dict[str, tuple[Callable[[], bytes], Samples | None]] = {
    "png-rgb": (pillow(PHOTO), rgba(PHOTO)),
    "png-grey": (pillow(GREY), rgba(GREY)),
    "png-palette": (pillow(PALETTE), rgba(np.asarray(PALETTE.convert("RGB")))),
    "png-rgba": (pillow(RGBA), RGBA),
    "png-grey-alpha": (
        pillow(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])),
        np.dstack([GREY, GREY, GREY, ALPHA]),
    ),
    "png-1-bit": (pillow(Image.fromarray(GREY > 127)), rgba(as_mask(GREY > 127))),
    "png-16-bit-grey": (opencv(".png", DEEP_GREY), rgba(DEEP_GREY)),
    "png-16-bit-rgb": (opencv(".png", DEEP), rgba(DEEP)),
    "png-16-bit-rgba": (opencv(".png", rgba(DEEP)), rgba(DEEP)),
    "png-interlaced": (lambda: interlaced(PHOTO), rgba(PHOTO)),
    "jpeg": (pillow(PHOTO, "JPEG", quality=90), None),
    "jpeg-progressive": (pillow(PHOTO, "JPEG", quality=90, progressive=True), None),
    "jpeg-grey": (pillow(GREY, "JPEG", quality=90), None),
    "jpeg-cmyk": (pillow(Image.fromarray(PHOTO).convert("CMYK"), "JPEG", quality=90), None),
    "webp": (pillow(PHOTO, "WEBP", quality=90), None),
    "webp-lossless": (pillow(PHOTO, "WEBP", lossless=True), rgba(PHOTO)),
    "webp-rgba": (pillow(RGBA, "WEBP", lossless=True, exact=True), RGBA),
    "bmp": (pillow(PHOTO, "BMP"), rgba(PHOTO)),
    "bmp-palette": (pillow(PALETTE, "BMP"), rgba(np.asarray(PALETTE.convert("RGB")))),
    "tiff": (pillow(PHOTO, "TIFF"), rgba(PHOTO)),
    "tiff-lzw": (pillow(PHOTO, "TIFF", compression="tiff_lzw"), rgba(PHOTO)),
    "tiff-rgba": (pillow(RGBA, "TIFF"), RGBA),
    "tiff-16-bit-grey": (pillow(DEEP_GREY, "TIFF"), rgba(DEEP_GREY)),
    "tiff-16-bit-rgb": (opencv(".tiff", DEEP), rgba(DEEP)),
}


def interlaced(photo: NDArray[np.uint8]) -> bytes:
    """An interlaced PNG, with the seven passes of Adam7, which Pillow reads but does not write."""
    height, width = photo.shape[:2]
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = (row for top, left, down, right in passes for row in photo[top::down, left::right])
    stream = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return png_file((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))


@pytest.mark.parametrize("kind", deployed(PHOTOS, "png-16-bit-rgb", "jpeg", "webp", "bmp", "tiff-lzw"))
def test_photo(rest: RestClient, kind: str) -> None:
    write, expected = PHOTOS[kind]
    file = write()
    expected = by_pillow(file) if expected is None else expected
    filled = rest.fill(Fill(file, MASK))
    answer = filled.rgba
    assert answer.dtype == expected.dtype
    assert (answer[~HOLE] == expected[~HOLE]).all()
    assert (answer[HOLE, :3] != expected[HOLE, :3]).any()
    assert (answer[:, :, 3] == expected[:, :, 3]).all()
    assert (filled.facts["width"], filled.facts["height"]) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("kind", ["png-grey", "png-grey-alpha", "png-16-bit-grey", "jpeg-grey"])
def test_a_grey_photo_is_filled_with_grey(rest: RestClient, kind: str) -> None:
    filling = rest.fill(Fill(PHOTOS[kind][0](), MASK)).rgb[HOLE]
    assert (filling == filling[:, :1]).all()


def test_a_16_bit_photo_is_filled_with_16_bit_depth(rest: RestClient) -> None:
    filling = rest.fill(Fill(PHOTOS["png-16-bit-rgb"][0](), MASK)).rgb[HOLE]
    assert (filling % 257 != 0).any(), "the filling is 8-bit values scaled up"


SOFT = np.where(HOLE, 128, 127).astype(np.uint8)  # either side of the threshold
PAINT = np.dstack([np.full((HEIGHT, WIDTH, 3), 255, np.uint8), as_mask(HOLE)])
SQUARES = block(HEIGHT, WIDTH, 24, 40, 32)  # aligned with the 8x8 blocks of JPEG, which keeps such edges

MASKS: dict[str, tuple[Callable[[], bytes], NDArray[np.bool_]]] = {
    "png-grey": (pillow(as_mask(HOLE)), HOLE),
    "png-1-bit": (pillow(Image.fromarray(HOLE)), HOLE),
    "png-palette": (pillow(Image.fromarray(as_mask(HOLE)).convert("P")), HOLE),
    "png-rgb": (pillow(np.dstack([as_mask(HOLE)] * 3)), HOLE),
    "png-rgba-opaque": (pillow(rgba(as_mask(HOLE))), HOLE),
    "png-white-paint-on-nothing": (pillow(PAINT), HOLE),
    "png-16-bit": (opencv(".png", as_mask(HOLE).astype(np.uint16) * 257), HOLE),
    "png-threshold": (pillow(SOFT), HOLE),
    "webp": (pillow(as_mask(HOLE), "WEBP", lossless=True), HOLE),
    "bmp": (pillow(as_mask(HOLE), "BMP"), HOLE),
    "bmp-1-bit": (pillow(Image.fromarray(HOLE), "BMP"), HOLE),
    "tiff": (pillow(as_mask(HOLE), "TIFF"), HOLE),
    "tiff-1-bit-fax": (pillow(Image.fromarray(HOLE), "TIFF", compression="group4"), HOLE),
    "jpeg": (pillow(as_mask(SQUARES), "JPEG", quality=95), SQUARES),
}


@pytest.mark.parametrize("kind", MASKS)
def test_mask(rest: RestClient, kind: str) -> None:
    write, hole = MASKS[kind]
    filled = rest.fill(Fill(encode(PHOTO), write()))
    assert filled.png == rest.fill(Fill(encode(PHOTO), encode_mask(hole))).png
    assert filled.facts["hole_ratio"] == pytest.approx(hole.mean(), abs=1e-6)


# How upright pixels are stored for each orientation: the inverse of what a reader does.
LAID_DOWN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(upright: Samples, orientation: int, picture_format: str, **options: object) -> bytes:
    """A file whose pixels are stored so that its EXIF orientation turns them into `upright`."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.fromarray(upright).transpose(LAID_DOWN[orientation])
    return encode(image, picture_format, exif=exif, **options)


@pytest.mark.parametrize("orientation", LAID_DOWN)
def test_exif_orientation_of_the_photo(rest: RestClient, orientation: int) -> None:
    file = turned(PHOTO, orientation, "JPEG", quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))))
    assert upright.shape == PHOTO.shape
    filled = rest.fill(Fill(file, MASK))
    assert (filled.rgb[~HOLE] == upright[~HOLE]).all()
    assert (filled.facts["width"], filled.facts["height"]) == (WIDTH, HEIGHT)
    with Image.open(io.BytesIO(filled.png)) as image:
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1, "a viewer would turn it again"


@pytest.mark.parametrize("orientation", LAID_DOWN)
@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_exif_orientation_of_the_mask(rest: RestClient, picture_format: str, orientation: int) -> None:
    filled = rest.fill(Fill(encode(PHOTO), turned(as_mask(HOLE), orientation, picture_format)))
    assert filled.png == rest.fill(Fill(encode(PHOTO), MASK)).png


def test_exif_orientation_of_both(rest: RestClient) -> None:
    """A phone's photo, and a mask drawn over it by a program that rotates neither."""
    photo, mask = turned(PHOTO, 6, "JPEG", quality=95), turned(as_mask(HOLE), 6, "PNG")
    assert rest.fill(Fill(photo, mask)).png == rest.fill(Fill(photo, MASK)).png


@pytest.mark.parametrize(
    ("picture_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_transparency_is_the_mask_where_none_is_sent(
    rest: RestClient, picture_format: str, options: dict[str, bool]
) -> None:
    filled = rest.fill(Fill(encode(CUT_OUT, picture_format, **options)))
    assert (filled.rgba[~HOLE] == CUT_OUT[~HOLE]).all()
    assert (filled.rgba[HOLE, 3] == 255).all(), "what is filled must be visible"
    assert (filled.rgb == rest.fill(Fill(encode(PHOTO), MASK)).rgb).all()
    assert filled.facts["hole_ratio"] == pytest.approx(HOLE.mean(), abs=1e-6)


def test_transparency_of_a_palette_is_a_mask_too(rest: RestClient) -> None:
    colours = Image.fromarray(PHOTO).quantize(16)
    indices = np.where(HOLE, 16, np.asarray(colours)).astype(np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([*(colours.getpalette() or [])[:48], 255, 0, 255])
    filled = rest.fill(Fill(encode(image, transparency=16)))
    assert (filled.rgb[~HOLE] == np.asarray(colours.convert("RGB"))[~HOLE]).all()
    assert filled.facts["hole_ratio"] == pytest.approx(HOLE.mean(), abs=1e-6)
    assert (filled.rgb[HOLE] != (255, 0, 255)).any(axis=1).all()


def test_a_mask_overrules_transparency(rest: RestClient) -> None:
    other = block(HEIGHT, WIDTH, 8, 8, 16)
    filled = rest.fill(Fill(encode(CUT_OUT), encode_mask(other)))
    assert (filled.rgba[~other] == CUT_OUT[~other]).all()
    assert (filled.rgba[:, :, 3] == CUT_OUT[:, :, 3]).all()
    assert filled.facts["hole_ratio"] == pytest.approx(other.mean(), abs=1e-6)


def test_colour_profile_is_kept(rest: RestClient) -> None:
    """The values of the known pixels stay, so their meaning must stay too."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    answer = rest.fill(Fill(encode(painted(PHOTO, HOLE), icc_profile=profile), MASK)).png
    with Image.open(io.BytesIO(answer)) as image:
        assert image.info.get("icc_profile") == profile
    assert (decode_rgba(answer)[~HOLE, :3] == PHOTO[~HOLE]).all()


TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
CAMERA, PLACE = ExifTags.Base.Make, ExifTags.IFD.GPSInfo


def phone_photo(picture_format: str) -> bytes:
    """A photo with a camera model, a location and a colour profile, whose pixels a viewer has to rotate."""
    exif = Image.Exif()
    exif[CAMERA], exif[PLACE] = "Camera", {1: "N"}
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(PHOTO).transpose(LAID_DOWN[6])
    options = {"lossless": True} if picture_format == "WEBP" else {"quality": 90}
    return encode(image, picture_format, exif=exif, icc_profile=profile, **options)


def upright(file: bytes) -> tuple[str, Samples]:
    """The file's format, and what a viewer shows: HW3 RGB uint8."""
    with Image.open(io.BytesIO(file)) as image:
        return (image.format or "").lower(), np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("asked", ["png", "jpeg", "webp", "same"])
@pytest.mark.parametrize("encoding", deployed(ENCODINGS, "json"))
def test_output_format(rest: RestClient, encoding: str, asked: str) -> None:
    filled = rest.fill(Fill(encode(PHOTO, "WEBP", lossless=True), MASK, output_format=asked), encoding)
    expected = "webp" if asked == "same" else asked
    assert filled.facts["mime_type"] == TYPES[expected]
    image_format, shown = upright(filled.png)
    assert image_format == expected
    difference = np.abs(shown.astype(int) - PHOTO)[~HOLE]
    assert difference.mean() < 4 if asked == "jpeg" else not difference.any()


@pytest.mark.parametrize(
    ("accept", "asked", "media_type"),
    [
        ("image/jpeg", None, "image/jpeg"),
        ("image/webp, image/jpeg;q=0.5", None, "image/webp"),
        ("image/jpeg;q=0.5, image/png", None, "image/png"),
        ("image/*", "same", "image/jpeg"),
        ("image/*", "webp", "image/webp"),
        ("*/*", "webp", "application/json"),
    ],
)
def test_accept_chooses_the_format(rest: RestClient, accept: str, asked: str | None, media_type: str) -> None:
    fill = Fill(encode(PHOTO, "JPEG"), MASK, output_format=asked)
    response = rest.post(**ENCODINGS["multipart"](fill), headers={"Accept": accept})
    assert response.status_code == 200, response.text[:500]
    assert response.headers["Content-Type"].partition(";")[0] == media_type
    if media_type != "application/json":
        assert f"image/{upright(response.content)[0]}" == media_type


@pytest.mark.deployed
def test_an_accept_header_that_excludes_everything_is_406(rest: RestClient) -> None:
    fill = ENCODINGS["multipart"](Fill(encode(PHOTO), MASK, output_format="jpeg"))
    response = rest.post(**fill, headers={"Accept": "image/png, text/html;q=0.5"})
    assert_error(response, 406, "NotAcceptableException", ("image/jpeg", "application/json"))


@pytest.mark.parametrize("field", ["output_format", "metadata"])
def test_an_unknown_choice_is_400(rest: RestClient, field: str) -> None:
    response = rest.post(**ENCODINGS["json"](Fill(encode(PHOTO), MASK, **{field: "gif"})))
    assert_error(response, 400, "InvalidRequestException", (field, "'gif'"))


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_comes_back_in_its_own_format_with_its_metadata(
    rest: RestClient, picture_format: str
) -> None:
    file = phone_photo(picture_format)
    before = upright(file)[1]
    filled = rest.fill(Fill(file, MASK, output_format="same"))
    image_format, after = upright(filled.png)
    assert image_format == picture_format.lower()
    assert (filled.facts["width"], filled.facts["height"]) == (WIDTH, HEIGHT)
    # In JPEG the blocks that the hole touches are encoded again, and colours are interpolated from block to block.
    near = cv2.dilate(as_mask(HOLE), np.ones((37, 37), np.uint8)) > 0 if picture_format == "JPEG" else HOLE
    assert (after[~near] == before[~near]).all()
    assert (after[HOLE] != before[HOLE]).any()
    with Image.open(io.BytesIO(filled.png)) as image:
        assert image.getexif()[CAMERA] == "Camera"
        assert image.getexif().get_ifd(PLACE) == {1: "N"}
        assert image.info["icc_profile"] == Image.open(io.BytesIO(file)).info["icc_profile"]
    without_place = rest.fill(Fill(file, MASK, output_format="same", metadata="no-location"))
    with Image.open(io.BytesIO(without_place.png)) as image:
        assert image.getexif()[CAMERA] == "Camera"
        assert not image.getexif().get_ifd(PLACE)
