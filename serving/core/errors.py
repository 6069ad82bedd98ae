# ruff: noqa: N818 - these class names are the `type` that clients of the REST contract read
"""Every error that serving raises on purpose, in one tree.

A class stands for one thing that can be wrong, carries the HTTP status that says so, and its name is the
``type`` of the answer. The message says what is wrong and what would be right, and is meant for the caller.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class ErrorBody:
    """What every failed request is answered with, on both engines."""

    code: int
    """The HTTP status, repeated."""
    type: str
    """The kind of error, one word, stable: made for programs."""
    message: str
    """What is wrong and what would be right: made for people."""


class InpaintException(Exception):
    """Root of the tree. Not raised itself."""

    code: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def to_dict(self) -> dict[str, Any]:
        """Return the answer's body: ``{"code": 400, "type": "InvalidImageException", "message": "..."}``."""
        return asdict(ErrorBody(self.code, type(self).__name__, self.message))


class InvalidRequestException(InpaintException):
    """The request as a whole cannot be read: malformed JSON, a field that does not exist, a wrong value."""

    code = 400


class MissingInputException(InvalidRequestException):
    """A picture or its mask was not sent."""


class InvalidImageException(InvalidRequestException):
    """The picture's bytes cannot be decoded."""


class InvalidMaskException(InvalidRequestException):
    """The mask's bytes cannot be decoded, or the mask leaves nothing known."""


class MaskSizeMismatchException(InvalidMaskException):
    """Picture and mask differ in size."""


class UnauthorizedException(InpaintException):
    """The server asks for an API key, and this request carries none or another one."""

    code = 401


class ResourceNotFoundException(InpaintException):
    """There is nothing at this path."""

    code = 404


class MethodNotAllowedException(InpaintException):
    """There is something at this path, but not for this method."""

    code = 405


class PayloadTooLargeException(InpaintException):
    """The body has more bytes than the server accepts."""

    code = 413


class TooManyPixelsException(PayloadTooLargeException):
    """The picture has more pixels than the server accepts, however few its bytes."""


class UnsupportedMediaTypeException(InpaintException):
    """The body is neither of the two encodings of the contract."""

    code = 415


class OverloadedException(InpaintException):
    """As many requests as the server holds are running and waiting.

    Attributes:
        retry_after: whole seconds after which a place is likely to be free.
    """

    code = 503

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelOutputException(InpaintException):
    """The model answered something that is no picture (NaN, infinity, a wrong shape)."""


class InternalServerException(InpaintException):
    """Stands in, towards the client, for an error that nobody foresaw."""


class StartupException(InpaintException):
    """The server cannot start as it was told to."""


class SettingsException(StartupException):
    """A flag or an environment variable has a value that cannot be."""


class ModelFileException(StartupException):
    """The model file is missing, unreadable, or no inpainting model."""


class DeviceUnavailableException(StartupException):
    """A GPU was required, and none runs the model."""


class AddressInUseException(StartupException):
    """The server cannot listen where it was told to."""
