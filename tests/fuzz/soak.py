"""A server under hostile, rude and honest clients: `make soak MINUTES=60`, or a fixed number of hostile requests.

The hostile and rude clients pause for ten seconds of every minute while the honest ones go on, so the honest clients'
times with and without an attack are measured on the same machine under the same other load.

It fails if a request is answered with a 5xx, late or not at all, if a process of the server was restarted, if
memory, file descriptors or threads grow, or if the attack more than doubles the honest clients' p99. It writes a plot,
and prints what was answered.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from random import Random

import engines
import hostile_images
import numpy as np
import psutil
import requests
from engines import Engine
from image_seeds import SEEDS as IMAGE_SEEDS
from matplotlib.figure import Figure
from mutations import mutate
from rest_seeds import FORM_TYPE, IMAGE, MASK
from rest_seeds import SEEDS as REST_SEEDS
from sample_pictures import encode, encode_mask, face, scratch

PREDICT, INFER = "/predictions/inpaint", "/v2/models/inpaint/infer"
JSON = {"Content-Type": "application/json"}

DEADLINE = 60
"""Time limit of a request in seconds, set on the ONNX Runtime server. An answer is late a second after it."""

MAX_MIB = {"onnx": 1500, "torchserve": 3000}
"""Maximum resident memory of all processes of the server."""

MAX_GROWTH = 1.25
"""Maximum growth of memory, descriptors and threads from the second quarter of the time to the last."""

MAX_SLOWDOWN = 2.0
"""Maximum factor by which the attack slows the honest clients' p99."""

_HOSTILE_CLIENTS, _HONEST_CLIENTS = 4, 2
_QUIET_SECONDS, _ATTACK_SECONDS = 10.0, 50.0
_SAMPLE_SECONDS, _POLL_SECONDS = 0.5, 0.5
_ENOUGH = 100  # honest requests needed for a p99


@dataclass
class Record:
    """What the clients were answered, and the server's resources over time."""

    stop: threading.Event = field(default_factory=threading.Event)
    attack: threading.Event = field(default_factory=threading.Event)
    codes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    honest_seconds: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    """Keyed by whether there was an attack, from the request's start to its end."""
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)
    """Seconds since the start; resident MiB, file descriptors and threads of all the server's processes."""


def main() -> int:
    """Run it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=MAX_MIB, default="onnx", help="the server")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long it runs")
    parser.add_argument(
        "--requests", type=int, help="number of hostile requests after which it ends, instead of --minutes"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the hostile requests")
    parser.add_argument(
        "--honest-pause", type=float, default=1.0, help="seconds between two requests of an honest client"
    )
    parser.add_argument(
        "--hostile-pause", type=float, default=0.0, help="seconds between two requests of a hostile client"
    )
    parser.add_argument("--output", type=Path, default=Path("soak.png"), help="the plot")
    options = parser.parse_args()
    record = Record()
    with tempfile.TemporaryDirectory() as folder, _server(options.engine, Path(folder)) as engine:
        lasting = _lasting(engine)
        jobs = _Jobs(options.requests, options.seed)
        hostile = [
            _thread(_hostile, engine, record, jobs, options.hostile_pause) for _ in range(_HOSTILE_CLIENTS)
        ]
        others = [
            _thread(_honest, engine, record, options.honest_pause, first) for first in range(_HONEST_CLIENTS)
        ]
        others += [_thread(client, engine, record) for client in (_rude, _watch, _phases)]
        if options.requests is None:
            record.stop.wait(60 * options.minutes)
        else:
            for thread in hostile:
                thread.join()
        record.stop.set()
        for thread in (*hostile, *others):
            thread.join()
        if not all(process.is_running() for process in lasting):
            record.problems.append("a process of the server was restarted")
        log = engine.log.read_text(errors="replace")
    if "Traceback" in log:
        record.problems.append("the server's log has a traceback: " + log[log.index("Traceback") :][:2000])
    if "restarting it" in log:
        record.problems.append("the process that starts the decoders was restarted")
    record.codes["decoder died"] = log.count("ended without a result on a file")
    record.problems += _grown(record, MAX_MIB[options.engine]) + _slowed(record)
    _plot(record, options.output)
    print(_summary(record))
    return 1 if record.problems else 0


@contextmanager
def _server(name: str, folder: Path) -> Iterator[Engine]:
    if name == "onnx":
        flags = ("--log-level=warning", f"--max-seconds={DEADLINE}")
        with engines.onnx_server(folder, *flags) as engine:
            yield engine
    else:
        with engines.torchserve(folder) as engine:
            yield engine


def _lasting(engine: Engine) -> list[psutil.Process]:
    """The processes of the server that must not end: all but the decoders."""
    return [
        process for process in engine.processes() if not any("sandbox" in word for word in process.cmdline())
    ]


def _phases(_: Engine, record: Record) -> None:
    while not record.stop.wait(_QUIET_SECONDS):
        record.attack.set()
        record.stop.wait(_ATTACK_SECONDS)
        record.attack.clear()


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
        # One request in twelve is made from the files that once crashed a decoder.
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


def _hostile(engine: Engine, record: Record, jobs: _Jobs, pause: float) -> None:
    with requests.Session() as session:
        while not record.stop.is_set():
            if not record.attack.wait(_POLL_SECONDS):
                continue
            if (request := jobs.take()) is None:
                break
            _send(session, engine, record, "hostile", request)
            record.stop.wait(pause)


def _honest(engine: Engine, record: Record, pause: float, first: int) -> None:
    """Fill photos of several sizes, one after the other."""
    photos = [(encode(face(n, n)), encode_mask(scratch(n, n, 5))) for n in (64, 178, 300)]
    with requests.Session() as session:
        for image, mask in islice(cycle(photos), first, None):
            if record.stop.wait(pause):
                break
            attack, start = record.attack.is_set(), time.monotonic()
            request: dict[str, object] = {
                "path": PREDICT,
                "files": {"image": image, "mask": mask},
                "headers": {"Accept": "image/png"},
            }
            code = _send(session, engine, record, "honest", request)
            if record.attack.is_set() is attack:
                record.honest_seconds[attack].append(time.monotonic() - start)
            if code != 200:
                record.problems.append(f"an honest request was answered {code}")


def _rude(engine: Engine, record: Record) -> None:
    """Send parts of requests, and hang up at once or later."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    message = head.encode() + bytes(50_000)
    chance = random.Random(0)
    open_ones: list[socket.socket] = []
    while not record.stop.wait(0.05):
        if not record.attack.is_set():
            while open_ones:
                open_ones.pop().close()
            continue
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
        code = session.post(url, timeout=2 * DEADLINE, **request).status_code  # type: ignore[arg-type]
    except requests.RequestException as error:
        code = 0
        record.problems.append(f"a {client} request was not answered: {error!r:.300}")
    record.codes[f"{client} {code}"] += 1
    if code >= 500:
        record.problems.append(f"a {client} request was answered {code}")
    if time.monotonic() - start > DEADLINE + 1:
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


def _grown(record: Record, max_mib: int) -> list[str]:
    _, memory, files, threads = np.array(record.samples).T
    problems = [f"{memory.max():.0f} MiB were resident"] if memory.max() > max_mib else []
    quarter = len(memory) // 4
    watched = (("memory in MiB", memory, 20), ("file descriptors", files, 20), ("threads", threads, 5))
    for name, values, slack in watched:
        early, late = np.median(values[quarter : 2 * quarter]), np.median(values[-quarter:])
        if late > MAX_GROWTH * early + slack:
            problems.append(f"{name} grew from {early:.0f} to {late:.0f}")
    return problems


def _slowed(record: Record) -> list[str]:
    if min(map(len, record.honest_seconds.values())) < _ENOUGH:
        return []
    without, attacked = (np.percentile(record.honest_seconds[attack], 99) for attack in (False, True))
    if attacked <= MAX_SLOWDOWN * without:
        return []
    return [f"the attack took the honest requests' p99 from {without:.2f} s to {attacked:.2f} s"]


def _summary(record: Record) -> str:
    _, memory, files, threads = np.array(record.samples).T
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(record.codes.items()))
    times = "".join(
        f"{len(seconds)} honest requests {'under' if attack else 'without'} attack: "
        + ", ".join(f"p{n} {np.percentile(seconds, n):.3f} s" for n in (50, 90, 99) if seconds)
        + "\n"
        for attack, seconds in record.honest_seconds.items()
    )
    problems = "\n".join(f"PROBLEM: {problem}" for problem in record.problems[:50])
    return (
        f"answers by client and code: {counts}\n{times}"
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
