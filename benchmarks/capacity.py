"""`python -m benchmarks.capacity`: core-seconds per photo on this machine, and a table of cores by photos a day."""

from __future__ import annotations

import argparse
import math
import resource
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import cv2
import numpy as np

from benchmarks.sample import png, portrait, sample
from serving.core.contract import FillRequest
from serving.core.media_types import PNG
from serving.core.models import default_model
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

SECONDS_OF_A_DAY: Final = 86_400
PHOTOS_A_DAY: Final = (100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
LARGE: Final = (3000, 4000)
"""Height and width of a 12-megapixel photo."""


def cores(photos_a_day: float, seconds: float, peak: float, utilisation: float) -> int:
    """Return the cores needed for a number of photos a day.

    Args:
        photos_a_day: photos in 24 hours.
        seconds: core-seconds of one photo.
        peak: requests a second in the busiest minutes, as a multiple of the day's mean.
        utilisation: maximum share of the cores' time that is used in these minutes.
    """
    return math.ceil(photos_a_day / SECONDS_OF_A_DAY * peak * seconds / utilisation)


def to_markdown(seconds: float, peak: float, utilisation: float, cores_of_a_replica: int) -> str:
    """Return the table of cores and replicas by photos a day."""
    rows = [["photos a day", "mean, photos/s", "peak, photos/s", "cores", "replicas"], ["---"] * 5]
    for photos in PHOTOS_A_DAY:
        mean = photos / SECONDS_OF_A_DAY
        needed = cores(photos, seconds, peak, utilisation)
        replicas = math.ceil(needed / cores_of_a_replica)
        rows.append([f"{photos:,}", f"{mean:,.1f}", f"{peak * mean:,.1f}", f"{needed:,}", f"{replicas:,}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def small_photo() -> FillRequest:
    """Return a request with a photo of the model's size, 178×178, as PNG."""
    photo, mask = sample()
    return FillRequest(png(photo), png(mask))


def large_photo() -> FillRequest:
    """Return a request with a 12-megapixel JPEG and a scratch across it, 15 pixels wide."""
    height, width = LARGE
    photo = cv2.resize(portrait(), (width, height), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(LARGE, np.uint8)
    cv2.line(mask, (200, 300), (width - 300, height - 200), 255, 15)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))[1].tobytes()
    return FillRequest(jpeg, png(mask))


def measure(pipeline: Pipeline, request: FillRequest, rounds: int) -> float:
    """Return the median seconds of a photo, from files to a file, in this thread."""
    fill: Callable[[], object] = lambda: pipeline.fill(request).response.encode(PNG)  # noqa: E731
    fill()
    seconds = []
    for _ in range(rounds):
        start = perf_counter()
        fill()
        seconds.append(perf_counter() - start)
    return median(seconds)


def main() -> None:
    """Print the measurements, unless seconds are given, and the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model(), help="the ONNX model")
    parser.add_argument("--rounds", type=int, default=10, help="how often each photo is filled")
    parser.add_argument("--seconds", type=float, help="core-seconds per photo; measured if not given")
    parser.add_argument("--peak", type=float, default=3, help="busiest minutes, as a multiple of the mean")
    parser.add_argument(
        "--utilisation", type=float, default=0.6, help="of the cores in these minutes, at most"
    )
    parser.add_argument("--replica", type=int, default=2, help="cores per replica")
    options = parser.parse_args()
    seconds = options.seconds
    if seconds is None:
        pipeline = Pipeline(Runtime(options.model, threads=1))
        seconds = measure(pipeline, small_photo(), options.rounds)
        print(f"178x178: {seconds:.3f} s, {1 / seconds:.1f} photos/s per core")
        large = measure(pipeline, large_photo(), options.rounds)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"12 megapixels: {large:.3f} s, {1 / large:.2f} photos/s per core")
        print(f"peak memory of this process: {peak_mib:.0f} MiB\n")
    print(to_markdown(seconds, options.peak, options.utilisation, options.replica))


if __name__ == "__main__":
    main()
