"""The Open Inference Protocol's codec: convert tensors from JSON and raw bytes to arrays, and back.

With the binary tensor data extension a body is a JSON head, whose length a header states, followed by each tensor's
raw little-endian bytes, in order.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import InvalidRequestError, PayloadTooLargeError, TooManyPixelsError
from serving.core.fields import parse_json
from serving.core.graph import (
    CHANNELS,
    HOLE,
    IMAGE,
    INPUTS,
    KNOWN,
    MASK,
    MIN_SIZE,
    OUTPUT,
    VALUE_RANGE,
    Floats,
)
from serving.core.sandbox import Checkpoint, Sandbox, SandboxedCallError, no_checkpoint
from serving.core.sandbox_process import Call

DATATYPE = "FP32"
MAX_BATCH = 64
MAX_PIXELS = 512 * 512  # of one image: the memory of a run grows with them

MAX_JSON_VALUES = 4_000_000
"""Maximum count of numbers in a JSON request; the binary tensor data extension has no such limit."""

_DTYPE = np.dtype("<f4")  # FP32
# Parsing JSON holds the GIL: a larger head is parsed in a process of its own.
_MAX_HEAD_IN_PROCESS = 256 * 1024
_MAX_DEPTH = 8  # of lists in lists: a tensor has four axes
_MAX_ID = 1000  # characters
_NUMBERS_AT_ONCE = 10_000  # a few milliseconds
_MEMORY, _MEMORY_PER_BYTE, _MEMORY_PER_VALUE = 128 * 2**20, 6, 160  # what parsing may take, in bytes
_CPU_SECONDS, _WALL_SECONDS = 20, 60.0

_sandbox = Sandbox([__name__])
_INPUT_NAMES = " and ".join(map(repr, INPUTS))


@dataclass(frozen=True)
class InferenceTensors:
    """The decoded tensors of a request, and how to encode the response.

    Attributes:
        images: [N,3,H,W] float32 in [0, 1].
        known: [N,1,H,W] float32, 1 = known, 0 = hole.
        binary: whether the output is returned as raw bytes instead of JSON.
        id: the client's id for this request, or None.
    """

    images: Floats
    known: Floats
    binary: bool
    id: str | None


def decode_tensors(
    body: bytes, head_length: str | None, checkpoint: Checkpoint = no_checkpoint
) -> InferenceTensors:
    """Decode an inference request.

    Args:
        body: the whole body.
        head_length: the header `Inference-Header-Content-Length`, or None if the body is JSON only.
        checkpoint: called while a large body is parsed. An exception that it raises cancels the parsing.

    Raises:
        InvalidRequestError: the request is malformed, or its tensors are not images and masks.
        TooManyPixelsError: its tensors are too large.
        PayloadTooLargeError: it has too many numbers in JSON.
    """
    length = _head_length(head_length, len(body))
    if body.count(b",", 0, length) > MAX_JSON_VALUES:
        raise PayloadTooLargeError(
            f"The request has more than {MAX_JSON_VALUES} numbers in JSON: use the binary tensor data extension."
        )
    if length <= _MAX_HEAD_IN_PROCESS:
        return _decode(body, length)
    try:
        result = _sandbox.run(
            decode_in_sandbox, str(length).encode(), body, seconds=_WALL_SECONDS, checkpoint=checkpoint
        )
    except SandboxedCallError as error:
        raise InvalidRequestError("The body is not valid JSON, or takes too long to parse.") from error
    return InferenceTensors(result.arrays[IMAGE], result.arrays[MASK], **result.facts)


def decode_in_sandbox(call: Call, length: bytes, body: bytes) -> dict[str, Any]:
    """Decode an inference request in a process of the sandbox."""
    memory = _MEMORY + _MEMORY_PER_BYTE * len(body) + _MEMORY_PER_VALUE * body.count(b",", 0, int(length))
    call.limit(memory=memory, cpu_seconds=_CPU_SECONDS)
    try:
        tensors = _decode(body, int(length))
    except MemoryError as error:
        raise InvalidRequestError("The body is not valid JSON: it takes too much memory to parse.") from error
    call.put(IMAGE, tensors.images)
    call.put(MASK, tensors.known)
    return {"binary": tensors.binary, "id": tensors.id}


def warm_up() -> None:
    """Do nothing: there is nothing to load before the first call in a process of the sandbox."""


def _decode(body: bytes, length: int) -> InferenceTensors:
    head = parse_json(body[:length], MAX_JSON_VALUES + 1000)
    if not isinstance(head, dict) or not isinstance(inputs := head.get("inputs"), list):
        raise InvalidRequestError("The request must be a JSON object with a list of 'inputs'.")
    tensors: dict[str, Floats] = {}
    raw = memoryview(body)[length:]
    for entry in inputs:
        name, array, used = _decode_tensor(entry, raw)
        if name in tensors:
            raise InvalidRequestError(f"The input '{name}' was sent more than once.")
        tensors[name], raw = array, raw[used:]
    if len(raw):
        raise InvalidRequestError(f"There are {len(raw)} extra bytes after the last tensor.")
    for name in INPUTS:
        if name not in tensors:
            raise InvalidRequestError(f"The input '{name}' is missing: the inputs are {_INPUT_NAMES}.")
    _check_pair(tensors[IMAGE], tensors[MASK])
    return InferenceTensors(tensors[IMAGE], tensors[MASK], _wants_binary(head), _id(head))


def encode_output(
    output: Floats,
    request: InferenceTensors,
    model: str,
    version: str,
    checkpoint: Checkpoint = no_checkpoint,
) -> tuple[bytes, int | None]:
    """Encode the response to a request.

    Args:
        output: [N,3,H,W] float32.
        request: what it responds to.
        model: the model's name.
        version: the model's version.
        checkpoint: called while numbers are written. An exception that it raises cancels the encoding.

    Returns:
        The body, and the length of its JSON head if raw bytes follow it.
    """
    tensor: dict[str, Any] = {"name": OUTPUT, "datatype": DATATYPE, "shape": list(output.shape)}
    head: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        head["id"] = request.id
    head["outputs"] = [tensor]
    if not request.binary:
        tensor["data"] = []
        before, _, after = json.dumps(head).rpartition("[]")
        numbers = ", ".join(_numbers(output.ravel(), checkpoint))
        return f"{before}[{numbers}]{after}".encode(), None
    raw = output.astype(_DTYPE, copy=False).tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    encoded = json.dumps(head).encode()
    return encoded + raw, len(encoded)


def _numbers(values: Floats, checkpoint: Callable[[], None]) -> Iterator[str]:
    """Write numbers as JSON in pieces: the GIL can be released between two of them."""
    for start in range(0, values.size, _NUMBERS_AT_ONCE):
        checkpoint()
        yield json.dumps(values[start : start + _NUMBERS_AT_ONCE].tolist())[1:-1]


def _head_length(header: str | None, total: int) -> int:
    if header is None:
        return total
    if not header.isdecimal() or len(header) > 18 or int(header) > total:
        raise InvalidRequestError(
            f"Inference-Header-Content-Length is {header[:20]!r}: it must be the number of bytes of JSON, "
            f"at most {total}."
        )
    return int(header)


def _decode_tensor(entry: Any, raw: memoryview) -> tuple[str, Floats, int]:
    """Return a tensor's name, its values as float32 in its shape, and the number of raw bytes used."""
    if not isinstance(entry, dict) or (name := entry.get("name")) not in INPUTS:
        raise InvalidRequestError(
            f"Each input must be an object with the name {' or '.join(map(repr, INPUTS))}."
        )
    if entry.get("datatype") != DATATYPE:
        raise InvalidRequestError(f"The input '{name}' must have the datatype {DATATYPE}.")
    shape = _shape(name, entry.get("shape"))
    size = _parameter(entry, "binary_data_size")
    if size is None:
        return name, _from_json(name, entry.get("data"), shape), 0
    expected = _DTYPE.itemsize * int(np.prod(shape))
    if size != expected or len(raw) < expected:
        raise InvalidRequestError(
            f"The input '{name}' of shape {shape} takes {expected} bytes; "
            f"binary_data_size is {str(size)[:20]}, and the body has {len(raw)} bytes left."
        )
    values = np.frombuffer(raw[:expected], _DTYPE).reshape(shape)
    _check_values(name, values)
    return name, values, expected


def _shape(name: str, shape: Any) -> list[int]:
    channels = CHANNELS[name]
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(type(n) is int for n in shape)
        or shape[1] != channels
        or shape[0] < 1
        or min(shape[2:]) < MIN_SIZE
    ):
        raise InvalidRequestError(
            f"The input '{name}' must have a shape [N,{channels},H,W], N at least 1, H and W at least {MIN_SIZE}."
        )
    if shape[0] > MAX_BATCH or shape[2] * shape[3] > MAX_PIXELS:
        raise TooManyPixelsError(
            f"The input '{name}' is too large: N may be at most {MAX_BATCH}, and H times W {MAX_PIXELS}."
        )
    return shape


def _from_json(name: str, data: Any, shape: list[int]) -> Floats:
    numbers = _flat(name, data)
    try:
        # numpy would make strings as wide as the longest of them, and arrays of objects.
        values = np.fromiter(numbers, np.float64, len(numbers))
    except OverflowError as error:
        raise InvalidRequestError(f"The input '{name}' has numbers that are too large.") from error
    if values.size != np.prod(shape):
        raise InvalidRequestError(f"The input '{name}' has {values.size} values for the shape {shape}.")
    _check_values(name, values)
    return values.astype(np.float32).reshape(shape)


def _flat(name: str, data: Any) -> list[Any]:
    """Return the numbers of nested lists, which must all have the same depth and length."""
    for _ in range(_MAX_DEPTH):
        kinds = set(map(type, data)) if isinstance(data, list) else set()
        if kinds != {list}:
            break
        if len(set(map(len, data))) > 1:
            raise InvalidRequestError(f"The input '{name}' has ragged 'data'.")
        data = list(chain.from_iterable(data))
    if kinds and kinds <= {int, float}:
        return list(data)
    if list in kinds:
        raise InvalidRequestError(f"The input '{name}' has ragged 'data'.")
    raise InvalidRequestError(f"The input '{name}' must have 'data', a list of numbers.")


def _check_values(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        raise InvalidRequestError(f"The input '{name}' has NaN or infinite values.")
    low, high = VALUE_RANGE
    if name == IMAGE and not (values.min() >= low and values.max() <= high):
        raise InvalidRequestError(f"The input '{name}' must have values in [{low:g}, {high:g}].")
    if name == MASK and not ((values == HOLE) | (values == KNOWN)).all():
        raise InvalidRequestError(
            f"The input '{name}' must have the values {HOLE:g} (hole) and {KNOWN:g} (known)."
        )


def _check_pair(images: Floats, known: Floats) -> None:
    if images.shape[0] != known.shape[0] or images.shape[2:] != known.shape[2:]:
        raise InvalidRequestError(
            f"The inputs differ in N, H or W: {IMAGE} {list(images.shape)}, {MASK} {list(known.shape)}."
        )


def _wants_binary(head: dict[str, Any]) -> bool:
    """Tell whether the request asks for raw bytes, for this output or for all outputs."""
    outputs = head.get("outputs") or [{"name": OUTPUT}]
    if not isinstance(outputs, list) or any(
        not isinstance(o, dict) or o.get("name") != OUTPUT for o in outputs
    ):
        raise InvalidRequestError(f"The only output is '{OUTPUT}'.")
    return bool(_parameter(outputs[0], "binary_data", _parameter(head, "binary_data_output", False)))


def _id(head: dict[str, Any]) -> str | None:
    identifier = head.get("id")
    if identifier is None:
        return None
    if isinstance(identifier, list | dict) or len(str(identifier)) > _MAX_ID:
        raise InvalidRequestError(f"The 'id' must be a string of at most {_MAX_ID} characters.")
    return str(identifier)


def _parameter(entry: dict[str, Any], name: str, default: object = None) -> object:
    parameters = entry.get("parameters")
    return parameters.get(name, default) if isinstance(parameters, dict) else default
