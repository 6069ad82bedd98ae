"""The REST contract as a client sees it: requests in each encoding, and parsed answers."""

import base64
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import sample_pictures
from PIL import Image

PREDICTIONS = "/predictions/inpaint"
FIELDS = {"image", "mask", "output_size", "output_format", "metadata"}

# Seconds, far above what any answer takes: a hanging server fails its test instead of blocking the whole run.
_PATIENCE = 120


@dataclass(frozen=True)
class Fill:
    """What to ask for: two files and the text fields that are given."""

    image: bytes
    mask: bytes | None = None
    output_size: str | None = None
    output_format: str | None = None
    metadata: str | None = None

    def fields(self) -> dict[str, bytes]:
        """The request's files by field name."""
        return {"image": self.image} | ({} if self.mask is None else {"mask": self.mask})

    def texts(self) -> dict[str, str]:
        """The request's text fields by name."""
        texts = {name: getattr(self, name) for name in ("output_size", "output_format", "metadata")}
        return {name: text for name, text in texts.items() if text is not None}


def as_multipart(fill: Fill) -> dict[str, Any]:
    """The request as `requests` takes it: files and text fields of a form."""
    return {"files": fill.fields(), "data": fill.texts()}


def as_browser_form(fill: Fill) -> dict[str, Any]:
    """The request as `requests` takes it: a form as a browser sends it, with the files' own names and types."""
    files = {name: (f"gro\u00df {name}.png", data, _media_type(data)) for name, data in fill.fields().items()}
    return {"files": files, "data": fill.texts()}


def as_json(fill: Fill) -> dict[str, Any]:
    """The request as `requests` takes it: JSON with plain base64."""
    return {"json": {name: to_base64(data) for name, data in fill.fields().items()} | fill.texts()}


def as_json_in_lines(fill: Fill) -> dict[str, Any]:
    """The request as `requests` takes it: JSON with base64 in lines of 76 characters, as many tools write it."""
    fields = {name: base64.encodebytes(data).decode("ascii") for name, data in fill.fields().items()}
    return {"json": fields | fill.texts()}


def as_data_urls(fill: Fill) -> dict[str, Any]:
    """The request as `requests` takes it: JSON with the data URLs that a browser makes."""
    urls = {
        name: f"data:{_media_type(data)};base64,{to_base64(data)}" for name, data in fill.fields().items()
    }
    return {"json": urls | fill.texts()}


ENCODINGS: dict[str, Callable[[Fill], dict[str, Any]]] = {
    "multipart": as_multipart,
    "browser-form": as_browser_form,
    "json": as_json,
    "json-in-lines": as_json_in_lines,
    "data-url": as_data_urls,
}


@dataclass(frozen=True)
class Filled:
    """A 200 answer: the PNG file and the facts beside it."""

    png: bytes
    facts: dict[str, Any]

    @property
    def rgba(self) -> sample_pictures.Samples:
        """The picture, HW4 RGBA, uint8 or uint16."""
        return sample_pictures.decode_rgba(self.png)

    @property
    def rgb(self) -> sample_pictures.Samples:
        """The picture without its alpha, HW3 RGB, uint8 or uint16."""
        return self.rgba[:, :, :3]


def deployed(cases: Collection[str], *chosen: str) -> list[Any]:
    """The names of a test's cases as its parameters; the chosen ones are marked `deployed`."""
    assert set(chosen) <= set(cases)
    return [pytest.param(case, marks=pytest.mark.deployed if case in chosen else ()) for case in cases]


class RestClient:
    """One HTTP session with one server; may be used from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, path: str) -> requests.Response:
        """Send a GET request."""
        return self._session.get(self.url + path, timeout=_PATIENCE)

    def post(self, path: str = PREDICTIONS, **request: Any) -> requests.Response:
        """Send a POST request, whatever it may be."""
        return self._session.post(self.url + path, timeout=_PATIENCE, **request)

    def fill(self, fill: Fill, encoding: str = "multipart") -> Filled:
        """Ask for a picture that the contract promises, and check that it came."""
        response = self.post(**ENCODINGS[encoding](fill))
        assert response.status_code == 200, f"{response.status_code} {response.text[:500]}"
        facts = response.json()
        return Filled(base64.b64decode(facts.pop("image"), validate=True), facts)

    def fill_png(self, fill: Fill, encoding: str = "multipart") -> requests.Response:
        """Ask for the PNG itself, which avoids base64 for large pictures."""
        response = self.post(**ENCODINGS[encoding](fill), headers={"Accept": "image/png"})
        assert response.status_code == 200, f"{response.status_code} {response.text[:500]}"
        return response


def assert_error(response: requests.Response, code: int, error_type: str, words: tuple[str, ...]) -> None:
    """Check for the contract's error, with these words and nothing about the server's internals."""
    assert response.status_code == code, response.text[:500]
    assert response.headers["Content-Type"].partition(";")[0] == "application/json"
    error = response.json()
    message = error.pop("message")
    assert error == {"code": code, "type": error_type}, message
    for word in words:
        assert word.lower() in message.lower()
    assert len(message) < 400
    for inside in ("Traceback", 'File "', ".py", "object at", "/tmp", "site-packages"):
        assert inside not in message


def assert_well(rest: RestClient) -> None:
    """Check that the server is alive and fills as it should, whatever it was sent before."""
    photo, hole = sample_pictures.face(96, 128), sample_pictures.block(96, 128, 30, 40, 20)
    filled = rest.fill(Fill(sample_pictures.encode(photo), sample_pictures.encode_mask(hole))).rgb
    assert (filled[~hole] == photo[~hole]).all()
    assert (filled[hole] != photo[hole]).any()


def to_base64(data: bytes) -> str:
    """Base64 without line breaks."""
    return base64.b64encode(data).decode("ascii")


def _media_type(data: bytes) -> str:
    return Image.open(io.BytesIO(data)).get_format_mimetype() or "application/octet-stream"
