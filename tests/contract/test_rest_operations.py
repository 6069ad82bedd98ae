"""What an operator expects of an engine: health, metrics, limits, and many clients at the same time."""

import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import deviations
import numpy as np
import pytest
import requests
from engines import Engine, onnx_server
from prometheus_client.parser import text_string_to_metric_families
from requests_in_flight import PATIENCE, large
from rest import PREDICTIONS, Fill, RestClient, as_multipart, assert_error, assert_well
from sample_pictures import encode, encode_mask, face, scratch

_LIMIT = 64 * 2**20  # bytes of a body, by default on both engines
ROUTE = "/predictions/{model}"
"""Label of `PREDICTIONS` in the metrics."""
_CLIENTS = 8
# More than an engine holds by default, running and waiting together.
_CROWD = 60


@pytest.mark.deployed
def test_ping(rest: RestClient) -> None:
    response = rest.get("/ping")
    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == "application/json"
    assert response.json() == {"status": "Healthy"}


@pytest.mark.deployed
def test_metrics_count_the_predictions(engine: Engine, rest: RestClient) -> None:
    deviation = deviations.of(engine)
    metrics = RestClient(f"http://127.0.0.1:{engine.metrics_port}")

    def count() -> float:
        response = metrics.get("/metrics")
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        return sum(
            sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
            if sample.name == deviation.counter and sample.labels.get("path", ROUTE) == ROUTE
        )

    assert_well(rest)
    before = count()
    for _ in range(3):
        assert_well(rest)
    assert count() == before + 3


@pytest.mark.deployed
def test_a_prediction_is_cancelled_when_the_requests_time_is_over(rest: RestClient) -> None:
    fields = as_multipart(Fill(encode(face()), encode_mask(scratch(178, 178, 9))))
    late = rest.post(files=large(), headers={"X-Server-Timeout": "0.05"})
    assert_error(late, 503, "DeadlineExceededException", ("0.05 seconds",))
    wrong = rest.post(**fields, headers={"X-Server-Timeout": "soon"})
    assert_error(wrong, 400, "InvalidRequestException", ("X-Server-Timeout", "soon"))
    assert rest.post(**fields, headers={"X-Server-Timeout": "60"}).status_code == 200


@pytest.mark.deployed
def test_headers_name_the_model_version_and_execution_provider(rest: RestClient) -> None:
    response = rest.post(**as_multipart(Fill(encode(face()), encode_mask(scratch(178, 178, 9)))))
    assert response.headers["X-Model-Version"] == response.json()["model_version"]
    assert response.headers["X-Execution-Provider"] == "CPUExecutionProvider"


@pytest.mark.deployed
@pytest.mark.parametrize("path", ["/nothing/here", "/predictions/other"])
def test_an_unknown_path_is_a_404_in_the_contracts_shape(rest: RestClient, path: str) -> None:
    response = rest.post(path, json={})
    assert response.status_code == 404
    error = response.json()
    assert set(error) == {"code", "type", "message"}
    assert error["code"] == 404


@pytest.mark.deployed
def test_a_body_over_the_limit_is_refused_before_it_is_sent(engine: Engine, rest: RestClient) -> None:
    """The header alone is enough: a client that has not sent the body yet is told at once."""
    request = requests.Request("POST", engine.url + PREDICTIONS, json={}).prepare()
    request.headers["Content-Length"] = str(10**12)
    with requests.Session() as session:
        response = session.send(request, timeout=PATIENCE)
    assert response.status_code == 413
    if deviations.of(engine).says_too_large:
        assert_error(response, 413, "PayloadTooLargeException", ("body", str(_LIMIT), "bytes"))
    else:
        assert response.content == b""
    assert_well(rest)


@pytest.mark.deployed("nginx", "ray")
def test_a_body_over_the_limit_is_refused_while_it_is_sent(engine: Engine, rest: RestClient) -> None:
    """Chunks without a declared total length: the server has to count."""
    pieces = [b" " * 2**20] * (_LIMIT // 2**20) + [b" "]
    with socket.create_connection(("127.0.0.1", engine.port), timeout=PATIENCE) as connection:
        head = f"POST {PREDICTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for piece in pieces:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 413
    assert_well(rest)


def fills(number: int) -> list[Fill]:
    """Requests that all differ, in size and content."""
    sizes = [(178, 178), (300, 200), (96, 128), (250, 300)]
    different = []
    for index in range(number):
        height, width = sizes[index % len(sizes)]
        photo, hole = np.roll(face(height, width), index, axis=1), scratch(height, width, 5 + index)
        different.append(Fill(encode(photo), encode_mask(hole)))
    return different


def test_concurrent_clients_each_get_their_own_answer(rest: RestClient) -> None:
    asked = fills(_CLIENTS)
    alone = [rest.fill(fill) for fill in asked]
    together = threading.Barrier(_CLIENTS)

    def client(fill: Fill) -> list[bytes]:
        together.wait()
        return [rest.fill(fill).png for _ in range(2)]

    with ThreadPoolExecutor(_CLIENTS) as pool:
        answers = list(pool.map(client, asked))
    assert answers == [[single.png] * 2 for single in alone]
    assert len({single.png for single in alone}) == _CLIENTS


@pytest.mark.deployed("nginx", "ray")
def test_a_crowd_is_partly_served_and_partly_turned_away(engine: Engine, rest: RestClient) -> None:
    """More requests at once than the queue holds: each gets the right answer or a 503, and no other error."""
    photo, hole = face(300, 300), scratch(300, 300, 9)
    fill = Fill(encode(photo), encode_mask(hole))
    right = rest.fill_png(fill).content
    together = threading.Barrier(_CROWD)

    def client(_: int) -> requests.Response:
        together.wait()
        return rest.post(**as_multipart(fill), headers={"Accept": "image/png"})

    with ThreadPoolExecutor(_CROWD) as pool:
        responses = list(pool.map(client, range(_CROWD)))
    assert {response.status_code for response in responses} == {200, 503}
    deviation = deviations.of(engine)
    for response in responses:
        if response.status_code == 200:
            assert response.content == right
        else:
            assert_error(response, 503, deviation.full_queue_type, ())
            assert ("Retry-After" in response.headers) is deviation.says_retry_after
            assert int(response.headers.get("Retry-After", 1)) >= 1
    assert_well(rest)


@pytest.fixture(scope="module")
def tight_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An ONNX server with low limits that runs one prediction at a time and queues none."""
    flags = ("--concurrency=1", "--queue-size=0", "--max-body-bytes=1000000", "--max-pixels=4000000")
    with onnx_server(tmp_path_factory.mktemp("tight"), *flags) as engine:
        yield engine.url


@pytest.mark.engines
def test_a_full_queue_is_a_503_that_says_when_to_come_back(tight_url: str) -> None:
    rest = RestClient(tight_url)
    hole = scratch(1500, 2000, 15)
    slow = Fill(encode(face(1500, 2000), "JPEG"), encode_mask(hole))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(rest.fill, slow)
        while "inpaint_predictions_running 1.0" not in rest.get("/metrics").text:
            assert not first.done(), "answered before a second request could be sent"
        second = rest.post(**as_multipart(Fill(encode(face()), encode_mask(scratch(178, 178, 9)))))
        assert_error(second, 503, "OverloadedException", ("running", "try again"))
        assert int(second.headers["Retry-After"]) >= 1
        assert first.result().rgb.shape == (1500, 2000, 3)
    assert_well(rest)


@pytest.mark.engines
def test_the_configured_limits_apply(tight_url: str) -> None:
    rest = RestClient(tight_url)
    noise = encode(np.random.default_rng(0).integers(0, 256, (600, 700, 3), np.uint8))
    too_long = rest.post(**as_multipart(Fill(noise, encode_mask(scratch(600, 700, 9)))))
    assert_error(too_long, 413, "PayloadTooLargeException", ("body", "1000000", "bytes"))
    wide = np.zeros((2000, 2001), bool)
    too_wide = rest.post(**as_multipart(Fill(encode_mask(wide), encode_mask(wide))))
    assert_error(too_wide, 413, "TooManyPixelsException", ("image", "2001x2000", "4000000", "pixels"))
    assert_well(rest)
