"""How the REST contract reads in the OpenAPI description: from here people and generated clients learn it."""

import base64
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, with_config

from serving.core.codec import Picture, encode_png
from serving.core.contract import MODEL_NAME, AnswerBody, OutputSize
from serving.core.errors import ErrorBody, InvalidImageException, OverloadedException


def _example_png(samples: Any) -> str:
    return base64.b64encode(encode_png(Picture(samples.astype(np.uint8)))).decode()


# A real request, small enough to be read and to be sent from the documentation's page.
_ROWS, _COLUMNS = np.mgrid[:32, :32]
_IMAGE = _example_png(np.dstack([4 * _ROWS + 60, 4 * _COLUMNS + 60, 0 * _ROWS + 128]))
_MASK = _example_png(np.dstack([255 * ((abs(_ROWS - 16) < 3) & (abs(_COLUMNS - 16) < 9))]))


_MASK_FILE = (
    "The mask file, of the picture's size: white (128 and over) = hole to fill. "
    "May be left out when the picture has transparency: transparent = hole."
)
_BINARY_FIELD: dict[str, JsonValue] = {"format": "binary"}


class _Request(BaseModel):
    """What both encodings of a request have in common."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    output_size: OutputSize = "original"
    """`original`: the picture's own size. `model`: the square that the model was trained on."""


class JsonRequest(_Request):
    """The picture and its mask in base64, or as data URLs."""

    image: str = Field(examples=[_IMAGE])
    """The picture file (PNG, JPEG, WebP, BMP or TIFF) in base64, or as a data URL."""
    mask: str | None = Field(None, description=_MASK_FILE, examples=[_MASK])


class FormRequest(_Request):
    """The picture and its mask as files."""

    image: str = Field(json_schema_extra=_BINARY_FIELD)
    """The picture file: PNG, JPEG, WebP, BMP or TIFF."""
    mask: str = Field("", description=_MASK_FILE, json_schema_extra=_BINARY_FIELD)


_ANSWER: dict[str, JsonValue] = {
    "image": _IMAGE,
    "mime_type": "image/png",
    "width": 32,
    "height": 32,
    "hole_ratio": 0.083008,
    "model": MODEL_NAME,
    "model_version": "1.0",
}
_INVALID = InvalidImageException(
    "The image cannot be read (4 bytes): send a whole PNG, JPEG, WebP, BMP or TIFF file."
)

with_config(ConfigDict(use_attribute_docstrings=True, json_schema_extra={"example": _ANSWER}))(AnswerBody)
with_config(ConfigDict(use_attribute_docstrings=True, json_schema_extra={"example": _INVALID.to_dict()}))(
    ErrorBody
)

RESPONSE_HEADERS = {
    "X-Model-Version": {"description": "Version of the model.", "schema": {"type": "string"}},
    "X-Execution-Provider": {
        "description": "The ONNX Runtime execution provider that runs the model.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "Milliseconds by stage: decode, prepare, run, composite, encode.",
        "schema": {"type": "string"},
    },
}
REF = "#/components/schemas/{model}"
BINARY = {"schema": {"type": "string", "format": "binary"}}

FILL_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"$ref": REF.format(model="FormRequest")}},
            "application/json": {"schema": {"$ref": REF.format(model="JsonRequest")}},
        },
    }
}


def error_responses(model: Any, descriptions: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return the error part of an operation's responses, all of one shape."""
    responses: dict[int | str, dict[str, Any]] = {
        code: {"model": model, "description": description} for code, description in descriptions.items()
    }
    responses[OverloadedException.code]["headers"] = {
        "Retry-After": {"description": "Seconds to wait before a repeat.", "schema": {"type": "integer"}}
    }
    return responses


TROUBLE = {
    401: "The server asks for an API key, and this is not it.",
    413: "Too many bytes, or too many pixels.",
    500: "The server failed.",
    503: "The queue is full.",
}
FILL_RESPONSES = error_responses(
    ErrorBody,
    TROUBLE
    | {
        400: "A file that cannot be decoded, is missing, or does not fit the other; a field that does not exist.",
        415: "Neither multipart/form-data nor application/json.",
    },
) | {
    200: {
        "description": "The filled picture: JSON, or with `Accept: image/png` the PNG file itself.",
        "content": {"image/png": BINARY},
        "headers": RESPONSE_HEADERS,
    }
}
