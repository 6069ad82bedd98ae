"""Middleware for response headers, metrics and unhandled exceptions."""

import logging
import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import InternalServerError
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
_REQUEST_ID = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_ROUTE = "(none)"


class ResponseMiddleware:
    """Outermost ASGI middleware: adds headers, records metrics and responds to unhandled exceptions."""

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
        request_id = _request_id(Headers(scope=scope))

        async def send_with_headers(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                model = _model(scope) or self._default
                for name, value in {**_SECURITY_HEADERS, **model.headers, _REQUEST_ID: request_id}.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("%s %s failed, request %s", scope["method"], scope["path"], request_id)
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


def _request_id(headers: Headers) -> str:
    """Return the id that the client or the proxy sent, or else a new one."""
    sent = headers.get(_REQUEST_ID, "")
    return sent if _ID.fullmatch(sent) else uuid4().hex


def _model(scope: Scope) -> ServedModel | None:
    """Return the model that the request's path named, or None for other paths."""
    model: ServedModel | None = scope.get("state", {}).get("model")
    return model
