"""The server's Prometheus metrics."""

from collections.abc import Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)

from serving.core.runtime import Runtime
from serving.http.scheduling import Scheduler

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_RATIOS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self, runtimes: Sequence[Runtime], scheduler: Scheduler) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "inpaint_http_requests",
            "Requests answered.",
            ("method", "path", "model", "code"),
            registry=registry,
        )
        self._latency = Histogram(
            "inpaint_http_request_seconds",
            "Time from the first byte of a request to the last byte of its response.",
            ("path", "model"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "inpaint_stage_seconds",
            "Time of a prediction by stage.",
            ("model", "stage"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._hole_ratio = Histogram(
            "inpaint_hole_ratio",
            "Share of an image's pixels to fill.",
            ("model",),
            buckets=_RATIOS,
            registry=registry,
        )
        running = Gauge("inpaint_predictions_running", "Predictions running.", registry=registry)
        running.set_function(lambda: scheduler.running)
        waiting = Gauge("inpaint_predictions_waiting", "Predictions waiting in the queue.", registry=registry)
        waiting.set_function(lambda: scheduler.waiting)
        info = Gauge("inpaint_model_info", "The models.", ("name", "version", "provider"), registry=registry)
        for runtime in runtimes:
            info.labels(runtime.name, runtime.version, runtime.provider).set(1)
            self._hole_ratio.labels(runtime.name)  # 0, and not missing, before the first prediction

    def request(self, method: str, path: str, model: str, code: int, seconds: float) -> None:
        """Count a completed request.

        `path` is the route's template and `model` a model of this server or empty, so that the number of label values
        is bounded.
        """
        self._requests.labels(method, path, model, code).inc()
        self._latency.labels(path, model).observe(seconds)

    def stages(self, model: str, seconds: Mapping[str, float]) -> None:
        """Record how long each stage of a prediction took."""
        for stage, value in seconds.items():
            self._stages.labels(model, stage).observe(value)

    def hole_ratio(self, model: str, ratio: float) -> None:
        """Record the share of an image that was filled."""
        self._hole_ratio.labels(model).observe(ratio)

    def families(self) -> list[Metric]:
        """Return all metrics with their samples."""
        return list(self._registry.collect())

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
