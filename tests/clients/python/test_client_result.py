import base64
import io
import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpaint_client import ContractError, FillResult, InvalidInputError
from inpaint_client.result import parse_fill_result
from inpaint_loopback import encode
from PIL import Image


def answer(png: bytes, **changes: Any) -> bytes:
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
    return parse_fill_result(answer(photo_png))


def test_the_answer_is_read_whole(result: FillResult, photo_png: bytes) -> None:
    assert result == FillResult(
        png=photo_png, width=48, height=40, hole_ratio=0.25, model="inpaint", model_version="1.2"
    )


def test_a_result_is_frozen_and_its_repr_short(result: FillResult) -> None:
    with pytest.raises(FrozenInstanceError):
        result.width = 1
    assert len(repr(result)) < 200


def test_conversions_agree(result: FillResult, photo: np.ndarray, photo_png: bytes) -> None:
    np.testing.assert_array_equal(result.to_array(), photo)
    np.testing.assert_array_equal(np.asarray(result.to_pil()), photo)
    assert result.to_bytes() == result.to_bytes("png") == result._repr_png_() == photo_png
    webp = Image.open(io.BytesIO(result.to_bytes("webp")))
    assert webp.format == "WEBP"
    np.testing.assert_array_equal(np.asarray(webp), photo)


def test_sixteen_bit_grey_keeps_its_depth() -> None:
    deep = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    array = parse_fill_result(answer(encode(deep))).to_array()
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array, deep)


def test_an_array_is_the_callers_own(result: FillResult, photo: np.ndarray) -> None:
    result.to_array()[:] = 0
    np.testing.assert_array_equal(result.to_array(), photo)


@pytest.mark.parametrize(
    ("name", "picture_format"), [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP"), ("a.tif", "TIFF")]
)
def test_the_suffix_says_the_format(
    result: FillResult, tmp_path: Path, name: str, picture_format: str
) -> None:
    result.save(tmp_path / name)
    with Image.open(tmp_path / name) as saved:
        assert (saved.format, saved.size) == (picture_format, (48, 40))


def test_png_is_saved_byte_for_byte(result: FillResult, tmp_path: Path, photo_png: bytes) -> None:
    result.save(str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes() == photo_png


@pytest.mark.parametrize("name", ["a", "a.docx", "a.psd"])
def test_an_unknown_suffix_is_refused(result: FillResult, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"\.png"):
        result.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_transparency_is_not_lost_silently(tmp_path: Path) -> None:
    result = parse_fill_result(answer(encode(np.full((4, 4, 4), 9, np.uint8))))
    with pytest.raises(InvalidInputError, match="RGBA cannot be written as JPEG; use PNG"):
        result.save(tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_png_is_the_servers_fault(photo_png: bytes) -> None:
    for damaged in (photo_png[:-2000], photo_png[:8], photo_png[:60] + bytes(40) + photo_png[100:]):
        with pytest.raises(ContractError, match="cannot be decoded"):
            parse_fill_result(answer(damaged)).to_pil()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>welcome</html>", "not the JSON"),
        (b"[]", "not the JSON"),
        (b'"text"', "not the JSON"),
        (b"{}", "lacks the field 'image'"),
        (answer(b"\x89PNG\r\n\x1a\n", width="wide"), "not the JSON"),
        (answer(b"\x89PNG\r\n\x1a\n", image="%%%"), "not the JSON"),
        (answer(b"\x89PNG\r\n\x1a\n", image=None), "not the JSON"),
        (answer(b"GIF89a"), "not a PNG"),
    ],
)
def test_answers_outside_the_contract_are_refused(body: bytes, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        parse_fill_result(body)
