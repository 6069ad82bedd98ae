"""The parts that a running server is made of, and how its routes reach them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime
from serving.http.metrics import Metrics
from serving.http.scheduling import Admission
from serving.http.settings import Settings


@dataclass(frozen=True)
class Service:
    """One server's parts."""

    settings: Settings
    runtime: Runtime
    pipeline: Pipeline
    admission: Admission
    metrics: Metrics

    @classmethod
    def build(cls, settings: Settings, runtime: Runtime) -> "Service":
        """Put the parts together."""
        admission = Admission(settings.concurrency, settings.queue_size)
        pipeline = Pipeline(runtime, settings.max_pixels)
        return cls(settings, runtime, pipeline, admission, Metrics(runtime, admission))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]


async def hung_up(request: Request) -> None:
    """Return when the client of a request whose body was read has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def server_timing(seconds: Mapping[str, float]) -> str:
    """Return a `Server-Timing` header's value, which browsers show beside the request."""
    return ", ".join(f"{stage};dur={1000 * value:.1f}" for stage, value in seconds.items())
