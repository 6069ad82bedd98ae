"""Middleware that admits requests, and limits and decompresses their bodies."""

import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import (
    InvalidRequestError,
    OverloadedError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from serving.http.admission import Admission, Body
from serving.http.exception_handlers import handle_exception

_MAX_GZIP_MEMBERS = 10_000
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class RequestBodyMiddleware:
    """ASGI middleware: admits requests, limits their bodies while they are read, and decompresses them."""

    def __init__(self, app: ASGIApp, max_bytes: int, admission: Admission) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reader: _BodyReader | None = None

        async def send_and_close(message: Message) -> None:
            # Do not wait for the rest of a body that was not read.
            if (
                message["type"] == "http.response.start"
                and not (reader and reader.complete)
                and _has_body(headers)
            ):
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            with self._admission.request() as body:
                reader = _BodyReader(receive, headers, self._max_bytes, body)
                await self._app(scope, reader, send_and_close)
        except OverloadedError as error:
            if reader is not None:
                raise
            response = handle_exception(Request(scope), error)
            response.headers["Connection"] = "close"
            await response(scope, receive, send)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class _BodyReader:
    """A `receive` that raises an error if the body is too long, compressed or decompressed, or too slow.

    Attributes:
        complete: whether the whole body was read.
    """

    def __init__(self, receive: Receive, headers: Headers, max_bytes: int, body: Body) -> None:
        self.complete = False
        self._receive = receive
        self._max_bytes = max_bytes
        self._body = body
        self._content_length = headers.get("content-length", "")
        self._encoding = headers.get("content-encoding", "identity").lower()
        self._decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._received = self._decompressed = self._members = 0

    async def __call__(self) -> Message:
        if self.complete:  # only a disconnection can follow
            return await self._receive()
        if self._content_length.isdecimal() and int(self._content_length) > self._max_bytes:
            raise self._too_large()
        if self._encoding not in ("identity", "gzip", "deflate"):
            raise UnsupportedMediaTypeError(
                f"Content-Encoding {self._encoding[:80]!r} is not supported: use gzip, deflate or none."
            )
        with self._body.next_part():
            message = await self._receive()
        if message["type"] != "http.request":
            return message
        part = message.get("body", b"")
        last = not message.get("more_body", False)
        self._received += len(part)
        self._body.received(len(part))
        if self._received > self._max_bytes:
            raise self._too_large()
        if self._encoding != "identity":
            part = self._decompress(part, last=last)
        self._body.hold(len(part))
        self.complete = last
        return {**message, "body": part}

    def _decompress(self, body: bytes, *, last: bool) -> bytes:
        parts = []
        while body:
            if self._decompressor.eof:  # gzip allows several members, one after another
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
