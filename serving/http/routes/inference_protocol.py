"""`/v2`: the Open Inference Protocol, for the clients of Triton and KServe."""

from functools import partial
from time import perf_counter

from anyio.from_thread import check_cancelled
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from serving.core.errors import ResourceNotFoundError
from serving.core.graph import CHANNELS, INPUTS, OUTPUT
from serving.core.media_types import JSON
from serving.http.dependencies import ModelDep, SecondsDep, ServiceDep, client_disconnected, server_timing
from serving.http.inference_protocol_codec import (
    DATATYPE,
    InferenceTensors,
    decode_tensors,
    encode_output,
)
from serving.http.routes.inference_protocol_schemas import (
    INFER_REQUEST,
    INFER_RESPONSES,
    IndexedModel,
    InferResponse,
    Limits,
    Live,
    ModelMetadata,
    Ready,
    ServerMetadata,
    TensorMetadata,
)
from serving.http.scheduling import Large, now_or_large
from serving.http.security import require_key
from serving.http.version import package_version

HEAD_LENGTH = "Inference-Header-Content-Length"

_Answer = tuple[bytes, int | None, dict[str, float]]
"""The body, the length of its head if it is binary, and the seconds that each stage took."""


async def _check_version(model: ModelDep, version: str | None = None) -> None:
    if version not in (None, model.runtime.version):
        raise ResourceNotFoundError(
            f"There is no version {version!r:.80} of the model: its version is {model.runtime.version!r}."
        )


health = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
repository = APIRouter(
    prefix="/v2/repository",
    tags=["Open Inference Protocol"],
    dependencies=[Depends(require_key)],
    responses={401: INFER_RESPONSES[401]},
)
models = APIRouter(
    prefix="/v2/models/{model}",
    tags=["Open Inference Protocol"],
    dependencies=[Depends(require_key), Depends(_check_version)],
    responses={code: INFER_RESPONSES[code] for code in (401, 404)},
)
_VERSION = "/versions/{version}"


@health.get("", summary="Server metadata")
async def server_metadata(service: ServiceDep) -> ServerMetadata:
    """Return the server's name, version and limits."""
    settings = service.settings
    return ServerMetadata(
        name="inpaint-serving",
        version=package_version(),
        extensions=["binary_tensor_data"],
        limits=Limits(max_body_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels),
    )


@health.get("/health/live", summary="Server liveness")
async def live() -> Live:
    """Return 200 while the process runs."""
    return Live(live=True)


@health.get("/health/ready", summary="Server readiness")
async def ready() -> Ready:
    """Return 200: the server starts to listen only after the model has run once on the configured device."""
    return Ready(ready=True)


@repository.get("/index", summary="List the models")
@repository.post("/index", include_in_schema=False)  # the method of Triton's model repository extension
async def repository_index(service: ServiceDep) -> list[IndexedModel]:
    """Return the name, version and state of every model, the default model first. All of them are ready."""
    models = sorted(service.models.values(), key=lambda model: model is not service.default)
    return [IndexedModel(name=model.name, version=model.runtime.version) for model in models]


@models.get(f"{_VERSION}/ready", include_in_schema=False)
@models.get("/ready", summary="Model readiness")
async def model_ready() -> Ready:
    """Return 200: the model is ready whenever the server is."""
    return Ready(ready=True)


@models.get(_VERSION, include_in_schema=False)
@models.get("", summary="Model metadata")
async def model_metadata(model: ModelDep) -> ModelMetadata:
    """Return the model's version, inputs and outputs."""

    def tensor(name: str) -> TensorMetadata:
        return TensorMetadata(name=name, datatype=DATATYPE, shape=[-1, CHANNELS[name], -1, -1])

    return ModelMetadata(
        name=model.name,
        versions=[model.runtime.version],
        platform="onnxruntime_onnx",
        inputs=[tensor(name) for name in INPUTS],
        outputs=[tensor(OUTPUT)],
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
async def infer(request: Request, service: ServiceDep, model: ModelDep, seconds: SecondsDep) -> Response:
    """Run the model itself: `image` [N,3,H,W] in [0, 1] and `mask` [N,1,H,W], 1 = known, to `output` [N,3,H,W].

    Request and response are JSON, or use the binary tensor data extension.
    """
    head_length = request.headers.get(HEAD_LENGTH)

    def work() -> _Answer | Large[_Answer]:
        start = perf_counter()
        tensors = decode_tensors(body, head_length, check_cancelled)
        seconds = perf_counter() - start
        rest = partial(answer, tensors, seconds)
        return now_or_large(tensors.known.size, model.pipeline.small_pixels, rest)

    def answer(tensors: InferenceTensors, decode_seconds: float) -> _Answer:
        start = perf_counter()
        with service.turns.request(check_cancelled) as turn:
            output = model.runtime.run(tensors.images, tensors.known, turn)
        ran = perf_counter()
        content, length = encode_output(output, tensors, model.name, model.runtime.version, check_cancelled)
        stages = {"decode": decode_seconds, "run": ran - start, "encode": perf_counter() - ran}
        return content, length, stages

    async with service.scheduler.place(seconds) as place:
        body = await request.body()
        content, length, stages = await place.run(work, lambda: client_disconnected(request))
    service.metrics.stages(model.name, stages)
    headers = {"Server-Timing": server_timing(stages)}
    if length is None:
        return Response(content, media_type=JSON, headers=headers)
    return Response(
        content, media_type="application/octet-stream", headers={**headers, HEAD_LENGTH: str(length)}
    )
