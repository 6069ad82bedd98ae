import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from inpaint_client import (
    ClientError,
    ConnectError,
    ContractError,
    InvalidInputError,
    RequestTimeoutError,
    ResponseError,
    Retry,
    ServerError,
    Timeout,
    TransportError,
)
from inpaint_client.transport import Transport
from inpaint_loopback import LoopbackServer, drop, reply, stall, truncate

OK = reply(200, {"fine": True})


class Wire:
    """A transport to the loopback server whose waits are noted, not waited."""

    def __init__(self, url: str, *, api_key: str | None = None, count: int = 3, read: float = 30.0) -> None:
        self.waits: list[float] = []
        self.transport = Transport(
            url,
            api_key=api_key,
            timeout=Timeout(connect=5, read=read),
            retry=Retry(count=count, backoff=0, cap=30),
            sleep=self.waits.append,
        )

    def post(self) -> bytes:
        files = {"image": b"photo bytes"}
        return self.transport.send("POST", "/x", data={"output_size": "model"}, files=files).content


@pytest.fixture
def wire(server: LoopbackServer) -> Iterator[Wire]:
    wire = Wire(server.url)
    yield wire
    wire.transport.close()


def test_a_form_is_sent_without_the_callers_file_names(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [OK]
    assert wire.post() == b'{"fine": true}'
    (request,) = server.requests
    assert request.parts["image"].content == b"photo bytes"
    assert request.parts["image"].filename == "image"
    assert request.parts["output_size"].content == b"model"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith("inpaint-client/")
    assert "Authorization" not in request.headers


def test_the_api_key_is_a_bearer_token_that_no_netrc_replaces(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.script["/x"] = [OK]
    Wire(server.url, api_key="s3cret").post()
    assert server.requests[0].headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("key", ["with space", "line\nend", "clé"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="api_key") as caught:
        Wire("http://127.0.0.1", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["localhost:8080", "", "http://", "ftp://host", "http://host:99999", "http://host/?a=1", "http://[::1"],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"http://127\.0\.0\.1:8080"):
        Wire(url)


def test_a_password_in_the_url_is_refused_and_not_told() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Wire("http://me:s3cret@127.0.0.1")
    assert "s3cret" not in str(caught.value)


def test_a_path_before_the_contract_is_kept(server: LoopbackServer) -> None:
    server.script["/prefix/x"] = [OK]
    Wire(server.url + "/prefix/").post()
    assert server.requests[0].path == "/prefix/x"


@pytest.mark.parametrize("code", [429, 502, 503, 504, 507])
def test_failures_that_may_pass_are_repeated(server: LoopbackServer, wire: Wire, code: int) -> None:
    server.script["/x"] = [reply(code), reply(code), OK]
    assert wire.post() == b'{"fine": true}'
    first, *others = server.requests
    assert [request.parts for request in others] == [first.parts, first.parts]
    assert wire.waits == [0, 0]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 413, 415, 422, 500, 501])
def test_other_failures_are_not_repeated(server: LoopbackServer, wire: Wire, code: int) -> None:
    server.script["/x"] = [reply(code), OK]
    with pytest.raises(ServerError if code >= 500 else ClientError) as caught:
        wire.post()
    assert caught.value.code == code
    assert len(server.requests) == 1
    assert wire.waits == []


@pytest.mark.parametrize("broken", [drop, truncate])
def test_a_broken_connection_is_repeated(server: LoopbackServer, wire: Wire, broken: object) -> None:
    server.script["/x"] = [broken, OK]
    assert wire.post() == b'{"fine": true}'
    assert wire.waits == [0]


def test_a_slow_answer_is_repeated(server: LoopbackServer) -> None:
    wire = Wire(server.url, read=0.5, count=20)
    server.script["/x"] = [stall]
    server.usual["/x"] = OK
    assert wire.post() == b'{"fine": true}'
    assert wire.waits


def test_a_server_that_stays_slow_is_a_timeout(server: LoopbackServer) -> None:
    wire = Wire(server.url, read=0.05, count=1)
    server.usual["/x"] = stall
    with pytest.raises(RequestTimeoutError, match=r"POST http://.*/x: no answer within 0.05 s"):
        wire.post()
    assert wire.waits == [0]


def test_a_closed_port_is_a_connect_error_after_all_repeats() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        wire = Wire(f"http://127.0.0.1:{taken.getsockname()[1]}", count=2)
        with pytest.raises(ConnectError, match=r"Connection refused; is the server running.*INPAINT_URL"):
            wire.post()
    assert wire.waits == [0, 0]


def test_the_last_failure_is_raised(server: LoopbackServer, wire: Wire) -> None:
    busy = reply(503, {"code": 503, "type": "QueueFullException", "message": "later"}, Retry_After="2")
    server.script["/x"] = [drop, reply(502), reply(504), busy, OK]
    with pytest.raises(ServerError) as caught:
        wire.post()
    error = caught.value
    assert (error.code, error.type, error.message) == (503, "QueueFullException", "later")
    assert error.retry_after == 2.0
    assert error.request == f"POST {server.url}/x"
    assert len(server.requests) == 4


def test_tls_against_a_plain_server_is_not_repeated(server: LoopbackServer) -> None:
    wire = Wire(server.url.replace("http:", "https:"))
    with pytest.raises(TransportError) as caught:
        wire.post()
    assert not isinstance(caught.value, ConnectError)
    assert wire.waits == []


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("3600", 30.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), 30.0),
    ],
)
def test_retry_after_is_honoured_up_to_the_cap(
    server: LoopbackServer, wire: Wire, value: str, wait: float
) -> None:
    server.script["/x"] = [reply(503, Retry_After=value), OK]
    wire.post()
    assert wire.waits == [wait]


def test_a_date_in_retry_after_becomes_seconds(server: LoopbackServer, wire: Wire) -> None:
    for days, seconds in ((1, 86400), (-1, 0)):
        date = datetime.now(UTC) + timedelta(days=days)
        server.script["/x"] = [reply(403, Retry_After=format_datetime(date, usegmt=True))]
        with pytest.raises(ResponseError) as caught:
            wire.post()
        assert caught.value.retry_after == pytest.approx(seconds, abs=600 * (days > 0))


def test_an_empty_413_is_explained(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(413)]
    with pytest.raises(
        ClientError, match=r"0.0 MB is more than the server takes.*max_request_size"
    ) as caught:
        wire.post()
    assert caught.value.code == 413


def test_who_lacks_the_key_is_told_where_it_belongs(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [
        reply(401),
        reply(401, {"type": "UnauthorizedException", "message": "No key, no fill."}),
    ]
    for words in ("the server asks for an API key", "No key, no fill."):
        with pytest.raises(ClientError, match=rf"{words} \(.*INPAINT_API_KEY"):
            wire.post()


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[1]", b"\xff\xfe"])
def test_a_proxys_own_page_is_not_shown(server: LoopbackServer, body: bytes) -> None:
    server.usual["/x"] = reply(502, body)
    with pytest.raises(ServerError) as caught:
        Wire(server.url, count=0).post()
    assert (caught.value.type, caught.value.message) == ("BadGateway", "the proxy cannot reach the server")


def test_a_status_without_a_name_is_still_an_error(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(599)]
    with pytest.raises(ServerError, match="599"):
        wire.post()


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_named_and_not_followed(server: LoopbackServer, wire: Wire, code: int) -> None:
    server.script["/x"] = [reply(code, Location="https://elsewhere.example/x")]
    with pytest.raises(ContractError, match=r"https://elsewhere\.example/x"):
        wire.post()
    assert len(server.requests) == 1


def test_another_success_is_outside_the_contract(server: LoopbackServer, wire: Wire) -> None:
    server.script["/x"] = [reply(204)]
    with pytest.raises(ContractError, match="204"):
        wire.post()
