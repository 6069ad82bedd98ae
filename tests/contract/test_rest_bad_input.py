"""Bad input: each case gets its 4xx, with a message that says what would be right, and leaves the server healthy."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from engines import Engine, PeakMemory
from hostile_files import damaged_png, no_pixels, png_bomb, text_bomb
from PIL import Image
from rest import FIELDS, Fill, RestClient, as_json, assert_error, assert_well, deployed, to_base64
from sample_pictures import block, encode, encode_mask, face

PHOTO = face(96, 128)
HOLE = block(96, 128, 30, 40, 20)
IMAGE, MASK = encode(PHOTO), encode_mask(HOLE)
GREY_FLOATS = PHOTO[:, :, 0].astype(np.float32)
TEXT = b"This is no picture, but a letter to whom it may concern. " * 20
FORMATS = ("PNG", "JPEG", "WebP", "BMP", "TIFF")

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Bad:
    """A bad request: what `requests` sends, the error's code and type, and words that its message must contain."""

    request: Callable[[], dict[str, Any]]
    code: int
    type: str
    words: tuple[str, ...]


def form(image: bytes | None, mask: bytes | None, **texts: str) -> Callable[[], dict[str, Any]]:
    files = {name: data for name, data in (("image", image), ("mask", mask)) if data is not None}
    return lambda: {"files": files, "data": texts}


def fields(**values: object) -> Callable[[], dict[str, Any]]:
    return lambda: {"json": values}


def raw(body: bytes, media_type: str | None) -> Callable[[], dict[str, Any]]:
    return lambda: {"data": body, "headers": {"Content-Type": media_type}}


def invalid_request(request: Callable[[], dict[str, Any]], *words: str) -> Bad:
    return Bad(request, 400, "InvalidRequestException", words)


def missing(request: Callable[[], dict[str, Any]], *words: str) -> Bad:
    return Bad(request, 400, "MissingInputException", words)


def invalid_image(request: Callable[[], dict[str, Any]], *words: str) -> Bad:
    return Bad(request, 400, "InvalidImageException", ("image", *words))


def invalid_mask(request: Callable[[], dict[str, Any]], *words: str) -> Bad:
    return Bad(request, 400, "InvalidMaskException", ("mask", *words))


def mismatch(request: Callable[[], dict[str, Any]], *words: str) -> Bad:
    return Bad(request, 400, "MaskSizeMismatchException", ("mask", "image", *words))


def media_type(request: Callable[[], dict[str, Any]]) -> Bad:
    return Bad(
        request,
        415,
        "UnsupportedMediaTypeException",
        ("Content-Type", "multipart/form-data", "application/json"),
    )


def too_many_pixels(request: Callable[[], dict[str, Any]], field: str) -> Bad:
    return Bad(request, 413, "TooManyPixelsException", (field, "30000x30000", "64000000", "pixels"))


def turned_mask() -> bytes:
    """A mask of the photo's size as it is stored in the file, but not as it is displayed."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(PHOTO, "JPEG", exif=exif)


BAD: dict[str, Bad] = {
    # The body is not what its Content-Type says, or its Content-Type is not supported.
    "json-malformed": invalid_request(raw(b'{"image": ', "application/json"), "JSON"),
    "json-empty-body": invalid_request(raw(b"", "application/json"), "JSON"),
    "json-not-utf-8": invalid_request(raw(b'{"image": "\xff\xfe"}', "application/json"), "JSON"),
    "json-nested-too-deep": invalid_request(raw(b"[" * 200_000, "application/json"), "JSON"),
    "json-array": invalid_request(raw(b"[1, 2]", "application/json"), "JSON", "object", "array"),
    "json-string": invalid_request(raw(b'"image"', "application/json"), "JSON", "object", "string"),
    "json-number": invalid_request(raw(b"7", "application/json"), "JSON", "object", "number"),
    "json-null": invalid_request(raw(b"null", "application/json"), "JSON", "object", "null"),
    "media-type-none": media_type(raw(json.dumps(as_json(Fill(IMAGE, MASK))["json"]).encode(), None)),
    "media-type-text": media_type(raw(TEXT, "text/plain")),
    "media-type-octets": media_type(raw(IMAGE, "application/octet-stream")),
    "media-type-picture": media_type(raw(IMAGE, "image/png")),
    "media-type-xml": media_type(raw(b"<image/>", "application/xml")),
    "media-type-urlencoded": media_type(raw(b"image=abc&mask=abc", "application/x-www-form-urlencoded")),
    "form-without-boundary": invalid_request(raw(b"abc", "multipart/form-data")),
    "form-cut-off": missing(
        raw(
            b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc',
            "multipart/form-data; boundary=b",
        ),
        *("'image'", "missing"),
    ),
    # Fields.
    "json-no-fields": missing(fields(), "'image'", "missing"),
    "json-no-image": missing(fields(mask=to_base64(MASK)), "'image'", "missing"),
    "json-no-mask": missing(fields(image=to_base64(IMAGE)), "'mask'", "missing", "transparency"),
    "json-wrong-name": invalid_request(
        fields(photo=to_base64(IMAGE), mask=to_base64(MASK)), "'photo'", *map(repr, FIELDS)
    ),
    "json-image-number": invalid_image(fields(image=5, mask=to_base64(MASK)), "base64", "number"),
    "json-image-array": invalid_image(
        fields(image=[to_base64(IMAGE)], mask=to_base64(MASK)), "base64", "array"
    ),
    "json-image-boolean": invalid_image(fields(image=True, mask=to_base64(MASK)), "base64", "boolean"),
    "json-image-null": missing(fields(image=None, mask=to_base64(MASK)), "'image'", "missing"),
    "json-mask-object": invalid_mask(fields(image=to_base64(IMAGE), mask={"b64": ""}), "base64", "object"),
    "json-output-size": invalid_request(
        fields(image=to_base64(IMAGE), mask=to_base64(MASK), output_size="huge"),
        *("'output_size'", "'original'", "'model'", "'huge'"),
    ),
    "json-output-size-number": invalid_request(
        fields(image=to_base64(IMAGE), mask=to_base64(MASK), output_size=178),
        *("'output_size'", "'original'", "'model'", "178"),
    ),
    "json-output-size-array": invalid_request(
        fields(image=to_base64(IMAGE), mask=to_base64(MASK), output_size=["model"]),
        *("'output_size'", "'original'", "'model'"),
    ),
    "form-no-image": missing(form(None, MASK), "'image'", "missing"),
    "form-no-mask": missing(form(IMAGE, None), "'mask'", "missing", "transparency"),
    "form-only-text": missing(lambda: {"files": {"output_size": (None, "model")}}, "'image'", "missing"),
    "form-wrong-name": invalid_request(
        lambda: {"files": {"photo": IMAGE, "mask": MASK}}, "'photo'", *map(repr, FIELDS)
    ),
    "form-output-size": invalid_request(
        form(IMAGE, MASK, output_size="huge"), "'output_size'", "'original'", "'model'", "'huge'"
    ),
    # Base64.
    "base64-image": invalid_image(fields(image="!!! no base64 !!!", mask=to_base64(MASK)), "base64"),
    "base64-mask": invalid_mask(fields(image=to_base64(IMAGE), mask="!!! no base64 !!!"), "base64"),
    "base64-cut-off": invalid_image(fields(image=to_base64(IMAGE)[:-3], mask=to_base64(MASK)), "base64"),
    "base64-not-ascii": invalid_image(fields(image="größe", mask=to_base64(MASK)), "base64"),
    "base64-of-text": invalid_image(fields(image=to_base64(TEXT), mask=to_base64(MASK)), *FORMATS),
    "base64-empty": invalid_image(fields(image="", mask=to_base64(MASK)), "empty"),
    "data-url-no-base64": invalid_image(
        fields(image="data:image/png,abc", mask=to_base64(MASK)), "data URL", "base64"
    ),
    "data-url-no-comma": invalid_mask(
        fields(image=to_base64(IMAGE), mask="data:image/png;base64"), "data URL", "base64"
    ),
    "data-url-broken": invalid_mask(
        fields(image=to_base64(IMAGE), mask="data:image/png;base64,%%%"), "base64"
    ),
    # Files.
    "image-0-bytes": invalid_image(form(b"", MASK), "empty"),
    "mask-0-bytes": invalid_mask(form(IMAGE, b""), "empty"),
    "image-text": invalid_image(form(TEXT, MASK), *FORMATS),
    "mask-text": invalid_mask(form(IMAGE, TEXT), *FORMATS),
    "image-signature-only": invalid_image(form(IMAGE[:8], MASK)),
    "image-truncated-png": invalid_image(form(IMAGE[: len(IMAGE) // 2], MASK)),
    "mask-truncated-png": invalid_mask(form(IMAGE, MASK[: len(MASK) // 2])),
    "image-truncated-jpeg": invalid_image(form(encode(PHOTO, "JPEG")[:-900], MASK)),
    "image-truncated-webp": invalid_image(form(encode(PHOTO, "WEBP")[:-900], MASK)),
    "image-truncated-bmp": invalid_image(form(encode(PHOTO, "BMP")[:-900], MASK)),
    "image-truncated-tiff": invalid_image(form(encode(PHOTO, "TIFF", compression="tiff_lzw")[:-900], MASK)),
    "image-damaged-png": invalid_image(form(damaged_png(), MASK)),
    "image-no-pixels": invalid_image(form(no_pixels(), MASK)),
    "image-gif": invalid_image(form(encode(PHOTO, "GIF"), MASK), *FORMATS),
    "mask-gif": invalid_mask(form(IMAGE, encode(PHOTO, "GIF")), *FORMATS),
    "image-ppm": invalid_image(form(encode(PHOTO, "PPM"), MASK), *FORMATS),
    "image-svg": invalid_image(form(b'<svg xmlns="http://www.w3.org/2000/svg"/>', MASK), *FORMATS),
    "image-floats": invalid_image(form(encode(Image.fromarray(GREY_FLOATS), "TIFF"), MASK), "32 bits"),
    "image-text-bomb": invalid_image(form(text_bomb(IMAGE), MASK)),
    # The two together.
    "mask-other-size": mismatch(form(IMAGE, encode_mask(HOLE[:64, :100])), "100x64", "128x96"),
    "mask-other-size-json": mismatch(
        fields(image=to_base64(IMAGE), mask=to_base64(encode_mask(HOLE[:, :-1]))), "127x96", "128x96"
    ),
    "mask-transposed": mismatch(form(IMAGE, encode_mask(HOLE.T)), "96x128", "128x96"),
    "mask-of-the-photo-unturned": mismatch(form(turned_mask(), MASK), "128x96", "96x128", "EXIF"),
    "mask-all-hole": invalid_mask(form(IMAGE, encode_mask(np.ones_like(HOLE))), "whole", "known"),
    "mask-all-hole-json": invalid_mask(
        fields(image=to_base64(IMAGE), mask=to_base64(encode_mask(np.ones_like(HOLE)))), "whole", "known"
    ),
    "image-all-transparent": invalid_mask(form(encode(np.zeros((96, 128, 4), np.uint8)), None), "whole"),
    # Too much.
    "image-bomb": too_many_pixels(form(png_bomb(30_000, 30_000), MASK), "image"),
    "mask-bomb": too_many_pixels(form(IMAGE, png_bomb(30_000, 30_000)), "mask"),
    "image-bomb-json": too_many_pixels(
        fields(image=to_base64(png_bomb(30_000, 30_000)), mask=to_base64(MASK)), "image"
    ),
}


# These also depend on the server in front or on the container.
@pytest.mark.parametrize(
    "name",
    deployed(
        BAD,
        *("json-empty-body", "json-malformed", "media-type-none", "form-without-boundary", "form-cut-off"),
        *("form-wrong-name", "image-0-bytes", "image-truncated-jpeg", "mask-other-size", "image-bomb"),
    ),
)
def test_bad_input(rest: RestClient, name: str) -> None:
    bad = BAD[name]
    assert_error(rest.post(**bad.request()), bad.code, bad.type, bad.words)
    assert_well(rest)


@pytest.mark.deployed
@pytest.mark.parametrize("name", ["base64-image", "image-text", "mask-all-hole"])
def test_an_error_is_json_even_for_clients_that_asked_for_png(rest: RestClient, name: str) -> None:
    bad = BAD[name]
    request = bad.request() | {"headers": {"Accept": "image/png"}}
    assert_error(rest.post(**request), bad.code, bad.type, bad.words)


@pytest.mark.parametrize("name", ["image-bomb", "mask-bomb", "image-bomb-json", "image-text-bomb"])
def test_a_bomb_takes_no_memory(engine: Engine, rest: RestClient, name: str) -> None:
    """Decompressed, the pictures take 2.7 GB and the text 256 MB."""
    bad = BAD[name]
    request = bad.request()
    assert_well(rest)  # what a first request needs is now loaded
    with PeakMemory(engine) as memory:
        response = rest.post(**request)
    assert response.status_code == bad.code
    assert memory.growth < 150 * _MEGABYTE
    assert_well(rest)
