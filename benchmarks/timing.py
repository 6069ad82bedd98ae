"""Timing several ways of doing one thing in turn, so that other load on the machine affects all alike."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Timing:
    """Wall time of one way, in milliseconds.

    Attributes:
        name: What was timed.
        p50: Median.
        p90: 90th percentile.
        least: Fastest.
    """

    name: str
    p50: float
    p90: float
    least: float


def time_in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, title: str, warmup: int = 3
) -> list[Timing]:
    """Time every way once a round, for `rounds` rounds, at least 2, after `warmup` uncounted ones.

    Each is called once before it is timed, because the one before it leaves spinning threads and other data in the
    caches. `title` names the progress bar.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in tqdm(range(-warmup, rounds), desc=title, unit="round"):
        for name, way in ways.items():
            way()
            start = perf_counter()
            way()
            if number >= 0:
                seconds[name].append(perf_counter() - start)
    return [
        Timing(
            name,
            1000 * statistics.median(values),
            1000 * statistics.quantiles(values, n=10)[-1],
            1000 * min(values),
        )
        for name, values in seconds.items()
    ]


def to_markdown(timings: Sequence[Timing], bases: Sequence[str] = ()) -> str:
    """Return a table with a last column for each of `bases`: how many times as fast as that base each is, at p50."""
    medians = {timing.name: timing.p50 for timing in timings}
    header = ["", "p50 (ms)", "p90 (ms)", "least (ms)", *(f"times as fast as {base}" for base in bases)]
    rows = [
        [
            timing.name,
            *(f"{value:.1f}" for value in (timing.p50, timing.p90, timing.least)),
            *(f"{medians[base] / timing.p50:.1f}" for base in bases),
        ]
        for timing in timings
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))
