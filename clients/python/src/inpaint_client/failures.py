"""What requests and the server tell of a failure → this package's errors."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import requests

from .errors import ClientError, ConnectError, RequestTimeoutError, ResponseError, ServerError, TransportError
from .policy import Timeout

_HINTS = {
    401: "the server asks for an API key",
    403: "the server refuses this API key",
    404: "there is nothing at this address; does the URL name an inpainting server?",
    413: "the request of {size} is more than the server takes: send a smaller picture, or raise its limit "
    "(TorchServe: max_request_size; nginx: client_max_body_size)",
    502: "the proxy cannot reach the server",
    503: "the server is too busy, or is still starting",
    504: "the server took longer than its proxy waits",
}


def transport_error(error: requests.RequestException, label: str, timeout: Timeout) -> TransportError:
    """Say in one line why the request `label` got no answer."""
    if isinstance(error, requests.ConnectTimeout):
        return RequestTimeoutError(f"{label}: no connection within {timeout.connect:g} s")
    if isinstance(error, requests.Timeout):
        return RequestTimeoutError(f"{label}: no answer within {timeout.read:g} s")
    reason = _root_cause(error)
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.InvalidURL)):
        return TransportError(f"{label}: {reason}")
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        hint = "is the server running, and is the URL (INPAINT_URL) right?"
        if isinstance(reason, (BrokenPipeError, ConnectionResetError)):
            hint = "the server broke off; is the request over its size limit?"
        return ConnectError(f"{label}: {getattr(reason, 'strerror', None) or reason}; {hint}")
    return TransportError(f"{label}: {reason}")


def _root_cause(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def response_error(response: requests.Response, label: str, size: int) -> ResponseError:
    """Turn a 4xx or 5xx answer to the request `label`, which carried `size` bytes, into its error.

    The contract's errors are JSON with `type` and `message`. Proxies answer HTML, and TorchServe's 413 is
    empty: for those the status code has to do.
    """
    code = response.status_code
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Unknown status"
    body = _json_object(response)
    message = str(body.get("message") or _HINTS.get(code, phrase).format(size=f"{size / 1e6:.1f} MB"))
    if code == HTTPStatus.UNAUTHORIZED:
        message += " (the client takes it from INPAINT_API_KEY, or as api_key)"
    error = ClientError if code < 500 else ServerError
    return error(
        code,
        str(body.get("type") or phrase.title().replace(" ", "")),
        message,
        _parse_retry_after(response.headers.get("Retry-After")),
        label,
    )


def _json_object(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait, from either form of the header; None where it is absent or malformed."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
