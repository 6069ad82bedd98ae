"""The request and the response of `POST /masks/marks`: a photo, and the mask that is proposed for it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from serving.core.errors import InvalidImageError, InvalidRequestError
from serving.core.fields import as_text, check_known, json_fields, required_image, short
from serving.core.media_types import JSON, PNG, file_is_accepted

DEFAULT_SENSITIVITY = 0.5

MARKS_FIELDS: Final = {
    "image": "The image file: PNG, JPEG, WebP, BMP or TIFF.",
    "sensitivity": "A number from 0 (only what is certainly a mark) to 1 (whatever may be one).",
}
"""The fields of a request and their descriptions."""


@dataclass(frozen=True)
class MarksRequest:
    """A photo whose marks a client wants to find. `MARKS_FIELDS` describes the attributes."""

    image: bytes
    sensitivity: float = DEFAULT_SENSITIVITY


@dataclass(frozen=True)
class MarksResponseBody:
    """The proposed mask and facts about it."""

    mask: str
    """The mask: an 8-bit grey PNG in base64, white = mark, of the image's size with its EXIF orientation applied."""
    width: int
    """Width of the mask in pixels."""
    height: int
    """Height of the mask in pixels."""
    share: float
    """Share of the image's pixels that belong to marks, 0 to 1."""


@dataclass(frozen=True)
class MarksResponse:
    """The proposed mask.

    Attributes:
        mask: the PNG file's bytes.
        width: its width in pixels.
        height: its height in pixels.
        share: share of its pixels that belong to marks, in [0, 1].
    """

    mask: bytes
    width: int
    height: int
    share: float

    def encode(self, accept: str | None) -> tuple[str, bytes]:
        """Return the media type that an ``Accept`` header asks for, JSON or PNG, and the body in it.

        Raises:
            NotAcceptableError: the header accepts neither.
        """
        if file_is_accepted(accept, PNG):
            return PNG, self.mask
        mask = base64.b64encode(self.mask).decode("ascii")
        body = MarksResponseBody(mask, self.width, self.height, round(self.share, 6))
        return JSON, json.dumps(asdict(body)).encode()


def marks_request_from_json(body: bytes) -> MarksRequest:
    """Read a request from a JSON body.

    Raises:
        InvalidRequestError, MissingInputError, InvalidImageError: as for `marks_request_from_fields`, or the body is
            not a JSON object.
    """
    return marks_request_from_fields(json_fields(body, {"image": InvalidImageError}))


def marks_request_from_fields(fields: Mapping[str, Any]) -> MarksRequest:
    """Read a request from the fields of a form.

    Raises:
        InvalidRequestError: there is an unknown field, or the sensitivity is not a number in [0, 1].
        MissingInputError: the image is missing.
        InvalidImageError: the image is empty.
    """
    check_known(fields, MARKS_FIELDS)
    return MarksRequest(required_image(fields), _sensitivity(fields.get("sensitivity")))


def _sensitivity(value: Any) -> float:
    if value is None:
        return DEFAULT_SENSITIVITY
    text = as_text(value)
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(text, bool) or not 0 <= number <= 1:
        raise InvalidRequestError(
            f"The field 'sensitivity' must be a number in [0, 1], not {short(repr(text))}."
        )
    return number
