"""The REST contract's request and response, read and written the same way by every engine.

An engine passes in the JSON body or the form fields that it received, and gets the same `FillRequest` or the
same error as any other engine. Nothing here depends on a web framework.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf, nan
from typing import Any, Final, Literal, cast, get_args

from serving.core.errors import (
    InvalidImageError,
    InvalidMaskError,
    InvalidRequestError,
    NotAcceptableError,
)
from serving.core.fields import as_bytes, check_known, choice, json_fields, required_image, short
from serving.core.graph import MODEL_NAME
from serving.core.media_types import JSON, PNG, media_ranges, preference, prefers_image

OutputSize = Literal["original", "model"]
ImageFormat = Literal["png", "jpeg", "webp"]
OutputFormat = Literal["png", "jpeg", "webp", "same"]
Metadata = Literal["all", "no-location", "none"]

IMAGE_TYPES: Final[Mapping[ImageFormat, str]] = {"png": PNG, "jpeg": "image/jpeg", "webp": "image/webp"}
"""The media type of each format that a response's image can have, the default first."""

TIMEOUT_HEADER: Final = "X-Server-Timeout"
"""The seconds that the client allows for a prediction. The engine's own limit applies as well."""

FIELDS: Final = {
    "image": "The image file: PNG, JPEG, WebP, BMP or TIFF.",
    "mask": (
        "The mask file, of the same size as the image: white (128 and above) = hole to fill. "
        "May be omitted if the image has transparency: transparent = hole."
    ),
    "output_size": "`original`: the image's own size. `model`: the square that the model was trained on.",
    "output_format": (
        "`png` (default), `webp` (both lossless), `jpeg`, or `same`: the image's own format if it is one of "
        "these three, otherwise PNG. May be omitted if `Accept` names an image type."
    ),
    "metadata": (
        "Which metadata is kept: `all` (default): EXIF, XMP and the colour profile; `no-location`: the same "
        "without EXIF's location and without XMP; `none`: only the colour profile."
    ),
}
"""The fields of a request and their descriptions. A form sends the files as they are, JSON in base64."""


@dataclass(frozen=True)
class FillRequest:
    """What a client asks for, still encoded. `FIELDS` describes the attributes.

    Attributes:
        image: the image file's bytes.
        mask: the mask file's bytes, or None to use the image's transparency.
        output_size: the size of the response's image.
        output_format: the format of the response's image; None leaves it to the ``Accept`` header.
        metadata: which metadata the response's image keeps.
    """

    image: bytes
    mask: bytes | None = None
    output_size: OutputSize = "original"
    output_format: OutputFormat | None = None
    metadata: Metadata = "all"

    @property
    def image_format(self) -> ImageFormat:
        """The format of the response's image."""
        return own_format(self.image) if self.output_format == "same" else self.output_format or "png"

    def accepted(self, accept: str | None) -> "FillRequest":
        """Return the request with the image format that it and its ``Accept`` header ask for.

        Raises:
            NotAcceptableError: the header accepts neither JSON nor the format.
        """
        ranges = media_ranges(accept)
        formats = list(IMAGE_TYPES) if self.output_format is None else [self.image_format]
        best = max(formats, key=lambda name: preference(ranges, IMAGE_TYPES[name]))
        if prefers_image(ranges, IMAGE_TYPES[best]):
            return replace(self, output_format=best)
        if not preference(ranges, JSON)[0]:
            offered = ", ".join([JSON, *(IMAGE_TYPES[name] for name in formats)])
            raise NotAcceptableError(f"The Accept header is {short(repr(accept))}: accept one of {offered}.")
        return replace(self, output_format=formats[0])


@dataclass(frozen=True)
class FillResponseBody:
    """The filled image and facts about it."""

    image: str
    """The filled image: a file in base64."""
    mime_type: Literal["image/png", "image/jpeg", "image/webp"]
    """The file's media type."""
    width: int
    """Width of the filled image in pixels."""
    height: int
    """Height of the filled image in pixels."""
    hole_ratio: float
    """Share of the image's pixels that were filled, 0 to 1."""
    model: str
    """Name of the model."""
    model_version: str
    """Version of the model that filled the holes."""


@dataclass(frozen=True)
class FillResponse:
    """The filled image as a file, and facts about it.

    Attributes:
        image: the file's bytes.
        width: width of the image in pixels.
        height: height of the image in pixels.
        hole_ratio: share of its pixels that were filled, in [0, 1].
        model_version: version of the model that filled them.
        model: its name.
        image_format: the file's format.
    """

    image: bytes
    width: int
    height: int
    hole_ratio: float
    model_version: str
    model: str = MODEL_NAME
    image_format: ImageFormat = "png"

    @property
    def media_type(self) -> str:
        """The media type of the image file."""
        return IMAGE_TYPES[self.image_format]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `FillResponseBody`."""
        return asdict(
            FillResponseBody(
                image=base64.b64encode(self.image).decode("ascii"),
                mime_type=cast(Any, self.media_type),
                width=self.width,
                height=self.height,
                hole_ratio=round(self.hole_ratio, 6),
                model=self.model,
                model_version=self.model_version,
            )
        )

    def encode(self, accept: str | None) -> tuple[str, bytes]:
        """Return the media type that an ``Accept`` header asks for, and the body in it."""
        if prefers_image(media_ranges(accept), self.media_type):
            return self.media_type, self.image
        return JSON, json.dumps(self.to_dict()).encode()


def requested_seconds(header: str | None) -> float:
    """Return the seconds that `TIMEOUT_HEADER` gives a prediction; infinity without the header.

    Raises:
        InvalidRequestError: it is not a number greater than 0.
    """
    if header is None:
        return inf
    try:
        seconds = float(header)
    except ValueError:
        seconds = nan
    if not seconds > 0:
        raise InvalidRequestError(
            f"The {TIMEOUT_HEADER} header is {short(repr(header))}: send a number of seconds greater than 0."
        )
    return seconds


def request_from_json(body: bytes | object) -> FillRequest:
    """Read a request from a JSON body.

    Args:
        body: the raw body, or the value that an engine has already parsed it into.

    Raises:
        InvalidRequestError: the body is not a JSON object, or has an unknown field or an invalid value.
        MissingInputError: the image is missing.
        InvalidImageError, InvalidMaskError: that field is not valid base64.
    """
    return request_from_fields(json_fields(body, {"image": InvalidImageError, "mask": InvalidMaskError}))


def request_from_fields(fields: Mapping[str, Any]) -> FillRequest:
    """Read a request from the fields of a form: files as bytes, text as str or bytes.

    Raises:
        InvalidRequestError: there is an unknown field or an invalid value.
        MissingInputError: the image is missing.
        InvalidImageError, InvalidMaskError: that field is empty.
    """
    check_known(fields, FIELDS)
    image, mask = required_image(fields), as_bytes(fields.get("mask"))
    if mask is not None and not mask:
        raise InvalidMaskError("The mask is empty (0 bytes): omit it to use the image's transparency.")
    return FillRequest(
        image,
        mask,
        choice(fields, "output_size", get_args(OutputSize), "original"),
        choice(fields, "output_format", get_args(OutputFormat), None),
        choice(fields, "metadata", get_args(Metadata), "all"),
    )


def own_format(image: bytes) -> ImageFormat:
    """Return an image file's own format if a response can have it, or else PNG."""
    if image.startswith(b"\xff\xd8"):
        return "jpeg"
    return "webp" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else "png"
