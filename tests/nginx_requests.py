"""What the proxy's tests send, and how they check its errors."""

from typing import Any

import requests
from requests_in_flight import PATIENCE, PREDICT, small

INFER = "/v2/models/inpaint/infer"

INDEX = "<!doctype html><title>A page</title>" + "<p>Text that is worth compressing.</p>" * 100


def get(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=PATIENCE, allow_redirects=False, **options)


def post(url: str, **options: Any) -> requests.Response:
    return requests.post(url, timeout=PATIENCE, **options)


def fill(url: str, **options: Any) -> requests.Response:
    """Have a small picture filled."""
    return post(url + PREDICT, files=small(), **options)


def assert_error(response: requests.Response, code: int, kind: str, *words: str) -> None:
    """Check for the contract's error, or the Open Inference Protocol's under its paths, with these words."""
    assert response.status_code == code, response.text[:500]
    assert response.headers["Content-Type"] == "application/json"
    error = response.json()
    if "/v2" in response.url:
        assert set(error) == {"error"}
    else:
        assert set(error) == {"code", "type", "message"}
        assert (error["code"], error["type"]) == (code, kind)
    for word in words:
        assert word in (error.get("message") or error["error"])
