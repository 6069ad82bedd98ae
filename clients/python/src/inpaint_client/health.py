"""Server health, and waiting until the model is ready."""

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageDraw

from .exceptions import ClientError, HTTPStatusError, InpaintError, InvalidResponseError, NotReadyError
from .predictions import predict
from .transport import Transport

_HEALTH_TIMEOUT = 10.0

# Errors that waiting does not fix, such as an invalid API key. 404 is not among them: the model may be loading.
_PERMANENT_CODES = frozenset({400, 401, 403, 405, 413, 415, 422})


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What a server reports about itself.

    Attributes:
        status: status reported by `GET /ping`, such as `Healthy`.
        server: name of the server software, or None if it is not reported.
        server_version: version of the server software, or None if it is not reported.
        model_version: version of the client's model, or None if only predictions report it (TorchServe).
    """

    status: str
    server: str | None
    server_version: str | None
    model_version: str | None


async def read_health(transport: Transport) -> Health:
    """Send `GET /ping` once, without retries, and then requests for the versions.

    Raises:
        TransportError: there was no response within 10 seconds.
        HTTPStatusError: the server is unhealthy, or rejects the API key.
        InvalidResponseError: the URL points to a different service.
    """
    status = (await _get_json(transport, "GET", "/ping")).get("status")
    if not isinstance(status, str):
        raise InvalidResponseError(
            f"GET {transport.url}/ping reports no status; check that the URL points to an inpainting server"
        )
    # The Open Inference Protocol reports the versions; TorchServe gives its own in its API description.
    server = await _get_optional_json(transport, "GET", "/v2")
    if not server:
        info = (await _get_optional_json(transport, "OPTIONS", "/")).get("info")
        if isinstance(info, dict):
            server = {"name": str(info.get("title")).removesuffix(" APIs"), "version": info.get("version")}
    versions = (await _get_optional_json(transport, "GET", f"/v2/models/{transport.model}")).get("versions")
    return Health(
        status=status,
        server=_optional_str(server.get("name")),
        server_version=_optional_str(server.get("version")),
        model_version=_optional_str(versions[-1]) if isinstance(versions, list) and versions else None,
    )


async def wait_until_ready(transport: Transport, *, timeout: float, interval: float) -> Health:
    """Request the health and a small prediction repeatedly until both succeed.

    The prediction is needed because TorchServe reports `Healthy` before its first worker is ready.

    Raises:
        NotReadyError: the server was not ready within `timeout` seconds; `__cause__` is the last error.
        ClientError: the server rejects the request for a reason that waiting does not fix.
    """
    image, mask = _sample_image(), _sample_mask()
    deadline = time.monotonic() + timeout
    while True:
        remaining = deadline - time.monotonic()
        try:
            health = await read_health(transport)
            seconds = min(transport.timeout, max(remaining, 1.0))
            filled = await predict(transport, image, mask, timeout=seconds, retry_for=0)
            return replace(health, model_version=filled.model_version)
        except InpaintError as error:
            if isinstance(error, ClientError) and error.code in _PERMANENT_CODES:
                raise
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise NotReadyError(f"{transport.url} is not ready after {timeout:g} s: {error}") from error
        await transport.backend.sleep(min(interval, remaining))


def _sample_image() -> Image.Image:
    """Return an RGB gradient of 64x64 pixels."""
    return Image.merge("RGB", [Image.linear_gradient("L").resize((64, 64))] * 3)


def _sample_mask() -> Image.Image:
    """Return a mask for the sample image with a hole of 8x8 pixels."""
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).rectangle((28, 28, 35, 35), fill=255)
    return mask


async def _get_json(transport: Transport, method: str, path: str) -> dict[str, Any]:
    timeout = min(transport.timeout, _HEALTH_TIMEOUT)
    response = await transport.send(method, path, timeout=timeout, retry_for=0)
    try:
        body = json.loads(response.content)
    except ValueError as error:
        raise InvalidResponseError(f"the response to {method} {transport.url}{path} is not JSON") from error
    return body if isinstance(body, dict) else {}


async def _get_optional_json(transport: Transport, method: str, path: str) -> dict[str, Any]:
    """Return the response's JSON object, or an empty dict if the server does not support the request."""
    try:
        return await _get_json(transport, method, path)
    except (HTTPStatusError, InvalidResponseError):
        return {}


def _optional_str(value: object) -> str | None:
    return None if value is None else str(value)
