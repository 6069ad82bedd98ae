"""Asking a TorchServe on this host: how its model is, and for a prediction."""

import base64
import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import numpy as np

from serving.core.codec import Picture, encode_png
from serving.core.contract import MODEL_NAME
from serving.core.errors import StartupException
from serving.torchserve.options import LOOPBACK, Options

_ANYWHERE = "0.0.0.0"  # noqa: S104 (nothing is bound to it here)
_PATIENCE = 30.0  # seconds for an answer


class Probe:
    """A client for one instance."""

    def __init__(self, options: Options) -> None:
        self._host = LOOPBACK if options.host == _ANYWHERE else options.host
        self._options = options

    def workers_ready(self) -> bool:
        """Tell whether every worker has loaded the model."""
        workers = self._model().get("workers", [])
        return len(workers) == self._options.workers and all(w["status"] == "READY" for w in workers)

    def requests_waiting(self) -> int:
        """Return how many requests wait for a worker."""
        return int(self._model().get("jobQueueStatus", {}).get("pendingRequests", 0))

    def predict(self) -> Mapping[str, str]:
        """Have a small grey picture filled. Return the answer's headers, by lower-case name.

        Raises:
            StartupException: the picture is not filled.
        """
        picture, mask = np.full((178, 178, 3), 128, np.uint8), np.zeros((178, 178, 1), np.uint8)
        mask[80:100, 80:100] = 255
        files = {"image": picture, "mask": mask}
        body = {name: base64.b64encode(encode_png(Picture(file))).decode() for name, file in files.items()}
        path = f"/predictions/{MODEL_NAME}"
        try:
            code, headers, answer = self._ask(
                self._host,
                self._options.port,
                "POST",
                path,
                json.dumps(body),
                {"Content-Type": "application/json"},
            )
        except (OSError, http.client.HTTPException) as error:
            raise StartupException(f"The model does not answer: {error!r}") from error
        if code != HTTPStatus.OK:
            raise StartupException(
                f"The model does not fill a plain picture: {answer.decode(errors='replace')}"
            )
        return headers

    def _model(self) -> Mapping[str, Any]:
        """Return what the management API says of the model; nothing while it does not answer."""
        try:
            code, _, body = self._ask(LOOPBACK, self._options.management_port, "GET", f"/models/{MODEL_NAME}")
        except (OSError, http.client.HTTPException):
            return {}
        return dict(json.loads(body)[0]) if code == HTTPStatus.OK else {}

    @staticmethod
    def _ask(
        host: str,
        port: int,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()
