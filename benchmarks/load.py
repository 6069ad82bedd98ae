"""A server under load: small photos at eight connections, a large photo alone, and a small one beside a large one."""

from __future__ import annotations

import select
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks import capacity
from benchmarks.client import Connection, multipart
from benchmarks.sample import png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests import PreparedRequest

CONNECTIONS = 8
PITCH = 160
"""Pixels between the scratches of a photo that is scratched all over."""


@dataclass(frozen=True)
class LoadFigures:
    """One server under load.

    Attributes:
        answers_a_second: Throughput at `CONNECTIONS` connections that each send a small photo repeatedly.
        possible_a_second: Cores divided by the seconds that the model alone takes on one thread.
        large_seconds: Median for a 12-megapixel JPEG with a scratch, answered as JPEG.
        beside_p50: Median for a small photo beside a 12-megapixel one that is scratched all over, in ms.
        beside_p99: The same, 99th percentile.
        alone_p50: Median for a small photo alone, in ms.
    """

    answers_a_second: float
    possible_a_second: float
    large_seconds: float
    beside_p50: float
    beside_p99: float
    alone_p50: float


def measure(
    url: str, small: dict[str, bytes], alone_p50: float, possible_a_second: float, rounds: int
) -> LoadFigures:
    """Put a server under load.

    Args:
        url: The prediction's URL.
        small: The files of a small photo.
        alone_p50: Median time that it takes alone, in ms.
        possible_a_second: Cores divided by the seconds that the model alone takes on one thread.
        rounds: Number of small photos that each connection sends; a thirtieth as many large ones are sent.

    Raises:
        ServerFailedError: It did not answer, or answered with an error.
    """
    request = capacity.large_photo()
    large = {"image": request.image, "mask": request.mask or b""}
    headers = {"Accept": "image/jpeg"}
    beside: list[float] = []
    small_request = multipart(url, small)
    with Connection(url) as connection:
        large_request = multipart(url, large, headers)
        seconds = [_seconds(connection, large_request) for _ in range(max(1, rounds // 30))]
        with _in_progress(multipart(url, {**large, "mask": _scratches()})) as is_in_progress:
            while len(beside) < CONNECTIONS * rounds and is_in_progress():
                beside.append(1000 * _seconds(connection, small_request))
    return LoadFigures(
        answers_a_second(small_request, rounds),
        possible_a_second,
        statistics.median(seconds),
        statistics.median(beside),
        statistics.quantiles(beside, n=100)[-1],
        alone_p50,
    )


def to_markdown(figures: LoadFigures) -> str:
    """Return a table of the figures and their ratios."""
    share = figures.answers_a_second / figures.possible_a_second
    rows = [
        ("", "measured", "relative to", "ratio"),
        ("---",) * 4,
        (
            f"answers a second, {CONNECTIONS} connections",
            f"{figures.answers_a_second:.1f}",
            f"cores divided by the model's seconds on one thread: {figures.possible_a_second:.1f}",
            f"{share:.2f}",
        ),
        (
            "a small photo beside a 12-megapixel one with scratches all over, p99",
            f"{figures.beside_p99:.0f} ms",
            f"alone, p50: {figures.alone_p50:.0f} ms",
            f"{figures.beside_p99 / figures.alone_p50:.1f}",
        ),
        ("a 12-megapixel JPEG with a scratch, as JPEG", f"{figures.large_seconds:.2f} s", "", ""),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def answers_a_second(request: PreparedRequest, rounds: int) -> float:
    """Return the answers a second at `CONNECTIONS` connections, each sending a request `rounds` times.

    Raises:
        ServerFailedError: The server did not answer, or answered with an error.
    """

    def client(_: int) -> None:
        with Connection(request.url or "") as connection:
            for _ in range(rounds):
                _seconds(connection, request)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(client, range(CONNECTIONS)))  # warms up its threads and the server's
        start = perf_counter()
        list(pool.map(client, range(CONNECTIONS)))
        return CONNECTIONS * rounds / (perf_counter() - start)


def _seconds(connection: Connection, request: PreparedRequest) -> float:
    start = perf_counter()
    connection.send(request)
    return perf_counter() - start


@contextmanager
def _in_progress(request: PreparedRequest) -> Iterator[Callable[[], bool]]:
    """Send a request and yield a function that tells whether it is still unanswered; then close the connection."""
    address = urlsplit(request.url or "")
    connection = HTTPConnection(address.hostname or "", address.port)
    try:
        connection.request("POST", str(address.path), request.body, dict(request.headers))
        yield lambda: not select.select([connection.sock], [], [], 0)[0]
    finally:
        connection.close()


def _scratches() -> bytes:
    height, width = capacity.LARGE
    mask = np.zeros((height, width), np.uint8)
    for start in range(0, width, PITCH):
        cv2.line(mask, (start, 0), (width - 1 - start, height - 1), 255, 7)
    return png(mask)
