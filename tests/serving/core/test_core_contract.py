"""Requests as both engines pass them on, and the answers to them."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.core import errors
from serving.core.contract import (
    FillRequest,
    FillResponse,
    request_from_fields,
    request_from_json,
)
from serving.core.media_types import request_media_type

IMAGE, MASK = b"\x89PNG image \xff", b"\x00mask"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "prefix", ["", "data:image/png;base64,", "data:;base64,", "data:image/svg+xml;a=b;base64,"]
)
@pytest.mark.parametrize("parsed", [True, False])
def test_json_carries_base64_and_data_urls(prefix: str, parsed: bool) -> None:
    body = {"image": prefix + b64(IMAGE), "mask": prefix + b64(MASK), "output_size": "model"}
    request = request_from_json(body if parsed else json.dumps(body).encode())
    assert request == FillRequest(IMAGE, MASK, "model")


@pytest.mark.parametrize("extra", [{}, {"mask": None}, {"output_size": None}, {"output_size": "original"}])
def test_json_may_leave_out_all_but_the_image(extra: dict[str, Any]) -> None:
    assert request_from_json({"image": b64(IMAGE), **extra}) == FillRequest(IMAGE, None, "original")


@given(st.binary(min_size=1), st.binary(min_size=1))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_json_and_form_say_the_same(image: bytes, mask: bytes) -> None:
    assert request_from_json({"image": b64(image), "mask": b64(mask)}) == request_from_fields(
        {"image": image, "mask": mask}
    )


@pytest.mark.parametrize("size", ["model", b"model"])
def test_a_forms_text_comes_as_str_or_bytes(size: str | bytes) -> None:
    assert request_from_fields({"image": IMAGE, "mask": MASK, "output_size": size}).output_size == "model"


BAD_JSON: dict[str, tuple[Any, type[errors.InpaintError], str]] = {
    "malformed": (b'{"image": ', errors.InvalidRequestError, "not valid JSON"),
    "not utf-8": (b'{"image": "\xff"}', errors.InvalidRequestError, "UTF-8"),
    "too deep": (b"[" * 200_000, errors.InvalidRequestError, "not valid JSON"),
    "array": ([1], errors.InvalidRequestError, "an array"),
    "null": (b"null", errors.InvalidRequestError, "null"),
    "number": (7, errors.InvalidRequestError, "a number"),
    "string": (b'"x"', errors.InvalidRequestError, "a string"),
    "empty": ({}, errors.MissingInputError, "'image' is missing"),
    "image null": ({"image": None}, errors.MissingInputError, "'image' is missing"),
    "unknown field": (
        {"img": "eA=="},
        errors.InvalidRequestError,
        "'img'.*'image', 'mask', 'output_size', 'output_format', 'metadata'",
    ),
    "image number": ({"image": 3}, errors.InvalidImageError, "'image'.*base64.*a number"),
    "image true": ({"image": True}, errors.InvalidImageError, "a boolean"),
    "image object": ({"image": {"b64": "eA=="}}, errors.InvalidImageError, "an object"),
    "mask list": ({"image": "eA==", "mask": ["eA=="]}, errors.InvalidMaskError, "'mask'.*an array"),
    "not base64": ({"image": "eA==*"}, errors.InvalidImageError, "'image' is not valid base64"),
    "not ascii": ({"image": "é"}, errors.InvalidImageError, "'image' is not valid base64"),
    "no padding": ({"image": "eA"}, errors.InvalidImageError, "'image' is not valid base64"),
    "mask not base64": (
        {"image": "eA==", "mask": "?"},
        errors.InvalidMaskError,
        "'mask' is not valid base64",
    ),
    "image empty": ({"image": ""}, errors.InvalidImageError, "0 bytes"),
    "mask empty": ({"image": "eA==", "mask": ""}, errors.InvalidMaskError, "0 bytes"),
    "plain data URL": ({"image": "data:image/png,x"}, errors.InvalidImageError, "without base64"),
    "data URL cut off": ({"image": "data:image/png;base64"}, errors.InvalidImageError, "without base64"),
    "size": (
        {"image": "eA==", "output_size": "big"},
        errors.InvalidRequestError,
        "'original' or 'model'.*'big'",
    ),
    "format": (
        {"image": "eA==", "output_format": "gif"},
        errors.InvalidRequestError,
        "'output_format' must be 'png', 'jpeg', 'webp' or 'same', not 'gif'",
    ),
    "metadata": (
        {"image": "eA==", "metadata": True},
        errors.InvalidRequestError,
        "'metadata' must be 'all', 'no-location' or 'none', not True",
    ),
    "size number": ({"image": "eA==", "output_size": 178}, errors.InvalidRequestError, "178"),
    "size list": ({"image": "eA==", "output_size": []}, errors.InvalidRequestError, "output_size"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused_with_what_would_be_right(name: str) -> None:
    body, kind, words = BAD_JSON[name]
    with pytest.raises(errors.InpaintError, match=words) as caught:
        request_from_json(body)
    assert type(caught.value) is kind
    assert caught.value.code == 400
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, errors.MissingInputError),
        ({"mask": MASK}, errors.MissingInputError),
        ({"image": b"", "mask": MASK}, errors.InvalidImageError),
        ({"image": IMAGE, "mask": b""}, errors.InvalidMaskError),
        ({"image": IMAGE, "masks": MASK}, errors.InvalidRequestError),
        ({"image": IMAGE, "mask": MASK, "x" * 10_000: b""}, errors.InvalidRequestError),
        ({"image": IMAGE, "output_size": b"\xff"}, errors.InvalidRequestError),
    ],
)
def test_bad_forms_are_refused(fields: dict[str, bytes], kind: type[errors.InpaintError]) -> None:
    with pytest.raises(errors.InpaintError) as caught:
        request_from_fields(fields)
    assert type(caught.value) is kind
    assert len(caught.value.message) < 300


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["image", "mask", "output_size"]) | st.text(max_size=9), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@given(JSON_VALUES)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_json_value_raises_anything_else(value: Any) -> None:
    try:
        request = request_from_json(value)
    except errors.InvalidRequestError:
        return
    assert request.image


ACCEPTED = [
    # Accept, output_format, the answer's format, whether it is the file itself
    (None, None, "png", False),
    ("", None, "png", False),
    ("*/*", None, "png", False),
    ("application/json", None, "png", False),
    ("application/json, image/webp;q=0.5", None, "png", False),
    ("image/png", None, "png", True),
    ("IMAGE/JPEG", None, "jpeg", True),
    ("image/webp", None, "webp", True),
    ("image/*", None, "png", True),
    ("image/*, image/png;q=0.1", None, "jpeg", True),
    ("image/jpeg, image/webp;q=0.9", None, "jpeg", True),
    ("image/jpeg;q=0.8, image/webp;q=0.9", None, "webp", True),
    ("image/jpeg, image/png", None, "png", True),
    ("image/png, */*", None, "png", True),
    ("image/jpeg, */*;q=0.1", None, "jpeg", True),
    ("image/png;q=0.5, application/json", None, "png", False),
    ("image/png, application/json;q=0.5", None, "png", True),
    ("image/png, application/json", None, "png", False),
    ("application/*, image/png", None, "png", True),
    ("image/png;q=0, */*", None, "png", False),
    ("image/png;level=1;q=0.9", None, "png", True),
    ("image/png;q=wrong", None, "png", False),
    ("text/html,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", None, "webp", True),
    (";;,,q=1", None, "png", False),
    (None, "jpeg", "jpeg", False),
    ("application/json", "webp", "webp", False),
    ("image/*", "jpeg", "jpeg", True),
    ("image/*", "same", "jpeg", True),
    ("image/jpeg, image/png;q=0.1", "png", "png", True),
    ("image/webp, application/json;q=0.1", "jpeg", "jpeg", False),
]


@pytest.mark.parametrize(("accept", "asked", "image_format", "is_file"), ACCEPTED)
def test_accept_decides_the_format_and_whether_the_file_is_sent(
    accept: str | None, asked: str | None, image_format: str, is_file: bool
) -> None:
    fields = {"image": b"\xff\xd8\xff..."} | ({"output_format": asked} if asked else {})
    request = request_from_fields(fields).accepted(accept)
    assert request.image_format == image_format
    response = FillResponse(b"file", 1, 1, 0.5, "v7", image_format=request.image_format)
    media_type, body = response.encode(accept)
    assert media_type == (f"image/{image_format}" if is_file else "application/json")
    assert (body == b"file") is is_file


@pytest.mark.parametrize(
    ("accept", "asked", "words"),
    [
        ("text/html", None, "accept one of application/json, image/png, image/jpeg, image/webp"),
        ("image/gif", None, "image/gif"),
        ("*/*;q=0", None, "application/json"),
        ("image/png", "jpeg", "accept one of application/json, image/jpeg."),
        ("image/webp", "same", "application/json, image/jpeg"),
        ("x/" + "y" * 10_000, None, "accept one of"),
    ],
)
def test_an_impossible_accept_header_is_refused(accept: str, asked: str | None, words: str) -> None:
    fields = {"image": b"\xff\xd8\xff..."} | ({"output_format": asked} if asked else {})
    with pytest.raises(errors.NotAcceptableError) as caught:
        request_from_fields(fields).accepted(accept)
    assert words in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("start", "image_format"),
    [(b"\xff\xd8\xff\xe0", "jpeg"), (b"RIFF\0\0\0\0WEBPVP8L", "webp"), (b"II*\0", "png"), (b"BM", "png")],
)
def test_same_is_the_images_own_format_where_it_is_offered(start: bytes, image_format: str) -> None:
    assert request_from_fields({"image": start, "output_format": "same"}).image_format == image_format


def test_the_response_follows_the_contract() -> None:
    response = FillResponse(b"png", 640, 480, 0.14200000001, "v7")
    media_type, body = response.encode(None)
    assert media_type == "application/json"
    assert json.loads(body) == response.to_dict()
    assert response.to_dict() == {
        "image": b64(b"png"),
        "mime_type": "image/png",
        "width": 640,
        "height": 480,
        "hole_ratio": 0.142,
        "model": "inpaint",
        "model_version": "v7",
    }


def all_errors(root: type[errors.InpaintError]) -> list[type[errors.InpaintError]]:
    return [root] + [error for child in root.__subclasses__() for error in all_errors(child)]


@pytest.mark.parametrize("kind", all_errors(errors.InpaintError))
def test_every_error_has_the_contracts_shape(kind: type[errors.InpaintError]) -> None:
    arguments: dict[type[errors.InpaintError], tuple[Any, ...]] = {
        errors.OverloadedError: ("why", 3),
        errors.DeadlineExceededError: (3,),
    }
    error = kind(*arguments.get(kind, ("why",)))
    assert error.to_dict() == {"code": kind.code, "type": kind.type, "message": str(error)}
    assert str(error) == "why" or kind is errors.DeadlineExceededError
    assert kind.code in {400, 401, 404, 405, 406, 408, 413, 415, 500, 503}


def test_clients_tell_errors_apart_by_type() -> None:
    """Programs depend on these names; errors at startup never reach a client."""
    sent = [kind for kind in all_errors(errors.InpaintError) if not issubclass(kind, errors.StartupError)]
    types = {kind.__name__: kind.type for kind in sent if kind is not errors.InpaintError}
    assert types == {name: f"{name.removesuffix('Error')}Exception" for name in types}


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("multipart/form-data; boundary=x", "multipart/form-data"),
    ],
)
def test_the_content_type_decides_how_a_body_is_read(header: str, media_type: str) -> None:
    assert request_media_type(header) == media_type


@pytest.mark.parametrize("header", [None, "", "text/plain", "application/jsonp", "x" * 10_000])
def test_other_content_types_are_refused(header: str | None) -> None:
    with pytest.raises(
        errors.UnsupportedMediaTypeError, match="multipart/form-data or application/json"
    ) as caught:
        request_media_type(header)
    assert len(caught.value.message) < 300
