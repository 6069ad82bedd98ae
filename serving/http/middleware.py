"""Middleware: request bodies on their way in, and headers, metrics and unhandled exceptions on the way out."""

import logging
import zlib
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import (
    InternalServerError,
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from serving.http.dependencies import ServedModel
from serving.http.exception_handlers import handle_exception
from serving.http.metrics import Metrics

logger = logging.getLogger(__name__)

# No page of this server loads anything from another origin; the API's pages have an inline script.
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; frame-ancestors 'none'"
    ),
}
_NO_ROUTE = "(none)"
_MAX_GZIP_MEMBERS = 10_000
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class ResponseMiddleware:
    """Outermost ASGI middleware: adds headers, records metrics and answers unhandled exceptions."""

    def __init__(self, app: ASGIApp, metrics: Metrics, default: ServedModel) -> None:
        self._app = app
        self._metrics = metrics
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, code = perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                model = _model(scope) or self._default
                for name, value in {**_SECURITY_HEADERS, **model.headers}.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if code:
                raise  # the response has started: the only way to report the failure is to close the connection
            error = InternalServerError("The server failed; see its log.")
            await handle_exception(Request(scope), error)(scope, receive, send_with_headers)
        finally:
            path = getattr(scope.get("route"), "path", _NO_ROUTE)
            model = _model(scope)
            self._metrics.request(
                scope["method"], path, model.name if model else "", code, perf_counter() - start
            )


def _model(scope: Scope) -> ServedModel | None:
    """Return the model that the request's path named, or None for other paths."""
    model: ServedModel | None = scope.get("state", {}).get("model")
    return model


class RequestBodyMiddleware:
    """ASGI middleware: limits a request's body while it is read, and decompresses it."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            receive = _BodyReader(receive, Headers(scope=scope), self._max_bytes)
        await self._app(scope, receive, send)


class _BodyReader:
    """A `receive` that raises an error if the body has more than `max_bytes`, compressed or decompressed."""

    def __init__(self, receive: Receive, headers: Headers, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._content_length = headers.get("content-length", "")
        self._encoding = headers.get("content-encoding", "identity").lower()
        self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._received = self._decompressed = self._members = 0

    async def __call__(self) -> Message:
        if self._content_length.isdecimal() and int(self._content_length) > self._max_bytes:
            raise self._too_large()
        if self._encoding not in ("identity", "gzip", "deflate"):
            raise UnsupportedMediaTypeError(
                f"Content-Encoding {self._encoding[:80]!r} is not supported: use gzip, deflate or none."
            )
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        body = message.get("body", b"")
        self._received += len(body)
        if self._received > self._max_bytes:
            raise self._too_large()
        if self._encoding != "identity":
            body = self._decompress(body, last=not message.get("more_body", False))
        return {**message, "body": body}

    def _decompress(self, body: bytes, *, last: bool) -> bytes:
        parts = []
        while body:
            if self._decompressor.eof:  # gzip allows several members one after the other
                self._members += 1
                if self._encoding != "gzip" or self._members > _MAX_GZIP_MEMBERS:
                    raise InvalidRequestError(f"The body has extra bytes after its {self._encoding} data.")
                self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                # One byte more than the limit: enough to detect an oversized body without expanding a zip bomb.
                part = self._decompressor.decompress(body, self._max_bytes - self._decompressed + 1)
            except zlib.error as error:
                raise InvalidRequestError(f"The body is not valid {self._encoding}: {error}.") from error
            parts.append(part)
            self._decompressed += len(part)
            if self._decompressed > self._max_bytes:
                raise self._too_large()
            body = self._decompressor.unused_data
        if last and self._received and not self._decompressor.eof:
            raise InvalidRequestError(f"The body's {self._encoding} data is incomplete.")
        return b"".join(parts)

    def _too_large(self) -> PayloadTooLargeError:
        return PayloadTooLargeError(f"The body is too large: at most {self._max_bytes} bytes are accepted.")
