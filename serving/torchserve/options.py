"""The flags of `start.py`."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from serving.core.errors import SettingsError

LOOPBACK = "127.0.0.1"

_MAX_DEFAULT_WORKERS = 4  # by default; each takes about 350 MB


@dataclass(frozen=True)
class Options:
    """The validated flags, with all defaults resolved.

    Attributes:
        mar: the model archive.
        host: address for predictions and metrics; management always listens on loopback.
        port: port for predictions; management uses the next port, metrics the one after.
        workers: processes with a model each.
        threads: CPU threads of each worker.
        gpu: assign each worker a GPU, and refuse to start without one.
        graceful_seconds: how long a stop waits for requests in flight.
        verbose: show TorchServe's output during startup.
    """

    mar: Path
    host: str
    port: int
    workers: int
    threads: int
    gpu: bool
    graceful_seconds: float
    verbose: bool

    @property
    def management_port(self) -> int:
        """Port of the management API."""
        return self.port + 1

    @property
    def metrics_port(self) -> int:
        """Port of the Prometheus metrics."""
        return self.port + 2

    def __str__(self) -> str:
        where = "GPU" if self.gpu else f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.workers} worker{'s' * (self.workers > 1)} x {where}"


def parse_options(arguments: list[str] | None) -> Options:
    """Parse the flags, by default those of the process.

    Raises:
        SettingsError: a number is out of range.
        SystemExit: help was requested, or a flag is unknown.
    """
    flags = _parser().parse_args(arguments)
    for name, low, high in (("port", 1, 65533), ("workers", 0, 1024), ("threads", 0, 1024)):
        if not low <= getattr(flags, name) <= high:
            raise SettingsError(f"--{name} is {getattr(flags, name)}: it must be from {low} to {high}.")
    gpu, cores = flags.device == "cuda", len(os.sched_getaffinity(0))
    workers = flags.workers or (
        1 if gpu else max(1, min(_MAX_DEFAULT_WORKERS, cores // max(1, flags.threads)))
    )
    return Options(
        mar=flags.mar,
        host=flags.host,
        port=flags.port,
        workers=workers,
        threads=flags.threads or max(1, cores // workers),
        gpu=gpu,
        graceful_seconds=flags.graceful_seconds,
        verbose=flags.verbose,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.torchserve.start",
        description="Start TorchServe with the inpainting model, and print when it is ready.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--mar", type=Path, default=Path("models/inpaint.mar"), help="model archive")
    add("--host", default=LOOPBACK, help="address for predictions and metrics; management stays on loopback")
    add(
        "--port",
        type=int,
        default=8080,
        help="port for predictions; management uses the next port, metrics the one after",
    )
    add("--workers", type=int, default=0, help="processes with a model each; 0 for one per core, up to 4")
    add(
        "--threads",
        type=int,
        default=0,
        help="CPU threads of each worker; 0 divides the cores among the workers",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="cuda refuses to start without a GPU")
    add("--graceful-seconds", type=float, default=30, help="how long a stop waits for requests in flight")
    add("--verbose", action="store_true", help="show TorchServe's output during startup")
    return parser
