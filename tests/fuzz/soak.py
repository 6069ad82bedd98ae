"""A server under hostile, rude and honest clients: `make soak MINUTES=60`, or a fixed number of hostile requests.

It fails if a request is answered with a 5xx or not at all, if the server was started again, or if memory, file
descriptors or threads grow. It writes a plot of them, and prints what was answered.
"""

import argparse
import base64
import gzip
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import hostile_images
import numpy as np
import psutil
import requests
from engines import Engine, onnx_server
from image_seeds import SEEDS as IMAGE_SEEDS
from matplotlib.figure import Figure
from mutations import mutate
from rest_seeds import FORM_TYPE, IMAGE, MASK
from rest_seeds import SEEDS as REST_SEEDS
from sample_pictures import encode, encode_mask, face, scratch

PREDICT, INFER = "/predictions/inpaint", "/v2/models/inpaint/infer"
JSON = {"Content-Type": "application/json"}

MAX_SECONDS = 60.0
"""For an answer, beyond which it is late."""

MAX_MIB = 1500
"""Resident memory of all processes of the server."""

MAX_GROWTH = 1.25
"""Of memory from the second quarter of the time to the last one."""

_HOSTILE_CLIENTS = 3
_SAMPLE_SECONDS = 0.5


@dataclass
class Record:
    """What the clients met, and how the server was, over time."""

    stop: threading.Event = field(default_factory=threading.Event)
    codes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    honest_seconds: list[float] = field(default_factory=list)
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)
    """Seconds since the start; resident MiB, file descriptors and threads of all the server's processes."""


def main() -> int:
    """Run it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="how long it takes")
    parser.add_argument(
        "--requests", type=int, help="hostile requests after which it ends, instead of --minutes"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the hostile requests")
    parser.add_argument("--output", type=Path, default=Path("soak.png"), help="the plot")
    options = parser.parse_args()
    record = Record()
    with tempfile.TemporaryDirectory() as folder, onnx_server(Path(folder), "--log-level=error") as engine:
        (server,) = psutil.Process(engine.pid).children()
        jobs = _Jobs(options.requests, options.seed)
        hostile = [_thread(_hostile, engine, record, jobs) for _ in range(_HOSTILE_CLIENTS)]
        others = [_thread(client, engine, record) for client in (_honest, _rude, _watch)]
        if options.requests is None:
            record.stop.wait(60 * options.minutes)
        else:
            for thread in hostile:
                thread.join()
        record.stop.set()
        for thread in (*hostile, *others):
            thread.join()
        if not server.is_running():
            record.problems.append("the server was started again")
        log = engine.log.read_text(errors="replace")
    if "Traceback" in log:
        record.problems.append("the server's log has a traceback: " + log[log.index("Traceback") :][:2000])
    record.problems += _grown(record)
    _plot(record, options.output)
    print(_summary(record))
    return 1 if record.problems else 0


class _Jobs:
    """The hostile requests: the same for the same seed, whoever takes them."""

    def __init__(self, limit: int | None, seed: int) -> None:
        self._limit = limit
        self._seed = seed
        self._next = 0
        self._lock = threading.Lock()
        self._hostile = {name: make() for name, make in hostile_images.REFUSED.items()}

    def take(self) -> dict[str, object] | None:
        """Return the next request, or None after the last."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        if self._limit is not None and number >= self._limit:
            return None
        return self._request(Random(self._seed * 2**32 + number))

    def _request(self, random: Random) -> dict[str, object]:
        kind = random.choice(["image", "image", "mask", "json-image", "json", "form", "gzip", "infer"])
        if kind in ("json", "gzip"):
            return _post(PREDICT, mutate(random, REST_SEEDS[kind], 3000), JSON | _encoding(kind))
        if kind == "form":
            return _post(PREDICT, mutate(random, REST_SEEDS["form"]), {"Content-Type": FORM_TYPE})
        if kind == "infer":
            length = random.choice([{}, {"Inference-Header-Content-Length": str(random.randrange(3000))}])
            return _post(INFER, mutate(random, REST_SEEDS["infer"]), length)
        # One request in ten is made from the files that once crashed a decoder.
        seeds = self._hostile if random.random() < 0.16 else IMAGE_SEEDS
        file = mutate(random, seeds)
        if kind == "json-image":
            text = {"image": base64.b64encode(file).decode(), "mask": base64.b64encode(MASK).decode()}
            packed = gzip.compress(json.dumps(text).encode(), 1)
            return _post(PREDICT, packed, JSON | _encoding("gzip"))
        files = {"image": file, "mask": MASK} if kind == "image" else {"image": IMAGE, "mask": file}
        return {"path": PREDICT, "files": files}


def _post(path: str, data: bytes, headers: dict[str, str]) -> dict[str, object]:
    return {"path": path, "data": data, "headers": headers}


def _encoding(kind: str) -> dict[str, str]:
    return {"Content-Encoding": "gzip"} if kind == "gzip" else {}


def _hostile(engine: Engine, record: Record, jobs: _Jobs) -> None:
    with requests.Session() as session:
        while not record.stop.is_set() and (request := jobs.take()) is not None:
            _send(session, engine, record, "hostile", request)


def _honest(engine: Engine, record: Record) -> None:
    """Fill photos of several sizes, one after the other."""
    photos = [(encode(face(n, n)), encode_mask(scratch(n, n, 5))) for n in (64, 178, 300, 600)]
    with requests.Session() as session:
        while not record.stop.is_set():
            for image, mask in photos:
                start = time.monotonic()
                request: dict[str, object] = {"path": PREDICT, "files": {"image": image, "mask": mask}}
                code = _send(session, engine, record, "honest", request)
                record.honest_seconds.append(time.monotonic() - start)
                if code != 200:
                    record.problems.append(f"an honest request was answered {code}")


def _rude(engine: Engine, record: Record) -> None:
    """Send parts of requests, and hang up at once or later."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    message = head.encode() + bytes(50_000)
    chance = random.Random(0)
    open_ones: list[socket.socket] = []
    while not record.stop.wait(0.05):
        connection = socket.create_connection(("127.0.0.1", engine.port))
        connection.sendall(message[: chance.randrange(1, len(message))])
        open_ones.append(connection)
        if len(open_ones) > 8:
            open_ones.pop(chance.randrange(8)).close()
    for connection in open_ones:
        connection.close()


def _send(
    session: requests.Session, engine: Engine, record: Record, client: str, request: dict[str, object]
) -> int:
    start, request = time.monotonic(), dict(request)
    url = f"{engine.url}{request.pop('path')}"
    try:
        code = session.post(url, timeout=2 * MAX_SECONDS, **request).status_code  # type: ignore[arg-type]
    except requests.RequestException as error:
        code = 0
        record.problems.append(f"a {client} request was not answered: {error!r:.300}")
    record.codes[f"{client} {code}"] += 1
    if code >= 500:
        record.problems.append(f"a {client} request was answered {code}")
    if time.monotonic() - start > MAX_SECONDS:
        record.problems.append(f"a {client} request took {time.monotonic() - start:.0f} s")
    return code


def _watch(engine: Engine, record: Record) -> None:
    start = time.monotonic()
    while not record.stop.wait(_SAMPLE_SECONDS):
        memory, files, threads = 0, 0, 0
        for process in engine.processes():
            try:
                memory += process.memory_info().rss
                files += process.num_fds()
                threads += process.num_threads()
            except psutil.Error:  # a decoder that has just ended
                continue
        record.samples.append((time.monotonic() - start, memory / 2**20, files, threads))


def _grown(record: Record) -> list[str]:
    _, memory, files, threads = np.array(record.samples).T
    problems = [f"{memory.max():.0f} MiB were resident"] if memory.max() > MAX_MIB else []
    quarter = len(memory) // 4
    watched = (("memory in MiB", memory, 20), ("file descriptors", files, 20), ("threads", threads, 5))
    for name, values, slack in watched:
        early, late = np.median(values[quarter : 2 * quarter]), np.median(values[-quarter:])
        if late > MAX_GROWTH * early + slack:
            problems.append(f"{name} grew from {early:.0f} to {late:.0f}")
    return problems


def _summary(record: Record) -> str:
    _, memory, files, threads = np.array(record.samples).T
    p50, p99 = np.percentile(record.honest_seconds, [50, 99])
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(record.codes.items()))
    problems = "\n".join(f"PROBLEM: {problem}" for problem in record.problems[:50])
    return (
        f"answers by client and code: {counts}\nhonest requests: p50 {p50:.2f} s, p99 {p99:.2f} s\n"
        f"at most {memory.max():.0f} MiB, {files.max():.0f} file descriptors, {threads.max():.0f} threads\n"
        f"{problems or 'no problem'}"
    )


def _plot(record: Record, output: Path) -> None:
    seconds, *series = np.array(record.samples).T
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots(3, sharex=True)
    for axis, values, name in zip(axes, series, ("resident MiB", "file descriptors", "threads"), strict=True):
        axis.plot(seconds / 60, values)
        axis.set_ylim(0)
        axis.set_ylabel(name)
    axes[-1].set_xlabel("minutes")
    figure.savefig(output)


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments)
    thread.start()
    return thread


if __name__ == "__main__":
    sys.exit(main())
