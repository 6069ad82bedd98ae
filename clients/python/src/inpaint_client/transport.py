"""Send requests to one server, with a deadline, retries and typed errors.

`Transport` is written once, with `async`, on top of a backend: `AsyncBackend` suspends, `SyncBackend`
blocks the thread and never suspends, so `run_sync` can run its coroutines without an event loop.
"""

import asyncio
import logging
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from json import loads
from math import isfinite
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import httpx2

from .exceptions import (
    ClientError,
    ConnectError,
    HTTPStatusError,
    InvalidInputError,
    InvalidResponseError,
    RequestTimeoutError,
    ServerError,
    TransportError,
)

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

DEFAULT_MODEL = "inpaint"

_CONNECT_SECONDS = 5.0

# Exponential backoff: retry n is sent after a random time between 0 and `_BACKOFF_SECONDS` · 2ⁿ⁻¹ seconds.
_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 8.0

# 503 means that the queue is full. 507, and 500 with the first message below, mean that a TorchServe worker died. The
# second message is that of a 500 without the contract's body, which Ray Serve's proxy sends when its replica died. 504
# is not retried: the server may still be working on the request that the proxy gave up on.
_RETRIED_CODES = frozenset({429, 502, 503, 507})
_WORKER_DIED = ("Worker died", HTTPStatus.INTERNAL_SERVER_ERROR.phrase)
# A request with a 503 of this type took longer than the server or the request itself allows, and would again.
_DEADLINE_EXCEEDED = "DeadlineExceededException"

# The server cancels its work after this many seconds.
_TIMEOUT_HEADER = "X-Server-Timeout"

_CHECK_SERVER = "check that the server is running and that the URL (INPAINT_URL) is correct"

_MESSAGES = {
    401: "the server requires an API key",
    403: "the server rejected the API key",
    404: "not found; check that the URL points to an inpainting server",
    413: "the request of {size} exceeds the server's limit; send a smaller image or raise the limit "
    "(TorchServe: max_request_size, nginx: client_max_body_size)",
    502: "the proxy cannot reach the server",
    503: "the server is overloaded or still starting",
    504: "the server did not respond within the proxy's timeout",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A complete HTTP response."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class SyncBackend:
    """Sends requests and sleeps in the calling thread; its coroutines never suspend."""

    def __init__(self, **options: Any) -> None:
        self._client = httpx2.Client(**options)
        self._closed = threading.Event()

    async def send(self, method: str, url: str, *, seconds: float, **options: Any) -> Response:
        """Send a request and return the response, which must be complete within `seconds`."""
        deadline = time.monotonic() + seconds
        with self._client.stream(method, url, timeout=_timeout(seconds), **options) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout("the response was not complete in time")
            if self._closed.is_set():  # `close` missed a connection that was still being opened
                response.extensions["network_stream"].close()
        return Response(status_code=response.status_code, headers=response.headers, content=bytes(content))

    async def sleep(self, seconds: float) -> None:
        """Block the thread for `seconds`, or until the connections are closed."""
        self._closed.wait(seconds)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that reads files or encodes images."""
        return function(*args, **kwargs)

    async def close(self) -> None:
        """Close the connections."""
        self._closed.set()
        self._client.close()


class AsyncBackend:
    """The same as `SyncBackend`, for asyncio."""

    def __init__(self, **options: Any) -> None:
        self._client = httpx2.AsyncClient(**options)

    async def send(self, method: str, url: str, *, seconds: float, **options: Any) -> Response:
        """Send a request and return the response, which must be complete within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.request(method, url, timeout=_timeout(seconds), **options)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("the response was not complete in time") from error
        return Response(status_code=response.status_code, headers=response.headers, content=response.content)

    async def sleep(self, seconds: float) -> None:
        """Suspend the task."""
        await asyncio.sleep(seconds)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that reads files or encodes images in a thread."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on top of `SyncBackend` and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise RuntimeError("a coroutine on top of SyncBackend must not suspend")


class Transport:
    """Sends requests to one server.

    Args:
        url: address of the server; `http://` is added if it has no scheme.
        api_key: sent as a bearer token.
        timeout: seconds for one request in total, including retries.
        retry_for: seconds to keep retrying after the first temporary failure.
        model: name of the model that fills.
        backend: how to send and sleep.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout: float,
        retry_for: float,
        model: str = DEFAULT_MODEL,
        backend: type[SyncBackend] | type[AsyncBackend] = SyncBackend,
    ) -> None:
        self.url = _normalize_url(url)
        self.model = _check_model(model)
        self.timeout = _check_seconds("timeout", timeout, zero=False)
        self.retry_for = _check_seconds("retry_for", retry_for, zero=True)
        headers = {"Accept": "application/json", "User-Agent": f"inpaint-client/{version('inpaint-client')}"}
        if api_key:
            headers["Authorization"] = f"Bearer {_check_api_key(api_key)}"
        try:
            self.backend = backend(
                headers=headers,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
                # Following a redirect could turn POST into GET and send the API key to another server.
                follow_redirects=False,
            )
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            raise InvalidInputError(
                f"invalid proxy or certificate settings in the environment: {error}"
            ) from error

    async def send(
        self,
        method: str,
        path: str,
        *,
        data: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout: float | None = None,
        retry_for: float | None = None,
    ) -> Response:
        """Send a request, retry it after temporary failures, and return the 200 response.

        Every request of the REST contract, including POST, can be repeated safely, since none of them
        changes anything on the server. A request that timed out, whether in this client, the server or a proxy,
        is not retried: it would take as long again. Each attempt tells the server the remaining seconds.

        Args:
            method: HTTP method.
            path: path below the server's URL, with a leading slash.
            data: text fields of a multipart form.
            files: files of a multipart form by field name.
            timeout: overrides the transport's timeout.
            retry_for: overrides the transport's `retry_for`.

        Raises:
            TransportError: there was no complete response.
            HTTPStatusError: the response has a 4xx or 5xx status code.
            InvalidResponseError: the response has any other status code except 200.
        """
        timeout = self.timeout if timeout is None else timeout
        retry_for = self.retry_for if retry_for is None else retry_for
        deadline = time.monotonic() + timeout
        last_retry = deadline
        retries = 0
        while True:
            try:
                return await self._send_once(method, path, data, files or {}, timeout, deadline)
            except (ConnectError, HTTPStatusError) as error:
                now = time.monotonic()
                if retries == 0:
                    last_retry = now + retry_for
                remaining, retry_after = last_retry - now, _retry_after(error)
                delay = min(retry_after + _backoff(retries), remaining)
                in_time = remaining > 0 and retry_after <= remaining and now + delay < deadline
                if not (_is_temporary(error) and in_time):
                    raise
                retries += 1
                level = logging.INFO if retries == 1 else logging.DEBUG
                _log.log(level, "%s; retrying for up to %g s", error, round(remaining, 1))
            await self.backend.sleep(delay)

    async def close(self) -> None:
        """Close the connections."""
        await self.backend.close()

    async def _send_once(
        self,
        method: str,
        path: str,
        data: Mapping[str, str] | None,
        files: Mapping[str, bytes],
        timeout: float,
        deadline: float,
    ) -> Response:
        request = f"{method} {self.url}{path}"
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise RequestTimeoutError(f"{request}: no response within {timeout:.3g} s")
        # The field's name is also sent as the file name, because the user's own file names are private.
        parts = {name: (name, content, "application/octet-stream") for name, content in files.items()}
        try:
            response = await self.backend.send(
                method,
                self.url + path,
                seconds=seconds,
                data=data,
                files=parts or None,
                headers={_TIMEOUT_HEADER: f"{seconds:.6g}"},
            )
        except httpx2.RequestError as error:
            raise _transport_error(error, request, timeout, _connect_seconds(seconds)) from error
        if response.status_code >= 400:
            raise _status_error(response, request, sum(map(len, files.values())))
        if 300 <= response.status_code < 400 and "Location" in response.headers:
            raise InvalidResponseError(
                f"{request} was redirected to {response.headers['Location']}; use that URL instead"
            )
        if response.status_code != HTTPStatus.OK:
            raise InvalidResponseError(
                f"{request} returned the unexpected status code {response.status_code}; "
                "check that the URL points to an inpainting server"
            )
        return response


def _timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=_connect_seconds(seconds))


def _connect_seconds(seconds: float) -> float:
    return min(_CONNECT_SECONDS, seconds)


def _check_model(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise InvalidInputError(
            f"invalid model name {name!r}; use letters, digits, '.', '_' and '-', with a letter or digit first"
        )
    return name


def _normalize_url(url: str) -> str:
    completed = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(completed)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        httpx2.URL(completed)
    except (ValueError, httpx2.InvalidURL):
        valid = False
    if not valid or parts.query or parts.fragment:
        raise InvalidInputError(f"invalid URL {url!r}; use a URL such as http://127.0.0.1:8080")
    if parts.username or parts.password:
        # Credentials in the URL would appear in error messages and logs.
        raise InvalidInputError("the URL must not contain a user name or password; use api_key instead")
    return completed.rstrip("/")


def _check_api_key(api_key: str) -> str:
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise InvalidInputError("api_key contains characters that are not allowed in an HTTP header")
    return api_key


def _check_seconds(name: str, seconds: float, *, zero: bool) -> float:
    if not (isfinite(seconds) and (seconds > 0 or (zero and seconds == 0))):
        allowed = "0 or more" if zero else "more than 0"
        raise InvalidInputError(f"{name} is {seconds!r}; it must be {allowed} seconds")
    return seconds


def _is_temporary(error: ConnectError | HTTPStatusError) -> bool:
    if isinstance(error, HTTPStatusError):
        if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
            return error.message.startswith(_WORKER_DIED)
        return error.code in _RETRIED_CODES and error.type != _DEADLINE_EXCEEDED
    return True


def _backoff(retries: int) -> float:
    """Return the seconds to wait after this many retries."""
    longest = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2 ** min(retries, 16))
    return random.uniform(0, longest)  # noqa: S311 - not used for security


def _retry_after(error: ConnectError | HTTPStatusError) -> float:
    return getattr(error, "retry_after", None) or 0.0


def _transport_error(
    error: httpx2.RequestError, request: str, timeout: float, connect_timeout: float
) -> TransportError:
    if isinstance(error, httpx2.ConnectTimeout):
        return ConnectError(f"{request}: no connection within {connect_timeout:.2g} s; {_CHECK_SERVER}")
    if isinstance(error, httpx2.TimeoutException):
        return RequestTimeoutError(f"{request}: no response within {timeout:.3g} s")
    cause = _root_cause(error)
    if isinstance(cause, ssl.SSLError):
        return TransportError(f"{request}: {cause}")
    if isinstance(error, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        hint = _CHECK_SERVER
        if isinstance(cause, (BrokenPipeError, ConnectionResetError)):
            hint = "the server closed the connection; the request may exceed its size limit"
        return ConnectError(f"{request}: {getattr(cause, 'strerror', None) or cause}; {hint}")
    return TransportError(f"{request}: {cause}")


def _root_cause(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _status_error(response: Response, request: str, size: int) -> HTTPStatusError:
    """Convert a 4xx or 5xx response to a request of `size` bytes.

    The errors of the contract are JSON with `type` and `message`. Proxies send HTML, and TorchServe's 413
    is empty: the message is then derived from the status code.
    """
    code = response.status_code
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Unknown status"
    body = _json_object(response.content)
    message = str(body.get("message") or _MESSAGES.get(code, phrase).format(size=f"{size / 1e6:.1f} MB"))
    if code == HTTPStatus.UNAUTHORIZED:
        message += " (set INPAINT_API_KEY or pass api_key)"
    error = ClientError if code < 500 else ServerError
    return error(
        code,
        str(body.get("type") or phrase.title().replace(" ", "")),
        message,
        _parse_retry_after(response.headers.get("Retry-After")),
        request,
    )


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds to wait, from either form of the header, or None if it is missing or malformed."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
