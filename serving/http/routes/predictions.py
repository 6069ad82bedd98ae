"""`POST /predictions/{model}`: the REST contract."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from anyio.from_thread import check_cancelled
from fastapi import APIRouter, Depends
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from serving.core.contract import (
    JSON,
    FillRequest,
    FillResponseBody,
    request_from_fields,
    request_from_json,
    request_media_type,
)
from serving.core.errors import InvalidRequestError
from serving.core.pipeline import Filled
from serving.http.dependencies import (
    ModelDep,
    SecondsDep,
    ServedModel,
    Service,
    ServiceDep,
    client_disconnected,
    server_timing,
)
from serving.http.routes.schemas import FILL_REQUEST, FILL_RESPONSES
from serving.http.scheduling import Large, Place
from serving.http.security import require_key

router = APIRouter(tags=["predictions"], dependencies=[Depends(require_key)])

_MAX_PARTS = 8  # more than the contract has, so that the error can name an unknown field


@router.post(
    "/predictions/{model}",
    summary="Fill the holes of an image",
    operation_id="fill",
    response_model=FillResponseBody,
    responses=FILL_RESPONSES,
    openapi_extra=FILL_REQUEST,
)
async def fill(request: Request, service: ServiceDep, model: ModelDep, seconds: SecondsDep) -> Response:
    """Fill the masked part of an image at its own size; every other pixel is unchanged."""
    is_json = request_media_type(request.headers.get("content-type")) == JSON
    async with service.scheduler.place(seconds) as place:
        if is_json:
            body = await request.body()
            return await _respond(request, service, model, place, lambda: request_from_json(body))
        async with _form(request) as form:
            return await _respond(request, service, model, place, lambda: request_from_fields(_fields(form)))


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    """Parse a form. Starlette decodes names by the charset that the client states."""
    try:
        form = await request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS)
    except (UnicodeError, LookupError) as error:
        raise InvalidRequestError("The form's field names cannot be decoded: send UTF-8.") from error
    try:
        yield form
    finally:
        await form.close()


async def _respond(
    request: Request, service: Service, model: ServedModel, place: Place, read: Callable[[], FillRequest]
) -> Response:
    accept = request.headers.get("accept")

    def work() -> tuple[Filled, str, bytes] | Large[tuple[Filled, str, bytes]]:
        fill_request = read().accepted(accept)
        pixels = model.pipeline.pixels(fill_request)
        if pixels > model.pipeline.small_pixels:
            return Large(pixels, partial(answer, fill_request))
        return answer(fill_request)

    def answer(fill_request: FillRequest) -> tuple[Filled, str, bytes]:
        with service.turns.request(check_cancelled) as turn:
            filled = model.pipeline.fill(fill_request, check_cancelled, turn)
            return filled, *filled.response.encode(accept)

    filled, media_type, content = await place.run(work, lambda: client_disconnected(request))
    service.metrics.stages(model.name, filled.seconds)
    service.metrics.hole_ratio(model.name, filled.response.hole_ratio)
    headers = {"Server-Timing": server_timing(filled.seconds), "Cache-Control": "no-store", "Vary": "Accept"}
    return Response(content, media_type=media_type, headers=headers)


def _fields(form: FormData) -> dict[str, bytes | str]:
    fields: dict[str, bytes | str] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise InvalidRequestError(f"The field {name[:80]!r} was sent more than once.")
        fields[name] = value.file.read() if isinstance(value, UploadFile) else value
    return fields
