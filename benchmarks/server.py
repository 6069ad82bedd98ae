"""The ONNX server's overhead over the bare model, its memory, and its time to readiness."""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from requests import Request

from benchmarks import load, timing
from benchmarks.client import Connection, multipart
from benchmarks.processes import free_port, memory_mib, running
from benchmarks.sample import png, sample
from benchmarks.timing import Timing, time_in_turns
from export.graph_inputs import graph_inputs
from serving.core.runtime import Runtime

if TYPE_CHECKING:
    from pathlib import Path

ALONE = "the model alone"
ONE_THREAD = "the model alone, one thread"


@dataclass(frozen=True)
class ServerFigures:
    """Measurements of one server.

    Attributes:
        ready_seconds: From the start of the process to the first successful readiness answer.
        idle_mib: Memory of its processes when ready, in MiB.
        loaded_mib: The same after the requests.
        timings: The bare model and a request in either encoding.
        overhead_ms: What a request adds to the bare model at the median, in ms, by encoding.
        load: Its figures under load.
    """

    ready_seconds: float
    idle_mib: float
    loaded_mib: float
    timings: list[Timing]
    overhead_ms: dict[str, float]
    load: load.LoadFigures


def measure(model: Path, runtime: Runtime, threads: int, rounds: int) -> ServerFigures:
    """Start `python -m serving` on loopback, measure it, and stop it.

    Args:
        model: The model to serve.
        runtime: The same model in this process.
        threads: Cores of each.
        rounds: How often each is timed.

    Raises:
        ServerFailedError: The server did not start or answer, or answered with an error.
    """
    photo, hole = sample()
    files = {"image": png(photo), "mask": png(hole)}
    document = {name: base64.b64encode(content).decode() for name, content in files.items()}
    inputs = graph_inputs(photo[np.newaxis], hole[np.newaxis])
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    url = f"{root}/predictions/inpaint"
    ready = Request("GET", f"{root}/v2/health/ready").prepare()
    form, json = multipart(url, files), Request("POST", url, json=document).prepare()
    with (
        Connection(root) as connection,
        running(command(model, threads, port), lambda: connection.answers(ready)) as (process, ready_seconds),
    ):
        idle = memory_mib(process)
        one_thread = Runtime(model, threads=1)
        timings = time_in_turns(
            {
                ALONE: lambda: runtime.run(inputs["image"], inputs["mask"]),
                "a request, multipart": lambda: connection.send(form),
                "a request, JSON": lambda: connection.send(json),
                ONE_THREAD: lambda: one_thread.run(inputs["image"], inputs["mask"]),
            },
            rounds,
            "server",
        )
        alone, *requested, single = timings
        overhead = {request.name: request.p50 - alone.p50 for request in requested}
        loaded = load.measure(url, files, requested[0].p50, 1000 * threads / single.p50, rounds)
        return ServerFigures(ready_seconds, idle, memory_mib(process), timings, overhead, loaded)


def to_markdown(figures: ServerFigures) -> str:
    """Return the table of timings, and the rest in words."""
    overhead = ", ".join(f"{name} {added:.1f} ms" for name, added in figures.overhead_ms.items())
    return (
        f"{timing.to_markdown(figures.timings)}\n\n"
        f"Added to {ALONE} at p50: {overhead}. Ready after {figures.ready_seconds:.1f} s. Memory "
        f"{figures.idle_mib:.0f} MiB when ready, {figures.loaded_mib:.0f} MiB after the predictions.\n\n"
        f"{load.to_markdown(figures.load)}"
    )


def command(model: Path, threads: int, port: int) -> list[str]:
    """Return the command that starts the server."""
    start = [sys.executable, "-m", "serving", f"--port={port}", f"--model={model}"]
    return [*start, f"--concurrency={threads}", "--threads=1", "--log-level=error"]
