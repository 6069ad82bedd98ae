"""Asking a server how it is and who it is, and waiting until its model answers."""

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageDraw

from .errors import ClientError, ContractError, InpaintError, NotReadyError, ResponseError
from .policy import Retry
from .prediction import predict
from .transport import Transport

_NO_RETRY = Retry(count=0)
_PROBE_SECONDS = 10.0  # a probe that takes longer than this has failed

# No waiting mends these: a wrong key, or a server that will not take a plain picture and its mask.
_FINAL = frozenset({400, 401, 403, 405, 413, 415, 422})


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What a server says of itself.

    Attributes:
        status: `Healthy`, as `GET /ping` says.
        server: name of the serving software; None where it does not tell.
        server_version: its version; None where it does not tell.
        model_version: version of the model `inpaint`; None where only a prediction tells it (TorchServe).
    """

    status: str
    server: str | None
    server_version: str | None
    model_version: str | None


def read_health(transport: Transport) -> Health:
    """Ask `GET /ping` once, without repeats, and then for the versions that the engine tells.

    Raises:
        TransportError: no answer within 10 seconds.
        ResponseError: the server is up but unhealthy, or wants another API key.
        ContractError: something else answers at this URL.
    """
    status = _ask(transport, "GET", "/ping").get("status")
    if not isinstance(status, str):
        raise ContractError(f"GET {transport.url}/ping tells no status; is this an inpainting server?")
    # The Open Inference Protocol's way, and TorchServe's, whose API description bears its version.
    server = _ask_gently(transport, "GET", "/v2")
    if not server:
        info = _ask_gently(transport, "OPTIONS", "/").get("info")
        if isinstance(info, dict):
            server = {"name": str(info.get("title")).removesuffix(" APIs"), "version": info.get("version")}
    versions = _ask_gently(transport, "GET", "/v2/models/inpaint").get("versions")
    return Health(
        status=status,
        server=_text(server.get("name")),
        server_version=_text(server.get("version")),
        model_version=_text(versions[-1]) if isinstance(versions, list) and versions else None,
    )


def wait_until_ready(transport: Transport, *, timeout: float, interval: float) -> Health:
    """Ask for health and then for a tiny prediction, again and again until both succeed.

    Both, for TorchServe's ping is healthy some seconds before its first worker can answer.

    Raises:
        NotReadyError: `timeout` seconds went by; its cause is the last failure.
        ClientError: the server refuses what no waiting will make it accept.
    """
    image, mask = _canary()
    deadline = time.monotonic() + timeout
    while True:
        remaining = deadline - time.monotonic()
        try:
            health = read_health(transport)
            patience = transport.timeout.at_most(max(remaining, 1.0))
            filled = predict(transport, image, mask, "original", timeout=patience, retry=_NO_RETRY)
            return replace(health, model_version=filled.model_version)
        except InpaintError as error:
            if isinstance(error, ClientError) and error.code in _FINAL:
                raise
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise NotReadyError(f"{transport.url} is not ready after {timeout:g} s: {error}") from error
        transport.sleep(min(interval, remaining))


def _canary() -> tuple[Image.Image, Image.Image]:
    """Make an RGB picture of 64x64 pixels and its mask, a hole of 8x8."""
    image = Image.merge("RGB", [Image.linear_gradient("L").resize((64, 64))] * 3)
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rectangle((28, 28, 35, 35), fill=255)
    return image, mask


def _ask(transport: Transport, method: str, path: str) -> dict[str, Any]:
    timeout = transport.timeout.at_most(_PROBE_SECONDS)
    response = transport.send(method, path, timeout=timeout, retry=_NO_RETRY)
    try:
        answer = json.loads(response.content)
    except ValueError as error:
        raise ContractError(f"{method} {transport.url}{path} answers no JSON") from error
    return answer if isinstance(answer, dict) else {}


def _ask_gently(transport: Transport, method: str, path: str) -> dict[str, Any]:
    """As `_ask`, for what an engine need not have: empty where it is refused."""
    try:
        return _ask(transport, method, path)
    except (ResponseError, ContractError):
        return {}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
