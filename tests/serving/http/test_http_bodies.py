"""Reading a request's body: its limit, and its decompression."""

import gzip
import zlib
from collections.abc import Callable, Iterable

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from serving.core.errors import InpaintError, InvalidRequestError, PayloadTooLargeError
from serving.core.errors import UnsupportedMediaTypeError as MediaType
from serving.http.admission import Admission
from serving.http.bodies import RequestBodyMiddleware

LIMIT = 1000


def read(chunks: Iterable[bytes], headers: dict[str, str] | None = None, *, cut_off: bool = False) -> bytes:
    """What an app reads of a body that arrives in these chunks."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if cut_off:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    body = b""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal body
        body = await Request(scope, receive).body()

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    admission = Admission(10 * LIMIT)
    anyio.run(RequestBodyMiddleware(app, LIMIT, admission), scope, receive, send)
    assert admission.held_bytes == admission.requests == 0
    return body


def in_chunks(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


@given(st.binary(max_size=LIMIT), st.integers(1, 300), st.sampled_from(["identity", "gzip", "deflate"]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_body_within_the_limit_arrives_whole(body: bytes, size: int, encoding: str) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {
        "identity": bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
    }
    packed = pack[encoding](body)
    if len(packed) > LIMIT:
        with pytest.raises(PayloadTooLargeError):
            read(in_chunks(packed, size), {"content-encoding": encoding})
    else:
        assert read(in_chunks(packed, size), {"content-encoding": encoding}) == body


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_all_members_of_a_gzip_body_are_read(size: int) -> None:
    body = gzip.compress(b"one, ") + gzip.compress(b"") + gzip.compress(b"two")
    assert read(in_chunks(body, size), {"content-encoding": "gzip"}) == b"one, two"


def test_the_limit_counts_all_members_together() -> None:
    with pytest.raises(PayloadTooLargeError):
        read(in_chunks(gzip.compress(bytes(600)) * 2, 100), {"content-encoding": "gzip"})


@pytest.mark.parametrize("size", [10, LIMIT, LIMIT + 1])
def test_a_body_over_the_limit_is_refused_while_it_streams(size: int) -> None:
    with pytest.raises(PayloadTooLargeError, match=str(LIMIT)):
        read(in_chunks(bytes(LIMIT + 1), size))


def test_a_body_that_says_it_is_too_large_is_not_read_at_all() -> None:
    with pytest.raises(PayloadTooLargeError):
        read([b"x"], {"content-length": str(LIMIT + 1)})


def test_a_body_that_understates_its_length_is_refused() -> None:
    with pytest.raises(PayloadTooLargeError):
        read(in_chunks(bytes(LIMIT + 1), 100), {"content-length": "10"})


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_bomb_is_refused(pack: object) -> None:
    bomb = pack(bytes(50_000_000))[:900]  # type: ignore[operator]
    with pytest.raises(PayloadTooLargeError):
        read(in_chunks(bomb, 200), {"content-encoding": "gzip"})


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (b"not packed", "gzip", InvalidRequestError),
        (gzip.compress(b"x" * 100)[:-6], "gzip", InvalidRequestError),
        (zlib.compress(b"x" * 100)[:-4], "deflate", InvalidRequestError),
        (zlib.compress(b"x") + zlib.compress(b"y"), "deflate", InvalidRequestError),
        (gzip.compress(b"x") + b"junk", "gzip", InvalidRequestError),
        (b"x", "br", MediaType),
        (b"x", "gzip, gzip", MediaType),
    ],
    ids=["no-gzip", "gzip-cut-off", "deflate-cut-off", "deflate-twice", "gzip-and-more", "brotli", "twice"],
)
def test_what_cannot_be_unpacked_is_refused(body: bytes, encoding: str, kind: type[InpaintError]) -> None:
    with pytest.raises(kind):
        read(in_chunks(body, 7), {"content-encoding": encoding})


def test_a_body_that_breaks_off_is_a_disconnection() -> None:
    with pytest.raises(ClientDisconnect):
        read([b"x"], cut_off=True)
