"""What a 200 answer looks like: encodings, fields, headers, output sizes."""

import io
import json

import cv2
import numpy as np
import onnxruntime
import pytest
from engines import MODEL
from PIL import Image
from rest import ENCODINGS, Fill, RestClient, as_json, deployed
from sample_pictures import block, encode, encode_mask, face, scratch

HOLE = scratch(178, 178, 9)
FACE = Fill(encode(face()), encode_mask(HOLE))


def model_version() -> str:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    version: str = session.get_modelmeta().custom_metadata_map["model_version"]
    return version


@pytest.mark.deployed
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gets_the_same_picture(rest: RestClient, encoding: str) -> None:
    filled = rest.fill(FACE, encoding)
    assert (filled.rgb[~HOLE] == face()[~HOLE]).all()
    assert (filled.rgb[HOLE] != face()[HOLE]).any()
    assert filled.png == rest.fill(FACE).png


@pytest.mark.deployed
def test_the_answer_has_exactly_the_fields_of_the_contract(rest: RestClient) -> None:
    response = rest.post(**as_json(Fill(encode(face(90, 120)), encode_mask(block(90, 120, 10, 20, 30)))))
    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == "application/json"
    assert int(response.headers["Content-Length"]) == len(response.content)
    answer = response.json()
    assert isinstance(answer.pop("image"), str)
    assert answer.pop("hole_ratio") == pytest.approx(900 / 10800, abs=1e-6)
    assert answer == {
        "mime_type": "image/png",
        "width": 120,
        "height": 90,
        "model": "inpaint",
        "model_version": model_version(),
    }


@pytest.mark.parametrize("encoding", deployed(ENCODINGS, "multipart", "json"))
def test_accept_png_gets_the_file_itself(rest: RestClient, encoding: str) -> None:
    response = rest.fill_png(FACE, encoding)
    assert response.headers["Content-Type"] == "image/png"
    assert int(response.headers["Content-Length"]) == len(response.content)
    assert response.content == rest.fill(FACE).png


@pytest.mark.deployed
def test_a_body_may_come_in_chunks(rest: RestClient) -> None:
    body = json.dumps(as_json(FACE)["json"]).encode()
    pieces = (body[start : start + 5000] for start in range(0, len(body), 5000))
    response = rest.post(data=pieces, headers={"Content-Type": "application/json; charset=utf-8"})
    assert response.status_code == 200
    assert response.content == rest.post(**as_json(FACE)).content


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, image/png;q=0.5", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/png, application/json;q=0.5", "image/png"),
        ("image/png, */*;q=0.1", "image/png"),
    ],
)
def test_the_accept_header_chooses_between_json_and_png(
    rest: RestClient, accept: str, media_type: str
) -> None:
    fill = as_json(Fill(encode(face(64, 64)), encode_mask(block(64, 64, 20, 20, 8))))
    response = rest.post(**fill, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == media_type


def test_the_same_request_gets_the_same_answer(rest: RestClient) -> None:
    answers = {rest.post(**as_json(FACE)).content for _ in range(4)}
    assert len(answers) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("output_size", ["original", "model"])
def test_output_size(rest: RestClient, encoding: str, output_size: str) -> None:
    photo, hole = face(240, 320), scratch(240, 320, 9)
    filled = rest.fill(Fill(encode(photo), encode_mask(hole), output_size), encoding)
    width, height = (320, 240) if output_size == "original" else (178, 178)
    assert (filled.facts["width"], filled.facts["height"]) == (width, height)
    assert filled.rgb.shape == (height, width, 3)


def test_original_is_the_default_output_size(rest: RestClient) -> None:
    fill = Fill(encode(face(240, 320)), encode_mask(scratch(240, 320, 9)))
    assert rest.fill(fill).png == rest.fill(Fill(fill.image, fill.mask, "original")).png


def test_the_model_sized_answer_is_the_photo_scaled_down(rest: RestClient) -> None:
    photo, hole = face(700, 900), scratch(700, 900, 30)
    filled = rest.fill(Fill(encode(photo), encode_mask(hole), "model"))
    small = cv2.resize(photo, (178, 178), interpolation=cv2.INTER_AREA)
    # A small pixel that contains any part of the hole is a hole: none of the hole's colour may bleed in.
    touched = cv2.resize(hole.astype(np.float32), (178, 178), interpolation=cv2.INTER_AREA) > 0
    assert np.abs(filled.rgb.astype(int) - small)[~touched].max() <= 2
    assert filled.facts["hole_ratio"] == pytest.approx(touched.mean(), abs=0.01)


def test_a_photo_of_the_models_size_is_the_same_in_both_output_sizes(rest: RestClient) -> None:
    assert rest.fill(Fill(FACE.image, FACE.mask, "model")).png == rest.fill(FACE).png


def test_the_answer_is_a_plain_png(rest: RestClient) -> None:
    with Image.open(io.BytesIO(rest.fill(FACE).png)) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        assert image.size == (178, 178)
