"""The command `python -m serving.ray`: start Ray on this machine, serve, and print how to try it."""

import os
import resource
import signal
import socket
import sys
import threading

import ray
from ray import serve

from serving.core.address import example_commands, local_url
from serving.core.errors import AddressInUseError, SettingsError, StartupError
from serving.core.models import load_models, model_sources
from serving.http.settings import load_settings
from serving.ray.app import DEPLOYMENT, build
from serving.ray.settings import RaySettings

_PORTS_OF_RAY = range(10_002, 20_000)
_PORTS_OF_REPLICAS = range(30_000, 31_000)
_HAPROXY_CONNECTIONS = 4096  # Ray's default for RAY_SERVE_HAPROXY_MAXCONN
_OBJECT_STORE_BYTES = 80 * 2**20  # about Ray's minimum; nothing is stored in it


def main(arguments: list[str]) -> int:
    """Serve until stopped by a signal. Return the exit code."""
    try:
        settings = load_settings(arguments, RaySettings)
        _check_address(settings)
        _check_open_files()
        # What a replica would reject is found before Ray is started.
        first = load_models(
            model_sources(settings.model), device=settings.device, require_gpu=settings.require_gpu, threads=1
        )[0]
    except StartupError as error:
        print(f"serving.ray: {error.message}", file=sys.stderr)
        return 1
    ray.init(
        address="local", include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, log_to_driver=False
    )
    serve.start(http_options={"host": settings.host, "port": settings.port})
    serve.run(build(settings), name=DEPLOYMENT)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # Ray has replaced the handlers
        signal.signal(number, lambda *_: stop.set())
    url = local_url(settings.host, settings.port)
    print(f"Serving {first.name} {first.version} with Ray Serve at {url} (API: {url}/docs). Try it:")
    key = "" if settings.api_key is None else ' -H "Authorization: Bearer $INPAINT_API_KEY"'
    print(example_commands(url, first.name, key), flush=True)
    stop.wait()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()
    return 0


def _check_address(settings: RaySettings) -> None:
    if settings.port in _PORTS_OF_RAY or settings.port in _PORTS_OF_REPLICAS:
        raise SettingsError(
            f"--port: Ray itself uses the ports {_PORTS_OF_RAY[0]} to {_PORTS_OF_RAY[-1]} and those from "
            f"{_PORTS_OF_REPLICAS[0]}: choose a port other than {settings.port}."
        )
    try:
        socket.create_server((settings.host, settings.port)).close()
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise AddressInUseError(
            f"Cannot listen on {settings.host}:{settings.port} ({reason}): choose another --port or --host."
        ) from error


def _check_open_files() -> None:
    """Check the limit of open files: if it is too low, HAProxy does not start, and Ray would retry for ever."""
    connections = int(os.environ.get("RAY_SERVE_HAPROXY_MAXCONN", _HAPROXY_CONNECTIONS))
    needed, limit = connections * 5 // 2 + 36, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise StartupError(
            f"HAProxy needs {needed} open files, and the limit is {limit}: raise it (ulimit -n), or set "
            f"RAY_SERVE_HAPROXY_MAXCONN={max(limit - 36, 0) * 2 // 5}, the number of connections that it accepts."
        )
