"""The application for Ray Serve: replicas that are whole servers, and the metrics of all of them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig
from starlette.responses import Response

from serving.core.cpus import available_cores
from serving.core.models import load_models, model_sources
from serving.http.app import create_app
from serving.http.security import require_key
from serving.ray.settings import RaySettings

DEPLOYMENT = "inpaint"
# The server answers 503 itself when its queue is full, as the contract says; Ray's own answer is plain text.
_MAX_ONGOING_REQUESTS = 10_000


def build(settings: RaySettings) -> Application:
    """Return the application. Ray calls this with the `args` of a config file.

    Raises:
        SettingsError: a folder of models is empty, or the name of a model is invalid.
    """
    # Replicas run in other folders, and read the API key from their own environment: Ray stores what it is passed.
    sources = [replace(source, path=source.path.absolute()) for source in model_sources(settings.model)]
    given = settings.model_dump(exclude={"api_key"}) | {"page": settings.page.absolute()}

    def server() -> FastAPI:
        own = RaySettings(**given)
        models = load_models(
            sources,
            device=own.device,
            require_gpu=own.require_gpu,
            threads=own.threads_alone,
            shared_threads=own.threads_per_run,
        )
        app = create_app(own, *models)
        _add_metrics(app)
        return app

    cores = settings.threads * settings.concurrency
    scaling = AutoscalingConfig(
        min_replicas=1,
        max_replicas=max(1, available_cores() // cores),
        target_ongoing_requests=settings.concurrency / 2,  # idle half of the time: docs/scaling.md
    )
    return serve.deployment(
        name=DEPLOYMENT,
        num_replicas=None if settings.replicas == "auto" else settings.replicas,
        autoscaling_config=scaling if settings.replicas == "auto" else None,
        max_ongoing_requests=_MAX_ONGOING_REQUESTS,
        graceful_shutdown_timeout_s=settings.graceful_seconds,
        ray_actor_options={"num_cpus": cores, "num_gpus": 0 if settings.device == "cpu" else 1},
    )(serve.ingress(server)(_Replica)).bind()


class _Replica:
    """One server. Ray Serve adds the attribute `app` and calls it for each request."""

    app: FastAPI

    def metrics(self) -> tuple[str, list[Metric]]:
        """Return this replica's id and its metrics."""
        return serve.get_replica_context().replica_id.unique_id, self.app.state.service.metrics.families()


def _add_metrics(app: FastAPI) -> None:
    """Let `/metrics` return the metrics of all replicas, whichever one receives the request."""

    async def metrics() -> Response:
        context = serve.get_replica_context()
        replicas = serve.get_deployment_handle(context.deployment, context.app_name)
        answers = await replicas.broadcast("metrics").results_async(timeout_s=5, return_exceptions=True)
        answered = [answer for answer in answers if not isinstance(answer, BaseException)]
        return Response(generate_latest(_Replicas(answered)), media_type=CONTENT_TYPE_LATEST)

    # The first matching route is used.
    app.router.routes.insert(0, APIRoute("/metrics", metrics, dependencies=[Depends(require_key)]))


@dataclass(frozen=True)
class _Replicas:
    """The metrics of several replicas, each with the label `replica`."""

    answers: Collection[tuple[str, list[Metric]]]

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for replica, metrics in self.answers:
            for metric in metrics:
                family = families.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                for sample in metric.samples:
                    family.add_sample(sample.name, {**sample.labels, "replica": replica}, sample.value)
        return families.values()
