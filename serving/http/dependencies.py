"""Dependencies of the routes: the parts of a running server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from serving.core.contract import TIMEOUT_HEADER, requested_seconds
from serving.core.errors import ResourceNotFoundError
from serving.core.graph import MODEL_NAME
from serving.core.marks import MarkDetector
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime
from serving.core.turns import Turns
from serving.http.admission import Admission
from serving.http.metrics import Metrics
from serving.http.scheduling import Scheduler
from serving.http.settings import Settings


@dataclass(frozen=True)
class ServedModel:
    """A loaded model, and the pipeline around it."""

    runtime: Runtime
    pipeline: Pipeline

    @property
    def name(self) -> str:
        """The model's name in URLs and metrics."""
        return self.runtime.name

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every response about this model."""
        return {"X-Model-Version": self.runtime.version, "X-Execution-Provider": self.runtime.provider}


@dataclass(frozen=True)
class Service:
    """The parts of one server. All models share the queue and the turns."""

    settings: Settings
    models: Mapping[str, ServedModel]
    admission: Admission
    scheduler: Scheduler
    turns: Turns
    marks: MarkDetector
    metrics: Metrics

    @classmethod
    def build(cls, settings: Settings, runtimes: Sequence[Runtime]) -> "Service":
        """Create the parts for the loaded models, at least one."""
        # One more thread than runs of the model, so that decoding and encoding overlap with the runs.
        scheduler = Scheduler(
            settings.runs_at_once + 1, settings.queue_size - 1, settings.max_seconds, settings.max_pixels
        )
        models = {
            runtime.name: ServedModel(runtime, Pipeline(runtime, settings.max_pixels)) for runtime in runtimes
        }
        admission = Admission(max(settings.max_total_body_bytes, settings.max_body_bytes))
        turns = Turns(settings.runs_at_once)
        return cls(
            settings, models, admission, scheduler, turns, MarkDetector(), Metrics(runtimes, scheduler)
        )

    @property
    def default(self) -> ServedModel:
        """The model `inpaint`, or else the first one, which is served under that name, too."""
        return self.models.get(MODEL_NAME) or next(iter(self.models.values()))

    def model(self, name: str) -> ServedModel:
        """Return a model by its name.

        Raises:
            ResourceNotFoundError: there is no such model.
        """
        if name == MODEL_NAME:
            return self.default
        if name not in self.models:
            names = ", ".join(map(repr, self.models))
            raise ResourceNotFoundError(f"There is no model {name[:80]!r}: the models are {names}.")
        return self.models[name]


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


_ModelName = Annotated[
    str,
    Path(description="A model in `/v2/repository/index`; `inpaint` is the default.", examples=[MODEL_NAME]),
]


async def _model(model: _ModelName, request: Request, service: ServiceDep) -> ServedModel:
    served = service.model(model)
    request.state.model = served  # for headers and metrics
    return served


ModelDep = Annotated[ServedModel, Depends(_model)]
"""The model that the path names."""


async def _seconds(
    seconds: Annotated[
        str | None,
        Header(
            alias=TIMEOUT_HEADER,
            description=(
                "Seconds that the prediction may take, including its time in the queue. "
                "After that it is cancelled, with a 503."
            ),
            examples=["30"],
        ),
    ] = None,
) -> float:
    return requested_seconds(seconds)


SecondsDep = Annotated[float, Depends(_seconds)]
"""The seconds that the request allows for the prediction."""


async def client_disconnected(request: Request) -> None:
    """Return when the client has disconnected. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def server_timing(seconds: Mapping[str, float]) -> str:
    """Return the value of a `Server-Timing` header, which browsers show in their network panel."""
    return ", ".join(f"{stage};dur={1000 * value:.1f}" for stage, value in seconds.items())
