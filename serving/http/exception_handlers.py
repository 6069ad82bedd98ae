"""Convert exceptions to HTTP responses: the REST contract's or, under /v2, the Open Inference Protocol's."""

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from serving.core.errors import (
    InpaintError,
    InvalidRequestError,
    MethodNotAllowedError,
    OverloadedError,
    ResourceNotFoundError,
    UnauthorizedError,
)

HANDLED = (InpaintError, HTTPException, RequestValidationError, ClientDisconnect)
"""The exceptions that `handle_exception` turns into responses."""

_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that has disconnected; nobody receives it


def handle_exception(request: Request, error: Exception) -> Response:
    """Return the response for one of the exceptions in `HANDLED`; re-raise any other."""
    headers: Mapping[str, str] | None = None
    if isinstance(error, ClientDisconnect):
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    if isinstance(error, HTTPException):
        headers = error.headers
        error = _from_http_exception(request, error)
    elif isinstance(error, RequestValidationError):
        error = InvalidRequestError("; ".join(problem["msg"] for problem in error.errors()))
    elif isinstance(error, OverloadedError):
        headers = {"Retry-After": str(error.retry_after)}
    elif isinstance(error, UnauthorizedError):
        headers = {"WWW-Authenticate": "Bearer"}
    if not isinstance(error, InpaintError):
        raise error
    body = {"error": error.message} if request.url.path.startswith("/v2") else error.to_dict()
    return JSONResponse(body, error.code, headers)


def _from_http_exception(request: Request, error: HTTPException) -> InpaintError:
    if error.status_code == ResourceNotFoundError.code:
        return ResourceNotFoundError(
            f"There is nothing at {request.url.path[:80]}: see /docs for what there is."
        )
    if error.status_code == MethodNotAllowedError.code:
        return MethodNotAllowedError(
            f"{request.url.path} does not support {request.method}: see /docs for what it supports."
        )
    return InvalidRequestError(f"The request cannot be read: {error.detail}")
