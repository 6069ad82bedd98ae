"""`POST /predictions/{model}`: the REST contract."""

from collections.abc import Callable
from functools import partial

from anyio.from_thread import check_cancelled
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from serving.core.contract import (
    FillRequest,
    FillResponseBody,
    request_from_fields,
    request_from_json,
)
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
from serving.http.routes.bodies import received
from serving.http.routes.schemas import FILL_REQUEST, FILL_RESPONSES
from serving.http.scheduling import Large, Place, now_or_large
from serving.http.security import require_key

router = APIRouter(tags=["predictions"], dependencies=[Depends(require_key)])


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
    async with (
        service.scheduler.place(seconds) as place,
        received(request, request_from_json, request_from_fields) as read,
    ):
        return await _respond(request, service, model, place, read)


async def _respond(
    request: Request, service: Service, model: ServedModel, place: Place, read: Callable[[], FillRequest]
) -> Response:
    accept = request.headers.get("accept")

    def work() -> tuple[Filled, str, bytes] | Large[tuple[Filled, str, bytes]]:
        fill_request = read().accepted(accept)
        pixels = model.pipeline.pixels(fill_request.image, fill_request.mask)
        return now_or_large(pixels, model.pipeline.small_pixels, partial(answer, fill_request))

    def answer(fill_request: FillRequest) -> tuple[Filled, str, bytes]:
        with service.turns.request(check_cancelled) as turn:
            filled = model.pipeline.fill(fill_request, check_cancelled, turn)
            return filled, *filled.response.encode(accept)

    filled, media_type, content = await place.run(work, lambda: client_disconnected(request))
    service.metrics.stages(model.name, filled.seconds)
    service.metrics.hole_ratio(model.name, filled.response.hole_ratio)
    headers = {"Server-Timing": server_timing(filled.seconds), "Cache-Control": "no-store", "Vary": "Accept"}
    return Response(content, media_type=media_type, headers=headers)
