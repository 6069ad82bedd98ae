"""The exceptions that this package raises.

* InpaintError
  x InvalidInputError (also a ValueError)
  x TransportError
    + ConnectError
    + RequestTimeoutError
  x HTTPStatusError
    + ClientError
    + ServerError
  x InvalidResponseError
  x NotReadyError
"""


class InpaintError(Exception):
    """Base class of all exceptions in this package."""


class InvalidInputError(InpaintError, ValueError):
    """An argument is invalid, such as a missing file, an array of the wrong dtype or a malformed URL."""


class TransportError(InpaintError):
    """The request failed before a complete response arrived."""


class ConnectError(TransportError):
    """The connection could not be established, or was lost before the response was complete."""


class RequestTimeoutError(TransportError):
    """The server did not respond within the timeout."""


class HTTPStatusError(InpaintError):
    """The server responded with a 4xx or 5xx status code.

    Attributes:
        code: HTTP status code, 400 to 599.
        type: error type reported by the server, such as `InvalidImageException`.
        message: error message reported by the server, or a description of the status code.
        retry_after: seconds to wait before the next request, from the `Retry-After` header, or None.
        request: method and URL of the request, such as `POST http://127.0.0.1:8080/predictions/inpaint`.
    """

    def __init__(self, code: int, type: str, message: str, retry_after: float | None, request: str) -> None:  # noqa: A002
        # Exceptions are copied and pickled by calling the class with `args`.
        super().__init__(code, type, message, retry_after, request)
        self.code = code
        self.type = type
        self.message = message
        self.retry_after = retry_after
        self.request = request

    def __str__(self) -> str:
        return f"{self.message} ({self.code} {self.type}, {self.request})"


class ClientError(HTTPStatusError):
    """The server rejected the request with a 4xx status code."""


class ServerError(HTTPStatusError):
    """The server, or a proxy in front of it, failed to process the request with a 5xx status code."""


class InvalidResponseError(InpaintError):
    """The response does not follow the REST contract; the URL probably points to a different service."""


class NotReadyError(InpaintError):
    """The server did not become ready within the timeout of `wait_until_ready`."""
