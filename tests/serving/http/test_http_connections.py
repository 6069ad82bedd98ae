"""Clients that are slow, many, or do not read: a real server in a thread, with short timeouts."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests
from raw_requests import (
    CHUNKED,
    NOT_ARRIVING,
    POST,
    answer,
    assert_a_trickle_is_too_slow,
    assert_closed,
    assert_refused_and_closed,
    connect,
    sends,
)
from requests_in_flight import PATIENCE, large, post, small, until
from server_metrics import metrics

from serving.core.runtime import Runtime
from serving.http import admission, connections
from serving.http.app import create_app
from serving.http.server import create_server
from serving.http.settings import Settings
from serving.http.stopping import Server

MAX_CONNECTIONS = 20
NOT_HTTP = {
    "lines": ("\r\n\r\n", 408, "headers"),
    "trailer": (f"{CHUNKED}5\r\nhello\r\n0\r\nTrailer: x", 408, "too slowly"),
    "no-http": ("nonsense\r\n\r\n", 400, "cannot be read"),
    "no-chunks": (f"{CHUNKED}nonsense\r\n", 400, "cannot be read"),
}


@contextmanager
def serving(runtime: Runtime, **settings: int) -> Iterator[tuple[str, Server]]:
    listener = socket.create_server(("127.0.0.1", 0))
    options = Settings(log_level="error", graceful_seconds=PATIENCE, **settings)  # type: ignore[arg-type]
    server = create_server(create_app(options, runtime), options)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def url(runtime: Runtime) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEADER_SECONDS", 1.0)
        patch.setattr(connections, "MAX_CONNECTIONS", MAX_CONNECTIONS)
        patch.setattr(connections, "_LINGER_SECONDS", 2.0)
        patch.setattr(admission, "BODY_SECONDS", 1.0)
        with serving(
            runtime, concurrency=1, queue_size=3, max_total_body_bytes=2_000_000, max_body_bytes=1_500_000
        ) as (
            url,
            _,
        ):
            yield url


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long timeouts, for what must not be too late on a busy machine."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", float(PATIENCE))
    monkeypatch.setattr(admission, "BODY_SECONDS", float(PATIENCE))


@pytest.mark.parametrize("kind", NOT_ARRIVING | NOT_HTTP)
def test_what_does_not_arrive_is_refused_and_disconnected(
    request: pytest.FixtureRequest, url: str, kind: str
) -> None:
    sent, code, words = (NOT_ARRIVING | NOT_HTTP)[kind]
    if code != 408:
        request.getfixturevalue("patient")
    assert_refused_and_closed(url, sent, code, words)


def test_a_connection_without_a_request_is_closed(url: str) -> None:
    with connect(url) as connection:
        assert_closed(connection)


def test_a_body_that_trickles_is_too_slow(url: str) -> None:
    assert_a_trickle_is_too_slow(url)


@pytest.mark.usefixtures("patient")
def test_an_endless_body_is_not_read_after_its_answer(url: str) -> None:
    """A client that goes on sending still receives the answer, and is then disconnected."""
    with connect(url, "POST /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n") as connection:
        assert answer(connection)[0] == 405
        until(lambda: not sends(connection, b"1000\r\n" + bytes(4096) + b"\r\n"))
    with connect(url, CHUNKED) as connection:
        connection.sendall(b"100000\r\n" + bytes(2**20))
        connection.sendall(b"\r\n100000\r\n" + bytes(2**20))
        status, body, _ = answer(connection)
        assert (status, body["type"]) == (413, "PayloadTooLargeException")


def test_half_headers_take_no_connection_from_others(url: str) -> None:
    with ExitStack() as stack:
        for _ in range(15 * MAX_CONNECTIONS):
            stack.enter_context(connect(url, POST))
        for _ in range(3):
            assert requests.get(f"{url}/ping", timeout=PATIENCE).ok
        assert post(url, small()).ok


@pytest.mark.usefixtures("patient")
def test_a_place_is_taken_before_the_body_is_sent(url: str) -> None:
    def waiting() -> float:
        return metrics(url)["inpaint_predictions_waiting"]

    with ExitStack() as stack:
        head = f"{POST}Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
        slow = [stack.enter_context(connect(url, head)) for _ in range(4)]
        until(lambda: waiting() == 4)
        with connect(url, head) as connection:
            status, body, response = answer(connection)
        assert (status, body["type"]) == (503, "OverloadedException")
        assert int(response.headers["Retry-After"]) >= 1
        for connection in slow:
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    until(lambda: waiting() == 0)
    assert post(url, small()).ok


@pytest.mark.usefixtures("patient")
def test_all_bodies_share_a_limit(url: str) -> None:
    megabyte = f"{POST}Content-Length: 1200000\r\n\r\n".encode() + bytes(1_100_000)
    with connect(url, megabyte) as first, connect(url, megabyte) as second:
        (refused,), _, _ = select.select([first, second], [], [])  # either may be the one that is held
        status, body, response = answer(refused)
    assert (status, body["type"]) == (503, "OverloadedException")
    assert int(response.headers["Retry-After"]) >= 1
    until(lambda: metrics(url)["inpaint_predictions_waiting"] == 0)
    with connect(url, megabyte + bytes(100_000)) as third:
        assert answer(third)[0] == 400  # it was read


def test_a_client_that_does_not_read_is_disconnected(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.5)
    with serving(runtime) as (url, server), connect(url) as connection:
        for _ in range(300):  # more than the system's buffers take
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: not server.server_state.connections)


def test_a_stop_waits_for_no_half_body_and_answers_what_was_sent(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "STOP_SECONDS", 0.5)
    codes: list[int] = []
    with serving(runtime) as (url, server):
        idle = requests.Session()
        assert idle.get(f"{url}/ping", timeout=PATIENCE).ok
        busy = threading.Thread(target=lambda: codes.append(post(url, large()).status_code))
        busy.start()
        until(lambda: metrics(url)["inpaint_predictions_running"] == 1)
        with connect(url, f"{POST}Content-Length: 1000\r\n\r\n{{") as half:
            until(lambda: metrics(url)["inpaint_predictions_waiting"] == 1)
            server.should_exit = True
            status, body, response = answer(half)
            assert (status, body["type"]) == (503, "OverloadedException")
            assert int(response.headers["Retry-After"]) >= 1
        refused = post(url, small())
        assert (refused.status_code, refused.headers["Connection"]) == (503, "close")
        assert idle.get(f"{url}/ping", timeout=PATIENCE).status_code == 503
        busy.join(PATIENCE)
    assert codes == [200]


def test_a_stop_cancels_what_takes_too_long_with_an_answer(runtime: Runtime) -> None:
    codes: list[int] = []
    with serving(runtime) as (url, server):
        server.config.timeout_graceful_shutdown = 0
        busy = threading.Thread(target=lambda: codes.append(post(url, large()).status_code))
        busy.start()
        until(lambda: metrics(url)["inpaint_predictions_running"] == 1)
    busy.join(PATIENCE)
    assert codes == [503]
