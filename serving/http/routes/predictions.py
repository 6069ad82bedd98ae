"""`POST /predictions/inpaint`: the REST contract over HTTP."""

import json
from collections.abc import Callable

from anyio.from_thread import check_cancelled
from fastapi import APIRouter, Depends
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from serving.core.contract import (
    MODEL_NAME,
    AnswerBody,
    FillRequest,
    request_from_fields,
    request_from_json,
    wants_png,
)
from serving.core.errors import InvalidRequestException, UnsupportedMediaTypeException
from serving.core.pipeline import Filled
from serving.http.dependencies import Service, ServiceDep, hung_up, server_timing
from serving.http.routes.schemas import FILL_REQUEST, FILL_RESPONSES
from serving.http.security import require_key

router = APIRouter(tags=["predictions"], dependencies=[Depends(require_key)])

_MOST_PARTS = 8  # more than the contract has, so that an unknown one is named


@router.post(
    f"/predictions/{MODEL_NAME}",
    summary="Fill the holes of a picture",
    operation_id="fill",
    response_model=AnswerBody,
    responses=FILL_RESPONSES,
    openapi_extra=FILL_REQUEST,
)
async def fill(request: Request, service: ServiceDep) -> Response:
    """Fill the masked part of a picture, at its own size; every other pixel comes back as it was."""
    service.admission.check()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        body = await request.body()
        return await _answer(request, service, lambda: request_from_json(body))
    if media_type == "multipart/form-data":
        async with request.form(max_files=_MOST_PARTS, max_fields=_MOST_PARTS) as form:
            return await _answer(request, service, lambda: request_from_fields(_fields(form)))
    raise UnsupportedMediaTypeException(
        f"The body's Content-Type is {media_type[:80]!r}: multipart/form-data or application/json is right."
    )


async def _answer(request: Request, service: Service, read: Callable[[], FillRequest]) -> Response:
    as_png = wants_png(request.headers.get("accept"))

    def work() -> tuple[Filled, bytes]:
        filled = service.pipeline.fill(read(), check_cancelled)
        answer = filled.answer
        return filled, answer.png if as_png else json.dumps(answer.to_dict()).encode()

    filled, body = await service.admission.run(work, lambda: hung_up(request))
    service.metrics.stages(filled.seconds)
    service.metrics.hole_ratio(filled.answer.hole_ratio)
    headers = {"Server-Timing": server_timing(filled.seconds), "Cache-Control": "no-store", "Vary": "Accept"}
    return Response(body, media_type="image/png" if as_png else "application/json", headers=headers)


def _fields(form: FormData) -> dict[str, bytes | str]:
    fields: dict[str, bytes | str] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise InvalidRequestException(f"The field {name[:80]!r} was sent more than once.")
        fields[name] = value.file.read() if isinstance(value, UploadFile) else value
    return fields
