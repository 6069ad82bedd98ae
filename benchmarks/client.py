"""An HTTP client that leaves the cores to the server: it takes a fifth of the CPU time of requests."""

from __future__ import annotations

import select
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests import PreparedRequest, Request

from benchmarks.processes import ServerFailedError

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 60.0
"""Seconds that a server may take to answer."""


@dataclass(frozen=True)
class Response:
    """A response that is no error."""

    headers: HTTPMessage
    body: bytes


class Connection(AbstractContextManager["Connection"]):
    """A connection to a server, kept open for all requests. It is closed when the block is left.

    Args:
        url: Any URL of the server.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._http = HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE)

    def send(self, request: PreparedRequest) -> Response:
        """Send a request and return its response.

        Raises:
            ServerFailedError: The server did not answer, or answered with an error.
        """
        if self._http.sock and select.select([self._http.sock], [], [], 0)[0]:
            self._http.close()  # the server has closed it, after a pause; the next request opens it again
        try:
            self._http.request(request.method or "GET", request.path_url, request.body, dict(request.headers))
            response = self._http.getresponse()
            body = response.read()
        except (OSError, HTTPException) as error:
            self._http.close()
            raise ServerFailedError(f"{request.url} did not answer: {error}") from error
        if response.status >= 400:
            text = body[:500].decode(errors="replace")
            raise ServerFailedError(f"{request.url} answered {response.status}: {text}")
        return Response(response.headers, body)

    def answers(self, request: PreparedRequest) -> bool:
        """Whether a request is answered without an error."""
        try:
            self.send(request)
        except ServerFailedError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


def multipart(url: str, files: dict[str, bytes], headers: dict[str, str] | None = None) -> PreparedRequest:
    """Return a request that posts files as a form."""
    return Request("POST", url, files=files, headers=headers).prepare()
