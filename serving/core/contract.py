"""The REST contract's request and response, read and written in one way by every engine.

An engine passes in what it received, a JSON body or the fields of a form, and gets the same `FillRequest` or the
same error. Nothing here depends on a web framework.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf, nan
from typing import Any, Final, Literal, cast, get_args

from serving.core.errors import (
    InvalidImageError,
    InvalidMaskError,
    InvalidRequestError,
    MissingInputError,
    NotAcceptableError,
    UnsupportedMediaTypeError,
)
from serving.core.graph import MODEL_NAME

OutputSize = Literal["original", "model"]
ImageFormat = Literal["png", "jpeg", "webp"]
OutputFormat = Literal["png", "jpeg", "webp", "same"]
Metadata = Literal["all", "no-location", "none"]
RequestMediaType = Literal["application/json", "multipart/form-data"]

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
PNG: Final = "image/png"

IMAGE_TYPES: Final[Mapping[ImageFormat, str]] = {"png": PNG, "jpeg": "image/jpeg", "webp": "image/webp"}
"""The media types of the formats that an image can be answered in, the default first."""

TIMEOUT_HEADER: Final = "X-Server-Timeout"
"""The seconds that the client gives the server. An engine's own limit applies as well."""

FIELDS: Final = {
    "image": "The image file: PNG, JPEG, WebP, BMP or TIFF.",
    "mask": (
        "The mask file, of the image's size: white (128 and above) = hole to fill. "
        "May be omitted if the image has transparency: transparent = hole."
    ),
    "output_size": "`original`: the image's own size. `model`: the square that the model was trained on.",
    "output_format": (
        "`png` (default), `webp` (both lossless), `jpeg`, or `same`: the image's own of these three, for other formats "
        "PNG. May be omitted if `Accept` names an image type."
    ),
    "metadata": (
        "What of EXIF, XMP and the colour profile is kept: `all` (default); `no-location`: EXIF without the place, no "
        "XMP; `none`: only the colour profile."
    ),
}
"""The fields of a request and their descriptions. A form sends the files as they are, JSON in base64."""


_MAX_JSON_VALUES = 1000  # far more than there are fields, so that an error can name an unknown one


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
        ranges = _media_ranges(accept)
        formats = list(IMAGE_TYPES) if self.output_format is None else [self.image_format]
        best = max(formats, key=lambda name: _preference(ranges, IMAGE_TYPES[name]))
        if _prefers_image(ranges, IMAGE_TYPES[best]):
            return replace(self, output_format=best)
        if not _preference(ranges, JSON)[0]:
            offered = ", ".join([JSON, *(IMAGE_TYPES[name] for name in formats)])
            raise NotAcceptableError(f"The header Accept is {_short(repr(accept))}: accept one of {offered}.")
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
        if _prefers_image(_media_ranges(accept), self.media_type):
            return self.media_type, self.image
        return JSON, json.dumps(self.to_dict()).encode()


def request_media_type(content_type: str | None) -> RequestMediaType:
    """Return which of the contract's two media types a ``Content-Type`` header names.

    Raises:
        UnsupportedMediaTypeError: it names neither of them.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type in get_args(RequestMediaType):
        return cast(RequestMediaType, media_type)
    raise UnsupportedMediaTypeError(f"The body's Content-Type is {media_type[:80]!r}: send {FORM} or {JSON}.")


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
            f"The header {TIMEOUT_HEADER} is {_short(repr(header))}: send a number of seconds greater than 0."
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
    if isinstance(body, bytes | bytearray):
        body = parse_json(body, _MAX_JSON_VALUES)
    if not isinstance(body, dict):
        raise InvalidRequestError(
            'The JSON body must be an object such as {"image": "<base64>", "mask": "<base64>"}, '
            f"not {_json_type(body)}."
        )
    fields = dict(body)
    for name, kind in (("image", InvalidImageError), ("mask", InvalidMaskError)):
        if fields.get(name) is not None:
            fields[name] = _from_base64(name, fields[name], kind)
    return request_from_fields(fields)


def parse_json(text: bytes | bytearray, max_values: int) -> Any:
    """Parse JSON.

    Args:
        text: the JSON text.
        max_values: how many values it may have. A value of two bytes takes up to 70 in memory.

    Raises:
        InvalidRequestError: the text is not valid JSON, or has too many values.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > max_values:  # at least as many as there are values
        raise InvalidRequestError(f"The body is not valid JSON: it has more than {max_values} values.")
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The body is not valid JSON: it is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The body is not valid JSON: {_short(error)}.") from error


def request_from_fields(fields: Mapping[str, Any]) -> FillRequest:
    """Read a request from the fields of a form: files as bytes, text as str or bytes.

    Raises:
        InvalidRequestError: there is an unknown field or an invalid value.
        MissingInputError: the image is missing.
        InvalidImageError, InvalidMaskError: that field is empty.
    """
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise InvalidRequestError(
            f"Unknown field {_short(repr(unknown[0]))}: the fields are {', '.join(map(repr, FIELDS))}."
        )
    image, mask = _as_bytes(fields.get("image")), _as_bytes(fields.get("mask"))
    if image is None:
        raise MissingInputError("The field 'image' is missing: send the image to fill.")
    if not image:
        raise InvalidImageError("The image is empty (0 bytes).")
    if mask is not None and not mask:
        raise InvalidMaskError("The mask is empty (0 bytes): omit it to use the image's transparency.")
    return FillRequest(
        image,
        mask,
        _choice(fields, "output_size", get_args(OutputSize), "original"),
        _choice(fields, "output_format", get_args(OutputFormat), None),
        _choice(fields, "metadata", get_args(Metadata), "all"),
    )


def own_format(image: bytes) -> ImageFormat:
    """Return the format to answer an image file in so that it keeps its own where that is possible."""
    if image.startswith(b"\xff\xd8"):
        return "jpeg"
    return "webp" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else "png"


def _media_ranges(accept: str | None) -> dict[str, float]:
    """Return the quality value of each media range of an ``Accept`` header; without a valid one, all are accepted."""
    ranges = {}
    for entry in (accept or "").lower().split(","):
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        quality = _quality(parameters)
        if "/" in media_range and quality is not None:
            ranges[media_range] = quality
    return ranges or {"*/*": 1.0}


def _quality(parameters: list[str]) -> float | None:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return None
    return 1.0


def _preference(ranges: Mapping[str, float], media_type: str) -> tuple[float, int]:
    """Return the quality value of a media type, and how specifically the header names it."""
    family = media_type.partition("/")[0]
    for specificity, name in ((2, media_type), (1, f"{family}/*"), (0, "*/*")):
        if name in ranges:
            return ranges[name], specificity
    return 0.0, 0


def _prefers_image(ranges: Mapping[str, float], media_type: str) -> bool:
    """Tell whether the file itself is preferred to JSON, which is the default.

    The file must have a higher quality value or, at equal quality, be named more specifically.
    """
    image = _preference(ranges, media_type)
    return image[0] > 0 and image > _preference(ranges, JSON)


def _from_base64(name: str, value: object, kind: type[InvalidRequestError]) -> bytes:
    if not isinstance(value, str):
        raise kind(f"The field '{name}' must be a base64 string or a data URL, not {_json_type(value)}.")
    if value.startswith("data:"):
        header, comma, value = value.partition(",")
        if not comma or not header.endswith(";base64"):
            raise kind(f"The field '{name}' is a data URL without base64: send 'data:image/png;base64,...'.")
    try:
        # Many tools wrap base64 into lines, as MIME requires (RFC 2045).
        text = value.encode("ascii", "replace").translate(None, b" \t\r\n\v\f")
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise kind(f"The field '{name}' is not valid base64 ({error}).") from error


def _choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None) -> Any:
    value = fields.get(name)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value
    if text is None:
        return default
    if text in choices:
        return text
    allowed = ", ".join(map(repr, choices[:-1]))
    raise InvalidRequestError(
        f"The field {name!r} must be {allowed} or {choices[-1]!r}, not {_short(repr(text))}."
    )


def _as_bytes(value: Any) -> bytes | None:
    # Text in place of a file is passed on as bytes: the decoder then reports that it is not an image.
    if isinstance(value, str):
        return value.encode()
    return None if value is None else bytes(value)


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: object, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
