"""`/`: the web page's build, or a redirect to the documentation; and which other pages may use the server."""

import gzip
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sample_pictures import encode, encode_mask, face, scratch

from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.settings import Settings

INDEX = "<!doctype html><title>page</title>" + "<p>words</p>" * 200
SCRIPT = "export const answer = 42;\n" * 200
HASHED = "_app/immutable/bundle.abcdef12.js"
MODEL = "_app/immutable/assets/model.abcdef12.bin"
ORIGIN = "https://photos.example"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """What a build of the page looks like."""
    folder = tmp_path / "build"
    (folder / HASHED).parent.mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / HASHED).write_text(SCRIPT)
    (folder / MODEL).parent.mkdir()
    (folder / MODEL).write_bytes(b"gzipped" * 1000)
    (folder / "service-worker.js").write_text(SCRIPT)
    (folder / "_app" / "version.json").write_text('{"version": "1"}')
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def client(build: Path, runtime: Runtime) -> TestClient:
    return TestClient(create_app(Settings(page=build), runtime), follow_redirects=False)


def test_the_page_is_served_and_revalidated_each_time(client: TestClient) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.text) == (200, INDEX)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"


def test_what_has_its_hash_in_its_name_is_kept_for_ever(client: TestClient) -> None:
    answer = client.get(f"/{HASHED}")
    assert (answer.status_code, answer.text) == (200, SCRIPT)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get("/_app/version.json").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(("path", "content"), [("/", INDEX), (f"/{HASHED}", SCRIPT)])
def test_it_is_compressed_on_request(client: TestClient, path: str, content: str) -> None:
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw).decode() == content
    assert "content-encoding" not in client.get(path, headers={"Accept-Encoding": "identity"}).headers


def test_the_service_worker_is_revalidated_each_time(client: TestClient) -> None:
    answer = client.get("/service-worker.js")
    assert (answer.status_code, answer.text) == (200, SCRIPT)
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"


def test_a_gzipped_file_is_served_as_it_is(client: TestClient) -> None:
    answer = client.get(f"/{MODEL}")
    assert answer.content == b"gzipped" * 1000
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == "7000"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/", f"/{HASHED}"])
def test_inline_scripts_and_framing_are_forbidden(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    # A browser requires these before it allows several threads.
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/nowhere", "/_app/nowhere.js", "/_app/../secret.txt", "/_app/%2e%2e/%2e%2e/secret.txt"],
)
def test_there_is_nothing_else(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (404, "ResourceNotFoundException")


def test_the_api_answers_beside_it(client: TestClient) -> None:
    files = {"image": encode(face(60, 80)), "mask": encode_mask(scratch(60, 80, 5))}
    assert client.post("/predictions/inpaint", files=files).status_code == 200
    assert client.get("/predictions/inpaint").status_code == 405
    assert client.post("/").json()["type"] == "MethodNotAllowedException"
    assert client.get("/docs").status_code == 200
    assert client.get("/ping").headers.get("cache-control") is None


@pytest.mark.parametrize("left", [[], ["index.html"], ["_app/version.json"]])
def test_without_a_whole_build_the_root_leads_to_the_documentation(
    tmp_path: Path, runtime: Runtime, left: list[str]
) -> None:
    for name in left:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    client = TestClient(create_app(Settings(page=tmp_path), runtime), follow_redirects=False)
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_limits_are_told(build: Path, runtime: Runtime) -> None:
    settings = Settings(page=build, max_body_bytes=123_456, max_pixels=54_321)
    limits = TestClient(create_app(settings, runtime)).get("/v2").json()["limits"]
    assert limits == {"max_body_bytes": 123_456, "max_pixels": 54_321}


PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}


def test_a_page_of_another_origin_may_use_the_server_where_it_is_named(build: Path, runtime: Runtime) -> None:
    client = TestClient(create_app(Settings(page=build, allow_origin=ORIGIN), runtime))
    asked = client.options("/predictions/inpaint", headers=PREFLIGHT)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in asked.headers["access-control-allow-headers"]
    answer = client.post("/predictions/inpaint", headers={"Origin": ORIGIN}, files={"image": b"none"})
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_a_page_of_another_origin_may_not_where_another_is_named(build: Path, runtime: Runtime) -> None:
    client = TestClient(create_app(Settings(page=build, allow_origin="https://other.example"), runtime))
    asked = client.options("/predictions/inpaint", headers=PREFLIGHT)
    assert "access-control-allow-origin" not in asked.headers


def test_a_page_of_another_origin_may_not_by_default(client: TestClient) -> None:
    asked = client.options("/predictions/inpaint", headers=PREFLIGHT)
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-origin" not in client.get("/ping", headers={"Origin": ORIGIN}).headers
