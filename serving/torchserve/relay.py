"""A relay in front of TorchServe that limits time and memory, and answers every request before it stops.

TorchServe accepts requests until it is terminated, and then resets the connections of those in flight. It waits for
the rest of a request without a time limit. The relay listens in its place, passes bytes on, and knows which
connections have a request in flight.
"""

import asyncio
import json
import re
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from serving.core.clients import (
    BODY_SECONDS,
    HEADER_SECONDS,
    MAX_HEADER_BYTES,
    MIN_BYTES_PER_SECOND,
    PAUSE_SECONDS,
    SEND_SECONDS,
    STOP_SECONDS,
    late_headers,
    long_headers,
    slow_body,
    too_many_bytes,
    too_many_connections,
)
from serving.core.errors import InpaintError, InvalidRequestError, OverloadedError
from serving.core.listener import accept_all
from serving.torchserve.options import LOOPBACK

MAX_CONNECTIONS = 400
"""Maximum number of open connections. Each uses up to two files here and one in TorchServe; the limit is often 1024."""

MAX_HELD_BYTES = 256 * 2**20
"""Maximum total bytes of all requests in flight."""

_LINGER_SECONDS = 5.0  # in which a client that is still sending can read its response
_POLL_SECONDS = 0.05
_CHECK_SECONDS = 0.5

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?:\r\n|\Z)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
# TorchServe's response to a form that its parser cannot read.
_FAILED = b"HTTP/1.1 500"
_FORM_FAILED = re.compile(
    rb'"type": "(\w*DataDecoder|\w*IndexOutOfBounds|NullPointer|IllegalArgument)Exception"'
)
_END_OF_HEAD, _LAST_CHUNK = b"\r\n\r\n", b"0\r\n\r\n"


class Relay:
    """Relays connections in a thread of its own while the `with` block runs."""

    def __init__(self, listener: socket.socket, upstream: Path | int) -> None:
        """Create a relay.

        Args:
            listener: a bound socket. The relay listens on it, and closes it.
            upstream: TorchServe's Unix socket, or its port on loopback.
        """
        self.clients: set[_Client] = set()
        self._upstream = upstream
        self.stopping_since: float | None = None
        self._listener = listener

    def __enter__(self) -> Self:
        """Start to accept connections."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._serve())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def drain(self, seconds: float, stop_now: Event) -> None:
        """Complete the requests in flight, and refuse all others with a 503.

        Args:
            seconds: how long that may take. Requests still in flight after that are answered 503, too.
            stop_now: when set, ends the wait at once.
        """
        self._run(self._drain(seconds, stop_now))

    @property
    def held_bytes(self) -> int:
        """Bytes of all requests that are being received or answered."""
        return sum(client.request.size for client in self.clients if client.request is not None)

    async def connect(self, factory: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        """Connect to TorchServe.

        Raises:
            OSError: it has exited.
        """
        if isinstance(self._upstream, int):
            return (await self._loop.create_connection(factory, LOOPBACK, self._upstream))[0]
        return (await self._loop.create_unix_connection(factory, str(self._upstream)))[0]

    def _run(self, task: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(task, self._loop).result()

    async def _serve(self) -> None:
        self._server = await self._loop.create_server(
            lambda: _Client(self), sock=self._listener, backlog=2048
        )
        self._checks = self._loop.create_task(self._check())

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            for client in list(self.clients):
                client.check(self._loop.time())

    async def _drain(self, seconds: float, stop_now: Event) -> None:
        self.stopping_since = self._loop.time()
        end = self.stopping_since + seconds
        await self._wait(lambda: not any(client.request for client in self.clients), end, stop_now)
        # Clients that connect until the listener is closed are refused, too.
        listener = self._listener.dup()
        self._server.close()
        for accepted in accept_all(listener):
            await self._loop.connect_accepted_socket(lambda: _Client(self), accepted)
        for client in list(self.clients):
            if client.request:
                client.refuse(OverloadedError.stopping())
        await self._wait(self._is_quiet, self._loop.time() + 2 * PAUSE_SECONDS, stop_now)

    async def _wait(self, condition: Callable[[], bool], end: float, stop_now: Event) -> None:
        while not condition() and self._loop.time() < end and not stop_now.is_set():
            await asyncio.sleep(_POLL_SECONDS)

    def _is_quiet(self) -> bool:
        """Tell whether all responses have been received, and probably no request is on its way."""
        recent = self._loop.time() - PAUSE_SECONDS
        return not any(client.refused or client.since > recent for client in self.clients)

    async def _close(self) -> None:
        self._server.close()
        self._checks.cancel()
        for client in list(self.clients):
            client.transport.abort()
        await asyncio.sleep(_POLL_SECONDS)


class _Client(asyncio.Protocol):
    """A connection to a client.

    Attributes:
        transport: the connection.
        request: the request that is being received or answered, or None.
        since: the event loop's time when the client last sent something, or received a complete response.
        refused: whether the client was sent its last response, and can only close the connection.
    """

    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self.request: _Message | None = None
        self.refused = False
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self._response = _Message(self.since)
        self._upstream: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._failure = b""
        self._pending: list[bytes] = []  # until there is a connection to TorchServe
        self._unsent, self._unsent_since = 0, self.since

    @property
    def is_waiting(self) -> bool:
        """Whether there is no request with complete headers, or it was refused."""
        return self.request is None or not self.request.has_head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request. If there are too many connections, close the longest-waiting one, or refuse this one."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        clients = self._relay.clients
        clients.add(self)
        if len(clients) > MAX_CONNECTIONS:
            waiting = [client for client in clients if client is not self and client.is_waiting]
            if waiting:
                oldest = min(waiting, key=lambda client: client.since)
                clients.discard(oldest)
                oldest.transport.abort()
            else:
                self.refuse(too_many_connections())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._relay.clients.discard(self)
        self._release()

    def data_received(self, data: bytes) -> None:
        """Pass on what the client sends, once a request's headers are complete."""
        if self.refused:
            return
        self.since = self._loop.time()
        if self.request is None:
            if self._relay.stopping_since is not None:
                self.refuse(OverloadedError.stopping())
                return
            self.request, self._response = _Message(self.since), _Message(self.since)
        self.request.feed(data)
        self._pending.append(data)
        if not self.request.has_head:
            if self.request.size > MAX_HEADER_BYTES:
                self.refuse(long_headers())
        elif self._relay.held_bytes > MAX_HELD_BYTES:
            self.refuse(too_many_bytes(self._relay.held_bytes))
        elif self._upstream is not None:
            self._send(self._upstream)
        elif self._connecting is None:
            self.transport.pause_reading()
            self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            transport = await self._relay.connect(lambda: _Upstream(self))
        except OSError:  # TorchServe has exited, which `start.py` notices
            self.transport.close()
            return
        if self.refused or self.transport.is_closing():
            transport.abort()
            return
        self._upstream = transport
        self.transport.resume_reading()
        self._send(transport)

    def _send(self, upstream: asyncio.Transport) -> None:
        upstream.write(b"".join(self._pending))
        self._pending.clear()

    def pause_writing(self) -> None:
        """Stop reading the response until the client has received more of it."""
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_writing(self) -> None:
        """Resume reading the response."""
        if self._upstream is not None:
            self._upstream.resume_reading()

    def respond(self, data: bytes) -> None:
        """Pass on what TorchServe has sent."""
        if self.refused:
            return
        rest = self._response.feed(data)
        if self._response.head.startswith(_FAILED):
            self._failure += data
            if not self._response.is_complete():
                return
            data, self._failure = self._failure, b""
            if _FORM_FAILED.search(data):
                self._response = _Message(self._loop.time())
                self.refuse(InvalidRequestError("The form cannot be read: it is damaged."))
                return
        self.transport.write(data)
        if self._response.is_interim:
            self._response = _Message(self._loop.time())
            self._response.feed(rest)
        request = self.request
        if request is not None and self._response.is_complete(without_body=request.head.startswith(b"HEAD ")):
            self.request, self.since = None, self._loop.time()
            if not request.is_complete():  # it was answered before all of it was received
                self._linger()

    def end(self) -> None:
        """Close the connection, because TorchServe has closed its own."""
        self._upstream = None
        if not self.refused:
            self.transport.close()

    def refuse(self, error: InpaintError) -> None:
        """Answer in TorchServe's place, and close the connection."""
        if self.refused:
            return
        if not self._response.size or self.request is None:
            body = json.dumps(error.to_dict()).encode()
            lines = [
                f"HTTP/1.1 {error.code} {HTTPStatus(error.code).phrase}",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
                "Connection: close",
            ]
            if isinstance(error, OverloadedError):
                lines.append(f"Retry-After: {error.retry_after}")
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._linger()

    def _linger(self) -> None:
        """Close the sending side, and the connection once the client closes its own: closing at once would reset it."""
        self.refused = True
        self._release()
        with suppress(OSError):
            self.transport.write_eof()
        self.transport.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _release(self) -> None:
        self.request = None
        self._pending.clear()
        if self._upstream is not None:
            self._upstream.abort()
            self._upstream = None

    def check(self, now: float) -> None:
        """Close the connection if the client takes too long."""
        unsent, before = self.transport.get_write_buffer_size(), self._unsent
        self._unsent = unsent
        if not unsent or unsent < before:
            self._unsent_since = now
        elif now - self._unsent_since > SEND_SECONDS:
            self.transport.abort()
        if self.refused or self.transport.is_closing():
            return
        if self.request is None:
            if now - self.since > HEADER_SECONDS:
                self.transport.close()
        elif not self.request.has_head:
            if now - self.request.started > HEADER_SECONDS:
                self.refuse(late_headers())
        elif not self.request.is_complete():
            self._check_body(self.request, now)

    def _check_body(self, request: "_Message", now: float) -> None:
        stopping = self._relay.stopping_since
        slowest = request.started + BODY_SECONDS + request.size / MIN_BYTES_PER_SECOND
        if stopping is not None and now - stopping > STOP_SECONDS:
            self.refuse(OverloadedError.stopping())
        elif now > min(slowest, self.since + BODY_SECONDS):
            self.refuse(slow_body())


class _Upstream(asyncio.Protocol):
    """A connection to TorchServe, for one client."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        """Pass on what TorchServe sends."""
        self._client.respond(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the client's connection, too."""
        self._client.end()

    def pause_writing(self) -> None:
        """Stop reading the request until TorchServe has received more of it."""
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        """Resume reading the request."""
        self._client.transport.resume_reading()


class _Message:
    """A request or a response that is being received, parsed only as far as needed to find its end.

    Attributes:
        started: the event loop's time when it began.
        head: the headers received so far.
        has_head: whether the headers are complete.
        size: bytes received.
    """

    def __init__(self, started: float) -> None:
        self.started = started
        self.head = b""
        self.has_head = False
        self.size = 0
        self._left = 0  # remaining bytes of the body, if its length is declared
        self._is_chunked = False
        self._last = b""

    @property
    def is_interim(self) -> bool:
        """Whether this is an interim response, such as `100 Continue`, that another one follows."""
        return self.has_head and self.head.startswith(b"HTTP/1.1 1")

    def is_complete(self, *, without_body: bool = False) -> bool:
        """Tell whether it is complete; a response to HEAD is complete after its headers."""
        if not self.has_head or without_body:
            return self.has_head
        return self._last.endswith(_LAST_CHUNK) if self._is_chunked else self._left <= 0

    def feed(self, data: bytes) -> bytes:
        """Read the next bytes. Return those of the body."""
        self.size += len(data)
        if not self.has_head:
            self.head, end, data = (self.head + data).partition(_END_OF_HEAD)
            if not end:
                return b""
            self.has_head = True
            length = _LENGTH.search(self.head + b"\r\n")
            self._left = int(length[1]) if length else 0
            self._is_chunked = _CHUNKED.search(self.head) is not None
        self._left -= len(data)
        self._last = (self._last + data[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
        return data
