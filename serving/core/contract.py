"""The REST contract's request and answer, as both engines read and write them.

Nothing here knows a web framework: the ONNX server and the TorchServe handler hand in what they received,
a parsed JSON value or the fields of a form, and get the same request object or the same error.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from serving.core.errors import (
    InvalidImageException,
    InvalidMaskException,
    InvalidRequestException,
    MissingInputException,
)

MODEL_NAME = "inpaint"

OutputSize = Literal["original", "model"]

_FIELDS = ("image", "mask", "output_size")


@dataclass(frozen=True)
class AnswerBody:
    """The filled picture and the facts about it."""

    image: str
    """The filled picture: a PNG file in base64."""
    mime_type: Literal["image/png"]
    """Always `image/png`."""
    width: int
    """Width of the answered picture in pixels."""
    height: int
    """Height of the answered picture in pixels."""
    hole_ratio: float
    """Share of the answered picture's pixels that were filled, 0 to 1."""
    model: str
    """Name of the model."""
    model_version: str
    """Version of the model that filled the holes."""


@dataclass(frozen=True)
class FillRequest:
    """What a client asks for, still encoded.

    Attributes:
        image: the picture file's bytes.
        mask: the mask file's bytes (white = hole to fill), or None to take the picture's transparency.
        output_size: "original" for the picture's own size, "model" for the square the model was trained on.
    """

    image: bytes
    mask: bytes | None = None
    output_size: OutputSize = "original"


@dataclass(frozen=True)
class Answer:
    """The filled picture as a PNG file, and the facts about it.

    Attributes:
        png: the PNG file's bytes.
        width: width of that picture in pixels.
        height: height of that picture in pixels.
        hole_ratio: share of its pixels that were filled, in [0, 1].
        model_version: version of the model that filled them.
    """

    png: bytes
    width: int
    height: int
    hole_ratio: float
    model_version: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON answer of the contract, the fields of `AnswerBody`."""
        return asdict(
            AnswerBody(
                image=base64.b64encode(self.png).decode("ascii"),
                mime_type="image/png",
                width=self.width,
                height=self.height,
                hole_ratio=round(self.hole_ratio, 6),
                model=MODEL_NAME,
                model_version=self.model_version,
            )
        )


def request_from_json(body: bytes | object) -> FillRequest:
    """Read a request out of a JSON body.

    Args:
        body: the raw body, or the value that an engine has already parsed it into.

    Raises:
        InvalidRequestException: no JSON object, or fields or values that the contract does not know.
        MissingInputException: it has no image.
        InvalidImageException, InvalidMaskException: that field is no base64.
    """
    if isinstance(body, bytes | bytearray):
        body = parse_json(body)
    if not isinstance(body, dict):
        raise InvalidRequestException(
            'The JSON body must be an object such as {"image": "<base64>", "mask": "<base64>"}, '
            f"not {_json_type(body)}."
        )
    fields = dict(body)
    for name, kind in (("image", InvalidImageException), ("mask", InvalidMaskException)):
        if fields.get(name) is not None:
            fields[name] = _from_base64(name, fields[name], kind)
    return request_from_fields(fields)


def parse_json(text: bytes | bytearray) -> Any:
    """Parse JSON.

    Raises:
        InvalidRequestException: this is none.
    """
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidRequestException("The body is not valid JSON: it is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestException(f"The body is not valid JSON: {_short(error)}.") from error


def request_from_fields(fields: Mapping[str, Any]) -> FillRequest:
    """Read a request out of the fields of a form: the files' bytes, and text as str or bytes.

    Raises:
        InvalidRequestException: fields or values that the contract does not know.
        MissingInputException: there is no image.
        InvalidImageException, InvalidMaskException: that field is empty.
    """
    if unknown := sorted(set(fields) - set(_FIELDS)):
        raise InvalidRequestException(
            f"Unknown field {_short(repr(unknown[0]))}: the fields are {', '.join(map(repr, _FIELDS))}."
        )
    image, mask = _as_bytes(fields.get("image")), _as_bytes(fields.get("mask"))
    if image is None:
        raise MissingInputException("The field 'image' is missing: send the picture to be filled.")
    if not image:
        raise InvalidImageException("The image is empty (0 bytes).")
    if mask is not None and not mask:
        raise InvalidMaskException(
            "The mask is empty (0 bytes): leave it out to take the image's transparency."
        )
    return FillRequest(image, mask, _output_size(fields.get("output_size")))


def wants_png(accept: str | None) -> bool:
    """Tell whether an ``Accept`` header asks for the PNG bytes themselves rather than for JSON.

    JSON is the default: PNG must be preferred by its quality or, at equal quality, be named more exactly.
    """
    ranges = {}
    for entry in (accept or "").lower().split(","):
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        ranges[media_range] = _quality(parameters)

    def preference(media_type: str) -> tuple[float, int]:
        family = media_type.partition("/")[0]
        for exactness, name in ((2, media_type), (1, f"{family}/*"), (0, "*/*")):
            if name in ranges:
                return ranges[name], exactness
        return 0.0, 0

    png = preference("image/png")
    return png[0] > 0 and png > preference("application/json")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _from_base64(name: str, value: object, kind: type[InvalidRequestException]) -> bytes:
    if not isinstance(value, str):
        raise kind(f"The field '{name}' must be a base64 string or a data URL, not {_json_type(value)}.")
    if value.startswith("data:"):
        header, comma, value = value.partition(",")
        if not comma or not header.endswith(";base64"):
            raise kind(
                f"The field '{name}' is a data URL without base64: 'data:image/png;base64,...' is right."
            )
    try:
        # Many tools break base64 into lines, as mail wants it (RFC 2045).
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise kind(f"The field '{name}' is not valid base64 ({error}).") from error


def _output_size(value: object) -> OutputSize:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value
    if text is None:
        return "original"
    if text in get_args(OutputSize):
        return cast(OutputSize, text)
    raise InvalidRequestException(
        f"The field 'output_size' must be 'original' or 'model', not {_short(repr(text))}."
    )


def _as_bytes(value: Any) -> bytes | None:
    # A form's text field is no file: the decoder will say that it is no picture.
    if isinstance(value, str):
        return value.encode()
    return None if value is None else bytes(value)


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: object, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
