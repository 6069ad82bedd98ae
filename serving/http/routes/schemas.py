"""The REST contract in the OpenAPI description, for readers and for generated clients."""

import base64
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, with_config

from serving.core.codec import Picture
from serving.core.contract import (
    FIELDS,
    IMAGE_TYPES,
    FillResponseBody,
    Metadata,
    OutputFormat,
    OutputSize,
)
from serving.core.encoders import encode
from serving.core.errors import ErrorBody, InvalidImageError, OverloadedError
from serving.core.graph import MODEL_NAME
from serving.core.marks_contract import DEFAULT_SENSITIVITY, MARKS_FIELDS, MarksResponseBody
from serving.core.media_types import FORM, JSON, PNG


def _example_png(samples: Any) -> str:
    return base64.b64encode(encode(Picture(samples.astype(np.uint8)), "png")).decode()


# A valid request, small enough to send from the documentation page.
_ROWS, _COLUMNS = np.mgrid[:32, :32]
_IMAGE = _example_png(np.dstack([4 * _ROWS + 60, 4 * _COLUMNS + 60, 0 * _ROWS + 128]))
_MASK = _example_png(np.dstack([255 * ((abs(_ROWS - 16) < 3) & (abs(_COLUMNS - 16) < 9))]))


_FILE: dict[str, JsonValue] = {"format": "binary"}


class _Request(BaseModel):
    """The fields of a request; `FIELDS` has their descriptions, once for both media types."""

    model_config = ConfigDict(extra="forbid")

    output_size: OutputSize = Field("original", description=FIELDS["output_size"])
    output_format: OutputFormat | None = Field(None, description=FIELDS["output_format"])
    metadata: Metadata = Field("all", description=FIELDS["metadata"])


class JsonRequest(_Request):
    """The files are sent in base64, or as data URLs."""

    image: str = Field(description=FIELDS["image"], examples=[_IMAGE])
    mask: str | None = Field(None, description=FIELDS["mask"], examples=[_MASK])


class FormRequest(_Request):
    """The files are sent as they are."""

    image: str = Field(description=FIELDS["image"], json_schema_extra=_FILE)
    mask: str = Field("", description=FIELDS["mask"], json_schema_extra=_FILE)


class _MarksRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sensitivity: float = Field(DEFAULT_SENSITIVITY, ge=0, le=1, description=MARKS_FIELDS["sensitivity"])


class MarksJsonRequest(_MarksRequest):
    """The file is sent in base64, or as a data URL."""

    image: str = Field(description=MARKS_FIELDS["image"], examples=[_IMAGE])


class MarksFormRequest(_MarksRequest):
    """The file is sent as it is."""

    image: str = Field(description=MARKS_FIELDS["image"], json_schema_extra=_FILE)


_RESPONSE: dict[str, JsonValue] = {
    "image": _IMAGE,
    "mime_type": PNG,
    "width": 32,
    "height": 32,
    "hole_ratio": 0.083008,
    "model": MODEL_NAME,
    "model_version": "1.0",
}
_INVALID = InvalidImageError(
    "The image cannot be read (4 bytes): send a complete PNG, JPEG, WebP, BMP or TIFF file."
)

with_config(ConfigDict(use_attribute_docstrings=True, json_schema_extra={"example": _RESPONSE}))(
    FillResponseBody
)
with_config(
    ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"example": {"mask": _MASK, "width": 32, "height": 32, "share": 0.083008}},
    )
)(MarksResponseBody)
with_config(ConfigDict(use_attribute_docstrings=True, json_schema_extra={"example": _INVALID.to_dict()}))(
    ErrorBody
)

RESPONSE_HEADERS = {
    "X-Model-Version": {"description": "Version of the model.", "schema": {"type": "string"}},
    "X-Execution-Provider": {
        "description": "The ONNX Runtime execution provider that runs the model.",
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "The request's id: the one that was sent, or a new one.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "Milliseconds by stage: decode, prepare, run, composite, encode.",
        "schema": {"type": "string"},
    },
}
REF = "#/components/schemas/{model}"
BINARY = {"schema": {"type": "string", "format": "binary"}}


def _request(form: str, json: str) -> dict[str, Any]:
    content = {
        FORM: {"schema": {"$ref": REF.format(model=form)}},
        JSON: {"schema": {"$ref": REF.format(model=json)}},
    }
    return {"requestBody": {"required": True, "content": content}}


FILL_REQUEST = _request("FormRequest", "JsonRequest")
MARKS_REQUEST = _request("MarksFormRequest", "MarksJsonRequest")


def error_responses(model: Any, descriptions: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of an operation."""
    responses: dict[int | str, dict[str, Any]] = {
        code: {"model": model, "description": description} for code, description in descriptions.items()
    }
    responses[OverloadedError.code]["headers"] = {
        "Retry-After": {"description": "Seconds to wait before retrying.", "schema": {"type": "integer"}}
    }
    return responses


COMMON_ERRORS = {
    401: "The API key is missing or wrong.",
    408: "The body was sent too slowly.",
    413: "Too many bytes, or too many pixels.",
    500: "The server failed.",
    503: "The queue is full, the prediction took too long, or the server is stopping.",
}
FILL_RESPONSES = error_responses(
    ErrorBody,
    COMMON_ERRORS
    | {
        400: "A file is missing or cannot be decoded, image and mask differ in size, or a field is unknown.",
        404: "Unknown model.",
        406: "The Accept header excludes JSON and the image's format.",
        415: "Neither multipart/form-data nor application/json.",
    },
) | {
    200: {
        "description": "The filled image: JSON, or with `Accept: image/png`, `image/jpeg` or `image/webp` the file.",
        "content": dict.fromkeys(IMAGE_TYPES.values(), BINARY),
        "headers": RESPONSE_HEADERS,
    }
}
MARKS_RESPONSES = error_responses(
    ErrorBody,
    COMMON_ERRORS
    | {
        400: "The image is missing or cannot be decoded, or a field is invalid or unknown.",
        406: "The Accept header excludes JSON and PNG.",
        415: "Neither multipart/form-data nor application/json.",
    },
) | {
    200: {
        "description": "The proposed mask: JSON, or with `Accept: image/png` the file.",
        "content": {PNG: BINARY},
    }
}
