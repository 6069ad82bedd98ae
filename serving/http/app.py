"""The ONNX Runtime server: the app that uvicorn, or any other ASGI server, runs."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from serving.core.errors import InpaintException
from serving.core.runtime import Runtime
from serving.http.body import BoundedBody
from serving.http.dependencies import Service
from serving.http.exception_handlers import error_answer
from serving.http.middleware import Edge
from serving.http.routes import inference_protocol, operations, predictions
from serving.http.routes.openapi import complete_openapi
from serving.http.routes.page import add_page
from serving.http.routes.schemas import RESPONSE_HEADERS
from serving.http.settings import Settings
from serving.http.version import package_version

_DESCRIPTION = """
Send a photo and a mask; get the photo back with the white part of the mask filled in, at its own size,
every other pixel untouched.

`POST /predictions/inpaint` is the same on TorchServe. Under `/v2` the server speaks the Open Inference
Protocol, for Triton's and KServe's clients.
"""


def create_app(settings: Settings, runtime: Runtime) -> FastAPI:
    """Build the app around a loaded model."""
    # FastAPI's own documentation page loads its script from elsewhere; this one brings it along.
    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        title="Inpainting",
        version=package_version(),
        description=_DESCRIPTION,
    )
    app.state.service = service = Service.build(settings, runtime)
    for router in (
        predictions.router,
        inference_protocol.health,
        inference_protocol.models,
        operations.router,
    ):
        app.include_router(router)
    add_page(app, settings.page)
    complete_openapi(app)
    for kind in (InpaintException, HTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(kind, error_answer)
    app.add_middleware(BoundedBody, max_bytes=settings.max_body_bytes)
    if settings.allow_origin is not None:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[settings.allow_origin],
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After", *RESPONSE_HEADERS],
        )
    facts = {"X-Model-Version": runtime.version, "X-Execution-Provider": runtime.provider}
    app.add_middleware(Edge, metrics=service.metrics, headers=facts)
    return app
