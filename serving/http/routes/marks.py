"""`POST /masks/marks`: propose a mask for the marks in a photo."""

from functools import partial

from anyio.from_thread import check_cancelled
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from serving.core.marks_contract import (
    MarksRequest,
    MarksResponseBody,
    marks_request_from_fields,
    marks_request_from_json,
)
from serving.http.dependencies import SecondsDep, ServiceDep, client_disconnected
from serving.http.routes.bodies import received
from serving.http.routes.schemas import MARKS_REQUEST, MARKS_RESPONSES
from serving.http.scheduling import Large, now_or_large
from serving.http.security import require_key

router = APIRouter(tags=["masks"], dependencies=[Depends(require_key)])


@router.post(
    "/masks/marks",
    summary="Find the marks in an image",
    operation_id="find_marks",
    response_model=MarksResponseBody,
    responses=MARKS_RESPONSES,
    openapi_extra=MARKS_REQUEST,
)
async def find_marks(request: Request, service: ServiceDep, seconds: SecondsDep) -> Response:
    """Propose a mask for scratches, dust, pen strokes and lines. Check and edit it before filling."""
    accept = request.headers.get("accept")
    async with (
        service.scheduler.place(seconds) as place,
        received(request, marks_request_from_json, marks_request_from_fields) as read,
    ):

        def work() -> tuple[str, bytes] | Large[tuple[str, bytes]]:
            marks_request, pipeline = read(), service.default.pipeline
            pixels = pipeline.pixels(marks_request.image)
            return now_or_large(pixels, pipeline.small_pixels, partial(answer, marks_request))

        def answer(marks_request: MarksRequest) -> tuple[str, bytes]:
            with service.turns.request(check_cancelled) as turn:
                max_pixels = service.settings.max_pixels
                response = service.marks.respond(marks_request, max_pixels, check_cancelled, turn)
            return response.encode(accept)

        media_type, content = await place.run(work, lambda: client_disconnected(request))
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(content, media_type=media_type, headers=headers)
