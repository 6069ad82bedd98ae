"""The Open Inference Protocol's tensors: JSON and raw bytes to arrays, and back.

The binary extension puts a JSON head first, whose length a header tells, and then each tensor's raw
little-endian bytes, in order.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.contract import MODEL_NAME, parse_json
from serving.core.errors import InvalidRequestException, TooManyPixelsException
from serving.core.tiling import MIN_SIDE

MAX_BATCH = 64
MAX_SIDE_PIXELS = 512 * 512  # of one picture: what the model takes at once grows with them

_DTYPE = np.dtype("<f4")  # FP32
_OUTPUT = "output"
_CHANNELS = {"image": 3, "mask": 1}


@dataclass(frozen=True)
class InferRequest:
    """A decoded inference request.

    Attributes:
        images: [N,3,H,W] float32 in [0, 1].
        masks: [N,1,H,W] float32, 0 or 1, 1 = known.
        binary: whether the output goes back as raw bytes rather than as JSON.
        id: what the client calls this request, or None.
    """

    images: NDArray[np.float32]
    masks: NDArray[np.float32]
    binary: bool
    id: str | None


def read_infer_request(body: bytes, head_length: str | None) -> InferRequest:
    """Decode an inference request.

    Args:
        body: the whole body.
        head_length: the header `Inference-Header-Content-Length`, or None where the body is JSON alone.

    Raises:
        InvalidRequestException: it is malformed, or its tensors are no pictures and masks.
        TooManyPixelsException: its tensors are too large.
    """
    length = _head_length(head_length, len(body))
    head = parse_json(body[:length])
    if not isinstance(head, dict) or not isinstance(inputs := head.get("inputs"), list):
        raise InvalidRequestException("The request must be a JSON object with a list of 'inputs'.")
    tensors: dict[str, NDArray[np.float32]] = {}
    raw = memoryview(body)[length:]
    for entry in inputs:
        name, array, used = _read_tensor(entry, raw)
        if name in tensors:
            raise InvalidRequestException(f"The input '{name}' was sent more than once.")
        tensors[name], raw = array, raw[used:]
    if len(raw):
        raise InvalidRequestException(f"{len(raw)} bytes are left over after the last tensor.")
    for name in _CHANNELS:
        if name not in tensors:
            raise InvalidRequestException(
                f"The input '{name}' is missing: the inputs are 'image' and 'mask'."
            )
    _check_pair(tensors["image"], tensors["mask"])
    identifier = head.get("id")
    return InferRequest(
        tensors["image"],
        tensors["mask"],
        _wants_binary(head),
        None if identifier is None else str(identifier),
    )


def write_infer_response(
    output: NDArray[np.float32], request: InferRequest, version: str
) -> tuple[bytes, int | None]:
    """Encode the answer to a request.

    Returns:
        The body, and the length of its JSON head where raw bytes follow it.
    """
    tensor: dict[str, Any] = {"name": _OUTPUT, "datatype": "FP32", "shape": list(output.shape)}
    head: dict[str, Any] = {"model_name": MODEL_NAME, "model_version": version, "outputs": [tensor]}
    if request.id is not None:
        head["id"] = request.id
    if not request.binary:
        tensor["data"] = output.ravel().tolist()
        return json.dumps(head).encode(), None
    raw = output.astype(_DTYPE, copy=False).tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    encoded = json.dumps(head).encode()
    return encoded + raw, len(encoded)


def _head_length(header: str | None, total: int) -> int:
    if header is None:
        return total
    if not header.isdecimal() or len(header) > 18 or int(header) > total:
        raise InvalidRequestException(
            f"Inference-Header-Content-Length is {header[:20]!r}: the bytes of JSON are right, at most {total}."
        )
    return int(header)


def _read_tensor(entry: Any, raw: memoryview) -> tuple[str, NDArray[np.float32], int]:
    """Return a tensor's name, its values as float32 in its shape, and how many raw bytes it took."""
    if not isinstance(entry, dict) or (name := entry.get("name")) not in _CHANNELS:
        raise InvalidRequestException("Each input must be an object with the name 'image' or 'mask'.")
    if entry.get("datatype") != "FP32":
        raise InvalidRequestException(f"The input '{name}' must have the datatype FP32.")
    shape = _shape(name, entry.get("shape"))
    size = _parameter(entry, "binary_data_size")
    if size is None:
        return name, _from_json(name, entry.get("data"), shape), 0
    expected = _DTYPE.itemsize * int(np.prod(shape))
    if size != expected or len(raw) < expected:
        raise InvalidRequestException(
            f"The input '{name}' of shape {shape} takes {expected} bytes; "
            f"binary_data_size is {str(size)[:20]}, and {len(raw)} bytes are there."
        )
    values = np.frombuffer(raw[:expected], _DTYPE).reshape(shape)
    _check_values(name, values)
    return name, values, expected


def _shape(name: str, shape: Any) -> list[int]:
    channels = _CHANNELS[name]
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(type(n) is int for n in shape)
        or shape[1] != channels
        or shape[0] < 1
        or min(shape[2:]) < MIN_SIDE
    ):
        raise InvalidRequestException(
            f"The input '{name}' must have a shape [N,{channels},H,W], N at least 1, H and W at least {MIN_SIDE}."
        )
    if shape[0] > MAX_BATCH or shape[2] * shape[3] > MAX_SIDE_PIXELS:
        raise TooManyPixelsException(
            f"The input '{name}' is too large: N may be {MAX_BATCH}, and H times W {MAX_SIDE_PIXELS}."
        )
    return shape


def _from_json(name: str, data: Any, shape: list[int]) -> NDArray[np.float32]:
    try:
        values = np.array(data)
    except ValueError as error:
        raise InvalidRequestException(f"The input '{name}' has ragged 'data'.") from error
    if values.dtype.kind not in "iuf":
        raise InvalidRequestException(f"The input '{name}' must have 'data', a list of numbers.")
    if values.size != np.prod(shape):
        raise InvalidRequestException(f"The input '{name}' has {values.size} values for the shape {shape}.")
    _check_values(name, values)
    return values.astype(np.float32).reshape(shape)


def _check_values(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        raise InvalidRequestException(f"The input '{name}' has NaN or infinite values.")
    if name == "image" and not (values.min() >= 0 and values.max() <= 1):
        raise InvalidRequestException("The input 'image' must have values in [0, 1].")
    if name == "mask" and not ((values == 0) | (values == 1)).all():
        raise InvalidRequestException("The input 'mask' must have the values 0 (hole) and 1 (known).")


def _check_pair(images: NDArray[np.float32], masks: NDArray[np.float32]) -> None:
    if images.shape[0] != masks.shape[0] or images.shape[2:] != masks.shape[2:]:
        raise InvalidRequestException(
            f"The inputs differ in N, H or W: image {list(images.shape)}, mask {list(masks.shape)}."
        )


def _wants_binary(head: dict[str, Any]) -> bool:
    """Whether raw bytes are asked for, for this output or for all."""
    outputs = head.get("outputs") or [{"name": _OUTPUT}]
    if not isinstance(outputs, list) or any(
        not isinstance(o, dict) or o.get("name") != _OUTPUT for o in outputs
    ):
        raise InvalidRequestException(f"The only output is '{_OUTPUT}'.")
    return bool(_parameter(outputs[0], "binary_data", _parameter(head, "binary_data_output", False)))


def _parameter(entry: dict[str, Any], name: str, default: object = None) -> object:
    parameters = entry.get("parameters")
    return parameters.get(name, default) if isinstance(parameters, dict) else default
