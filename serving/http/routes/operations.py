"""For those who run the server: is it well, and how busy is it."""

from typing import Literal

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from serving.http.dependencies import ServiceDep
from serving.http.security import require_key

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The server is up, and its model answers."""

    status: Literal["Healthy"] = "Healthy"


@router.get("/ping", summary="Is the server well")
async def ping() -> Health:
    """Answer as soon as the model is loaded and has answered once; before that, nothing listens."""
    return Health()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Depends(require_key)],
)
async def metrics(service: ServiceDep) -> Response:
    """Answer in Prometheus' text format."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
