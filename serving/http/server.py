"""The server process: load the model, listen, and print how to try it. The supervisor starts it."""

import logging
import os
import signal
import socket
import sys
from functools import partial
from threading import Thread

import uvicorn
from fastapi import FastAPI

from serving.core.address import example_commands, local_url
from serving.core.errors import AddressInUseError, StartupError
from serving.core.models import load_models, model_sources
from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.connections import Connection, max_connections
from serving.http.routes.page import is_built
from serving.http.settings import Settings, load_settings
from serving.http.stopping import Server
from serving.http.supervisor import READY

logger = logging.getLogger(__name__)

_LOOPBACK = ("127.", "::1", "localhost")


def main(
    arguments: list[str], supervisor: socket.socket | None = None, listener: socket.socket | None = None
) -> int:
    """Serve until stopped by a signal. Return the exit code.

    Args:
        arguments: the command line.
        supervisor: a connection to the supervisor, which is told when the server is ready. If it ends, so does the
            server.
        listener: the supervisor's listening socket, from the second start on.
    """
    try:
        settings = load_settings(arguments)
        logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s: %(message)s")
        bound = listener or _bind(settings)
        runtimes = load_models(
            model_sources(settings.model),
            device=settings.device,
            require_gpu=settings.require_gpu,
            threads=settings.threads_alone,
            shared_threads=settings.threads_per_run,
        )
        _listen(bound)
    except StartupError as error:
        print(f"serving: {error.message}", file=sys.stderr)
        return 1
    server = create_server(create_app(settings, *runtimes), settings)
    if supervisor is not None:
        socket.send_fds(supervisor, [READY], [bound.fileno()] if listener is None else [])
        Thread(target=_stop_with, args=(supervisor,), daemon=True).start()
    if listener is None:
        print(_how_to_try(settings, runtimes, bound), flush=True)
        if settings.api_key is None and not settings.host.startswith(_LOOPBACK):
            logger.warning(
                "Listening on %s without an API key: set INPAINT_API_KEY to require one.", settings.host
            )
    server.run(sockets=[bound])
    return 0


def create_server(app: FastAPI, settings: Settings) -> Server:
    """Create the ASGI server for an application made by `create_app`."""
    config = uvicorn.Config(
        app,
        http=partial(Connection, max_connections=max_connections()),  # type: ignore[arg-type] # called like a type
        log_level=settings.log_level,
        timeout_graceful_shutdown=settings.graceful_seconds,
        server_header=False,
        ws="none",
        lifespan="off",
    )
    return Server(config, app.state.service.admission, app.state.service.scheduler)


def _stop_with(supervisor: socket.socket) -> None:
    """Stop when the supervisor has ended."""
    supervisor.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _bind(settings: Settings) -> socket.socket:
    """Bind the address without listening: connections are accepted only once the model is ready."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise _unavailable(f"{settings.host}:{settings.port}", error) from error
    return listener


def _listen(listener: socket.socket) -> None:
    try:
        listener.listen(2048)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _unavailable(f"{host}:{port}", error) from error


def _unavailable(address: str, error: OSError) -> AddressInUseError:
    return AddressInUseError(
        f"Cannot listen on {address} ({error.strerror}): choose another --port or --host."
    )


def _how_to_try(settings: Settings, runtimes: list[Runtime], listener: socket.socket) -> str:
    url = local_url(settings.host, listener.getsockname()[1])
    key = "" if settings.api_key is None else ' -H "Authorization: Bearer $INPAINT_API_KEY"'
    page = f"page: {url}" if is_built(settings.page) else "no page: it is not built"
    models = ", ".join(f"{runtime.name} {runtime.version}" for runtime in runtimes)
    first = runtimes[0]
    return f"""\
Serving {models} on {first.provider} at {url} ({page}, API: {url}/docs). Try it:
{example_commands(url, first.name, key)}"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], *(socket.socket(fileno=int(file)) for file in sys.argv[1].split(","))))
