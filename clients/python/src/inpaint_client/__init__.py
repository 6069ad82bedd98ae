# SPDX-License-Identifier: Apache-2.0
"""Python client for the inpainting REST service.

    from inpaint_client import InpaintClient

    with InpaintClient("http://127.0.0.1:8080") as client:
        client.fill("photo.jpg", "mask.png").save("filled.png")

`AsyncInpaintClient` is the same for asyncio.
"""

from importlib.metadata import version

from .client import DEFAULT_RETRY_FOR, DEFAULT_TIMEOUT, DEFAULT_URL, AsyncInpaintClient, InpaintClient
from .exceptions import (
    ClientError,
    ConnectError,
    HTTPStatusError,
    InpaintError,
    InvalidInputError,
    InvalidResponseError,
    NotReadyError,
    RequestTimeoutError,
    ServerError,
    TransportError,
)
from .health import Health
from .inputs import ImageInput
from .marks import Marks
from .predictions import FillOptions, FillResult, Metadata, OutputFormat, OutputSize

__version__ = version("inpaint-client")

__all__ = [
    "DEFAULT_RETRY_FOR",
    "DEFAULT_TIMEOUT",
    "DEFAULT_URL",
    "AsyncInpaintClient",
    "ClientError",
    "ConnectError",
    "FillOptions",
    "FillResult",
    "HTTPStatusError",
    "Health",
    "ImageInput",
    "InpaintClient",
    "InpaintError",
    "InvalidInputError",
    "InvalidResponseError",
    "Marks",
    "Metadata",
    "NotReadyError",
    "OutputFormat",
    "OutputSize",
    "RequestTimeoutError",
    "ServerError",
    "TransportError",
    "__version__",
]
