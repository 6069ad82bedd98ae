"""Every error that this package raises on purpose, as one tree.

    InpaintError
    ├── InvalidInputError        refused before anything was sent; also a ValueError
    ├── TransportError           no answer came, and repeating the request would not help (TLS, proxy, …)
    │   ├── ConnectError         no connection, or it broke before the answer was complete
    │   └── RequestTimeoutError  the server took longer than the timeout allows
    ├── ResponseError            the server answered with an error
    │   ├── ClientError          4xx: the request has to change
    │   └── ServerError          5xx: the server could not do it
    ├── ContractError            an answer outside the REST contract: probably another service
    └── NotReadyError            the time given to `wait_until_ready` is over

The message of each says what is wrong and, where it can be known, what would be right.
"""


class InpaintError(Exception):
    """Root of the tree: catching it catches whatever this package raises on purpose."""


class InvalidInputError(InpaintError, ValueError):
    """An argument that cannot be sent: a missing file, a wrong dtype or shape, a malformed URL."""


class TransportError(InpaintError):
    """No answer came from the server."""


class ConnectError(TransportError):
    """No connection could be made, or it broke before the answer was complete."""


class RequestTimeoutError(TransportError):
    """The server did not accept the connection, or did not answer, within the timeout."""


class ResponseError(InpaintError):
    """The server answered with an HTTP error; `ClientError` and `ServerError` are the two kinds.

    Attributes:
        code: HTTP status, 400 to 599.
        type: the server's name for the error, such as `InvalidImageException`.
        message: what is wrong and what would be right, in the server's words where it gave any.
        retry_after: seconds that the server asks to wait before the next request; None where it does not.
        request: method and URL of the request, such as `POST http://127.0.0.1:8080/predictions/inpaint`.
    """

    def __init__(self, code: int, type: str, message: str, retry_after: float | None, request: str) -> None:  # noqa: A002
        # All go to the base class, in order, so that the error survives copying and crossing processes.
        super().__init__(code, type, message, retry_after, request)
        self.code = code
        self.type = type
        self.message = message
        self.retry_after = retry_after
        self.request = request

    def __str__(self) -> str:
        return f"{self.message} ({self.code} {self.type}, {self.request})"


class ClientError(ResponseError):
    """4xx: the request is at fault and will fail again unless it changes (429 apart)."""


class ServerError(ResponseError):
    """5xx: the server, its worker or a proxy before it failed or is too busy."""


class ContractError(InpaintError):
    """The answer is not what the REST contract says: the URL probably names another service."""


class NotReadyError(InpaintError):
    """The server did not become ready in the time given to `wait_until_ready`."""
