"""Servers as processes: started, measured and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from time import perf_counter, sleep
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

START_SECONDS = 300.0
"""Seconds that a server may take to start."""
STOP_SECONDS = 60.0


class ServerFailedError(Exception):
    """The server did not start or answer, or answered with an error."""


@contextmanager
def running(
    command: list[str], is_ready: Callable[[], bool], settings: Mapping[str, str] | None = None
) -> Iterator[tuple[psutil.Process, float]]:
    """Run a server until the block is left; yield its process, and the seconds until it was ready.

    Args:
        command: The command that starts it.
        is_ready: Called repeatedly until it returns True.
        settings: Environment variables.

    Raises:
        ServerFailedError: It stopped, or was not ready in time. The message includes the end of its output.
    """
    # The user's own server settings, such as an API key, must not affect what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INPAINT_")}
    start = perf_counter()
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(  # noqa: S603
            command, stdout=log, stderr=log, env={**environment, **(settings or {})}
        ) as process,
    ):
        try:
            while not is_ready():
                if process.poll() is not None or perf_counter() - start > START_SECONDS:
                    log.seek(0)
                    output = log.read().decode(errors="replace").strip()[-2000:]
                    raise ServerFailedError(
                        f"the server stopped, or was not ready within {START_SECONDS:.0f} s: {output}"
                    )
                sleep(0.02)
            yield psutil.Process(process.pid), perf_counter() - start
        finally:
            _stop(process)


def free_port(following: int = 0) -> int:
    """Return a free TCP port of the loopback interface; the next `following` ports are free as well."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                for number in range(port + 1, port + 1 + following):
                    socket.create_server(("127.0.0.1", number)).close()
                return port


def memory_mib(process: psutil.Process) -> float:
    """Return the resident memory of a process and its descendants, in MiB.

    Memory that several of them share counts once, where the system reports it (Linux).
    """
    total, files = 0, dict[str, int]()
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            if not psutil.LINUX:
                total += each.memory_info().rss
                continue
            for mapping in each.memory_maps():
                if mapping.path.startswith("/"):  # other programs may have loaded the same libraries
                    files[mapping.path] = max(files.get(mapping.path, 0), mapping.rss)
                else:
                    total += mapping.pss
    return (total + sum(files.values())) / 2**20


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server as an operator would, then kill the processes that are left."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
    for each in psutil.wait_procs(family, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
