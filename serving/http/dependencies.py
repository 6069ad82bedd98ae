"""Dependencies of the routes: the parts of a running server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime
from serving.http.metrics import Metrics
from serving.http.scheduling import Scheduler
from serving.http.settings import Settings


@dataclass(frozen=True)
class Service:
    """The parts of one server."""

    settings: Settings
    runtime: Runtime
    pipeline: Pipeline
    scheduler: Scheduler
    metrics: Metrics

    @classmethod
    def build(cls, settings: Settings, runtime: Runtime) -> "Service":
        """Create the parts for a loaded model."""
        scheduler = Scheduler(settings.concurrency, settings.queue_size)
        pipeline = Pipeline(runtime, settings.max_pixels)
        return cls(settings, runtime, pipeline, scheduler, Metrics(runtime, scheduler))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


async def client_disconnected(request: Request) -> None:
    """Return when the client has disconnected. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def server_timing(seconds: Mapping[str, float]) -> str:
    """Return the value of a `Server-Timing` header, which browsers show in their network panel."""
    return ", ".join(f"{stage};dur={1000 * value:.1f}" for stage, value in seconds.items())
