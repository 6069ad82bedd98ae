"""Formats of an answer and the metadata that they keep."""

import io
from typing import Any, Literal

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from sample_pictures import encode, face

from serving.core import encoders
from serving.core.codec import Picture, decode_image
from serving.core.contract import ImageFormat, Metadata
from serving.core.encoders import check_side, with_metadata
from serving.core.encoders import encode as encode_picture
from serving.core.errors import InvalidRequestError

LIMIT = 1_000_000
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
FORMATS: list[ImageFormat] = ["png", "jpeg", "webp"]


def exif() -> Image.Exif:
    values = Image.Exif()
    values[ExifTags.Base.Make] = "Camera"
    values[ExifTags.Base.Orientation] = 6
    values[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeOriginal: "2026:11:24 12:00:00",
        ExifTags.Base.ExifImageWidth: 60,
        ExifTags.Base.ExifImageHeight: 40,
        ExifTags.Base.MakerNote: b"maker",
    }
    values[ExifTags.IFD.GPSInfo] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return values


def with_thumbnail(file: bytes) -> bytes:
    """The JPEG with a second directory in its EXIF, which is where a thumbnail is."""
    start = file.index(b"Exif\0\0") + 6
    length = int.from_bytes(file[start - 8 : start - 6])
    tiff = bytearray(file[start : start - 8 + length])
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    first = int.from_bytes(tiff[4:8], order)
    link = first + 2 + 12 * int.from_bytes(tiff[first : first + 2], order)
    tiff[link : link + 4] = len(tiff).to_bytes(4, order)
    picture = b"the thumbnail"
    entries = [(0x0103, 3, 1, 6), (0x0201, 4, 1, len(tiff) + 42), (0x0202, 4, 1, len(picture))]
    tiff += len(entries).to_bytes(2, order)
    for tag, kind, count, value in entries:
        tiff += tag.to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order)
        tiff += value.to_bytes(2, order) + b"\0\0" if kind == 3 else value.to_bytes(4, order)
    tiff += bytes(4) + picture
    size = (len(tiff) + 8).to_bytes(2)
    return file[: start - 8] + size + b"Exif\0\0" + bytes(tiff) + file[start - 8 + length :]


def photo(picture_format: str) -> bytes:
    options: dict[str, Any] = {"exif": exif().tobytes(), "icc_profile": SRGB}
    if picture_format in ("JPEG", "WEBP"):
        options["xmp"] = XMP
    file = encode(face(40, 60), picture_format, **options)
    return with_thumbnail(file) if picture_format == "JPEG" else file


def answer(file: bytes, image_format: ImageFormat, metadata: Metadata) -> Image.Image:
    """The file as an answer in another format."""
    picture = decode_image(file, LIMIT)
    return Image.open(io.BytesIO(encode_picture(with_metadata(picture, metadata), image_format)))


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_metadata_goes_from_any_format_to_any_other(picture_format: str, image_format: ImageFormat) -> None:
    file = photo(picture_format)
    assert (b"the thumbnail" in file) is (picture_format == "JPEG")
    image = answer(file, image_format, "all")
    image.load()
    values = image.getexif()
    assert image.size == (40, 60)
    assert values[ExifTags.Base.Make] == "Camera"
    assert values.get(ExifTags.Base.Orientation, 1) == 1, "the pixels are upright"
    details = values.get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.DateTimeOriginal] == "2026:11:24 12:00:00"
    assert details[ExifTags.Base.MakerNote] == b"maker"
    assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (40, 60)
    assert values.get_ifd(ExifTags.IFD.GPSInfo) == {1: "N", 2: (1.0, 2.0, 3.0)}
    assert not values.get_ifd(ExifTags.IFD.IFD1), "a thumbnail would show what was removed"
    assert image.info["icc_profile"] == SRGB
    if picture_format in ("JPEG", "WEBP"):
        assert image.info["xmp"] == XMP.replace(b'"6"', b'"1"')
    buffer = encode_picture(with_metadata(decode_image(file, LIMIT), "all"), image_format)
    assert b"the thumbnail" not in buffer


@pytest.mark.parametrize("image_format", FORMATS)
def test_metadata_may_be_left_out(image_format: ImageFormat) -> None:
    image = answer(photo("JPEG"), image_format, "no-location")
    assert image.getexif()[ExifTags.Base.Make] == "Camera"
    assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert "xmp" not in image.info
    image = answer(photo("JPEG"), image_format, "none")
    assert not dict(image.getexif())
    assert image.info["icc_profile"] == SRGB


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_damaged_exif_costs_no_pixel(exif: bytes) -> None:
    file = encode(face(40, 60), "JPEG", exif=exif)
    picture = decode_image(file, LIMIT)
    for image_format in FORMATS:
        again = decode_image(encode_picture(with_metadata(picture, "all"), image_format), LIMIT)
        assert again.size == (40, 60)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_webp_is_lossless_and_jpeg_is_near(channels: int, dtype: Any) -> None:
    full = np.iinfo(dtype).max
    exact = np.dstack([face(40, 60), face(40, 60)[:, :, 0]])[:, :, :channels]
    samples = exact.astype(dtype) * dtype(full // 255)
    picture = Picture(samples, SRGB)
    webp = Image.open(io.BytesIO(encode_picture(picture, "webp")))
    expected = exact if channels > 2 else exact[:, :, [0, 0, 0, 1][: channels + 2]]
    np.testing.assert_array_equal(np.asarray(webp), expected)
    jpeg = Image.open(io.BytesIO(encode_picture(picture, "jpeg")))
    assert jpeg.mode == ("L" if channels <= 2 else "RGB")
    shown = exact.astype(float)
    if picture.has_alpha:
        alpha = shown[:, :, -1:] / 255
        shown = shown[:, :, :-1] * alpha + 255 * (1 - alpha)
    assert np.abs(np.asarray(jpeg).reshape(shown.shape) - shown).mean() < 3


def test_a_side_that_a_format_cannot_hold_is_refused() -> None:
    check_side("png", (1, 70_000))
    check_side("webp", (16383, 1))
    with pytest.raises(InvalidRequestError, match=r"image/webp.*16383.*1x16384.*PNG"):
        check_side("webp", (16384, 1))
    with pytest.raises(InvalidRequestError, match="image/jpeg"):
        check_side("jpeg", (1, 65501))


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 4])
def test_a_large_picture_is_encoded_the_same_in_another_process(
    image_format: ImageFormat, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(0).integers(0, 2**16, (40, 60, channels), np.uint16)
    profile = SRGB if channels == 4 else None
    picture = with_metadata(Picture(samples, profile, exif().tobytes()[6:], XMP), "all")
    here = encode_picture(picture, image_format)
    monkeypatch.setattr(encoders, "_MAX_PIXELS_IN_PROCESS", dict.fromkeys(FORMATS, 1))
    assert encode_picture(picture, image_format) == here


def test_encoding_a_large_picture_is_cancelled() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4100, 4100, 3), np.uint8)
    calls: list[None] = []

    class GoneError(Exception):
        pass

    def checkpoint() -> None:
        calls.append(None)
        if len(calls) > 3:
            raise GoneError

    with pytest.raises(GoneError):
        encode_picture(Picture(noise), "webp", checkpoint)
    assert len(calls) == 4
