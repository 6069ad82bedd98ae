"""Media types of requests and responses, and which an ``Accept`` header prefers (RFC 9110, 12.5.1)."""

from collections.abc import Mapping
from typing import Final, Literal, cast, get_args

from serving.core.errors import NotAcceptableError, UnsupportedMediaTypeError
from serving.core.fields import short

RequestMediaType = Literal["application/json", "multipart/form-data"]

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
PNG: Final = "image/png"


def request_media_type(content_type: str | None) -> RequestMediaType:
    """Return which of the contract's two media types a ``Content-Type`` header names.

    Raises:
        UnsupportedMediaTypeError: it names neither of them.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type in get_args(RequestMediaType):
        return cast(RequestMediaType, media_type)
    raise UnsupportedMediaTypeError(f"The body's Content-Type is {media_type[:80]!r}: send {FORM} or {JSON}.")


def media_ranges(accept: str | None) -> dict[str, float]:
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


def preference(ranges: Mapping[str, float], media_type: str) -> tuple[float, int]:
    """Return the quality value of a media type, and how specifically the header names it."""
    family = media_type.partition("/")[0]
    for specificity, name in ((2, media_type), (1, f"{family}/*"), (0, "*/*")):
        if name in ranges:
            return ranges[name], specificity
    return 0.0, 0


def file_is_accepted(accept: str | None, media_type: str) -> bool:
    """Tell whether an ``Accept`` header prefers the file itself to JSON.

    Raises:
        NotAcceptableError: it accepts neither.
    """
    ranges = media_ranges(accept)
    if prefers_image(ranges, media_type):
        return True
    if not preference(ranges, JSON)[0]:
        raise NotAcceptableError(
            f"The Accept header is {short(repr(accept))}: accept {JSON} or {media_type}."
        )
    return False


def prefers_image(ranges: Mapping[str, float], media_type: str) -> bool:
    """Tell whether the file itself is preferred to JSON, which is the default.

    The file must have a higher quality value or, at equal quality, be named more specifically.
    """
    image = preference(ranges, media_type)
    return image[0] > 0 and image > preference(ranges, JSON)
