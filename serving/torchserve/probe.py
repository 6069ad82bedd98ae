"""A client for a TorchServe instance on this host: the state of its model, and a test prediction."""

import base64
import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import numpy as np

from serving.core.codec import Picture, encode_png
from serving.core.contract import JSON
from serving.core.errors import StartupError
from serving.core.graph import MODEL_NAME, MODEL_SIZE
from serving.torchserve.options import LOOPBACK, Options

_ALL_INTERFACES = "0.0.0.0"  # noqa: S104 (not bound here)
_TIMEOUT = 30.0  # seconds


class Probe:
    """A client for one instance."""

    def __init__(self, options: Options) -> None:
        self._host = LOOPBACK if options.host == _ALL_INTERFACES else options.host
        self._options = options

    def workers_ready(self) -> bool:
        """Tell whether every worker has loaded the model."""
        workers = self._model().get("workers", [])
        return len(workers) == self._options.workers and all(w["status"] == "READY" for w in workers)

    def requests_waiting(self) -> int:
        """Return how many requests wait for a worker."""
        return int(self._model().get("jobQueueStatus", {}).get("pendingRequests", 0))

    def predict(self) -> Mapping[str, str]:
        """Fill a hole in a grey image. Return the response's headers by lower-case name.

        Raises:
            StartupError: the prediction failed.
        """
        image = np.full((MODEL_SIZE, MODEL_SIZE, 3), 128, np.uint8)
        hole = np.zeros((MODEL_SIZE, MODEL_SIZE, 1), np.uint8)
        hole[80:100, 80:100] = 255
        files = {"image": image, "mask": hole}
        fields = {name: base64.b64encode(encode_png(Picture(file))).decode() for name, file in files.items()}
        path = f"/predictions/{MODEL_NAME}"
        try:
            code, headers, body = self._request(
                self._host,
                self._options.port,
                "POST",
                path,
                json.dumps(fields),
                {"Content-Type": JSON},
            )
        except (OSError, http.client.HTTPException) as error:
            raise StartupError(f"The test prediction got no response: {error!r}") from error
        if code != HTTPStatus.OK:
            raise StartupError(f"The test prediction failed: {body.decode(errors='replace')}")
        return headers

    def _model(self) -> Mapping[str, Any]:
        """Return the management API's description of the model; empty while it does not respond."""
        try:
            code, _, body = self._request(
                LOOPBACK, self._options.management_port, "GET", f"/models/{MODEL_NAME}"
            )
        except (OSError, http.client.HTTPException):
            return {}
        return dict(json.loads(body)[0]) if code == HTTPStatus.OK else {}

    @staticmethod
    def _request(
        host: str,
        port: int,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()
