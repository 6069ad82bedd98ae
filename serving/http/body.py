"""A request's body on its way in: bounded while it streams, and unpacked where it came compressed."""

import zlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import (
    InvalidRequestException,
    PayloadTooLargeException,
    UnsupportedMediaTypeException,
)

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class BoundedBody:
    """ASGI middleware: what reads the body gets at most `max_bytes`, or one of this project's errors."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            receive = _Reader(receive, Headers(scope=scope), self._max_bytes)
        await self._app(scope, receive, send)


class _Reader:
    """A `receive` that counts, and unpacks."""

    def __init__(self, receive: Receive, headers: Headers, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._declared = headers.get("content-length", "")
        self._encoding = headers.get("content-encoding", "identity").lower()
        self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._received = self._unpacked = 0

    async def __call__(self) -> Message:
        if self._declared.isdecimal() and int(self._declared) > self._max_bytes:
            raise self._too_large()
        if self._encoding not in ("identity", "gzip", "deflate"):
            raise UnsupportedMediaTypeException(
                f"Content-Encoding {self._encoding[:80]!r} is not read: gzip, deflate or none are."
            )
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        body = message.get("body", b"")
        self._received += len(body)
        if self._received > self._max_bytes:
            raise self._too_large()
        if self._encoding != "identity":
            body = self._unpack(body, last=not message.get("more_body", False))
        return {**message, "body": body}

    def _unpack(self, body: bytes, *, last: bool) -> bytes:
        try:
            # One byte more than is allowed: enough to know, and little enough to be safe from a bomb.
            unpacked = self._unpacker.decompress(body, self._max_bytes - self._unpacked + 1)
        except zlib.error as error:
            raise InvalidRequestException(f"The body is not {self._encoding}: {error}.") from error
        self._unpacked += len(unpacked)
        if self._unpacked > self._max_bytes:
            raise self._too_large()
        if last and self._received and not self._unpacker.eof:
            raise InvalidRequestException(f"The body's {self._encoding} ends too early.")
        return unpacked

    def _too_large(self) -> PayloadTooLargeException:
        return PayloadTooLargeException(
            f"The body is too large: at most {self._max_bytes} bytes are accepted."
        )
