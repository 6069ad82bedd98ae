import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from inpaint_client import (
    ClientError,
    ConnectError,
    HTTPStatusError,
    InvalidInputError,
    InvalidResponseError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    transport,
)
from inpaint_client.transport import Transport, run_sync
from inpaint_loopback import Action, LoopbackServer, drop, free_port, reply, stall, trickle, truncate

OK = reply(200, {"fine": True})
WORKER_DIED = {"code": 500, "type": "InternalServerException", "message": "Worker died."}


class Wire:
    """A blocking transport to the loopback server."""

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 30.0, retry_for: float = 10.0
    ) -> None:
        self.transport = Transport(url, api_key=api_key, timeout=timeout, retry_for=retry_for)

    def post(self) -> bytes:
        files = {"image": b"photo bytes"}
        request = self.transport.send("POST", "/x", data={"output_size": "model"}, files=files)
        return run_sync(request).content

    def close(self) -> None:
        run_sync(self.transport.close())


@pytest.fixture
def connect() -> Iterator[Callable[..., Wire]]:
    """Make transports with the arguments of `Wire`."""
    wires: list[Wire] = []

    def make(*args: object, **kwargs: object) -> Wire:
        wires.append(Wire(*args, **kwargs))  # type: ignore[arg-type]
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()


@pytest.fixture
def wire(server: LoopbackServer, connect: Callable[..., Wire]) -> Wire:
    return connect(server.url)


def test_a_form_is_sent_without_the_users_file_names(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [OK]
    assert wire.post() == b'{"fine": true}'
    (request,) = server.requests
    assert request.parts["image"].content == b"photo bytes"
    assert request.parts["image"].filename == "image"
    assert request.parts["output_size"].content == b"model"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith("inpaint-client/")
    assert "Authorization" not in request.headers


def test_the_api_key_is_a_bearer_token_and_netrc_is_ignored(
    server: LoopbackServer, connect: Callable[..., Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.script["/x"] = [OK]
    connect(server.url, api_key="s3cret").post()
    assert server.requests[0].headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("key", ["with space", "line\nend", "clé"])
def test_invalid_api_keys_are_rejected_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidInputError, match="api_key") as caught:
        Wire("http://127.0.0.1", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "http://", "ftp://host", "http://host:99999", "http://host/?a=1", "http://[::1"]
)
def test_invalid_urls_are_rejected(url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"http://127\.0\.0\.1:8080"):
        Wire(url)


@pytest.mark.parametrize(
    ("url", "completed"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("example.org/inpaint/", "http://example.org/inpaint"),
        ("https://example.org/", "https://example.org"),
    ],
)
def test_a_url_without_scheme_is_completed(connect: Callable[..., Wire], url: str, completed: str) -> None:
    assert connect(url).transport.url == completed


def test_a_password_in_the_url_is_rejected_and_not_shown() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Wire("http://me:s3cret@127.0.0.1")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "retry_for"])
@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_invalid_seconds_are_rejected(name: str, seconds: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        Transport("http://127.0.0.1", **{"api_key": None, "timeout": 1.0, "retry_for": 1.0, name: seconds})


def test_unusable_proxy_settings_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(InvalidInputError, match="gopher"):
        Wire("http://127.0.0.1")


def test_a_path_in_the_url_is_kept(server: LoopbackServer, connect: Callable[..., Wire]) -> None:
    server.script["/prefix/x"] = [OK]
    connect(server.url + "/prefix/").post()
    assert server.requests[0].path == "/prefix/x"


TEMPORARY: dict[str, Action] = {
    **{str(code): reply(code) for code in (429, 502, 503, 507)},
    "500-worker-died": reply(500, WORKER_DIED),
    "500-replica-died": reply(500, b"Internal Server Error"),
    "507-worker-died": reply(507, WORKER_DIED | {"code": 507}),
    "no-response": drop,
    "half-a-response": truncate,
}


@pytest.mark.parametrize("failure", TEMPORARY)
def test_temporary_failures_are_retried(server: LoopbackServer, wire: Wire, failure: str) -> None:
    server.script["/x"] = [TEMPORARY[failure]] * 6 + [OK]
    assert wire.post() == b'{"fine": true}'
    first, *others = server.requests
    assert [request.parts for request in others] == [first.parts] * 6


@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 413, 415, 422, 500, 501, 504])
def test_other_failures_are_not_retried(server: LoopbackServer, wire: Wire, code: int) -> None:
    server.script["/x"] = [reply(code, {"message": "Prediction failed"}), OK]
    with pytest.raises(ServerError if code >= 500 else ClientError) as caught:
        wire.post()
    assert caught.value.code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", ["503", "500-worker-died", "no-response"])
def test_retries_end_with_the_budget(
    server: LoopbackServer, connect: Callable[..., Wire], failure: str
) -> None:
    server.usual["/x"] = TEMPORARY[failure]
    started = time.monotonic()
    with pytest.raises((ConnectError, HTTPStatusError)):
        connect(server.url, retry_for=0.3).post()
    assert 0.25 < time.monotonic() - started < 10
    assert len(server.requests) > 1


def test_without_a_budget_nothing_is_retried(server: LoopbackServer, connect: Callable[..., Wire]) -> None:
    server.usual["/x"] = reply(503, Retry_After="0")
    with pytest.raises(ServerError):
        connect(server.url, retry_for=0).post()
    assert len(server.requests) == 1


def test_the_budget_starts_at_the_first_failure(server: LoopbackServer, connect: Callable[..., Wire]) -> None:
    def slow(handler: object) -> None:
        time.sleep(1.2)
        drop(handler)  # type: ignore[arg-type]

    server.script["/x"] = [slow, drop, OK]
    assert connect(server.url, retry_for=1).post() == b'{"fine": true}'


def test_a_server_that_restarts_is_waited_for(connect: Callable[..., Wire]) -> None:
    port = free_port()
    started: list[LoopbackServer] = []

    def start() -> None:
        started.append(LoopbackServer(port, {"/x": OK}))

    timer = threading.Timer(0.3, start)
    timer.start()
    try:
        assert connect(f"http://127.0.0.1:{port}").post() == b'{"fine": true}'
    finally:
        timer.join()
        started[0].stop()


def test_a_closed_port_is_a_connect_error(connect: Callable[..., Wire]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening
        wire = connect(f"http://127.0.0.1:{taken.getsockname()[1]}", retry_for=0.05)
        with pytest.raises(ConnectError, match=r"Connection refused; check that the server.*INPAINT_URL"):
            wire.post()


def test_a_response_timeout_is_not_retried(server: LoopbackServer, connect: Callable[..., Wire]) -> None:
    server.usual["/x"] = stall
    with pytest.raises(RequestTimeoutError, match=r"POST http://.*/x: no response within 0.5 s"):
        connect(server.url, timeout=0.5).post()
    assert len(server.requests) == 1


def test_a_prediction_beyond_the_servers_deadline_is_not_retried(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(503, {"type": "DeadlineExceededException", "message": "too long"}), OK]
    with pytest.raises(ServerError, match="too long"):
        wire.post()
    assert len(server.requests) == 1


def test_each_attempt_tells_the_server_the_remaining_seconds(
    server: LoopbackServer, connect: Callable[..., Wire]
) -> None:
    server.script["/x"] = [reply(503)] * 3 + [OK]
    connect(server.url, timeout=30).post()
    seconds = [float(request.headers["X-Server-Timeout"]) for request in server.requests]
    assert 20 < seconds[3] < seconds[2] < seconds[1] < seconds[0] <= 30


def test_the_timeout_covers_a_response_that_trickles_in(
    server: LoopbackServer, connect: Callable[..., Wire]
) -> None:
    server.usual["/x"] = trickle
    started = time.monotonic()
    with pytest.raises(RequestTimeoutError, match=r"no response within 0\.5 s"):
        connect(server.url, timeout=0.5).post()
    assert time.monotonic() - started < 5
    assert len(server.requests) == 1


def test_one_timeout_covers_all_attempts(server: LoopbackServer, connect: Callable[..., Wire]) -> None:
    server.usual["/x"] = reply(503)
    started = time.monotonic()
    with pytest.raises((ServerError, RequestTimeoutError)):
        connect(server.url, timeout=0.2, retry_for=30).post()
    assert time.monotonic() - started < 10
    server.script["/x"] = [drop, stall]
    with pytest.raises(RequestTimeoutError):
        connect(server.url, timeout=0.5, retry_for=30).post()


def test_the_last_failure_is_raised(server: LoopbackServer, wire: Wire) -> None:
    rejected = reply(400, {"code": 400, "type": "InvalidMaskException", "message": "no"}, Retry_After="2")
    server.script["/x"] = [drop, reply(502), reply(503), rejected, OK]
    with pytest.raises(ClientError) as caught:
        wire.post()
    error = caught.value
    assert (error.code, error.type, error.message) == (400, "InvalidMaskException", "no")
    assert error.retry_after == 2.0
    assert error.request == f"POST {server.url}/x"
    assert len(server.requests) == 4


def test_tls_with_a_plain_server_is_not_retried(server: LoopbackServer, connect: Callable[..., Wire]) -> None:
    with pytest.raises(TransportError) as caught:
        connect(server.url.replace("http:", "https:")).post()
    assert not isinstance(caught.value, ConnectError)


def test_retry_after_is_waited_for(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(503, Retry_After="1"), OK]
    started = time.monotonic()
    wire.post()
    assert 1 <= time.monotonic() - started < 10


@pytest.mark.parametrize(
    "value",
    ["3600", format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)],
    ids=["seconds", "date"],  # pytest-xdist needs the same ids in every worker
)
def test_a_retry_after_beyond_the_budget_fails_at_once(
    server: LoopbackServer, wire: Wire, value: str
) -> None:
    server.script["/x"] = [reply(503, Retry_After=value), OK]
    with pytest.raises(ServerError) as caught:
        wire.post()
    assert caught.value.retry_after is not None
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["0", " 0 ", "-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_malformed_or_past_retry_after_is_ignored(server: LoopbackServer, wire: Wire, value: str) -> None:
    server.script["/x"] = [reply(503, Retry_After=value), OK]
    assert wire.post() == b'{"fine": true}'


def test_the_backoff_doubles_up_to_its_maximum_and_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(transport, "_MAX_BACKOFF_SECONDS", 8.0)
    for retries, longest in [(0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (10**6, 8.0)]:
        delays = [transport._backoff(retries) for _ in range(400)]
        assert 0 <= min(delays) < 0.1 * longest
        assert 0.9 * longest < max(delays) <= longest


def test_the_first_retry_is_logged_at_info(
    server: LoopbackServer, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "inpaint_client")
    server.script["/x"] = [reply(503)] * 3 + [OK]
    wire.post()
    (record,) = [record for record in caplog.records if record.name.startswith("inpaint_client")]
    assert "overloaded" in record.getMessage()
    assert "retrying for up to 10 s" in record.getMessage()


def test_a_date_in_retry_after_becomes_seconds(server: LoopbackServer, wire: Wire) -> None:
    for days, seconds in ((1, 86400), (-1, 0)):
        date = datetime.now(UTC) + timedelta(days=days)
        server.script["/x"] = [reply(403, Retry_After=format_datetime(date, usegmt=True))]
        with pytest.raises(HTTPStatusError) as caught:
            wire.post()
        assert caught.value.retry_after == pytest.approx(seconds, abs=600 * (days > 0))


def test_an_empty_413_is_explained(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(413)]
    with pytest.raises(ClientError, match=r"0.0 MB exceeds the server's limit.*max_request_size") as caught:
        wire.post()
    assert caught.value.code == 413


def test_a_401_says_where_to_set_the_api_key(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [
        reply(401),
        reply(401, {"type": "UnauthorizedException", "message": "No key, no fill."}),
    ]
    for message in ("the server requires an API key", "No key, no fill."):
        with pytest.raises(ClientError, match=rf"{message} \(.*INPAINT_API_KEY"):
            wire.post()


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[1]", b"\xff\xfe"])
def test_the_html_of_a_proxy_is_not_shown(
    server: LoopbackServer, connect: Callable[..., Wire], body: bytes
) -> None:
    server.usual["/x"] = reply(502, body)
    with pytest.raises(ServerError) as caught:
        connect(server.url, retry_for=0).post()
    assert (caught.value.type, caught.value.message) == ("BadGateway", "the proxy cannot reach the server")


def test_an_unknown_status_code_is_an_error(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(599)]
    with pytest.raises(ServerError, match="599"):
        wire.post()


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_reported_and_not_followed(server: LoopbackServer, wire: Wire, code: int) -> None:
    server.script["/x"] = [reply(code, Location="https://elsewhere.example/x")]
    with pytest.raises(InvalidResponseError, match=r"https://elsewhere\.example/x"):
        wire.post()
    assert len(server.requests) == 1


def test_other_success_codes_are_invalid(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(204)]
    with pytest.raises(InvalidResponseError, match="204"):
        wire.post()
