"""Errors as HTTP answers: the contract's shape, and the Open Inference Protocol's under /v2."""

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from serving.core.errors import (
    InpaintException,
    InvalidRequestException,
    MethodNotAllowedException,
    OverloadedException,
    ResourceNotFoundException,
    UnauthorizedException,
)

_CLIENT_CLOSED_REQUEST = 499  # what nginx logs; nobody is there to read it


def error_answer(request: Request, error: Exception) -> Response:
    """Answer an error that is part of this project's tree, or one of the web framework's."""
    headers: Mapping[str, str] | None = None
    if isinstance(error, ClientDisconnect):
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    if isinstance(error, HTTPException):
        headers = error.headers
        error = _translated(request, error)
    elif isinstance(error, RequestValidationError):
        error = InvalidRequestException("; ".join(problem["msg"] for problem in error.errors()))
    elif isinstance(error, OverloadedException):
        headers = {"Retry-After": str(error.retry_after)}
    elif isinstance(error, UnauthorizedException):
        headers = {"WWW-Authenticate": "Bearer"}
    if not isinstance(error, InpaintException):
        raise error
    body = {"error": error.message} if request.url.path.startswith("/v2") else error.to_dict()
    return JSONResponse(body, error.code, headers)


def _translated(request: Request, error: HTTPException) -> InpaintException:
    if error.status_code == ResourceNotFoundException.code:
        return ResourceNotFoundException(
            f"There is nothing at {request.url.path[:80]}: /docs lists what there is."
        )
    if error.status_code == MethodNotAllowedException.code:
        return MethodNotAllowedException(
            f"{request.url.path} does not take {request.method}: /docs lists what it does."
        )
    return InvalidRequestException(f"The request cannot be read: {error.detail}")
