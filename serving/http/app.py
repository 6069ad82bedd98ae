"""The ONNX Runtime server as an ASGI application."""

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from serving.core.runtime import Runtime
from serving.http.bodies import RequestBodyMiddleware
from serving.http.dependencies import Service
from serving.http.exception_handlers import HANDLED, handle_exception
from serving.http.middleware import ResponseMiddleware
from serving.http.routes import inference_protocol, marks, operations, predictions
from serving.http.routes.openapi import complete_openapi
from serving.http.routes.page import add_page
from serving.http.routes.schemas import RESPONSE_HEADERS
from serving.http.settings import Settings
from serving.http.version import package_version

_DESCRIPTION = """
Send an image and a mask, and get the image back at its own size with the white part of the mask filled in. Every other
pixel is unchanged.

`POST /predictions/{model}` is identical on TorchServe; the default model is `inpaint`. `POST /masks/marks` proposes a
mask for scratches, dust, pen strokes and lines. Under `/v2` the server
implements the Open Inference Protocol, for the clients of Triton and KServe.
"""


def create_app(settings: Settings, *runtimes: Runtime) -> FastAPI:
    """Create the application for the loaded models, at least one."""
    # FastAPI's documentation page loads its script from a CDN; FastAPIOffline serves it from this server.
    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        title="Inpainting",
        version=package_version(),
        description=_DESCRIPTION,
        redirect_slashes=False,  # a redirect of /ping/ would go to the name in the Host header
    )
    app.state.service = service = Service.build(settings, runtimes)
    for router in (
        predictions.router,
        marks.router,
        inference_protocol.health,
        inference_protocol.repository,
        inference_protocol.models,
        operations.router,
    ):
        app.include_router(router)
    add_page(app, settings.page)
    complete_openapi(app)
    for kind in HANDLED:
        app.add_exception_handler(kind, handle_exception)
    app.add_middleware(RequestBodyMiddleware, max_bytes=settings.max_body_bytes, admission=service.admission)
    if settings.allow_origin is not None:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[settings.allow_origin],
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After", *RESPONSE_HEADERS],
        )
    app.add_middleware(ResponseMiddleware, metrics=service.metrics, default=service.default)
    return app
