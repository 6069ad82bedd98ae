"""`POST /masks/marks` proposes a mask for the marks in a photo, on the engines that find them."""

import base64
import io
from collections.abc import Callable
from typing import Any

import deviations
import hostile_images
import numpy as np
import pytest
from engines import Engine
from inpaint_client import ClientError, InpaintClient
from PIL import Image
from rest import RestClient, assert_error, to_base64
from sample_pictures import Bools, encode, face, painted, scratch

MARKS = "/masks/marks"
HEIGHT, WIDTH = 200, 150
HOLE = scratch(HEIGHT, WIDTH, 2)
PHOTO = painted(face(HEIGHT, WIDTH), HOLE, (240, 240, 240))
FILE = encode(PHOTO)


@pytest.fixture(autouse=True)
def _finds_marks(engine: Engine) -> None:
    if not deviations.of(engine).finds_marks:
        pytest.skip(f"{engine.name} does not find marks")


def mask_of(file: bytes) -> Bools:
    image = Image.open(io.BytesIO(file))
    assert (image.format, image.mode) == ("PNG", "L")
    samples = np.asarray(image)
    assert set(np.unique(samples)) <= {0, 255}
    return samples > 0


def as_form(**texts: str) -> dict[str, Any]:
    return {"files": {"image": FILE}, "data": texts}


def as_json(**fields: Any) -> dict[str, Any]:
    return {"json": {"image": to_base64(FILE), **fields}}


@pytest.mark.deployed
@pytest.mark.parametrize("request_of", [as_form, as_json])
def test_the_mask_covers_the_scratch(rest: RestClient, request_of: Callable[..., dict[str, Any]]) -> None:
    response = rest.post(MARKS, **request_of())
    assert response.status_code == 200, response.text
    body = response.json()
    mask = mask_of(base64.b64decode(body.pop("mask")))
    assert mask.shape == HOLE.shape
    assert body == {"width": WIDTH, "height": HEIGHT, "share": pytest.approx(mask.mean(), abs=1e-6)}
    assert mask[HOLE].mean() > 0.8
    assert mask.mean() < 4 * HOLE.mean()


def test_the_mask_itself_is_returned_if_the_client_prefers_it(rest: RestClient) -> None:
    response = rest.post(MARKS, **as_form(), headers={"Accept": "image/png"})
    assert response.headers["Content-Type"] == "image/png"
    assert mask_of(response.content).shape == HOLE.shape


@pytest.mark.parametrize("request_of", [as_form, as_json])
def test_more_is_found_at_a_higher_sensitivity(
    rest: RestClient, request_of: Callable[..., dict[str, Any]]
) -> None:
    shares = [
        rest.post(MARKS, **request_of(sensitivity=sensitivity)).json()["share"]
        for sensitivity in ("0", "0.5", "1")
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[2]


def test_exif_orientation_is_applied(rest: RestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encode(np.rot90(PHOTO), "JPEG", quality=98, exif=exif.tobytes())
    response = rest.post(MARKS, files={"image": file}, headers={"Accept": "image/png"})
    mask = mask_of(response.content)
    assert mask.shape == HOLE.shape
    assert mask[HOLE].mean() > 0.7


INVALID: dict[str, tuple[dict[str, Any], dict[str, str], int, str, tuple[str, ...]]] = {
    "other field": ({"files": {"other": b"x"}}, {}, 400, "InvalidRequestException", ("other",)),
    "missing": ({"json": {}}, {}, 400, "MissingInputException", ("image",)),
    "empty": ({"files": {"image": b""}}, {}, 400, "InvalidImageException", ("empty",)),
    "not an image": ({"files": {"image": b"text"}}, {}, 400, "InvalidImageException", ("image",)),
    "sensitivity": (
        as_form(sensitivity="2"),
        {},
        400,
        "InvalidRequestException",
        ("sensitivity", "[0, 1]", "2"),
    ),
    "sensitivity nan": (as_form(sensitivity="nan"), {}, 400, "InvalidRequestException", ("[0, 1]",)),
    "sensitivity list": (as_json(sensitivity=[1]), {}, 400, "InvalidRequestException", ("[0, 1]",)),
    "sensitivity true": (as_json(sensitivity=True), {}, 400, "InvalidRequestException", ("[0, 1]",)),
    "unknown field": (as_form(mask="x"), {}, 400, "InvalidRequestException", ("mask",)),
    "text": (
        {"data": "image"},
        {"Content-Type": "text/plain"},
        415,
        "UnsupportedMediaTypeException",
        ("json",),
    ),
    "accept": (as_form(), {"Accept": "image/jpeg"}, 406, "NotAcceptableException", ("image/png",)),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_wrong_request_is_answered_with_what_would_be_right(rest: RestClient, case: str) -> None:
    request, headers, code, error_type, words = INVALID[case]
    assert_error(rest.post(MARKS, **request, headers=headers), code, error_type, words)


def test_the_sdk_finds_the_same(engine: Engine, rest: RestClient) -> None:
    with InpaintClient(engine.url) as client:
        marks = client.find_marks(PHOTO, sensitivity=0.7)
        expected = rest.post(MARKS, **as_form(sensitivity="0.7"), headers={"Accept": "image/png"})
        assert (marks.to_array() == mask_of(expected.content)).all()
        assert (marks.width, marks.height) == (WIDTH, HEIGHT)
        assert marks.share == pytest.approx(marks.to_array().mean(), abs=1e-6)
        filled = client.fill(PHOTO, marks.mask).to_array()
        assert (filled[~marks.to_array()] == PHOTO[~marks.to_array()]).all()
        with pytest.raises(ClientError, match="cannot be read"):
            client.find_marks(b"text")


@pytest.mark.parametrize("kind", hostile_images.REFUSED)
def test_a_hostile_file_is_refused(rest: RestClient, kind: str) -> None:
    response = rest.post(MARKS, files={"image": hostile_images.REFUSED[kind]()})
    assert response.status_code in (400, 413)
    assert set(response.json()) == {"code", "type", "message"}
