"""Request bodies in either media type of the contract."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from serving.core.errors import InvalidRequestError
from serving.core.media_types import JSON, request_media_type

T = TypeVar("T")

_MAX_PARTS = 8  # more than the contract has, so that the error can name an unknown field


@asynccontextmanager
async def received(
    request: Request, from_json: Callable[[bytes], T], from_fields: Callable[[Mapping[str, Any]], T]
) -> AsyncIterator[Callable[[], T]]:
    """Receive a body, JSON or a form, for the `async with` block.

    Args:
        request: the request, whose body has not been read.
        from_json: parses the request from a JSON body.
        from_fields: parses it from the fields of a form: files as bytes, text as str.

    Yields:
        A function that parses the request. Call it off the event loop, because a large body takes long.

    Raises:
        UnsupportedMediaTypeError: the body is neither.
        InvalidRequestError: the form cannot be parsed.
    """
    if request_media_type(request.headers.get("content-type")) == JSON:
        body = await request.body()
        yield lambda: from_json(body)
        return
    async with _form(request) as form:
        yield lambda: from_fields(_fields(form))


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    """Parse a form. Starlette decodes names with the charset that the client states."""
    try:
        form = await request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS)
    except (UnicodeError, LookupError) as error:
        raise InvalidRequestError("The form's field names cannot be decoded: send UTF-8.") from error
    try:
        yield form
    finally:
        await form.close()


def _fields(form: FormData) -> dict[str, bytes | str]:
    fields: dict[str, bytes | str] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise InvalidRequestError(f"The field {name[:80]!r} was sent more than once.")
        fields[name] = value.file.read() if isinstance(value, UploadFile) else value
    return fields
