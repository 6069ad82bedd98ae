"""Limits on the clients of a server that accepts connections, and the errors for exceeding them."""

from serving.core.errors import InvalidRequestError, OverloadedError, RequestTimeoutError

HEADER_SECONDS = 15.0
"""How long a client may take to send a request's headers."""

MAX_HEADER_BYTES = 64 * 1024
"""Maximum bytes of a request's headers."""

BODY_SECONDS = 30.0
"""How long a client may take to send a body's first byte, and between two parts of it."""

MIN_BYTES_PER_SECOND = 10_000
"""The minimum rate of a body, after its first `BODY_SECONDS`."""

SEND_SECONDS = 60.0
"""How long sending a response may make no progress."""

STOP_SECONDS = 5.0
"""How long a body may still take when the server is stopping."""

PAUSE_SECONDS = 1.0
"""How soon a client that has just connected, or received a response, is expected to send its next request."""


def late_headers() -> RequestTimeoutError:
    """Return the error for a request whose headers take too long."""
    return RequestTimeoutError(f"The headers were not received within {HEADER_SECONDS:g} seconds.")


def long_headers() -> InvalidRequestError:
    """Return the error for a request with too many bytes of headers."""
    return InvalidRequestError(f"The headers are too long: at most {MAX_HEADER_BYTES} bytes.")


def slow_body() -> RequestTimeoutError:
    """Return the error for a request whose body is sent too slowly."""
    return RequestTimeoutError(
        f"The body was sent too slowly: there must be less than {BODY_SECONDS:g} seconds between two parts of "
        f"it, and at least {MIN_BYTES_PER_SECOND} bytes per second."
    )


def too_many_bytes(held: int) -> OverloadedError:
    """Return the error for a request that would make all bodies together take too much memory."""
    return OverloadedError(
        f"The server is receiving too much at once: {held} bytes in all requests. Try again later.",
        retry_after=1,
    )


def too_many_connections() -> OverloadedError:
    """Return the error for a connection over the limit."""
    return OverloadedError("The server has too many connections. Try again later.", retry_after=1)
