"""The fields of a request: JSON, base64, choices, and the errors of malformed ones."""

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import Any

from serving.core.errors import InvalidImageError, InvalidRequestError, MissingInputError

_MAX_JSON_VALUES = 1000  # far more than there are fields, so that an error can name an unknown one


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
        raise InvalidRequestError(f"The body is not valid JSON: {short(error)}.") from error


def json_fields(body: bytes | object, files: Mapping[str, type[InvalidRequestError]]) -> dict[str, Any]:
    """Read the fields of a JSON body.

    Args:
        body: the raw body, or the value that an engine has already parsed it into.
        files: the fields that are files in base64, and the error for each if it is invalid. They are decoded.

    Raises:
        InvalidRequestError: the body is not a JSON object, or one of `files` is not valid base64.
    """
    if isinstance(body, bytes | bytearray):
        body = parse_json(body, _MAX_JSON_VALUES)
    if not isinstance(body, dict):
        example = ", ".join(f'"{name}": "<base64>"' for name in files)
        raise InvalidRequestError(
            f"The JSON body must be an object such as {{{example}}}, not {json_type(body)}."
        )
    fields = dict(body)
    for name, kind in files.items():
        if fields.get(name) is not None:
            fields[name] = from_base64(name, fields[name], kind)
    return fields


def check_known(fields: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise `InvalidRequestError` if there is a field with any other name."""
    if unknown := sorted(set(fields) - set(names)):
        raise InvalidRequestError(
            f"Unknown field {short(repr(unknown[0]))}: the fields are {', '.join(map(repr, names))}."
        )


def required_image(fields: Mapping[str, Any]) -> bytes:
    """Return the field `image`.

    Raises:
        MissingInputError: it is missing.
        InvalidImageError: it is empty.
    """
    image = as_bytes(fields.get("image"))
    if image is None:
        raise MissingInputError("The field 'image' is missing: send an image file.")
    if not image:
        raise InvalidImageError("The image is empty (0 bytes).")
    return image


def from_base64(name: str, value: object, kind: type[InvalidRequestError]) -> bytes:
    """Decode a JSON value in base64, or a data URL.

    Raises:
        InvalidRequestError: of this `kind`: it is neither.
    """
    if not isinstance(value, str):
        raise kind(f"The field '{name}' must be a base64 string or a data URL, not {json_type(value)}.")
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


def choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None) -> Any:
    """Return a field's value, which must be one of `choices`, or `default` if it is missing.

    Raises:
        InvalidRequestError: it has another value.
    """
    text = as_text(fields.get(name))
    if text is None:
        return default
    if text in choices:
        return text
    allowed = ", ".join(map(repr, choices[:-1]))
    raise InvalidRequestError(
        f"The field {name!r} must be {allowed} or {choices[-1]!r}, not {short(repr(text))}."
    )


def as_text(value: Any) -> Any:
    """Return a form's value as text; a JSON value unchanged."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value


def as_bytes(value: Any) -> bytes | None:
    """Return a file's bytes, or None if it is missing."""
    # Text in place of a file is passed on as bytes: the decoder then reports that it is not an image.
    if isinstance(value, str):
        return value.encode()
    return None if value is None else bytes(value)


def json_type(value: object) -> str:
    """Name a value's JSON type, with its article."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def short(value: object, limit: int = 80) -> str:
    """Return a value's text, cut to `limit` characters, for an error."""
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
