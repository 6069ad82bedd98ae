"""The engine through nginx: which of its routes are public, its limits, the key, TLS and the log."""

import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
from engines import Engine, free_port
from nginx_requests import INFER, assert_error, fill, get, post
from proxies import Proxy, nginx, readable_folder
from requests_in_flight import PATIENCE, PREDICT, until
from tritonclient.http import InferenceServerClient, InferInput

pytestmark = pytest.mark.engines

LIMIT = 64 * 2**20  # bytes of a body, by default, as on both engines


def test_a_body_over_the_limit_under_the_inference_protocol(proxy: Proxy) -> None:
    answer = post(proxy.url + INFER, data=b"x" * (LIMIT + 1))
    assert_error(answer, 413, "", str(LIMIT))


def test_another_limit_is_told(onnx_engine: Engine) -> None:
    with nginx(f"127.0.0.1:{onnx_engine.port}", max_body_bytes="1000") as proxy:
        assert_error(fill(proxy.url), 413, "PayloadTooLargeException", "1000 bytes")


@pytest.mark.parametrize(
    "path", ["/metrics", "/models", "/models/inpaint", "/api-description", "/explanations/inpaint", "/docs/x"]
)
@pytest.mark.parametrize("engine_name", ["onnx", "torchserve"])
def test_the_rest_of_an_engine_stays_inside(
    request: pytest.FixtureRequest, engine_name: str, path: str
) -> None:
    url = request.getfixturevalue(f"{engine_name}_behind_nginx_engine").url
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = requests.request(method, url + path, timeout=PATIENCE)
        assert_error(answer, 404, "ResourceNotFoundException")


def test_tritons_client_comes_through(proxy: Proxy) -> None:
    with InferenceServerClient(f"127.0.0.1:{proxy.port}", network_timeout=PATIENCE) as client:
        assert client.is_server_ready()
        assert client.is_model_ready("inpaint")
        image, mask = np.full((1, 3, 178, 178), 0.5, np.float32), np.ones((1, 1, 178, 178), np.float32)
        mask[:, :, 60:90, 60:90] = 0
        tensors = [InferInput(n, list(t.shape), "FP32") for n, t in (("image", image), ("mask", mask))]
        for tensor, values in zip(tensors, (image, mask), strict=True):
            tensor.set_data_from_numpy(values)
        output = client.infer("inpaint", tensors).as_numpy("output")
        assert output is not None
        assert np.array_equal(np.where(mask == 1, output, 0.5), image)


def test_the_api_page_works_and_answers_are_no_pages(proxy: Proxy) -> None:
    docs = get(f"{proxy.url}/docs")
    assert "'unsafe-inline'" in docs.headers["Content-Security-Policy"]
    for line in docs.text.splitlines():
        if "/static-offline-docs/" in line:
            path = line[line.index("/static-offline-docs/") :].partition('"')[0]
            assert get(proxy.url + path).ok
    assert get(f"{proxy.url}/openapi.json").json()["paths"]
    answer = fill(proxy.url)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server-Timing" in answer.headers
    assert "Content-Encoding" not in answer.headers


KEY = 'a.key with "quotes", $signs, \\slashes and (brackets'


def test_predictions_need_the_key_where_there_is_one(onnx_engine: Engine) -> None:
    with nginx(f"127.0.0.1:{onnx_engine.port}", api_key=KEY) as proxy:
        for path, wrong in (
            (PREDICT, None),
            (PREDICT, KEY.upper()),
            (INFER, KEY[:-1]),
            (INFER, KEY + "x"),
        ):
            headers = {} if wrong is None else {"Authorization": f"Bearer {wrong}"}
            answer = post(proxy.url + path, headers=headers, data=b"?")
            assert_error(answer, 401, "UnauthorizedException", "Authorization: Bearer")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert fill(proxy.url, headers={"Authorization": f"Bearer {KEY}"}).ok
        assert get(f"{proxy.url}/ping").ok
        assert get(f"{proxy.url}/v2/health/ready").ok


@pytest.fixture
def certificate() -> Iterator[tuple[str, str]]:
    """A self-signed certificate for localhost, and its key."""
    with readable_folder() as folder:
        public, private = folder / "tls.crt", folder / "tls.key"
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        command += ["-keyout", str(private), "-out", str(public)]
        subprocess.run(command, check=True, capture_output=True)
        private.chmod(0o644)
        yield str(public), str(private)


def test_https_where_there_is_a_certificate(onnx_engine: Engine, certificate: tuple[str, str]) -> None:
    public, private = certificate
    port = free_port()
    settings = {"tls_port": f"127.0.0.1:{port}", "tls_certificate": public, "tls_key": private}
    with nginx(f"127.0.0.1:{onnx_engine.port}", **settings) as proxy:
        assert fill(f"https://localhost:{port}", verify=public).ok
        assert fill(proxy.url).ok


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /predictions/inpaint HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /x%2f..%2f..%2fstart.sh HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["no-http", "long-header", "long-url", "no-length", "out-of-the-folder"],
)
def test_what_is_no_request_is_an_error_of_the_contract(proxy: Proxy, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4")
    assert json.loads(body)["type"] == "InvalidRequestException"


def test_the_log_has_a_line_of_json_for_each_prediction(proxy: Proxy, onnx_engine: Engine) -> None:
    answer = fill(proxy.url)
    get(f"{proxy.url}/ping")

    def entries() -> list[dict[str, Any]]:
        read = map(json.loads, proxy.access_log.read_text().splitlines())
        return [entry for entry in read if entry["request_id"] == answer.headers["X-Request-ID"]]

    until(lambda: bool(entries()))  # it is written while the answer is on its way
    (entry,) = entries()
    assert (entry["method"], entry["uri"], entry["status"]) == ("POST", PREDICT, 200)
    assert entry["engine"] == f"127.0.0.1:{onnx_engine.port}"
    rounding = 0.002  # both are cut to whole milliseconds of a clock that nginx reads only now and then
    assert float(entry["engine_seconds"]) <= entry["seconds"] + rounding
    assert "/ping" not in proxy.access_log.read_text()
