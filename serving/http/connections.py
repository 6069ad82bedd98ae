"""Connections to clients: uvicorn's HTTP protocol, with limits on time, memory and number.

uvicorn itself waits for headers indefinitely, keeps any number of them, and resets a connection that it
closes before it has read everything that was sent, so the client may never see the response.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from serving.core.clients import (
    HEADER_SECONDS,
    MAX_HEADER_BYTES,
    SEND_SECONDS,
    late_headers,
    long_headers,
    too_many_connections,
)
from serving.core.errors import InpaintError, InvalidRequestError, OverloadedError

MAX_CONNECTIONS = 1000
"""Maximum number of open connections, if the process may open that many files."""

_RESERVED_FILES = 100  # file descriptors for everything but connections
_LINGER_SECONDS, _LINGER_IDLE_SECONDS = 30.0, 5.0  # as nginx does by default
_LAST_LINGER_SECONDS = 1.0  # when the server stops


def max_connections() -> int:
    """Return how many connections this process may have, after raising its limit on open files if needed."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return MAX_CONNECTIONS
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _RESERVED_FILES
    if files != resource.RLIM_INFINITY and files < wanted:
        files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return (
        MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(files, wanted) - _RESERVED_FILES)
    )


class Connection(HttpToolsProtocol):
    """A connection to a client. uvicorn creates one for each.

    Attributes:
        waiting_since: when it began to wait for a request, in loop time, or None while one is in progress.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.waiting_since: float | None = self.loop.time()
        self._max_connections = max_connections
        self._header_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request. If there are too many connections, close the one that has waited longest."""
        self._lingering = _LingeringTransport(transport, self.loop, lambda: self._is_receiving)
        super().connection_made(self._lingering)  # type: ignore[arg-type] # it has the methods that uvicorn uses
        if len(self.connections) > self._max_connections:
            waiting = [(c.waiting_since, c) for c in self.connections if isinstance(c, Connection)]
            oldest = min(
                ((since, c) for since, c in waiting if since is not None and c is not self),
                key=lambda pair: pair[0],
                default=None,
            )
            if oldest is None:
                self._refuse(too_many_connections())
                return
            oldest[1].transport.abort()
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._lingering.stop()
        self._stop_send_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends, unless the connection only waits for the client to close it."""
        if self.transport.is_closing():
            self._lingering.received()
            return
        if not self._is_in_request:
            self._expect_headers()
            self._header_bytes += len(data)
        super().data_received(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self._is_in_request:
            self._refuse(long_headers())

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that follows the body is ignored."""
        if self.waiting_since is not None or not self._is_receiving:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start handling a request."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or handle one that has arrived already."""
        super().on_response_complete()
        if not self._is_in_request:
            self.waiting_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not valid HTTP, in the contract's format."""
        self._refuse(InvalidRequestError("The request cannot be read: it is not valid HTTP."))

    def shutdown(self) -> None:
        """Close the connection, after the response if there is a request."""
        self._lingering.hurry()
        super().shutdown()

    def pause_writing(self) -> None:
        """Stop writing until the client has received more; close the connection if it receives nothing."""
        super().pause_writing()
        self._watch_sending(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Continue writing."""
        self._stop_send_timer()
        super().resume_writing()

    @property
    def _is_in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_receiving(self) -> bool:
        """Whether a request's headers have arrived and its body has not."""
        return self.cycle is not None and self.cycle.more_body

    def _expect_headers(self) -> None:
        if self._header_timer is None:
            if self.waiting_since is None:
                self.waiting_since = self.loop.time()
            self._header_timer = self.loop.call_later(HEADER_SECONDS, self._headers_late)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        self.waiting_since = None
        self._header_bytes = 0

    def _headers_late(self) -> None:
        self._header_timer = None
        if self.transport.is_closing():
            return
        if self._header_bytes:
            self._refuse(late_headers())
        else:
            self.transport.close()

    def _refuse(self, error: InpaintError) -> None:
        """Respond with an error before there is a complete request, and close the connection."""
        if self.transport.is_closing():
            return
        if not (self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete):
            body = json.dumps(error.to_dict()).encode()
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            if isinstance(error, OverloadedError):
                headers.append((b"retry-after", str(error.retry_after).encode()))
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(STATUS_LINE[error.code] + lines + b"\r\n" + body)
        if self._is_in_request:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._lingering.linger()

    def _watch_sending(self, left: int) -> None:
        self._stop_send_timer()
        self._send_timer = self.loop.call_later(SEND_SECONDS, self._check_sending, left)

    def _check_sending(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now >= left:
            self.transport.abort()
        else:
            self._watch_sending(now)

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None


class _LingeringTransport:
    """A transport that, when it is closed while the client is sending, first lets it read the response.

    The system resets a connection that is closed with data unread, and the client then loses the response.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, is_receiving: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._is_receiving = is_receiving
        self._timer: asyncio.TimerHandle | None = None
        self._end = self._idle_end = 0.0
        self._is_lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection: at once, or once the client has stopped sending."""
        if self._is_lingering:
            return
        if self._is_receiving() and not self._transport.is_closing():
            self.linger()
        else:
            self._transport.close()

    def linger(self) -> None:
        """Close the sending side, and the connection when the client has stopped sending or after a time."""
        self._is_lingering = True
        self._end = self._loop.time() + _LINGER_SECONDS
        self.received()
        self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:  # the client has disconnected
            self._transport.close()
            return
        self._wait()

    def received(self) -> None:
        """Note that the client is still sending."""
        self._idle_end = self._loop.time() + _LINGER_IDLE_SECONDS

    def hurry(self) -> None:
        """Linger no longer than a second from now."""
        self._end = min(self._end, self._loop.time() + _LAST_LINGER_SECONDS)

    def stop(self) -> None:
        """Stop waiting, because the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        left = min(self._end, self._idle_end) - self._loop.time()
        if left <= 0:
            self._transport.close()
        else:
            self._timer = self._loop.call_later(min(left, _LAST_LINGER_SECONDS), self._wait)
