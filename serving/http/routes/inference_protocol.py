"""`/v2`: the Open Inference Protocol, which Triton's and KServe's own clients speak."""

from time import perf_counter

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from serving.core.contract import MODEL_NAME
from serving.core.errors import ResourceNotFoundException
from serving.http.dependencies import ServiceDep, hung_up, server_timing
from serving.http.inference_protocol_codec import read_infer_request, write_infer_response
from serving.http.routes.inference_protocol_schemas import (
    INFER_REQUEST,
    INFER_RESPONSES,
    InferResponse,
    Limits,
    Live,
    ModelMetadata,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from serving.http.security import require_key
from serving.http.version import package_version

HEAD_LENGTH = "Inference-Header-Content-Length"


async def _known(name: str, service: ServiceDep, version: str | None = None) -> None:
    if name != MODEL_NAME:
        raise ResourceNotFoundException(f"There is no model {name[:80]!r}: the model is {MODEL_NAME!r}.")
    if version not in (None, service.runtime.version):
        raise ResourceNotFoundException(
            f"There is no version {version!r:.80} of the model: the version is {service.runtime.version!r}."
        )


health = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
models = APIRouter(
    prefix="/v2/models/{name}",
    tags=["Open Inference Protocol"],
    dependencies=[Depends(require_key), Depends(_known)],
    responses={code: INFER_RESPONSES[code] for code in (401, 404)},
)
_VERSION = "/versions/{version}"


@health.get("", summary="Server metadata")
async def server_metadata(service: ServiceDep) -> ServerMetadata:
    """Tell the server's name, version and limits."""
    settings = service.settings
    return ServerMetadata(
        name="inpaint-serving",
        version=package_version(),
        extensions=["binary_tensor_data"],
        limits=Limits(max_body_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels),
    )


@health.get("/health/live", summary="Is the server up")
async def live() -> Live:
    """Answer 200 while the process lives."""
    return Live(live=True)


@health.get("/health/ready", summary="Can the server infer")
async def ready() -> Ready:
    """Answer 200: the server listens only after its model has answered once, on the device it was told to use."""
    return Ready(ready=True)


@models.get(f"{_VERSION}/ready", include_in_schema=False)
@models.get("/ready", summary="Can the model infer")
async def model_ready() -> Ready:
    """Answer 200, as for the server."""
    return Ready(ready=True)


@models.get(_VERSION, include_in_schema=False)
@models.get("", summary="Model metadata")
async def model_metadata(service: ServiceDep) -> ModelMetadata:
    """Tell the model's version, inputs and outputs."""

    def tensor(name: str, channels: int) -> TensorMetadata:
        return TensorMetadata(name=name, datatype="FP32", shape=[-1, channels, -1, -1])

    return ModelMetadata(
        name=MODEL_NAME,
        versions=[service.runtime.version],
        platform="onnxruntime_onnx",
        inputs=[tensor("image", 3), tensor("mask", 1)],
        outputs=[tensor("output", 3)],
    )


@models.post(f"{_VERSION}/infer", include_in_schema=False)
@models.post(
    "/infer",
    summary="Run the model on tensors",
    operation_id="infer",
    response_model=InferResponse,
    responses=INFER_RESPONSES,
    openapi_extra=INFER_REQUEST,
)
async def infer(request: Request, service: ServiceDep) -> Response:
    """Run the bare model: `image` [N,3,H,W] in [0, 1] and `mask` [N,1,H,W], 1 = known, to `output` [N,3,H,W].

    Besides JSON it takes and gives the binary tensor extension's form.
    """
    service.admission.check()
    body = await request.body()
    head_length = request.headers.get(HEAD_LENGTH)

    def work() -> tuple[bytes, int | None, dict[str, float]]:
        start = perf_counter()
        tensors = read_infer_request(body, head_length)
        read = perf_counter()
        output = service.runtime.run(tensors.images, tensors.masks)
        ran = perf_counter()
        answer = write_infer_response(output, tensors, service.runtime.version)
        return *answer, {"decode": read - start, "run": ran - read, "encode": perf_counter() - ran}

    answer, length, seconds = await service.admission.run(work, lambda: hung_up(request))
    service.metrics.stages(seconds)
    headers = {"Server-Timing": server_timing(seconds)}
    if length is None:
        return Response(answer, media_type="application/json", headers=headers)
    return Response(
        answer, media_type="application/octet-stream", headers={**headers, HEAD_LENGTH: str(length)}
    )
