"""One HTTP session: requests out, answers or typed errors back, repeats where a repeat is safe."""

import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from .errors import (
    ConnectError,
    ContractError,
    InvalidInputError,
    RequestTimeoutError,
    ResponseError,
    TransportError,
)
from .failures import response_error, transport_error
from .policy import Retry, Timeout

_log = logging.getLogger(__name__)

# 503: a full queue. 507: TorchServe lost its worker under the request and starts another. 502 and 504: a
# proxy found the server gone or slow. A 500 is a fault that a repeat would meet again.
_PASSING = frozenset({429, 502, 503, 504, 507})

# Connections kept open; more at once work too, and are closed after use.
_POOL_SIZE = 64


class _BearerAuth(AuthBase):
    """The API key as an auth object, not as a header: requests lets a .netrc entry replace a bare header."""

    def __init__(self, api_key: str) -> None:
        self._value = f"Bearer {api_key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class Transport:
    """Sends requests to one server; may be used from several threads."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout: Timeout,
        retry: Retry,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _check_url(url)
        self.timeout = timeout
        self.retry = retry
        self.sleep = sleep
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"inpaint-client/{version('inpaint-client')}"
        if api_key:
            self._session.auth = _BearerAuth(_check_api_key(api_key))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_POOL_SIZE))

    def close(self) -> None:
        """Close the session's connections."""
        self._session.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        data: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout: Timeout | None = None,
        retry: Retry | None = None,
    ) -> requests.Response:
        """Send one request, repeat it while it fails in a way that may pass, and give its 200 answer.

        No request of the contract changes anything: a prediction is a pure function of its body. So a POST
        may be repeated too, even after a read timeout, where the server may have done the work unheard.

        Args:
            method: HTTP method.
            path: path below the server's URL, with its leading slash.
            data: text fields of a multipart form.
            files: files of a multipart form, by field name.
            timeout: in place of the session's own.
            retry: in place of the session's own.

        Raises:
            TransportError: no answer.
            ResponseError: a 4xx or 5xx answer.
            ContractError: a redirect, or another status that the contract does not have.
        """
        retry = retry or self.retry
        repeat = 0
        while True:
            try:
                return self._send_once(method, path, data, files or {}, timeout or self.timeout)
            except (TransportError, ResponseError) as error:
                repeat += 1
                if repeat > retry.count or not _may_pass(error):
                    raise
                delay = retry.delay(repeat, getattr(error, "retry_after", None))
                _log.info("%s; repeat %d of %d in %.2f s", error, repeat, retry.count, delay)
            self.sleep(delay)

    def _send_once(
        self,
        method: str,
        path: str,
        data: Mapping[str, str] | None,
        files: Mapping[str, bytes],
        timeout: Timeout,
    ) -> requests.Response:
        label = f"{method} {self.url}{path}"
        # The field's name serves as the file name too: the caller's own is nobody else's business.
        parts = {name: (name, content, "application/octet-stream") for name, content in files.items()}
        try:
            response = self._session.request(
                method,
                self.url + path,
                headers={"Accept": "application/json"},
                data=data,
                files=parts or None,
                timeout=(timeout.connect, timeout.read),
                # Following one would turn a POST into a GET, or carry the API key to another server.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise transport_error(error, label, timeout) from error
        if response.status_code >= 400:
            raise response_error(response, label, sum(map(len, files.values())))
        if response.is_redirect:
            raise ContractError(
                f"{label} is redirected to {response.headers['Location']}: use that as the URL"
            )
        if response.status_code != HTTPStatus.OK:
            raise ContractError(f"{label} answered {response.status_code}; is this an inpainting server?")
        return response


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise InvalidInputError(f"url: {url!r} is no server's address; write it like http://127.0.0.1:8080")
    if parts.username or parts.password:
        # It would end up in error messages and logs.
        raise InvalidInputError("url: holds a user name or a password; give api_key, or use a .netrc file")
    return url.rstrip("/")


def _check_api_key(api_key: str) -> str:
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise InvalidInputError(
            "api_key: holds spaces, line ends or characters that no HTTP header can carry"
        )
    return api_key


def _may_pass(error: TransportError | ResponseError) -> bool:
    if isinstance(error, ResponseError):
        return error.code in _PASSING
    return isinstance(error, (ConnectError, RequestTimeoutError))
