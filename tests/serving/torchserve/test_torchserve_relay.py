"""The relay in front of TorchServe: clients that are slow or many, with short timeouts, and large requests."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests
from engines import Engine
from raw_requests import (
    NOT_ARRIVING,
    POST,
    answer,
    assert_a_trickle_is_too_slow,
    assert_closed,
    assert_refused_and_closed,
    connect,
)
from requests_in_flight import PATIENCE, large, post, small, until

from serving.torchserve import relay as module
from serving.torchserve.relay import Relay

MAX_CONNECTIONS = 20


@contextmanager
def bound() -> Iterator[tuple[socket.socket, str]]:
    """A socket for a relay, and its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def url(torchserve_engine: Engine) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, bound() as (listener, url):
        patch.setattr(module, "HEADER_SECONDS", 1.0)
        patch.setattr(module, "BODY_SECONDS", 1.0)
        patch.setattr(module, "MAX_CONNECTIONS", MAX_CONNECTIONS)
        patch.setattr(module, "MAX_HELD_BYTES", 2_000_000)
        with Relay(listener, torchserve_engine.port):
            yield url


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long timeouts, for what must not be too late on a busy machine."""
    monkeypatch.setattr(module, "HEADER_SECONDS", float(PATIENCE))
    monkeypatch.setattr(module, "BODY_SECONDS", float(PATIENCE))


@pytest.mark.parametrize("kind", NOT_ARRIVING)
def test_what_does_not_arrive_is_refused_and_disconnected(
    request: pytest.FixtureRequest, url: str, kind: str
) -> None:
    sent, code, words = NOT_ARRIVING[kind]
    if code != 408:
        request.getfixturevalue("patient")
    assert_refused_and_closed(url, sent, code, words)


def test_a_connection_without_a_request_is_closed(url: str) -> None:
    with connect(url) as connection:
        assert_closed(connection)


def test_a_body_that_trickles_is_too_slow(url: str) -> None:
    assert_a_trickle_is_too_slow(url)


def test_half_headers_take_no_connection_from_others(url: str) -> None:
    with ExitStack() as stack:
        for _ in range(15 * MAX_CONNECTIONS):
            stack.enter_context(connect(url, POST))
        for _ in range(3):
            assert requests.get(f"{url}/ping", timeout=PATIENCE).ok
        assert post(url, small()).ok


@pytest.mark.usefixtures("patient")
def test_all_requests_share_a_limit(url: str) -> None:
    megabyte = f"{POST}Content-Length: 1200000\r\n\r\n".encode() + bytes(1_100_000)
    with connect(url, megabyte) as first, connect(url, megabyte) as second:
        (refused,), _, _ = select.select([first, second], [], [])  # either may be the one that is held
        status, body, response = answer(refused)
    assert (status, body["type"]) == (503, "OverloadedException")
    assert int(response.headers["Retry-After"]) >= 1

    def is_read() -> bool:
        with connect(url, megabyte + bytes(100_000)) as third:
            return answer(third)[0] == 400

    until(is_read)


def test_several_requests_on_one_connection(url: str) -> None:
    with requests.Session() as session:
        for _ in range(2):
            assert session.post(f"{url}/predictions/inpaint", files=small(), timeout=PATIENCE).ok
            assert session.head(f"{url}/ping", timeout=PATIENCE).status_code in (200, 405)
            assert session.get(f"{url}/ping", timeout=PATIENCE).ok
            expecting = {"Expect": "100-continue"}
            assert session.post(
                f"{url}/predictions/inpaint", files=small(), headers=expecting, timeout=PATIENCE
            ).ok


def are_in_flight(relay: Relay, complete: int, incomplete: int) -> bool:
    states = [client.request.is_complete() for client in list(relay.clients) if client.request]
    return (states.count(True), states.count(False)) == (complete, incomplete)


def test_a_stop_waits_for_no_half_body_and_answers_what_was_sent(
    torchserve_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.5)
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 2**24)  # `url` may have set too little for the three
    codes: list[int] = []
    files = large()
    with (
        bound() as (listener, url),
        Relay(listener, torchserve_engine.port) as relay,
        requests.Session() as idle,
    ):
        assert idle.get(f"{url}/ping", timeout=PATIENCE).ok
        # They run one after the other, and outlast what follows.
        fill = lambda: codes.append(post(url, files).status_code)  # noqa: E731
        busy = [threading.Thread(target=fill) for _ in range(3)]
        for thread in busy:
            thread.start()
        with connect(url, f"{POST}Content-Length: 1000\r\n\r\n{{") as half:
            until(lambda: are_in_flight(relay, complete=3, incomplete=1))
            stop = threading.Thread(target=relay.drain, args=(PATIENCE, threading.Event()))
            stop.start()
            status, body, response = answer(half)
        assert (status, body["type"]) == (503, "OverloadedException")
        assert int(response.headers["Retry-After"]) >= 1
        assert idle.get(f"{url}/ping", timeout=PATIENCE).status_code == 503
        for thread in [*busy, stop]:
            thread.join(PATIENCE)
    assert codes == [200] * 3


def test_a_stop_answers_what_takes_too_long(torchserve_engine: Engine) -> None:
    codes: list[int] = []
    with bound() as (listener, url), Relay(listener, torchserve_engine.port) as relay:
        busy = threading.Thread(target=lambda: codes.append(post(url, large()).status_code))
        busy.start()
        until(lambda: any(client.request for client in relay.clients))
        relay.drain(0, threading.Event())
        busy.join(PATIENCE)
    assert codes == [503]
