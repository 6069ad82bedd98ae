"""The Open Inference Protocol's JSON, for the OpenAPI description."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from serving.http.routes.schemas import BINARY, REF, RESPONSE_HEADERS, TROUBLE, error_responses


class Limits(BaseModel):
    """What a request may have at most; more is answered 413."""

    max_body_bytes: int
    max_pixels: int


class ServerMetadata(BaseModel):
    """Who answers here; `limits` is this server's own addition to the protocol."""

    name: str
    version: str
    extensions: list[str]
    limits: Limits


class Live(BaseModel):
    """The server is up."""

    live: bool


class Ready(BaseModel):
    """The model can answer."""

    ready: bool


class TensorMetadata(BaseModel):
    """One of the model's inputs or outputs; -1 stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel):
    """A tensor: its values flat or nested in `data`, or raw after the JSON as the binary extension has it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: Literal["image", "mask"]
    """`image` has 3 channels in [0, 1], `mask` one: 1 = known, 0 = hole."""
    shape: list[int]
    """[N, channels, H, W]"""
    datatype: Literal["FP32"]
    data: list[Any] | None = None
    """The values, row by row."""
    parameters: dict[str, Any] | None = None
    """`binary_data_size`: the bytes that this tensor has after the JSON."""


class InferRequest(BaseModel):
    """An inference request."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] | None = None


class OutputTensor(BaseModel):
    """The filled pictures."""

    name: Literal["output"]
    shape: list[int]
    datatype: Literal["FP32"]
    data: list[float] | None = None
    parameters: dict[str, Any] | None = None


class InferResponse(BaseModel):
    """An inference answer."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class ProtocolError(BaseModel):
    """An error in the Open Inference Protocol's shape."""

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
    TROUBLE | {400: "Tensors that are no pictures and masks.", 404: "Another model, or version."},
) | {
    200: {
        "description": "JSON, or where binary output is asked for, JSON and raw bytes.",
        "content": {"application/octet-stream": BINARY},
        "headers": RESPONSE_HEADERS,
    }
}
