"""The Open Inference Protocol's JSON in the OpenAPI description."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from serving.http.routes.schemas import BINARY, COMMON_ERRORS, REF, RESPONSE_HEADERS, error_responses


class Limits(BaseModel):
    """The limits of a request; a larger one is answered 413."""

    max_body_bytes: int
    max_pixels: int


class ServerMetadata(BaseModel):
    """The server's metadata. `limits` is this server's addition to the protocol."""

    name: str
    version: str
    extensions: list[str]
    limits: Limits


class Live(BaseModel):
    """The server is running."""

    live: bool


class Ready(BaseModel):
    """The model is ready."""

    ready: bool


class IndexedModel(BaseModel):
    """A model of the server."""

    name: str
    version: str
    state: Literal["READY"] = "READY"
    reason: str = ""


class TensorMetadata(BaseModel):
    """One of the model's inputs or outputs; -1 is a dynamic dimension."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The model's version, inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel):
    """A tensor: its values in `data`, flat or nested, or as raw bytes after the JSON (binary tensor data extension)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: Literal["image", "mask"]
    """`image` has 3 channels in [0, 1], `mask` one: 1 = known, 0 = hole."""
    shape: list[int]
    """[N, channels, H, W]"""
    datatype: Literal["FP32"]
    data: list[Any] | None = None
    """The values in row-major order."""
    parameters: dict[str, Any] | None = None
    """`binary_data_size`: the number of this tensor's bytes after the JSON."""


class InferRequest(BaseModel):
    """An inference request."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] | None = None


class OutputTensor(BaseModel):
    """The filled images."""

    name: Literal["output"]
    shape: list[int]
    datatype: Literal["FP32"]
    data: list[float] | None = None
    parameters: dict[str, Any] | None = None


class InferResponse(BaseModel):
    """An inference response."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class ProtocolError(BaseModel):
    """An error in the Open Inference Protocol's format."""

    error: str


INFER_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": REF.format(model="InferRequest")}},
            "application/octet-stream": BINARY,
        },
    }
}
INFER_RESPONSES = error_responses(
    ProtocolError,
    COMMON_ERRORS | {400: "Tensors that are not images and masks.", 404: "Unknown model or version."},
) | {
    200: {
        "description": "JSON, or if binary output is requested, JSON and raw bytes.",
        "content": {"application/octet-stream": BINARY},
        "headers": RESPONSE_HEADERS,
    }
}
