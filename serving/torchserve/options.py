"""The flags of `start.py`."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from serving.core.cpus import available_cores
from serving.core.errors import SettingsError

LOOPBACK = "127.0.0.1"

_MAX_DEFAULT_WORKERS = 4  # each uses about 350 MB
_RANGES = (("port", 1, 65533), ("workers", 0, 1024), ("threads", 0, 1024), ("graceful-seconds", 0, 3600))


@dataclass(frozen=True)
class Options:
    """The validated flags, with all defaults resolved; `parser` describes them."""

    mar: list[Path]
    host: str
    port: int
    workers: int
    threads: int
    gpu: bool
    graceful_seconds: float
    verbose: bool

    @property
    def management_port(self) -> int:
        """Port of the management API, which always listens on loopback."""
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
    flags = vars(parser().parse_args(arguments))
    for name, low, high in _RANGES:
        value = flags[name.replace("-", "_")]
        if not low <= value <= high:
            raise SettingsError(f"--{name} is {value:g}: it must be from {low} to {high}.")
    gpu, cores = flags.pop("device") == "cuda", available_cores()
    default = 1 if gpu else max(1, min(_MAX_DEFAULT_WORKERS, cores // max(1, flags["threads"])))
    flags["mar"] = flags["mar"] or [Path("models/inpaint.mar")]
    flags["workers"] = flags["workers"] or default
    flags["threads"] = flags["threads"] or max(1, cores // flags["workers"])
    return Options(gpu=gpu, **flags)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.torchserve.start",
        description="Start TorchServe with the inpainting model, and print when it is ready.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, kind, default, text in (
        ("host", str, LOOPBACK, "address for predictions and metrics; management stays on loopback"),
        ("port", int, 8080, "port for predictions; management uses the next port, metrics the one after"),
        ("workers", int, 0, "processes for each model; 0 for one per core, up to 4"),
        ("threads", int, 0, "CPU threads of each worker; 0 divides the cores among the workers"),
        ("graceful-seconds", float, 30, "seconds that a stop waits for requests in flight"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    device = "cuda gives each worker a GPU, and refuses to start without one"
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help=device)
    parser.add_argument(
        "--mar",
        type=Path,
        action="append",
        help="model archive; may be repeated for several models (default: models/inpaint.mar)",
    )
    parser.add_argument("--verbose", action="store_true", help="show TorchServe's output during startup")
    return parser
