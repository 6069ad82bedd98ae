"""Every error that `serving` raises on purpose, in one tree.

A class stands for one kind of problem. `code` is the HTTP status and `type` the name that clients of the REST
contract read. The message is written for the caller: it says what is wrong and how to fix it.

Types end in "Exception", as those of TorchServe's own errors do, so that clients see one naming scheme.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class ErrorBody:
    """The response body of a failed request, identical on every engine."""

    code: int
    """The HTTP status code."""
    type: str
    """The kind of error, one stable word, for programs."""
    message: str
    """What is wrong and how to fix it, for people."""


class InpaintError(Exception):
    """Base class of all errors. Not raised itself."""

    code: ClassVar[int] = 500
    type: ClassVar[str] = "InternalServerException"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def to_dict(self) -> dict[str, Any]:
        """Return the response body: ``{"code": 400, "type": "InvalidImageException", "message": "..."}``."""
        return asdict(ErrorBody(self.code, self.type, self.message))


class InvalidRequestError(InpaintError):
    """The request as a whole is invalid: malformed JSON, an unknown field, a wrong value."""

    code = 400
    type = "InvalidRequestException"


class MissingInputError(InvalidRequestError):
    """The image or its mask is missing."""

    type = "MissingInputException"


class InvalidImageError(InvalidRequestError):
    """The image's bytes cannot be decoded."""

    type = "InvalidImageException"


class InvalidMaskError(InvalidRequestError):
    """The mask's bytes cannot be decoded, or the mask covers the whole image."""

    type = "InvalidMaskException"


class MaskSizeMismatchError(InvalidMaskError):
    """Image and mask differ in size."""

    type = "MaskSizeMismatchException"


class UnauthorizedError(InpaintError):
    """The server requires an API key, and the request has none or a wrong one."""

    code = 401
    type = "UnauthorizedException"


class ResourceNotFoundError(InpaintError):
    """There is no resource at this path."""

    code = 404
    type = "ResourceNotFoundException"


class MethodNotAllowedError(InpaintError):
    """The resource at this path does not support this method."""

    code = 405
    type = "MethodNotAllowedException"


class NotAcceptableError(InpaintError):
    """The ``Accept`` header excludes every media type that the response could have."""

    code = 406
    type = "NotAcceptableException"


class RequestTimeoutError(InpaintError):
    """The request was sent too slowly."""

    code = 408
    type = "RequestTimeoutException"


class PayloadTooLargeError(InpaintError):
    """The body has more bytes than the server accepts."""

    code = 413
    type = "PayloadTooLargeException"


class TooManyPixelsError(PayloadTooLargeError):
    """The image has more pixels than the server accepts, regardless of its size in bytes."""

    type = "TooManyPixelsException"


class UnsupportedMediaTypeError(InpaintError):
    """The body is encoded in neither of the contract's two media types, or in an unsupported content coding."""

    code = 415
    type = "UnsupportedMediaTypeException"


class OverloadedError(InpaintError):
    """The queue is full.

    Attributes:
        retry_after: seconds (an integer) after which the queue is likely to have room.
    """

    code = 503
    type = "OverloadedException"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @classmethod
    def stopping(cls) -> "OverloadedError":
        """Return the error for a server that is stopping and accepts no further requests."""
        return cls("The server is stopping. Try again later.", retry_after=1)


class DeadlineExceededError(InpaintError):
    """The prediction took longer than the server or the request allows, including its time in the queue."""

    code = 503
    type = "DeadlineExceededException"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The prediction took more than {seconds:g} seconds: send a smaller image, or try again when the server "
            "is less busy."
        )


class ModelOutputError(InpaintError):
    """The model's output is not an image: NaN, infinity or a wrong shape."""

    type = "ModelOutputException"


class InternalServerError(InpaintError):
    """What the client receives for an unhandled exception."""


class StartupError(InpaintError):
    """The server cannot start with these settings."""


class SettingsError(StartupError):
    """A flag or an environment variable has an invalid value."""


class ModelFileError(StartupError):
    """The model file is missing, unreadable, or not an inpainting model."""


class DeviceUnavailableError(StartupError):
    """A GPU is required, and no GPU runs the model."""


class AddressInUseError(StartupError):
    """The server cannot listen on the address."""
