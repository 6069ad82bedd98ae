import base64
import io
import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpaint_client import FillResult, InvalidInputError, InvalidResponseError
from inpaint_client.predictions import parse_fill_result
from inpaint_loopback import encode
from PIL import Image


def response(png: bytes, **changes: Any) -> bytes:
    fields = {
        "image": base64.b64encode(png).decode(),
        "mime_type": "image/png",
        "width": 48,
        "height": 40,
        "hole_ratio": 0.25,
        "model": "inpaint",
        "model_version": "1.2",
    }
    return json.dumps(fields | changes).encode()


@pytest.fixture
def result(photo_png: bytes) -> FillResult:
    return parse_fill_result(response(photo_png), {})


def test_all_fields_are_parsed(result: FillResult, photo_png: bytes) -> None:
    assert result == FillResult(
        image=photo_png, width=48, height=40, hole_ratio=0.25, model="inpaint", model_version="1.2"
    )


def test_the_request_id_and_the_servers_time_are_in_the_headers(photo_png: bytes, result: FillResult) -> None:
    timing = 'decode;dur=12.5, cache;desc="a, b", run;dur=1000, broken;dur=x, total;desc="all";dur=3'
    known = parse_fill_result(response(photo_png), {"X-Request-ID": "seven", "Server-Timing": timing})
    assert (known.request_id, known.seconds) == ("seven", {"decode": 0.0125, "run": 1.0})
    assert (result.request_id, result.seconds) == (None, {})
    assert known == result  # the same image


def test_a_result_is_frozen_and_its_repr_is_short(result: FillResult) -> None:
    with pytest.raises(FrozenInstanceError):
        result.width = 1  # type: ignore[misc]
    assert len(repr(result)) < 200


def test_conversions_agree(result: FillResult, photo: np.ndarray, photo_png: bytes) -> None:
    np.testing.assert_array_equal(result.to_array(), photo)
    np.testing.assert_array_equal(np.asarray(result.to_pil()), photo)
    assert result.to_bytes() == result.to_bytes("png") == photo_png
    webp = Image.open(io.BytesIO(result.to_bytes("webp")))
    assert webp.format == "WEBP"
    np.testing.assert_array_equal(np.asarray(webp), photo)


def test_notebooks_display_a_result(result: FillResult, photo: np.ndarray) -> None:
    # IPython displays an object as the PNG that this method returns.
    displayed = Image.open(io.BytesIO(result._repr_png_()))
    assert displayed.format == "PNG"
    np.testing.assert_array_equal(np.asarray(displayed), photo)


def test_16_bit_grayscale_keeps_its_depth() -> None:
    deep = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    array = parse_fill_result(response(encode(deep)), {}).to_array()
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array, deep)


def test_arrays_are_writable_copies(result: FillResult, photo: np.ndarray) -> None:
    result.to_array()[:] = 0
    np.testing.assert_array_equal(result.to_array(), photo)


@pytest.mark.parametrize(
    ("name", "picture_format"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP"), ("a.tif", "TIFF")]
)
def test_the_suffix_determines_the_format(
    result: FillResult, tmp_path: Path, name: str, picture_format: str
) -> None:
    result.save(tmp_path / name)
    with Image.open(tmp_path / name) as saved:
        assert (saved.format, saved.size) == (picture_format, (48, 40))


def test_png_is_saved_unchanged(result: FillResult, tmp_path: Path, photo_png: bytes) -> None:
    result.save(str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes() == photo_png


@pytest.mark.parametrize("name", ["a", "a.docx", "a.psd"])
def test_an_unknown_suffix_is_rejected(result: FillResult, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"\.png"):
        result.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_format_without_alpha_is_rejected(tmp_path: Path) -> None:
    result = parse_fill_result(response(encode(np.full((4, 4, 4), 9, np.uint8))), {})
    with pytest.raises(InvalidInputError, match="RGBA cannot be written as JPEG; use PNG"):
        result.save(tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["JPEG", "WEBP"])
def test_a_result_in_the_requested_format_is_saved_unchanged(
    name: str, photo: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sent = encode(photo, name, exif=exif.tobytes())
    result = parse_fill_result(response(sent), {})
    assert result.format == name
    assert result.to_bytes(name) == result.image == sent
    result.save(tmp_path / f"a.{name.lower()}")
    assert (tmp_path / f"a.{name.lower()}").read_bytes() == sent
    assert result.to_pil().size == photo.shape[:2], "rotated by its EXIF orientation"
    with Image.open(io.BytesIO(result.png)) as png:
        assert (png.format, png.size) == ("PNG", photo.shape[:2])


def test_a_damaged_png_is_an_invalid_response(photo_png: bytes) -> None:
    for damaged in (photo_png[:-2000], photo_png[:8], photo_png[:60] + bytes(40) + photo_png[100:]):
        with pytest.raises(InvalidResponseError, match="cannot be decoded"):
            parse_fill_result(response(damaged), {}).to_pil()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>welcome</html>", "not the expected JSON"),
        (b"[]", "not the expected JSON"),
        (b'"text"', "not the expected JSON"),
        (b"{}", "lacks the field 'image'"),
        (response(b"\x89PNG\r\n\x1a\n", width="wide"), "not the expected JSON"),
        (response(b"\x89PNG\r\n\x1a\n", image="%%%"), "not the expected JSON"),
        (response(b"\x89PNG\r\n\x1a\n", image=None), "not the expected JSON"),
        (response(b"GIF89a"), "not a PNG"),
    ],
)
def test_responses_outside_the_contract_are_rejected(body: bytes, message: str) -> None:
    with pytest.raises(InvalidResponseError, match=message):
        parse_fill_result(body, {})
