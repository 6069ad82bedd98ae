"""What the ONNX server adds to the bare model, how much memory it takes, and how soon it is ready."""

from __future__ import annotations

import base64
import io
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import TYPE_CHECKING

import numpy as np
import psutil
import requests
from PIL import Image
from skimage.data import astronaut

from benchmarks.timing import Timing, time_in_turns
from serving.runtime import Runtime
from training.masks import report_text
from training.model import MODEL_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = "the model alone"
PATIENCE = 60.0
"""Seconds that a server may take to start."""


@dataclass(frozen=True)
class ServerFigures:
    """One server, measured.

    Attributes:
        ready_seconds: From the start of the process to the first good readiness answer.
        idle_mib: Resident memory of its processes when ready, in MiB.
        loaded_mib: The same after the requests.
        timings: The bare model and a request in either encoding.
    """

    ready_seconds: float
    idle_mib: float
    loaded_mib: float
    timings: list[Timing]


def measure(model: Path, threads: int, rounds: int) -> ServerFigures:
    """Start `python -m serving` on loopback, measure it, and stop it."""
    photo = np.asarray(astronaut(), np.uint8)[:MODEL_SIZE, 128 : 128 + MODEL_SIZE]  # type: ignore[no-untyped-call]
    hole = report_text(np.random.default_rng(0), MODEL_SIZE, MODEL_SIZE)
    files = {"image": _png(photo), "mask": _png(hole)}
    document = {name: base64.b64encode(content).decode() for name, content in files.items()}
    runtime = Runtime(model, threads=threads)
    image = photo.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / np.float32(255)
    mask = (hole == 0)[np.newaxis, np.newaxis].astype(np.float32)
    with _server(model, threads) as (url, process, ready_seconds), requests.Session() as session:
        idle = _resident(process)

        def post(**body: object) -> None:
            session.post(f"{url}/predictions/inpaint", timeout=PATIENCE, **body).raise_for_status()  # type: ignore[arg-type]

        timings = time_in_turns(
            {
                BASE: lambda: runtime.run(image, mask),
                "a request, multipart": lambda: post(files=files),
                "a request, JSON": lambda: post(json=document),
            },
            rounds,
        )
        return ServerFigures(ready_seconds, idle, _resident(process), timings)


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@contextmanager
def _server(model: Path, threads: int) -> Iterator[tuple[str, psutil.Process, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "serving", f"--port={port}", f"--model={model}", f"--threads={threads}"]
    start = perf_counter()
    with subprocess.Popen([*command, "--log-level=error"], stdout=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            url = f"http://127.0.0.1:{port}"
            while not _ready(url):
                if process.poll() is not None or perf_counter() - start > PATIENCE:
                    raise RuntimeError(f"the server did not get ready within {PATIENCE:.0f} s")
                sleep(0.02)
            yield url, psutil.Process(process.pid), perf_counter() - start
        finally:
            process.terminate()


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/v2/health/ready", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def _resident(process: psutil.Process) -> float:
    tree = [process, *process.children(recursive=True)]
    return float(sum(part.memory_info().rss for part in tree)) / 2**20
