"""Python client of the inpainting REST service: fill the holes of a photo, through either engine.

from inpaint_client import InpaintClient

with InpaintClient("http://127.0.0.1:8080") as client:
    client.fill("photo.jpg", "mask.png").save("filled.png")
"""

from importlib.metadata import version

from .client import DEFAULT_URL, InpaintClient
from .errors import (
    ClientError,
    ConnectError,
    ContractError,
    InpaintError,
    InvalidInputError,
    NotReadyError,
    RequestTimeoutError,
    ResponseError,
    ServerError,
    TransportError,
)
from .health import Health
from .policy import Retry, Timeout
from .prediction import OutputSize
from .result import FillResult
from .sources import Source

__version__ = version("inpaint-client")

__all__ = [
    "DEFAULT_URL",
    "ClientError",
    "ConnectError",
    "ContractError",
    "FillResult",
    "Health",
    "InpaintClient",
    "InpaintError",
    "InvalidInputError",
    "NotReadyError",
    "OutputSize",
    "RequestTimeoutError",
    "ResponseError",
    "Retry",
    "ServerError",
    "Source",
    "Timeout",
    "TransportError",
]
