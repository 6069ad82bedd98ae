"""Measurements of each server, and of each method without a server."""

from __future__ import annotations

import io
import statistics
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from benchmarks.client import Connection
from benchmarks.load import answers_a_second
from benchmarks.processes import memory_mib, running
from benchmarks.sample import png
from export.graph_inputs import graph_inputs
from training.classical import CLASSICAL
from training.metrics import psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.comparison.contestants import Contestant, Files
    from benchmarks.sample import Picture
    from serving.core.runtime import Runtime

WARM_UP: Final = 3
"""Uncounted requests or calls before the first that counts."""

Case = tuple["Picture", "Picture"]
"""A photo, HWC uint8 RGB, and its mask, HW uint8 with 255 = hole."""


@dataclass(frozen=True)
class Figures:
    """Measurements of a server or a method.

    Attributes:
        name: Its name.
        alone_ms: Median time of a 178×178 photo while nothing else runs, in ms.
        answers_a_second: Throughput at several connections (`benchmarks.load`); None without a server.
        memory_mib: Memory of its processes when ready; None without a server.
        psnr: Mean against the photos, in dB; None for an untrained network.
        ssim: The same.
    """

    name: str
    alone_ms: float
    answers_a_second: float | None
    memory_mib: float | None
    psnr: float | None
    ssim: float | None


def measure_server(contestant: Contestant, cases: Sequence[Case], rounds: int) -> Figures:
    """Start a server, measure it, and stop it.

    Args:
        contestant: The server.
        cases: What it fills; the first is timed.
        rounds: Requests that are timed, and that each connection sends.

    Raises:
        ServerFailedError: The server did not start or answer, or answered with an error.
    """
    made = [contestant.request(contestant.url, _files(case)) for case in cases]
    timed = made[0]
    with (
        Connection(contestant.url) as connection,
        running(contestant.command, lambda: connection.answers(timed), contestant.settings) as (process, _),
    ):
        memory = memory_mib(process)
        alone = _median_ms(lambda: connection.send(timed), rounds)
        quality = None
        if contestant.trained:
            answers = [_pixels(contestant.answer(connection.send(request))) for request in made]
            quality = _quality(cases, answers)
        return Figures(
            contestant.name, alone, answers_a_second(timed, rounds), memory, *(quality or (None, None))
        )


def measure_methods(runtime: Runtime, cases: Sequence[Case], rounds: int) -> list[Figures]:
    """Measure the model in this process, without a server, and the classical methods."""

    def model(photo: Picture, mask: Picture) -> Picture:
        inputs = graph_inputs(photo[np.newaxis], mask[np.newaxis])
        (output,) = runtime.run(inputs["image"], inputs["mask"])
        return np.asarray(np.rint(output.transpose(1, 2, 0) * 255), np.uint8)

    methods = {"the model alone (ONNX Runtime)": model, **CLASSICAL}
    return [
        Figures(
            f"{name}, no server",
            _median_ms(lambda method=method: method(*cases[0]), rounds),  # type: ignore[misc]
            None,
            None,
            *_quality(cases, [method(*case) for case in cases]),
        )
        for name, method in methods.items()
    ]


def median_of(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure over several runs of one contestant."""
    first = runs[0]
    columns: dict[str, float | None] = {}
    for name in ("alone_ms", "answers_a_second", "memory_mib", "psnr", "ssim"):
        values = [getattr(run, name) for run in runs]
        columns[name] = None if None in values else statistics.median(values)
    return Figures(first.name, **columns)  # type: ignore[arg-type]


def _files(case: Case) -> Files:
    photo, mask = case
    return {"image": png(np.where(mask[..., np.newaxis] > 0, np.uint8(0), photo)), "mask": png(mask)}


def _pixels(file: bytes) -> Picture:
    with Image.open(io.BytesIO(file)) as picture:
        return np.asarray(picture, np.uint8)


def _median_ms(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for number in range(-WARM_UP, rounds):
        start = perf_counter()
        work()
        if number >= 0:
            seconds.append(perf_counter() - start)
    return 1000 * statistics.median(seconds)


def _quality(cases: Sequence[Case], answers: Sequence[Picture]) -> tuple[float, float]:
    """Return the mean PSNR in dB and SSIM of answers, composited."""
    pairs = [
        (photo, np.where(mask[..., np.newaxis] > 0, answer, photo))
        for (photo, mask), answer in zip(cases, answers, strict=True)
    ]
    return (
        float(np.mean([psnr(photo, filled) for photo, filled in pairs])),
        float(np.mean([ssim(photo, filled) for photo, filled in pairs])),
    )
