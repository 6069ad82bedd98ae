"""What a client may take of a server that accepts connections, and the errors of one that takes more."""

import socket

from serving.core.errors import InvalidRequestError, OverloadedError, RequestTimeoutError

HEADER_SECONDS = 15.0
"""How long a client may take to send a request's headers."""

MAX_HEADER_BYTES = 64 * 1024
"""Bytes of a request's headers."""

BODY_SECONDS = 30.0
"""How long a body may take before its first byte, and between two of them."""

MIN_BYTES_PER_SECOND = 10_000
"""The least rate of a body, after its first `BODY_SECONDS`."""

SEND_SECONDS = 60.0
"""How long a response may take without progress."""

STOP_SECONDS = 5.0
"""How long a body may take when the server stops."""

PAUSE_SECONDS = 1.0
"""In which a client that has just connected, or received a response, sends its next request."""


def late_headers() -> RequestTimeoutError:
    """Return the error of a request whose headers take too long."""
    return RequestTimeoutError(f"The headers were not received within {HEADER_SECONDS:g} seconds.")


def long_headers() -> InvalidRequestError:
    """Return the error of a request with too many bytes of headers."""
    return InvalidRequestError(f"The headers are too long: at most {MAX_HEADER_BYTES} bytes.")


def slow_body() -> RequestTimeoutError:
    """Return the error of a request whose body is sent too slowly."""
    return RequestTimeoutError(
        f"The body was sent too slowly: there must be less than {BODY_SECONDS:g} seconds between two parts of "
        f"it, and at least {MIN_BYTES_PER_SECOND} bytes per second."
    )


def too_many_bytes(held: int) -> OverloadedError:
    """Return the error of a request with which the bodies of all requests would take too much memory."""
    return OverloadedError(
        f"The server is receiving too much at once: {held} bytes in all requests. Try again later.",
        retry_after=1,
    )


def too_many_connections() -> OverloadedError:
    """Return the error of a connection that is one too many."""
    return OverloadedError("The server has too many connections. Try again later.", retry_after=1)


def accept_all(listener: socket.socket) -> list[socket.socket]:
    """Accept the connections that wait, and close the listener."""
    clients = []
    with listener:
        listener.setblocking(False)
        while True:
            try:
                clients.append(listener.accept()[0])
            except OSError:  # there are no more
                return clients
