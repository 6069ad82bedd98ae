"""Health and metrics, for operators."""

from typing import Literal

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from serving.http.dependencies import ServiceDep
from serving.http.security import require_key

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The server is running and its model is ready."""

    status: Literal["Healthy"] = "Healthy"


@router.get("/ping", summary="Server health")
async def ping() -> Health:
    """Return 200: the server starts to listen only after the model is loaded and has run once."""
    return Health()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Depends(require_key)],
)
async def metrics(service: ServiceDep) -> Response:
    """Return the metrics in Prometheus' text format."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
