"""The page's files through nginx: what browsers cache, what they may run, and what is not there."""

import pytest
import requests
from engines import ROOT, Engine
from nginx_requests import INDEX, assert_error, get, post
from proxies import Proxy

pytestmark = pytest.mark.engines

SCRIPT = "/_app/immutable/start.4f2a.js"


def test_the_page_is_revalidated_each_time(proxy: Proxy) -> None:
    page = get(f"{proxy.url}/")
    assert page.text == INDEX
    assert page.headers["Content-Type"] == "text/html"
    assert page.headers["Cache-Control"] == "no-cache"
    again = get(f"{proxy.url}/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_what_has_its_hash_in_its_name_is_kept_for_ever(proxy: Proxy) -> None:
    script = get(proxy.url + SCRIPT)
    assert script.ok
    assert "javascript" in script.headers["Content-Type"]
    assert script.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    missing = get(f"{proxy.url}/_app/immutable/other.js")
    assert_error(missing, 404, "ResourceNotFoundException")
    assert missing.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", SCRIPT])
def test_only_the_pages_own_scripts_run(proxy: Proxy, path: str) -> None:
    headers = get(proxy.url + path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Server"] == "nginx"  # no version


@pytest.mark.parametrize("path", ["/", SCRIPT])
def test_text_travels_compressed(proxy: Proxy, path: str) -> None:
    with requests.get(proxy.url + path, stream=True, timeout=60) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(response.raw.read()) < 500
    plain = get(proxy.url + path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert len(plain.content) > 1000


@pytest.mark.parametrize("path", ["/favicon.ico", "/index.php", "/.git/config", "/start.sh", "/_app/"])
def test_what_is_not_there_is_an_error_of_the_contract(proxy: Proxy, path: str) -> None:
    assert_error(get(proxy.url + path), 404, "ResourceNotFoundException", "/predictions/inpaint")


def test_a_file_takes_no_post(proxy: Proxy) -> None:
    assert_error(post(f"{proxy.url}/", data=b"x"), 405, "MethodNotAllowedException", "POST")


def test_without_a_page_there_is_none(onnx_behind_nginx_engine: Engine) -> None:
    paths = ["", *(file.name for file in (ROOT / "serving" / "nginx").iterdir())]
    for path in paths:
        assert_error(get(f"{onnx_behind_nginx_engine.url}/{path}"), 404, "ResourceNotFoundException")
