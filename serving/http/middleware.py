"""The last thing every answer passes: headers, metrics, and the one answer to an error nobody foresaw."""

import logging
from collections.abc import Mapping
from time import perf_counter

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import InternalServerException
from serving.http.exception_handlers import error_answer
from serving.http.metrics import Metrics

logger = logging.getLogger(__name__)

# No page of this server needs anything from elsewhere; the API pages' own script is inline.
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; frame-ancestors 'none'"
    ),
}
_NO_ROUTE = "(none)"


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, metrics: Metrics, headers: Mapping[str, str]) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = {**_SECURITY, **headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, code = perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if code:
                raise  # the answer has begun: all that is left is to break the connection
            request = Request(scope)
            error = InternalServerException("The server failed; its log says why.")
            await error_answer(request, error)(scope, receive, send_with_headers)
        finally:
            path = getattr(scope.get("route"), "path", _NO_ROUTE)
            self._metrics.request(scope["method"], path, code, perf_counter() - start)
